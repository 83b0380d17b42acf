package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/devserver"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/temporalenv"
	"github.com/baton-transfers/baton/workflows"
)

// Options configure an environment. Folder is required.
type Options struct {
	// Folder holds the databases.
	Folder string
	// Database is the address of the desk's database. Empty means a SQLite file in the folder.
	Database string
	// SearchAttributes are registered in addition to Baton's.
	SearchAttributes map[string]enumspb.IndexedValueType
	// DynamicConfig has settings of the Temporal server.
	DynamicConfig map[string]any
	// ServerLog receives the output of the Temporal server; it may be nil.
	ServerLog io.Writer
	// Progress receives the progress of building the Temporal server, which happens once on a machine.
	Progress io.Writer
	// Logger is the logger of the desk and the client; nil means none.
	Logger *slog.Logger
}

// Environment is a Temporal dev server and a desk, with a client of each. Both are reached by processes at their
// addresses. It is not safe for concurrent use.
type Environment struct {
	Folder string
	// Database is the address of the desk's database, as for BATON_DATABASE.
	Database string
	// Server is the running Temporal server, and ServerOptions are those of its next start.
	Server        *devserver.Server
	ServerOptions devserver.Options
	Temporal      client.Client
	Baton         *baton.Client
	Desk          *desk.Desk

	logger *slog.Logger
}

// Open starts the Temporal server, opens the desk, and connects a client without encryption.
func Open(ctx context.Context, o Options) (_ *Environment, err error) {
	binary, err := devserver.Binary(ctx, o.Progress)
	if err != nil {
		return nil, err
	}
	e := &Environment{Folder: o.Folder, Database: o.Database, logger: o.Logger}
	if e.Database == "" {
		e.Database = config.Database(o.Folder)
	}
	attributes := workflows.SearchAttributes()
	maps.Copy(attributes, o.SearchAttributes)
	e.ServerOptions = devserver.Options{
		Binary: binary, DatabaseFile: config.TemporalFile(o.Folder), SearchAttributes: attributes, DynamicConfig: o.DynamicConfig, LogWriter: o.ServerLog,
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close(ctx))
		}
	}()
	if err := e.StartServer(ctx); err != nil {
		return nil, err
	}
	if err := e.OpenDesk(ctx); err != nil {
		return nil, err
	}
	return e, e.Connect(ctx, nil)
}

// StartServer starts the Temporal server, at first and after it was stopped. It keeps its address, where clients and
// workers expect it.
func (e *Environment) StartServer(ctx context.Context) (err error) {
	if e.Server, err = devserver.Start(ctx, e.ServerOptions); err != nil {
		return err
	}
	if e.ServerOptions.Address == "" { // programs may read it meanwhile
		e.ServerOptions.Address = e.Server.Address
	}
	return nil
}

// OpenDesk opens the desk, at first and after it was closed.
func (e *Environment) OpenDesk(ctx context.Context) (err error) {
	e.Desk, err = desk.Open(ctx, e.Database, desk.Options{Logger: e.logger})
	return err
}

// Connect connects clients that encrypt with the keys, which may be nil. It closes those before.
func (e *Environment) Connect(ctx context.Context, keys *codec.KeyRing) error {
	if e.Temporal != nil {
		e.Temporal.Close()
	}
	temporal, err := temporalenv.Dial(ctx, temporalenv.Options{Address: e.Server.Address, Own: true, Keys: keys, Logger: e.logger})
	if err != nil {
		return err
	}
	e.Temporal, e.Baton = temporal, baton.NewClient(temporal)
	return nil
}

// DeskFile returns the path of the desk's SQLite file.
func (e *Environment) DeskFile() string { return strings.TrimPrefix(e.Database, "sqlite:") }

// Variables returns the environment variables of a program that uses the server and the desk. Those in more come
// last, and win.
func (e *Environment) Variables(more ...string) []string {
	return Variables(append([]string{"BATON_DATABASE=" + e.Database, "TEMPORAL_ADDRESS=" + e.ServerOptions.Address}, more...)...)
}

// closeGrace is how long the Temporal server may take to stop.
const closeGrace = 10 * time.Second

// Close closes what is open, also if ctx has ended.
func (e *Environment) Close(ctx context.Context) error {
	var errs []error
	if e.Temporal != nil {
		e.Temporal.Close()
	}
	if e.Desk != nil {
		errs = append(errs, e.Desk.Close())
	}
	if e.Server != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
		defer cancel()
		errs = append(errs, e.Server.Stop(ctx))
	}
	return errors.Join(errs...)
}

// FailedQuery reports whether a line of a worker's log says that a workflow is not deterministic although no workflow
// task of it failed for that: then it was a query that the conversation had overtaken.
func (e *Environment) FailedQuery(ctx context.Context, line string) (bool, error) {
	var logged struct {
		WorkflowID string `json:"WorkflowID"` //nolint:tagliatelle // the SDK's name
		RunID      string `json:"RunID"`      //nolint:tagliatelle // the SDK's name
		Error      string `json:"Error"`      //nolint:tagliatelle // the SDK's name
	}
	isLog := json.Unmarshal([]byte(line), &logged) == nil // other lines are text
	if !isLog || !strings.Contains(logged.Error, NotDeterministic) {
		return false, nil
	}
	history, err := History(ctx, e.Temporal, logged.WorkflowID, logged.RunID)
	if err != nil {
		return false, err
	}
	for _, event := range history.GetEvents() {
		if event.GetWorkflowTaskFailedEventAttributes().GetCause() == enumspb.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR {
			return false, nil
		}
	}
	return true, nil
}

// Agent is an agent who works on queues, with the capacity on every channel. Capacity 0 means the default.
type Agent struct {
	Name     string
	Capacity int
	Queues   []string
}

// AddQueues adds queues to the desk.
func AddQueues(ctx context.Context, d *desk.Desk, names ...string) error {
	for _, name := range names {
		if err := people.AddQueue(ctx, d, name); err != nil {
			return err
		}
	}
	return nil
}

// AddAgents adds agents to the desk. All are available.
func AddAgents(ctx context.Context, d *desk.Desk, agents ...Agent) error {
	for _, a := range agents {
		if err := people.AddAgent(ctx, d, people.NewAgent{Name: a.Name, Capacity: a.Capacity, Presence: desk.PresenceAvailable}); err != nil {
			return err
		}
		for _, queue := range a.Queues {
			if err := people.AddMember(ctx, d, queue, a.Name); err != nil {
				return err
			}
		}
	}
	return nil
}
