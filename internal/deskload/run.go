package deskload

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/child"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/sleep"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Figures are the result of a load. Times are in milliseconds. What the system does not report is zero.
type Figures struct {
	Options

	Database      string  `json:"database"`
	Seconds       float64 `json:"seconds"`
	Conversations int     `json:"conversations"`
	Transferred   int     `json:"transferred"`
	Snapshots     int     `json:"snapshots"`
	// Rates per second, from the first conversation until all have ended.
	ConversationsRate float64 `json:"conversations_per_second"`
	SnapshotsRate     float64 `json:"snapshots_per_second"`
	SyncP50           float64 `json:"sync_p50_ms"`
	SyncP99           float64 `json:"sync_p99_ms"`
	// CPU time for each conversation: PostgreSQL's without the checker's connections, and that of the callers.
	DatabaseCPU float64 `json:"database_cpu_ms_a_conversation,omitempty"`
	GoCPU       float64 `json:"go_cpu_ms_a_conversation,omitempty"`
	// Writes are the write transactions for each snapshot, the dispatchers' included. Trips and Statements are round
	// trips and statements for each snapshot, reads included: they are counted on the way to a remote database.
	Writes     float64 `json:"writes_a_snapshot"`
	Trips      float64 `json:"trips_a_snapshot,omitempty"`
	Statements float64 `json:"statements_a_snapshot,omitempty"`
	// Retries are transactions that were tried again, Failed snapshots that were sent again.
	Retries int `json:"retries"`
	Failed  int `json:"failed_syncs"`

	// Moments is how often the desk was checked while the load ran.
	Moments int `json:"moments"`
	Matches int `json:"matches"`
	// Inversions are matches that passed over a better task of the same line, InversionsPercent their share.
	Inversions        int     `json:"inversions"`
	InversionsPercent float64 `json:"inversions_percent"`
	Faults            Faults  `json:"faults"`
}

// momentEvery is how often the desk is checked while the load runs.
const momentEvery = 200 * time.Millisecond

// Run fills the database, runs the load on it, and checks it. It returns the figures also if they have faults, which
// are no error. The program is started again as the callers' processes: see [IsCaller].
func Run(ctx context.Context, o Options) (_ Figures, err error) {
	o, err = o.Fill()
	if err != nil {
		return Figures{}, err
	}
	r := &run{Options: o, postgres: sqldb.IsPostgres(o.Database), figures: Figures{Options: o, Database: "sqlite"}}
	address := o.Database
	if r.postgres {
		r.figures.Database = "postgres"
		address = withApplication(address)
	}
	if r.desk, err = desk.Open(ctx, address, desk.Options{}); err != nil {
		return Figures{}, err
	}
	defer func() { err = errors.Join(err, r.desk.Close()) }()
	if err := r.prepare(ctx); err != nil {
		return Figures{}, err
	}
	if err := r.measure(ctx); err != nil {
		return Figures{}, err
	}
	if err := r.check(ctx); err != nil {
		return Figures{}, fmt.Errorf("check the desk after the load: %w", err)
	}
	return r.figures, nil
}

// run is a load.
type run struct {
	Options

	desk     *desk.Desk
	postgres bool
	proxy    *proxy
	figures  Figures
}

// withApplication names the checker's connections.
func withApplication(database string) string {
	at, err := url.Parse(database)
	if err != nil {
		return database // opening it says what is wrong
	}
	query := at.Query()
	query.Set("application_name", checkerName)
	at.RawQuery = query.Encode()
	return at.String()
}

// refuseUsed refuses a desk that is in use.
func (r *run) refuseUsed(ctx context.Context) error {
	var used bool
	err := r.desk.QueryOne(ctx, "look for an empty desk", func(tx *desk.Tx) (err error) {
		used, _, err = sqldb.First(ctx, tx, sqldb.Value[bool], `SELECT EXISTS (SELECT 1 FROM queues UNION SELECT 1 FROM agents UNION SELECT 1 FROM conversations)`)
		return err
	})
	if err == nil && used {
		err = errors.New("the database has queues, agents or conversations, and was left as it is: name an empty one")
	}
	return err
}

// prepare adds queues and agents. Every other agent of a queue is also on the next one.
func (r *run) prepare(ctx context.Context) error {
	if err := r.refuseUsed(ctx); err != nil {
		return err
	}
	if _, err := desk.SetSettings(ctx, r.desk, "bench", func(s *conversation.Settings) { s.MessagingTransfers = true }); err != nil {
		return err
	}
	members := map[string][]string{}
	var names []string
	add := func(queue string, agents int, also string) {
		names = append(names, queue)
		for i := range agents {
			agent := fmt.Sprintf("agent-%s-%03d", queue, i)
			members[queue] = append(members[queue], agent)
			if also != "" && also != queue && i%2 == 0 {
				members[also] = append(members[also], agent)
			}
		}
	}
	for i := range r.Queues {
		add(queueName(i), r.agentsOfQueue(), queueName((i+1)%r.Queues))
	}
	for i := range r.seconds() {
		add(r.secondName(i), r.agentsOfQueue(), "")
	}
	added := map[string]bool{}
	for _, queue := range names {
		if err := people.AddQueue(ctx, r.desk, queue); err != nil {
			return err
		}
		for _, agent := range members[queue] {
			if added[agent] {
				continue
			}
			added[agent] = true
			if err := people.AddAgent(ctx, r.desk, people.NewAgent{Name: agent, Capacity: capacity, Presence: desk.PresenceAvailable}); err != nil {
				return err
			}
		}
		if err := people.SetMembers(ctx, r.desk, queue, members[queue]...); err != nil {
			return err
		}
	}
	return recordMatches(ctx, r.desk, r.Options.Database)
}

// measure runs the callers.
func (r *run) measure(ctx context.Context) (err error) {
	address := r.Options.Database
	if r.LatencyMillis > 0 {
		if r.proxy, address, err = startProxy(ctx, address, time.Duration(r.LatencyMillis*float64(time.Millisecond))); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.proxy.close()) }()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.For+finishWithin+time.Minute, errors.New("the callers did not end in time"))
	defer cancel()
	h, err := r.startCallers(ctx, address)
	if err != nil {
		return err
	}
	defer h.kill()
	if err := h.await(ctx, h.ready); err != nil {
		return err
	}
	before := r.counts(ctx)
	began := time.Now()
	h.all(message{Go: true})
	watching, stop := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	var unwatched error
	watcher.Go(func() { unwatched = r.watch(watching) })
	err = h.await(ctx, h.finished)
	took := time.Since(began)
	stop()
	watcher.Wait()
	after := r.counts(ctx)
	if err := errors.Join(err, unwatched); err != nil {
		return err
	}
	if err := h.end(ctx); err != nil {
		return err
	}
	r.conclude(h.done, before, after, took)
	return nil
}

// watch checks the desk until ctx ends. It fails if the desk could be read at no moment.
func (r *run) watch(ctx context.Context) error {
	w := newWatch(&r.figures.Faults)
	var failed error
	for sleep.For(ctx, momentEvery) == nil {
		m, err := readMoment(ctx, r.desk)
		if err == nil { // a busy database is read again
			w.see(m)
		} else if ctx.Err() == nil {
			failed = err
		}
	}
	r.figures.Moments = w.moments
	if w.moments == 0 && failed != nil {
		return fmt.Errorf("check the desk while the load runs: %w", failed)
	}
	return nil
}

// counts are counters before or after the load.
type counts struct {
	server            time.Duration
	trips, statements int64
}

func (r *run) counts(ctx context.Context) (c counts) {
	if r.proxy != nil {
		c.trips, c.statements = r.proxy.trips.Load(), r.proxy.statements.Load()
	}
	if r.postgres {
		if own, _, err := readServer(ctx, r.desk); err == nil {
			c.server, _ = cpuOfServer(own) // not known: zero
		}
	}
	return c
}

// conclude computes the figures.
func (r *run) conclude(processes []finished, before, after counts, took time.Duration) {
	f := &r.figures
	var syncs []time.Duration
	var cpu time.Duration
	var writes int64
	for _, p := range processes {
		f.Conversations += p.Conversations
		f.Transferred += p.Transferred
		f.Failed += p.Failed
		f.Retries += int(p.Retries)
		writes += p.Writes
		cpu += p.CPU
		syncs = append(syncs, p.Took...)
		if p.Error != "" {
			f.Faults.count(&f.Faults.Unfinished, "%s", p.Error)
		}
		f.Faults.Unfinished += max(0, p.Unfinished-1) // one of them has the error
	}
	slices.Sort(syncs)
	f.Seconds, f.Snapshots = took.Seconds(), len(syncs)
	f.ConversationsRate, f.SnapshotsRate = float64(f.Conversations)/f.Seconds, float64(f.Snapshots)/f.Seconds
	f.SyncP50, f.SyncP99 = percentile(syncs, 0.5), percentile(syncs, 0.99) //nolint:mnd // as their names say
	conversations, snapshots := float64(max(f.Conversations, 1)), float64(max(f.Snapshots, 1))
	f.GoCPU = milliseconds(cpu) / conversations
	f.DatabaseCPU = milliseconds(after.server-before.server) / conversations
	f.Writes = float64(writes) / snapshots
	f.Trips, f.Statements = float64(after.trips-before.trips)/snapshots, float64(after.statements-before.statements)/snapshots
}

// percentile returns the duration, in milliseconds, within which that share of the sorted durations is.
func percentile(sorted []time.Duration, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return milliseconds(sorted[max(int(math.Ceil(share*float64(len(sorted))))-1, 0)])
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// check checks what is left at the desk.
func (r *run) check(ctx context.Context) (err error) {
	f := &r.figures
	settled := settledAfter + time.Duration(4*r.LatencyMillis*float64(time.Millisecond)) //nolint:mnd // round trips
	if f.Matches, f.Inversions, err = checkRecords(ctx, r.desk, &f.Faults, settled); err != nil {
		return err
	}
	f.InversionsPercent = 100 * float64(f.Inversions) / float64(max(f.Matches, 1))
	if r.postgres {
		_, f.Faults.Deadlocks, err = readServer(ctx, r.desk)
	}
	return err
}

// hub connects the callers' processes.
type hub struct {
	ready, finished chan struct{}
	// ended receives the result of each process.
	ended chan error
	mutex sync.Mutex
	done  []finished
	peers []*peer
}

// peer is a caller's process.
type peer struct {
	command *exec.Cmd
	in      io.WriteCloser
	mutex   sync.Mutex
	encoder *gob.Encoder
	stderr  bytes.Buffer
}

func (p *peer) send(m any) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	_ = p.encoder.Encode(m) // the end of the process is noticed elsewhere
}

// startCallers starts the processes and divides the callers among them.
func (r *run) startCallers(ctx context.Context, address string) (_ *hub, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	h := &hub{
		ready: make(chan struct{}, r.Processes), finished: make(chan struct{}, r.Processes), ended: make(chan error, r.Processes),
	}
	defer func() {
		if err != nil {
			h.kill()
		}
	}()
	share := func(of, number int) int { return of*(number+1)/r.Processes - of*number/r.Processes }
	for number := range r.Processes {
		most := 0
		if r.Conversations > 0 {
			most = max(1, share(r.Conversations, number))
		}
		p, err := h.start(ctx, program)
		if err != nil {
			return nil, fmt.Errorf("start caller %d: %w", number, err)
		}
		p.send(order{Options: r.Options, Address: address, Number: number, OwnCallers: share(r.Callers, number), OwnConversations: most, Lasts: r.For})
	}
	return h, nil
}

func (h *hub) start(ctx context.Context, program string) (*peer, error) {
	p := &peer{command: exec.CommandContext(context.WithoutCancel(ctx), program, callerArgument)} // it is ended in turn
	p.command.Stderr = &p.stderr
	in, err := p.command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("connect to it: %w", err)
	}
	p.in, p.encoder = in, gob.NewEncoder(in)
	reader, writer := io.Pipe()
	p.command.Stdout = writer
	if err := child.Start(p.command, func(err error) {
		if err != nil {
			err = fmt.Errorf("a caller's process: %w: %s", err, bytes.TrimSpace(p.stderr.Bytes()))
		}
		_ = writer.CloseWithError(io.EOF)
		h.ended <- err
	}); err != nil {
		return nil, err
	}
	h.mutex.Lock()
	h.peers = append(h.peers, p)
	h.mutex.Unlock()
	go h.listen(reader)
	return p, nil
}

// listen reads what a process sends, until it ends.
func (h *hub) listen(from io.Reader) {
	for messages := gob.NewDecoder(from); ; {
		var m message
		if messages.Decode(&m) != nil {
			return
		}
		switch {
		case m.Ready:
			h.ready <- struct{}{}
		case m.Finished != nil:
			h.mutex.Lock()
			h.done = append(h.done, *m.Finished)
			h.mutex.Unlock()
			h.finished <- struct{}{}
		case m.Deliver != nil:
			h.deliver(m)
		}
	}
}

func (h *hub) deliver(m message) {
	process, err := processOf(m.Deliver.SID)
	h.mutex.Lock()
	peers := h.peers
	h.mutex.Unlock()
	if err == nil && process < len(peers) {
		peers[process].send(m)
	}
}

func (h *hub) all(m message) {
	for _, p := range h.peers {
		p.send(m)
	}
}

// await waits until every process has sent what the channel is for.
func (h *hub) await(ctx context.Context, every <-chan struct{}) error {
	for range h.peers {
		select {
		case <-every:
		case err := <-h.ended:
			return errors.Join(errors.New("a caller's process has ended early"), err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// end ends the processes.
func (h *hub) end(ctx context.Context) (err error) {
	for _, p := range h.peers {
		err = errors.Join(err, p.in.Close())
	}
	for range h.peers {
		select {
		case ended := <-h.ended:
			err = errors.Join(err, ended)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return err
}

// kill ends the processes that still run.
func (h *hub) kill() {
	for _, p := range h.peers {
		_ = p.command.Process.Kill() // fails if it has ended
	}
}
