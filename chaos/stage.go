package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/devserver"
	"github.com/baton-transfers/baton/internal/postgres"
	"github.com/baton-transfers/baton/internal/silence"
	"github.com/baton-transfers/baton/internal/temporalenv"
	"github.com/baton-transfers/baton/workflows"
)

// environment is everything that runs: the Temporal dev server, the desk's database, two workers, two gateways and
// the receiver of webhooks. Each keeps its address when it is restarted.
type environment struct {
	folder   string
	database string
	account  desk.Account
	temporal client.Client
	baton    *baton.Client
	desk     *desk.Desk
	receiver *receiver
	gateways []string // their URLs

	workerProgram, gatewayProgram string
	serverOptions                 devserver.Options

	// serverMutex is held while the Temporal server is killed and restarted.
	serverMutex sync.Mutex
	postgres    *postgres.Server // nil if the desk is in a SQLite file; so is proxy
	proxy       *silence.Proxy
	admin       *sql.DB
	logs        []*os.File

	mutex   sync.Mutex
	server  *devserver.Server
	running map[string]*process
	// wrong lists what processes printed or did that no process may.
	wrong []string
}

// continueAfter is the number of history events after which a conversation continues as a new run: every few
// transfers.
const continueAfter = 120

func openStage(ctx context.Context, o options, p plan, progress io.Writer) (_ *environment, err error) {
	s := &environment{folder: o.folder, running: map[string]*process{}}
	defer func() {
		if err != nil {
			_, closed := s.close(ctx, false)
			err = errors.Join(err, closed)
		}
	}()
	if err := s.build(ctx, o.code); err != nil {
		return nil, err
	}
	binary, err := devserver.Binary(ctx, progress)
	if err != nil {
		return nil, err
	}
	s.serverOptions = devserver.Options{
		Binary: binary, DatabaseFile: config.TemporalFile(o.folder), SearchAttributes: workflows.SearchAttributes(),
		DynamicConfig: map[string]any{"limit.historyCount.suggestContinueAsNew": continueAfter},
	}
	if err := s.startServer(ctx); err != nil {
		return nil, err
	}
	s.serverOptions.Address = s.server.Address
	if err := s.openDesk(ctx, o.database); err != nil {
		return nil, err
	}
	if s.temporal, err = temporalenv.Dial(ctx, temporalenv.Options{Address: s.server.Address, Own: true}); err != nil {
		return nil, err
	}
	s.baton = baton.NewClient(s.temporal)
	address, err := freeAddress(ctx)
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
	for which := range workerCount {
		if err := s.startWorker(ctx, which); err != nil {
			return nil, err
		}
	}
	for which := range gatewayCount {
		if address, err = freeAddress(ctx); err != nil {
			return nil, err
		}
		s.gateways = append(s.gateways, "http://"+address)
		if err := s.startGateway(ctx, which); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// openDesk opens the desk in a SQLite file, or on a private PostgreSQL server.
func (s *environment) openDesk(ctx context.Context, database string) (err error) {
	s.database = config.Database(s.folder)
	if database == databasePostgres {
		const name = deskDatabase
		log, err := os.OpenFile(filepath.Join(s.folder, "postgres.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("open the log of the database: %w", err)
		}
		s.logs = append(s.logs, log)
		if s.postgres, err = postgres.Start(ctx, postgres.Options{LogWriter: log}); err != nil {
			return err
		}
		if err := s.postgres.CreateDatabase(ctx, name, ""); err != nil {
			return err
		}
		s.database = s.postgres.URL(name)
		if err := s.putProxy(ctx); err != nil {
			return err
		}
	}
	if err := s.openAdmin(); err != nil {
		return err
	}
	s.desk, err = desk.Open(ctx, s.database, desk.Options{})
	return err
}

// build builds the programs that are killed.
func (s *environment) build(ctx context.Context, code string) error {
	s.workerProgram, s.gatewayProgram = filepath.Join(s.folder, "worker"), filepath.Join(s.folder, "gateway")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", s.folder+string(filepath.Separator), "./worker", "./gateway")
	build.Dir = code
	if printed, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the worker and the gateway, which are in the folder of --code: %w\n%s", err, printed)
	}
	return nil
}

// keyCount is the number of API keys. An HTTP command is recorded under the name of its key, so no key is used
// twice in a conversation.
const keyCount = 32

// staff sets up the desk: queues, agents, settings, the account and the webhook address.
func (s *environment) staff(ctx context.Context, p plan) (err error) {
	for _, queue := range p.queues {
		if err := desk.AddQueue(ctx, s.desk, queue); err != nil {
			return err
		}
	}
	for _, a := range p.agents {
		if err := desk.AddAgent(ctx, s.desk, desk.NewAgent{Name: a.name, Capacity: a.capacity, Presence: desk.PresenceAvailable}); err != nil {
			return err
		}
		for _, queue := range a.queues {
			if err := desk.AddMember(ctx, s.desk, queue, a.name); err != nil {
				return err
			}
		}
	}
	if err := s.staffTrials(ctx); err != nil {
		return err
	}
	if _, err := desk.SetSettings(ctx, s.desk, "chaos", func(settings *conversation.Settings) { *settings = p.settings }); err != nil {
		return err
	}
	s.account, err = desk.SetWorkspace(ctx, s.desk, func(w *desk.Workspace) { w.EventCallbackURL = s.receiver.url() })
	return err
}

// staffTrials adds the queue of the trials, and the agents who work only on it.
func (s *environment) staffTrials(ctx context.Context) error {
	if err := desk.AddQueue(ctx, s.desk, trialQueue); err != nil {
		return err
	}
	for _, name := range trialAgents() {
		if err := desk.AddAgent(ctx, s.desk, desk.NewAgent{Name: name, Capacity: trialCapacity, Presence: desk.PresenceAvailable}); err != nil {
			return err
		}
		if err := desk.AddMember(ctx, s.desk, trialQueue, name); err != nil {
			return err
		}
	}
	return nil
}

// addKeys creates the API keys and returns them with their secrets.
func (s *environment) addKeys(ctx context.Context) ([]key, error) {
	var keys []key
	for i := range keyCount {
		name := fmt.Sprintf("key-%02d", i)
		added, secret, err := desk.AddKey(ctx, s.desk, desk.Key{Name: name, Role: desk.KeyService, RateLimit: 100_000})
		if err != nil {
			return nil, err
		}
		keys = append(keys, key{name: name, sid: added.SID, secret: secret})
	}
	return keys, nil
}

// freeAddress returns an address at which servers can be started one after the other. It avoids the ports that the
// system assigns to clients: a client that connects to such a port while no server listens can connect to itself,
// and then keeps the port in use.
func freeAddress(ctx context.Context) (string, error) {
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)) //nolint:gosec // a free port is no secret
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return "", fmt.Errorf("look for a free port: %w", err)
		}
		return address, nil
	}
	return "", errors.New("no free port was found between 10000 and 30000: end some of what listens there")
}

// startServer starts the Temporal dev server, the first time and after it was killed.
func (s *environment) startServer(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(s.folder, "temporal.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of the Temporal server: %w", err)
	}
	s.logs = append(s.logs, log)
	options := s.serverOptions
	options.LogWriter = log
	server, err := devserver.Start(ctx, options)
	if err != nil {
		return err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.server = server
	return nil
}

func workerName(which int) string  { return fmt.Sprintf("worker %d", which+1) }
func gatewayName(which int) string { return fmt.Sprintf("gateway %d", which+1) }

func (s *environment) startWorker(ctx context.Context, which int) error {
	return s.start(ctx, workerName(which), s.workerProgram, "worker started")
}

func (s *environment) startGateway(ctx context.Context, which int) error {
	return s.start(ctx, gatewayName(which), s.gatewayProgram, "gateway started",
		"BATON_HTTP="+s.gateways[which][len("http://"):], "BATON_WEBHOOK_ALLOW=127.0.0.0/8")
}

func (s *environment) start(ctx context.Context, name, program, runs string, more ...string) error {
	environment := ownEnvironment(append(more, "BATON_DATABASE="+s.databaseOf(name), "TEMPORAL_ADDRESS="+s.serverOptions.Address)...)
	p, err := launch(ctx, s.folder, name, program, runs, environment)
	if err != nil {
		return err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.running[name] = p
	return nil
}

// take removes the process from those that must keep running, and returns it. It returns nil if there is none.
func (s *environment) take(name string) *process {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	p := s.running[name]
	delete(s.running, name)
	return p
}

// process returns the process of that name, which must keep running. It returns nil if there is none.
func (s *environment) process(name string) *process {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.running[name]
}

// gather records the forbidden lines that an ended process has printed.
func (s *environment) gather(p *process) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, line := range p.printed.wrong() {
		s.wrong = append(s.wrong, p.name+" printed: "+line)
	}
}

// endedByItself records processes that ended although chaos did not kill them.
func (s *environment) endedByItself() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for name, p := range s.running {
		if !p.alive() {
			s.wrong = append(s.wrong, name+" has ended by itself: "+p.printed.last())
		}
	}
	if err := s.server.Err(); err != nil {
		s.wrong = append(s.wrong, err.Error())
	}
}

// stopGrace is how long the servers may take to stop.
const stopGrace = 10 * time.Second

// endProcesses kills the workers and gateways, and records the forbidden lines that they have printed.
func (s *environment) endProcesses() {
	for which := range max(workerCount, gatewayCount) {
		for _, name := range []string{workerName(which), gatewayName(which)} {
			if p := s.take(name); p != nil {
				p.kill()
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
	if s.temporal != nil {
		s.temporal.Close()
	}
	if s.desk != nil {
		errs = append(errs, s.desk.Close())
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	if s.server != nil {
		errs = append(errs, s.server.Stop(ctx))
	}
	if s.admin != nil {
		errs = append(errs, s.admin.Close())
	}
	if s.proxy != nil {
		errs = append(errs, s.proxy.Close())
	}
	folders = []string{s.folder}
	switch {
	case s.postgres == nil:
	case keep:
		folders = append(folders, s.postgres.Leave(ctx))
	default:
		errs = append(errs, s.postgres.Stop(ctx))
	}
	for _, log := range s.logs {
		errs = append(errs, log.Close())
	}
	return folders, errors.Join(errs...)
}
