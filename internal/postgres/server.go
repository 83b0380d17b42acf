package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/baton-transfers/baton/internal/child"
)

const (
	// superuser owns the cluster and its databases.
	superuser = "baton"
	host      = "127.0.0.1"

	// startTimeout allows for busy machines and recovery; a start usually takes a second.
	startTimeout = 60 * time.Second
	// stopGrace is how long the server may take to stop.
	stopGrace = 10 * time.Second
	// readyPoll is the pause between two checks of a starting server.
	readyPoll = 20 * time.Millisecond
)

// Options configure the server. The zero value is valid.
type Options struct {
	// Careless turns off all waiting for the disk, for tests that discard the data. Otherwise committed data
	// survives a power failure, as in production.
	Careless bool
	// Settings are additional PostgreSQL settings, by name.
	Settings map[string]string
	// LogWriter receives the server's output; it may be nil.
	LogWriter io.Writer
}

// Server is a private PostgreSQL server. It is safe for concurrent use.
type Server struct {
	folder   string // of all files; removed when the server is stopped
	programs string
	password string
	port     int
	options  Options
	account  account

	mutex   sync.Mutex
	process *os.Process
	log     *tail
	done    chan struct{} // closed when the process has ended
}

// Start creates a cluster in its own folder and runs it on a free port of 127.0.0.1. It returns when the server
// answers, after a second or two. ctx applies to the start only: the server runs until it is stopped, and is killed
// with the process that started it.
//
// It returns [ErrMissing] if PostgreSQL is not installed. Other errors quote the server's last output.
func Start(ctx context.Context, options Options) (_ *Server, err error) {
	folder, err := os.MkdirTemp("", "baton-postgres-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for PostgreSQL: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(folder))
		}
	}()
	s := &Server{folder: folder, options: options, password: secret()}
	if s.programs, err = programs(); err != nil {
		return nil, err
	}
	if s.account, err = newAccount(); err != nil {
		return nil, err
	}
	if err := s.initialize(ctx); err != nil {
		return nil, err
	}
	if s.port, err = freePort(ctx); err != nil {
		return nil, err
	}
	return s, s.Restart(ctx)
}

// initialize creates the cluster: UTF-8 text in byte order, and password authentication for all users.
func (s *Server) initialize(ctx context.Context) error {
	passwordFile := filepath.Join(s.folder, "password")
	if err := os.WriteFile(passwordFile, []byte(s.password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write PostgreSQL's password: %w", err)
	}
	for _, path := range []string{s.folder, passwordFile} {
		if err := s.account.own(path); err != nil {
			return err
		}
	}
	command := exec.CommandContext(ctx, filepath.Join(s.programs, "initdb"), "--pgdata", s.data(), "--username", superuser,
		"--pwfile", passwordFile, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	command.Env, command.Dir = environment(), "/" // a folder that the server's user may enter; the current one may be closed to it
	s.account.prepare(command)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	ended := make(chan error, 1)
	err := child.Start(command, func(err error) { ended <- err })
	if err == nil {
		err = <-ended
	}
	if err != nil {
		return fmt.Errorf("make a PostgreSQL cluster: %w\n%s", err, bytes.TrimSpace(output.Bytes()))
	}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

// Restart starts a server that was killed or has ended, with the same data and port, and returns when it answers.
func (s *Server) Restart(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("PostgreSQL did not answer within %s", startTimeout))
	defer cancel()
	for {
		if err := s.launch(ctx); err != nil {
			return err
		}
		err := s.ready(ctx)
		if err == nil {
			return nil
		}
		printed := s.log.String()
		s.Kill()
		// The children of a killed server may run on for a moment, and keep its shared memory.
		if ctx.Err() == nil && (strings.Contains(printed, "still in use") || strings.Contains(printed, "lock file \"postmaster.pid\" already exists")) {
			continue
		}
		return fmt.Errorf("start PostgreSQL: %w\n%s", err, printed)
	}
}

// launch starts the process, and returns when it runs.
func (s *Server) launch(ctx context.Context) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	settings := map[string]string{
		"listen_addresses": host, "port": strconv.Itoa(s.port), "unix_socket_directories": "", "max_connections": "200",
	}
	if s.options.Careless {
		settings["fsync"], settings["synchronous_commit"], settings["full_page_writes"] = "off", "off", "off"
	}
	maps.Copy(settings, s.options.Settings)
	args := []string{"-D", s.data()}
	for name, value := range settings {
		args = append(args, "-c", name+"="+value)
	}
	// Without ctx's cancellation, because the server outlives its start.
	command := exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(s.programs, "postgres"), args...)
	s.log = &tail{to: s.options.LogWriter}
	command.Env, command.Dir = environment(), "/" // a folder that the server's user may enter; the current one may be closed to it
	command.Stdout, command.Stderr = s.log, s.log
	s.account.prepare(command)
	done := make(chan struct{})
	s.done = done
	if err := child.Start(command, func(error) { close(done) }); err != nil { // its log says how it ended
		close(done)
		return fmt.Errorf("run PostgreSQL: %w", err)
	}
	s.process = command.Process
	return nil
}

// ready returns when the server accepts connections or has ended.
func (s *Server) ready(ctx context.Context) error {
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	done := s.ended()
	for {
		connection, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			_ = connection.Close(ctx) // the server has answered, which is enough
			return nil
		}
		select {
		case <-done:
			return errors.New("it ended by itself")
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-poll.C:
		}
	}
}

func (s *Server) ended() <-chan struct{} {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.done
}

// URL returns the URL of a database of the server, with the password.
func (s *Server) URL(database string) string {
	at := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, s.password),
		Host: net.JoinHostPort(host, strconv.Itoa(s.port)), Path: database, RawQuery: "sslmode=disable",
	}
	return at.String()
}

// CreateDatabase creates a database as a copy of the template. No client may be connected to the template. An empty
// template creates an empty database.
func (s *Server) CreateDatabase(ctx context.Context, name, template string) (err error) {
	connection, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, connection.Close(ctx)) }()
	if template == "" {
		template = "template1"
	}
	statement := "CREATE DATABASE " + pgx.Identifier{name}.Sanitize() + " TEMPLATE " + pgx.Identifier{template}.Sanitize()
	if _, err := connection.Exec(ctx, statement); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// Kill kills the server, as a crash would, and returns when it has ended. The data is kept for [Server.Restart].
func (s *Server) Kill() {
	s.mutex.Lock()
	process, done := s.process, s.done
	s.mutex.Unlock()
	if process == nil {
		return
	}
	_ = process.Kill() // fails only if the process has already ended
	<-done
}

// Stop stops the server and removes its data. It kills the server after ten seconds or when ctx ends.
func (s *Server) Stop(ctx context.Context) error {
	s.end(ctx)
	if err := os.RemoveAll(s.folder); err != nil {
		return fmt.Errorf("remove PostgreSQL's data: %w", err)
	}
	return nil
}

// Leave stops the server as [Server.Stop] does, but keeps its data for inspection. It returns the data folder,
// which `postgres -D` can run again.
func (s *Server) Leave(ctx context.Context) (folder string) {
	s.end(ctx)
	return s.data()
}

func (s *Server) end(ctx context.Context) {
	s.mutex.Lock()
	process, done := s.process, s.done
	s.mutex.Unlock()
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	finish(process)
	select {
	case <-done:
	case <-grace.C:
	case <-ctx.Done():
	}
	s.Kill()
}

// environment returns the environment without variables that select another server or another language.
func environment() []string {
	return append(child.Environment("PG", "LC_", "LANG"), "LC_ALL=C", "TZ=UTC")
}

func secret() string {
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails
	return hex.EncodeToString(random)
}

func freePort(ctx context.Context) (int, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, fmt.Errorf("find a free port for PostgreSQL: %w", err)
	}
	defer func() { _ = listener.Close() }()
	address, _ := listener.Addr().(*net.TCPAddr)
	return address.Port, nil
}

// tail keeps the end of the server's output, and forwards all of it.
type tail struct {
	mutex sync.Mutex
	text  []byte
	to    io.Writer
}

// tailLength is how many bytes are kept.
const tailLength = 4096

// Write implements [io.Writer].
func (t *tail) Write(chunk []byte) (int, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.text = append(t.text, chunk...)
	t.text = t.text[max(0, len(t.text)-tailLength):]
	if t.to != nil {
		_, _ = t.to.Write(chunk) // a failing log writer must not stop the server
	}
	return len(chunk), nil
}

// String returns the end of the output.
func (t *tail) String() string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return string(t.text)
}
