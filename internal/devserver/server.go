package devserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton/internal/child"
	"github.com/baton-transfers/baton/internal/private"
)

const (
	// startTimeout is far beyond the second that a start takes, for machines that are busy.
	startTimeout = 60 * time.Second
	// stopGrace is how long the server may take to end by itself; it takes about one second.
	stopGrace = 10 * time.Second
	// databaseWait is how long the database file may still be in use: a server whose parent was killed
	// ends in milliseconds, one that is in use by somebody stays.
	databaseWait = 5 * time.Second
	// startAttempts counts the tries where the next may go better: another program took a port between
	// choosing and using it, or the server crashed, as it does when it finds no free port for itself.
	startAttempts = 5
	// startPause is before the second try, and doubles with each: what held the ports may let go of them.
	startPause = 100 * time.Millisecond

	healthPoll = 20 * time.Millisecond
	lockPoll   = 50 * time.Millisecond
)

const defaultHost = "127.0.0.1"

// Options say how the dev server runs. Only Binary is needed.
type Options struct {
	// Binary is the Temporal CLI, as [Binary] finds it.
	Binary string
	// DatabaseFile keeps everything across restarts; its folder is made. Empty: in memory.
	DatabaseFile string
	// Address is host:port of the frontend. An empty address is on 127.0.0.1, port 0 a free one.
	Address string
	// UIAddress is host:port of the Web UI, port 0 a free one. Empty: no Web UI.
	UIAddress string
	// UICodecEndpoint is where the Web UI has payloads decoded, as http://127.0.0.1:8080/codec. Empty: nowhere.
	UICodecEndpoint string
	// Namespace is made beside "default", which is always there, and gets the search attributes too.
	Namespace string
	// SearchAttributes are registered, also in a database file of an earlier version that lacks some.
	SearchAttributes map[string]enumspb.IndexedValueType
	// DynamicConfig sets the server's own settings by their names. Those that help a test are
	// "limit.historyCount.suggestContinueAsNew" (4096 events), "history.maxInFlightUpdates" (10) and
	// "history.maxTotalUpdates" (2000).
	DynamicConfig map[string]any
	// LogWriter gets what the server prints, its warnings and errors. Nil: nobody.
	LogWriter io.Writer
}

// Server is a dev server that answers.
type Server struct {
	Address string // of its frontend, host:port
	UIURL   string // of its Web UI, empty where there is none
	PID     int

	process  *os.Process
	log      *logTail
	released atomic.Bool // its end is wanted
	done     chan struct{}
	err      error // why it ended by itself; readable once done is closed
}

// Start runs the dev server and returns when its frontend, its namespace, its search attributes and
// its Web UI are there, about a second later. ctx is for the start only: the server runs until it is
// stopped, and is killed with the process that started it. It doesn't see the terminal's Ctrl-C, so
// whoever uses it can finish first.
//
// A port or a database file that is in use, a file that is no database, a binary that doesn't run:
// the error is a sentence that says what to do, with the last lines of the server's log.
func Start(ctx context.Context, options Options) (*Server, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout,
		fmt.Errorf("the dev server did not answer within %s", startTimeout))
	defer cancel()
	lock, err := lockDatabase(ctx, options.DatabaseFile)
	if err != nil {
		return nil, err
	}
	if lock != nil {
		defer lock.Close() // the child has inherited it, and holds it for as long as it lives
	}
	for attempt := 1; ; attempt++ {
		server, err := start(ctx, options, lock)
		if attempt == startAttempts || !errors.Is(err, errPortLost) && !errors.Is(err, errCrashed) {
			return server, err
		}
		say(options.LogWriter, "The dev server is started again: %v", err)
		select {
		case <-time.After(startPause << (attempt - 1)):
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), err)
		}
	}
}

var (
	errLocked   = errors.New("in use by another process")
	errPortLost = errors.New("another program took a free port before the dev server did")
	errCrashed  = errors.New("the dev server crashes at its start")
)

// lockDatabase sees to it that one server at a time uses a database file. Two would both believe
// that they own every workflow in it.
func lockDatabase(ctx context.Context, database string) (*os.File, error) {
	if database == "" {
		return nil, nil //nolint:nilnil // in memory there is nothing to lock, and that is no error
	}
	if strings.ContainsAny(database, "?#%") {
		return nil, fmt.Errorf("the database file %s cannot be opened by the dev server: choose a path without ?, # and %%", database)
	}
	if err := os.MkdirAll(filepath.Dir(database), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the database file: %w", err)
	}
	if _, err := private.Existing(database); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, databaseWait)
	defer cancel()
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	for {
		lock, err := tryLock(database + ".lock")
		if err == nil {
			return lock, nil
		}
		if !errors.Is(err, errLocked) {
			return nil, fmt.Errorf("the database file %s cannot be used: make its folder writable, or choose another: %w", database, err)
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("the database file %s is in use by another dev server: stop that one, or choose another folder for the file", database)
		}
	}
}

func start(ctx context.Context, options Options, lock *os.File) (*Server, error) {
	frontend, err := chooseEndpoint(ctx, "the dev server", options.Address)
	if err != nil {
		return nil, err
	}
	var ui endpoint
	if options.UIAddress != "" {
		if ui, err = chooseEndpoint(ctx, "the Web UI", options.UIAddress); err != nil {
			return nil, err
		}
	}
	args, err := arguments(options, frontend, ui)
	if err != nil {
		return nil, err
	}
	server := &Server{
		Address: frontend.String(),
		UIURL:   ui.url(),
		log:     &logTail{to: options.LogWriter},
		done:    make(chan struct{}),
	}
	// Without ctx's end: a server outlives the context of its start.
	command := exec.CommandContext(context.WithoutCancel(ctx), options.Binary, args...)
	command.Env = child.Environment("TEMPORAL_") // that tells clients where a cluster is, and would change this server
	command.Stdout, command.Stderr = server.log, server.log
	if lock != nil {
		command.ExtraFiles = []*os.File{lock}
	}
	if err := private.Alone(func() error { return child.Start(command, server.ended) }); err != nil {
		return nil, fmt.Errorf("the dev server's program does not run: install the Temporal CLI %s or newer, or correct %s: %w",
			Version, binaryVariable, err)
	}
	server.process, server.PID = command.Process, command.Process.Pid
	if err := server.ready(ctx, options, frontend, ui); err != nil {
		server.Kill()
		return nil, err
	}
	return server, nil
}

// endpoint is where the server listens, on a port that was free just now.
type endpoint struct {
	host   string
	port   int
	chosen bool // by us, not by the caller
}

func (e endpoint) String() string { return net.JoinHostPort(e.host, strconv.Itoa(e.port)) }

func (e endpoint) url() string {
	if e.port == 0 {
		return ""
	}
	return "http://" + e.String()
}

func chooseEndpoint(ctx context.Context, whose, address string) (endpoint, error) {
	if address == "" {
		address = net.JoinHostPort(defaultHost, "0")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return endpoint{}, fmt.Errorf("the address of %s is host:port, such as 127.0.0.1:7233: %w", whose, err)
	}
	if host == "" || host == "localhost" {
		host = defaultHost // the server binds to an IP address, not to a name
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return endpoint{}, portInUse(whose, address)
	}
	if err != nil {
		return endpoint{}, fmt.Errorf("%s cannot listen on %s: choose another address: %w", whose, address, err)
	}
	defer listener.Close()
	actual, _ := listener.Addr().(*net.TCPAddr)
	return endpoint{host: host, port: actual.Port, chosen: port == "0" || port == ""}, nil
}

func portInUse(whose, address string) error {
	return fmt.Errorf("%s cannot listen on %s, which another program uses, perhaps another dev server: "+
		"stop that one, or choose another address", whose, address)
}

// ownSettings hold for every dev server. An activity starts together with the workflow task that
// schedules it, as on Temporal Cloud: it spares a write and a way through the task queue. A workflow
// that has just closed can be deleted after seconds, not half a minute: the server deletes it only
// once it has noted how far its queue is done.
var ownSettings = map[string]any{
	"system.enableActivityEagerExecution":        true,
	"history.transferProcessorUpdateAckInterval": "2s",
}

func arguments(options Options, frontend, ui endpoint) ([]string, error) {
	args := []string{"server", "start-dev", "--ip", frontend.host, "--port", strconv.Itoa(frontend.port)}
	if options.UIAddress == "" {
		args = append(args, "--headless")
	} else {
		args = append(args, "--ui-ip", ui.host, "--ui-port", strconv.Itoa(ui.port))
	}
	if options.UICodecEndpoint != "" {
		args = append(args, "--ui-codec-endpoint", options.UICodecEndpoint)
	}
	if options.DatabaseFile != "" {
		// Together they double the throughput. A crash of the machine may cost the last moments; a
		// crash of the process costs nothing.
		args = append(args, "--db-filename", options.DatabaseFile,
			"--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL")
	}
	if namespace := options.namespace(); namespace != client.DefaultNamespace {
		args = append(args, "--namespace", namespace)
	}
	for _, name := range slices.Sorted(maps.Keys(options.SearchAttributes)) {
		args = append(args, "--search-attribute", name+"="+options.SearchAttributes[name].String())
	}
	settings := maps.Clone(ownSettings)
	maps.Copy(settings, options.DynamicConfig)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		value, err := json.Marshal(settings[name])
		if err != nil {
			return nil, fmt.Errorf("the dev server's setting %s is not JSON: %w", name, err)
		}
		args = append(args, "--dynamic-config-value", name+"="+string(value))
	}
	return args, nil
}

func (o Options) namespace() string {
	if o.Namespace == "" {
		return client.DefaultNamespace
	}
	return o.Namespace
}

// ended keeps how the process ended, where nobody has asked for it.
func (s *Server) ended(err error) {
	if !s.released.Load() {
		s.err = fmt.Errorf("the dev server ended by itself (%s)%s", ending(err), quoteLog(s.log.last()))
	}
	close(s.done)
}

func ending(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// Done is closed when the server has ended, wanted or not.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err returns why the server ended by itself: nil while it runs, and after Stop or Kill.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Stop ends the server and returns when it has ended. One that doesn't within ten seconds, or before
// ctx ends, is killed; nothing is lost by it. Stopping twice does nothing.
func (s *Server) Stop(ctx context.Context) error {
	s.released.Store(true)
	if err := terminate(s.process); err != nil {
		return fmt.Errorf("stop the dev server: %w", err)
	}
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-s.done:
		return nil
	case <-grace.C:
	case <-ctx.Done():
	}
	s.Kill()
	return nil
}

// Kill ends the server at once, as a crash would, and returns when it has ended.
func (s *Server) Kill() {
	s.released.Store(true)
	_ = s.process.Kill() // fails only where it has ended already
	<-s.done
}
