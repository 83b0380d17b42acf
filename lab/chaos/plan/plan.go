// Package plan makes the plan of a run of chaos from a seed: who does what and when, and which faults come when. It
// also resolves what a planned step means in a conversation's current state.
//
// It runs nothing. It must not import: anything but the rules and the desk's terms.
package plan

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
)

// Plan is everything that a seed determines. Times count from the start of the load.
type Plan struct {
	Settings conversation.Settings
	Queues   []string
	Agents   []Agent
	Shifts   []Shift
	Talks    []Talk
	Faults   []Fault
	Moods    []Mood
	Lasts    time.Duration
}

// Agent is an agent who works at the desk.
type Agent struct {
	Name     string
	Capacity int
	Queues   []string
}

// Shift is a change of an agent's presence.
type Shift struct {
	At       time.Duration
	Agent    string
	Presence desk.Presence
}

// Kind is the kind of a fault.
type Kind string

// Kinds of faults. A frozen process is stopped for longer than every timeout, if possible while it holds a lock.
// Database connections go silent in both directions, or their answers stall; the database is read-only, full, or out of
// connections. A SQLite file locked by another process corresponds to a frozen client of a database server.
const (
	KillWorker        Kind = "worker killed"
	StopWorker        Kind = "worker stopped"
	KillGateway       Kind = "gateway killed"
	KillTemporal      Kind = "Temporal server killed"
	KillDatabase      Kind = "database killed"
	FreezeWorker      Kind = "worker frozen"
	FreezeGateway     Kind = "gateway frozen"
	SilentDatabase    Kind = "database connections silent"
	StalledDatabase   Kind = "database answers stalled"
	ReadOnlyDatabase  Kind = "database read-only"
	FullDatabase      Kind = "database full"
	ExhaustedDatabase Kind = "database out of connections"
	LockedDatabase    Kind = "database locked"
	// HungTemporal isn't planned: a watch over the server makes it.
	HungTemporal Kind = "Temporal server hung"
)

// OfStore reports whether the fault hits a store: the Temporal server or the desk's database.
func (k Kind) OfStore() bool {
	return k == KillTemporal || k == LockedDatabase || slices.Contains(OfDatabase, k)
}

// OfDatabase are the faults of a database server.
var OfDatabase = []Kind{KillDatabase, SilentDatabase, StalledDatabase, ReadOnlyDatabase, FullDatabase, ExhaustedDatabase}

// The faults of trials. A trial is a conversation with a channel, a queue and agents of its own. Its effects get
// lost or end outside Baton, which the journal cannot explain.
const (
	ResetWorkflow     Kind = "workflow reset"
	TerminateWorkflow Kind = "workflow terminated"
	PoisonWorkflow    Kind = "workflow sent poison"
	LoseAnswer        Kind = "answer lost, 100 commands later asked again"
)

// OfTrials are the faults that hit only a trial's conversation.
var OfTrials = []Kind{ResetWorkflow, TerminateWorkflow, PoisonWorkflow, LoseAnswer}

// TrialChannel is the channel of the trials, which no other conversation has.
const TrialChannel = conversation.ChannelWhatsApp

// Fault is one planned fault: when it starts, what it hits, and for how long.
type Fault struct {
	At   time.Duration
	Kind Kind
	// which is the index of the worker or gateway.
	Which int
	Away  time.Duration
}

// Temper is how the receiver of webhooks answers.
type Temper string

// Tempers.
const (
	Pleased Temper = "answers"
	Refuses Temper = "refuses"
	Hangs   Temper = "hangs"
	IsAway  Temper = "is away"
)

// Mood sets how the receiver answers from a moment on.
type Mood struct {
	At     time.Duration
	Temper Temper
}

// There are two of each, so that one keeps working while the other is down.
const (
	WorkerCount  = 2
	GatewayCount = 2
)

// The streams of random numbers of a seed. Each talk has its own stream, so that its plan does not depend on the
// rest of the plan.
const (
	streamPeople = iota
	streamFaults
	streamTalks
)

// Random returns a stream of random numbers of a seed.
func Random(seed, stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, stream)) //nolint:gosec // a plan is no secret
}

// between returns a random duration in [least, most).
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// Options are what a plan depends on.
type Options struct {
	Seed uint64
	// Lasts is how long there is load and are faults, and Conversations how many begin in that time.
	Lasts         time.Duration
	Conversations int
	// Server is set if the desk's database has a server, which has faults of its own.
	Server bool
}

// New makes the plan of a seed. The number of agents grows with the number of conversations: with more agents
// than about a tenth of the conversations, too few conversations are transferred back and forth.
func New(o Options) Plan {
	p := Plan{Lasts: o.Lasts, Queues: []string{"support", "billing", "orders", "returns"}}
	p.planPeople(Random(o.Seed, streamPeople), o.Conversations)
	for number := range o.Conversations {
		p.Talks = append(p.Talks, p.planTalk(Random(o.Seed, streamTalks+uint64(number)), number))
	}
	slices.SortStableFunc(p.Talks, func(a, b Talk) int { return int(a.At - b.At) })
	r := Random(o.Seed, streamFaults)
	p.Faults = planFaults(r, o.Lasts, o.Server)
	p.Moods = planMoods(r, o.Lasts)
	return p
}

// planPeople chooses the settings, the agents with their queues, and the agents' changes of presence.
func (p *Plan) planPeople(r *rand.Rand, conversations int) {
	p.Settings = conversation.DefaultSettings()
	p.Settings.MessagingTransfers, p.Settings.TransferNotes = true, true
	p.Settings.ReservationTimeout = 10 + r.IntN(15)
	p.Settings.ReofferAfter = 3 + r.IntN(5)
	p.Settings.WrapupTimeout = pick(r, 0, 0, 25)
	p.Settings.AgentUnavailable = pick(r, conversation.AgentUnavailableRefuse, conversation.AgentUnavailableWait, conversation.AgentUnavailableOriginQueue)
	p.Settings.Unanswered = pick(r, conversation.UnansweredOriginQueue, conversation.UnansweredSender)

	for i := range min(40, 8+conversations/8) {
		a := Agent{Name: fmt.Sprintf("agent-%02d", i), Capacity: 1 + r.IntN(4), Queues: []string{p.Queues[i%len(p.Queues)]}}
		if second := pick(r, p.Queues...); second != a.Queues[0] {
			a.Queues = append(a.Queues, second)
		}
		p.Agents = append(p.Agents, a)
		for at := between(r, 0, 30*time.Second); at < p.Lasts; at += between(r, 10*time.Second, 50*time.Second) {
			back := at + between(r, time.Second, 5*time.Second)
			p.Shifts = append(p.Shifts, Shift{at, a.Name, pick(r, desk.PresenceBreak, desk.PresenceOffline)}, Shift{back, a.Name, desk.PresenceAvailable})
		}
	}
	slices.SortStableFunc(p.Shifts, func(a, b Shift) int { return int(a.At - b.At) })
}

// The first fifth of the load, at most 20 s, has no faults. It gives figures to compare with.
const quietPart = 5

// calmGap is the most time between two faults once each kind has come. In a run of minutes, the system recovers in
// between.
const calmGap = 25 * time.Second

// planFaults chooses the faults: first each kind once, the gateway's kill first and the others in random order;
// then random kinds. It hits a store (the Temporal server, the database) only when the store that was hit before
// can be expected to have recovered.
func planFaults(r *rand.Rand, lasts time.Duration, withDatabase bool) []Fault {
	kinds, more := []Kind{KillWorker, StopWorker, KillTemporal}, append([]Kind{FreezeWorker, FreezeGateway}, OfTrials...)
	if withDatabase {
		kinds, more = append(kinds, KillDatabase), append(more, OfDatabase[1:]...)
	} else {
		more = append(more, LockedDatabase)
	}
	r.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	r.Shuffle(len(more), func(i, j int) { more[i], more[j] = more[j], more[i] })
	kinds = append(kinds, more...) // a short run has time for some of them
	// Requests that a killed gateway was processing are retried after half a minute, so in a short run this fault
	// comes first.
	due := append([]Kind{KillGateway}, kinds...)
	kinds = append(kinds, KillWorker, KillGateway, KillGateway)

	quiet := min(lasts/quietPart, 20*time.Second)
	rest := min(15*time.Second, lasts/4)
	gap := min(10*time.Second, (lasts-quiet)/time.Duration(len(due)+1))
	var faults []Fault
	var storeAgain time.Duration
	for at := quiet; at < lasts; at += between(r, gap/3, gap) {
		// Choose the first due kind that may come now. When every kind has come, choose any.
		next := slices.IndexFunc(due, func(k Kind) bool { return !k.OfStore() || at >= storeAgain })
		if next < 0 {
			continue
		}
		f := Fault{At: at, Kind: due[next], Which: r.IntN(WorkerCount), Away: between(r, 0, min(3*time.Second, lasts/8))}
		due = slices.Delete(due, next, next+1)
		if len(due) == 0 {
			due, gap = []Kind{pick(r, kinds...)}, max(gap, calmGap)
		}
		switch f.Kind { //nolint:exhaustive // the others keep the duration chosen above
		case StopWorker, ReadOnlyDatabase, FullDatabase, ExhaustedDatabase, LockedDatabase:
			f.Away = between(r, 2*time.Second, min(8*time.Second, lasts/3))
		case FreezeWorker, FreezeGateway:
			f.Away = between(r, 2*time.Second, min(14*time.Second, lasts/3))
		}
		switch {
		case f.Kind == KillTemporal || f.Kind == KillDatabase:
			storeAgain = at + f.Away + rest
		case f.Kind.OfStore():
			storeAgain = at + f.Away + rest/3 // no server has to restart
		}
		faults = append(faults, f)
	}
	return faults
}

// planMoods chooses how the receiver of webhooks answers over time. At the end it answers normally.
func planMoods(r *rand.Rand, lasts time.Duration) []Mood {
	var moods []Mood
	most := min(20*time.Second, lasts/4)
	for at := between(r, most/4, most); at < lasts; at += between(r, most/2, most) {
		until := at + between(r, most/8, most/3)
		moods = append(moods, Mood{at, pick(r, Refuses, Hangs, IsAway)}, Mood{until, Pleased})
		at = until
	}
	return moods
}

// sid returns a random conversation SID, for a start whose caller chooses the SID.
func sid(r *rand.Rand) string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], r.Uint64())
	binary.BigEndian.PutUint64(id[8:], r.Uint64())
	return conversation.SIDOf(conversation.PrefixConversation, id)
}

// Subject names what the fault hits.
func (f Fault) Subject() string {
	switch f.Kind {
	case KillWorker, StopWorker, FreezeWorker:
		return WorkerName(f.Which)
	case KillGateway, FreezeGateway:
		return GatewayName(f.Which)
	case KillTemporal, HungTemporal:
		return "Temporal server"
	case KillDatabase, SilentDatabase, StalledDatabase, ReadOnlyDatabase, FullDatabase, ExhaustedDatabase, LockedDatabase:
		return "database"
	case ResetWorkflow, TerminateWorkflow, PoisonWorkflow, LoseAnswer:
		return "conversation of a trial"
	}
	return ""
}

// WorkerName returns the name of a worker; the first is worker 1.
func WorkerName(which int) string { return fmt.Sprintf("worker %d", which+1) }

// GatewayName returns the name of a gateway; the first is gateway 1.
func GatewayName(which int) string { return fmt.Sprintf("gateway %d", which+1) }
