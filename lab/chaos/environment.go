package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/testenv"
	"github.com/baton-transfers/baton/lab/chaos/plan"
)

// environment is everything that runs: the Temporal dev server, the desk's database, two workers, two gateways and
// the receiver of webhooks. Each keeps its address when it is restarted.
type environment struct {
	*testenv.Environment

	account  access.Account
	receiver *receiver
	gateways []string // their URLs

	// serverMutex is held while the Temporal server is killed and restarted.
	serverMutex sync.Mutex
	database    database

	mutex   sync.Mutex
	logs    map[string]*os.File // by the names of the processes
	running map[string]*testenv.Process
	// wrong lists what processes printed or did that no process may.
	wrong []string
}

// continueAfter is the number of history events after which a conversation continues as a new run: every few
// transfers.
const continueAfter = 120

// openEnvironment starts everything, in the folder of the options.
func openEnvironment(ctx context.Context, o options, p plan.Plan, progress io.Writer) (_ *environment, err error) {
	s := &environment{Environment: &testenv.Environment{Folder: o.folder}, running: map[string]*testenv.Process{}, logs: map[string]*os.File{}}
	defer func() {
		if err != nil {
			_, closed := s.close(ctx, false)
			err = errors.Join(err, closed)
		}
	}()
	if err := testenv.Build(ctx, o.code, o.folder+string(filepath.Separator), nil, "./worker", "./gateway"); err != nil {
		return nil, err
	}
	log, err := s.openLog("temporal")
	if err != nil {
		return nil, err
	}
	if o.database == databasePostgres {
		log, err := s.openLog("postgres")
		if err != nil {
			return nil, err
		}
		if err := s.database.startServer(ctx, log); err != nil {
			return nil, err
		}
	}
	opened, err := testenv.Open(ctx, testenv.Options{
		Folder: o.folder, Database: s.database.address, DynamicConfig: map[string]any{"limit.historyCount.suggestContinueAsNew": continueAfter},
		ServerLog: log, Progress: progress,
	})
	if err != nil {
		return nil, err
	}
	s.Environment, s.database.address = opened, opened.Database
	if err := s.database.openAdmin(); err != nil {
		return nil, err
	}
	address, err := testenv.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	s.receiver = newReceiver(address)
	if err := s.receiver.open(ctx); err != nil {
		return nil, err
	}
	if err := s.staff(ctx, p); err != nil {
		return nil, err
	}
	for range plan.GatewayCount {
		if address, err = testenv.FreeAddress(ctx); err != nil {
			return nil, err
		}
		s.gateways = append(s.gateways, "http://"+address)
	}
	return s, s.startPrograms(ctx)
}

// openLog returns the file for the output of a process. Those that follow it append to the same file.
func (s *environment) openLog(name string) (*os.File, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if log := s.logs[name]; log != nil {
		return log, nil
	}
	log, err := os.OpenFile(filepath.Join(s.Folder, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	s.logs[name] = log
	return log, nil
}

// keyCount is the number of API keys. An HTTP command is recorded under the name of its key, so no key is used
// twice in a conversation.
const keyCount = 32

// staff sets up the desk: queues, agents, those of the trials too, settings, the account and the webhook address.
func (s *environment) staff(ctx context.Context, p plan.Plan) (err error) {
	if err := testenv.AddQueues(ctx, s.Desk, append(slices.Clone(p.Queues), trialQueue)...); err != nil {
		return err
	}
	var agents []testenv.Agent
	for _, a := range p.Agents {
		agents = append(agents, testenv.Agent{Name: a.Name, Capacity: a.Capacity, Queues: a.Queues})
	}
	for _, name := range trialAgents() {
		agents = append(agents, testenv.Agent{Name: name, Capacity: trialCapacity, Queues: []string{trialQueue}})
	}
	if err := testenv.AddAgents(ctx, s.Desk, agents...); err != nil {
		return err
	}
	if _, err := desk.SetSettings(ctx, s.Desk, "chaos", func(settings *conversation.Settings) { *settings = p.Settings }); err != nil {
		return err
	}
	s.account, err = access.SetWorkspace(ctx, s.Desk, func(w *access.Workspace) { w.EventCallbackURL = s.receiver.url() })
	return err
}

// addKeys creates the API keys and returns them with their secrets.
func (s *environment) addKeys(ctx context.Context) ([]key, error) {
	var keys []key
	for i := range keyCount {
		name := fmt.Sprintf("key-%02d", i)
		added, secret, err := access.AddKey(ctx, s.Desk, access.Key{Name: name, Role: access.KeyService, RateLimit: 100_000})
		if err != nil {
			return nil, err
		}
		keys = append(keys, key{name: name, sid: added.SID, secret: secret})
	}
	return keys, nil
}

// startPrograms starts the workers and the gateways.
func (s *environment) startPrograms(ctx context.Context) error {
	for which := range plan.WorkerCount {
		if err := s.startWorker(ctx, which); err != nil {
			return err
		}
	}
	for which := range plan.GatewayCount {
		if err := s.startGateway(ctx, which); err != nil {
			return err
		}
	}
	return nil
}

func (s *environment) startWorker(ctx context.Context, which int) error {
	return s.start(ctx, plan.WorkerName(which), "worker")
}

func (s *environment) startGateway(ctx context.Context, which int) error {
	return s.start(ctx, plan.GatewayName(which), "gateway",
		"BATON_HTTP="+s.gateways[which][len("http://"):], "BATON_WEBHOOK_ALLOW=127.0.0.0/8")
}

// start starts a program, and returns once it has logged that it runs.
func (s *environment) start(ctx context.Context, name, program string, more ...string) error {
	log, err := s.openLog(name)
	if err != nil {
		return err
	}
	p, err := testenv.Start(ctx, testenv.Program{
		Name: name, Path: filepath.Join(s.Folder, program), Log: log, Variables: s.Variables(append(more, "BATON_DATABASE="+s.database.of(name))...),
	})
	if err != nil {
		return err
	}
	if _, err := p.AwaitLogged(ctx, program+" started"); err != nil {
		p.Kill()
		return err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.running[name] = p
	return nil
}

// take removes the process from those that must keep running, and returns it. It returns nil if there is none.
func (s *environment) take(name string) *testenv.Process {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	p := s.running[name]
	delete(s.running, name)
	return p
}

// process returns the process of that name, which must keep running. It returns nil if there is none.
func (s *environment) process(name string) *testenv.Process {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.running[name]
}

// gather records the forbidden lines that an ended process has printed. The SDK's report of a workflow that is not
// deterministic is not among them: a query that a conversation has overtaken causes it too. The histories show whether
// a workflow task failed.
func (s *environment) gather(p *testenv.Process) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, line := range p.Faults() {
		s.wrong = append(s.wrong, p.Name+" printed: "+line)
	}
}

// endedByItself records processes that ended although chaos did not kill them.
func (s *environment) endedByItself() {
	s.serverMutex.Lock()
	defer s.serverMutex.Unlock()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for name, p := range s.running {
		if !p.Runs() {
			s.wrong = append(s.wrong, name+" has ended by itself: "+lastLines(p))
		}
	}
	if err := s.Server.Err(); err != nil {
		s.wrong = append(s.wrong, err.Error())
	}
}

// keptLines is how many of the last lines of a process are shown.
const keptLines = 5

func lastLines(p *testenv.Process) string {
	lines := strings.Split(strings.TrimSpace(p.Stderr.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-keptLines):], "\n")
}

// stopGrace is how long the database server may take to stop.
const stopGrace = 10 * time.Second

// endProcesses kills the workers and gateways, and records the forbidden lines that they have printed.
func (s *environment) endProcesses() {
	for which := range max(plan.WorkerCount, plan.GatewayCount) {
		for _, name := range []string{plan.WorkerName(which), plan.GatewayName(which)} {
			if p := s.take(name); p != nil {
				p.Kill()
				s.gather(p)
			}
		}
	}
}

// close stops everything, also if ctx has ended. It removes the database server's data unless keep is set; then it
// returns the folders of all databases.
func (s *environment) close(ctx context.Context, keep bool) (folders []string, _ error) {
	var errs []error
	s.endProcesses()
	if s.receiver != nil && s.receiver.server != nil {
		s.receiver.close()
	}
	errs = append(errs, s.Close(ctx))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	errs = append(errs, s.database.close())
	folders = []string{s.Folder}
	switch {
	case s.database.server == nil:
	case keep:
		folders = append(folders, s.database.server.Leave(ctx))
	default:
		errs = append(errs, s.database.server.Stop(ctx))
	}
	for _, log := range s.logs {
		errs = append(errs, log.Close())
	}
	return folders, errors.Join(errs...)
}
