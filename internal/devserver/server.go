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
	"github.com/baton-transfers/baton/internal/sleep"
)

const (
	// startTimeout allows for busy machines; a start usually takes a second.
	startTimeout = 60 * time.Second
	// stopGrace is how long the server may take to stop; it usually takes about one second.
	stopGrace = 10 * time.Second
	// databaseWait is how long the database file may be in use. A server whose parent was killed ends within
	// milliseconds; a server that is in use keeps the file.
	databaseWait = 5 * time.Second
	// startAttempts is how often a start is tried if another attempt can succeed: if another program took the port
	// between its choice and its use, or if the server crashed, as it does when it finds no free port for itself.
	startAttempts = 5
	// startPause is the pause before the second attempt; it doubles with each attempt. The program that holds the
	// port may release it.
	startPause = 100 * time.Millisecond

	healthPoll = 20 * time.Millisecond
	lockPoll   = 50 * time.Millisecond
)

const defaultHost = "127.0.0.1"

// Options configure the dev server. Only Binary is required.
type Options struct {
	// Binary is the path of the Temporal CLI; see [Binary].
	Binary string
	// DatabaseFile stores all data across restarts; its folder is created. Empty means in memory.
	DatabaseFile string
	// Address is host:port of the frontend. Empty means a free port on 127.0.0.1; port 0 means a free port.
	Address string
	// UIAddress is host:port of the Web UI; port 0 means a free port. Empty means no Web UI.
	UIAddress string
	// UICodecEndpoint is the codec server that the Web UI uses, such as http://127.0.0.1:8080/codec. Empty means
	// none.
	UICodecEndpoint string
	// Namespace is created in addition to "default", which always exists. It gets the search attributes too.
	Namespace string
	// SearchAttributes are registered, even in a database file of an earlier version that lacks some of them.
	SearchAttributes map[string]enumspb.IndexedValueType
	// DynamicConfig sets the server's dynamic configuration by name. Useful for tests:
	// "limit.historyCount.suggestContinueAsNew" (default 4096 events), "history.maxInFlightUpdates" (10) and
	// "history.maxTotalUpdates" (2000).
	DynamicConfig map[string]any
	// LogWriter receives the server's output, which is its warnings and errors; it may be nil.
	LogWriter io.Writer
}

// Server is a running dev server.
type Server struct {
	Address string // of the frontend, host:port
	UIURL   string // of the Web UI; empty without one
	PID     int

	process  *os.Process
	log      *logTail
	released atomic.Bool // Stop or Kill was called
	done     chan struct{}
	err      error // the reason of an unexpected end; read it only after done is closed
}

// Start runs the dev server. It returns when the frontend, the namespace, the search attributes and the Web UI are
// available, after about a second. ctx applies to the start only: the server runs until it is stopped, and is
// killed with the process that started it. Ctrl-C in the terminal does not reach the server, so that its user can
// finish first.
//
// Typical errors are a port or a database file that is in use, a file that is not a database, and a binary that
// does not run. The error says what to do, and quotes the last lines of the server's log.
func Start(ctx context.Context, options Options) (*Server, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout,
		fmt.Errorf("the dev server did not answer within %s", startTimeout))
	defer cancel()
	lock, err := lockDatabase(ctx, options.DatabaseFile)
	if err != nil {
		return nil, err
	}
	if lock != nil {
		defer lock.Close() // the child inherits the lock, and holds it as long as it runs
	}
	for attempt := 1; ; attempt++ {
		server, err := start(ctx, options, lock)
		if attempt == startAttempts || !errors.Is(err, errPortLost) && !errors.Is(err, errCrashed) {
			return server, err
		}
		say(options.LogWriter, "The dev server is started again: %v", err)
		if sleep.For(ctx, startPause<<(attempt-1)) != nil {
			return nil, errors.Join(context.Cause(ctx), err)
		}
	}
}

var (
	errLocked   = errors.New("in use by another process")
	errPortLost = errors.New("another program took a free port before the dev server did")
	errCrashed  = errors.New("the dev server crashes at its start")
)

// lockDatabase makes sure that only one server uses a database file. Two servers would both assume that they own
// every workflow in it.
func lockDatabase(ctx context.Context, database string) (*os.File, error) {
	if database == "" {
		return nil, nil //nolint:nilnil // a database in memory needs no lock
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
	for {
		lock, err := tryLock(database + ".lock")
		if err == nil {
			return lock, nil
		}
		if !errors.Is(err, errLocked) {
			return nil, fmt.Errorf("the database file %s cannot be used: make its folder writable, or choose another: %w", database, err)
		}
		if sleep.For(ctx, lockPoll) != nil {
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
	// Without ctx's cancellation, because the server outlives its start.
	command := exec.CommandContext(context.WithoutCancel(ctx), options.Binary, args...)
	command.Env = child.Environment("TEMPORAL_") // these variables are for clients, and would change this server
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

// endpoint is an address that the server listens on. Its port was free when it was chosen.
type endpoint struct {
	host   string
	port   int
	chosen bool // the port was chosen here, not by the caller
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

// ownSettings apply to every dev server. With eager execution an activity starts together with the workflow task
// that schedules it, as on Temporal Cloud, which saves a write and a task queue round trip. The update interval
// lets a workflow be deleted seconds after it closes instead of half a minute: the server deletes it only after it
// has recorded the progress of its queue.
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
		// Both pragmas together double the throughput. A crash of the machine may lose the last moments; a crash of
		// the process loses nothing.
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

// ended records how the process ended, unless Stop or Kill was called.
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

// Done returns a channel that is closed when the server has ended for any reason.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err returns the reason of an unexpected end. It is nil while the server runs, and after Stop or Kill.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Stop stops the server and returns when it has ended. It kills the server after ten seconds or when ctx ends,
// which loses no data. A second call does nothing.
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

// Kill kills the server, as a crash would, and returns when it has ended.
func (s *Server) Kill() {
	s.released.Store(true)
	_ = s.process.Kill() // fails only if the process has already ended
	<-s.done
}
