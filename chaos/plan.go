package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// plan is everything that a seed determines. Times count from the start of the load.
type plan struct {
	settings conversation.Settings
	queues   []string
	agents   []agent
	shifts   []shift
	talks    []talkPlan
	faults   []fault
	moods    []mood
	lasts    time.Duration
}

// agent is an agent who works at the desk.
type agent struct {
	name     string
	capacity int
	queues   []string
}

// shift is a change of an agent's presence.
type shift struct {
	at       time.Duration
	agent    string
	presence desk.Presence
}

// kind is the kind of a fault.
type kind string

const (
	killWorker   kind = "worker killed"
	stopWorker   kind = "worker stopped"
	killGateway  kind = "gateway killed"
	killTemporal kind = "Temporal server killed"
	killDatabase kind = "database killed"
	// A frozen process is stopped for longer than every timeout, if possible while it holds a lock.
	freezeWorker  kind = "worker frozen"
	freezeGateway kind = "gateway frozen"
	// Database connections go silent in both directions, or only from the database to the client; the database is
	// read-only, full, or out of connections.
	silentDatabase    kind = "database connections silent"
	stalledDatabase   kind = "database answers stalled"
	readOnlyDatabase  kind = "database read-only"
	fullDatabase      kind = "database full"
	exhaustedDatabase kind = "database out of connections"
	// A SQLite file locked by another process corresponds to a frozen client of a database server.
	lockedDatabase kind = "database locked"
	// hungTemporal isn't planned: see [faults.watch].
	hungTemporal kind = "Temporal server hung"
)

// ofStore reports whether the fault hits a store: the Temporal server or the desk's database.
func (k kind) ofStore() bool {
	return k == killTemporal || k == lockedDatabase || slices.Contains(ofDatabase, k)
}

// ofDatabase are the faults of a database server.
var ofDatabase = []kind{killDatabase, silentDatabase, stalledDatabase, readOnlyDatabase, fullDatabase, exhaustedDatabase}

// fault is one planned fault: when it starts, what it hits, and for how long.
type fault struct {
	at   time.Duration
	kind kind
	// which is the index of the worker or gateway.
	which int
	away  time.Duration
}

// temper is how the receiver of webhooks answers.
type temper string

const (
	pleased temper = "answers"
	refuses temper = "refuses"
	hangs   temper = "hangs"
	isAway  temper = "is away"
)

// mood sets how the receiver answers from a moment on.
type mood struct {
	at     time.Duration
	temper temper
}

// There are two of each, so that one keeps working while the other is down.
const (
	workerCount  = 2
	gatewayCount = 2
)

// The streams of random numbers of a seed. Each talk has its own stream, so that its plan does not depend on the
// rest of the plan.
const (
	streamPeople = iota
	streamFaults
	streamTalks
)

func random(seed, stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, stream)) //nolint:gosec // a plan is no secret
}

// between returns a random duration in [least, most).
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// newPlan makes the plan of a seed. The number of agents grows with the number of conversations: with more agents
// than about a tenth of the conversations, too few conversations are transferred back and forth.
func newPlan(o options) plan {
	p := plan{lasts: o.faultsFor, queues: []string{"support", "billing", "orders", "returns"}}
	p.planPeople(random(o.seed, streamPeople), o.conversations)
	for number := range o.conversations {
		p.talks = append(p.talks, p.planTalk(random(o.seed, streamTalks+uint64(number)), number))
	}
	slices.SortStableFunc(p.talks, func(a, b talkPlan) int { return int(a.at - b.at) })
	r := random(o.seed, streamFaults)
	p.faults = planFaults(r, o.faultsFor, o.database != databaseSQLite)
	p.moods = planMoods(r, o.faultsFor)
	return p
}

// planPeople chooses the settings, the agents with their queues, and the agents' changes of presence.
func (p *plan) planPeople(r *rand.Rand, conversations int) {
	p.settings = conversation.DefaultSettings()
	p.settings.MessagingTransfers, p.settings.TransferNotes = true, true
	p.settings.ReservationTimeout = 10 + r.IntN(15)
	p.settings.ReofferAfter = 3 + r.IntN(5)
	p.settings.WrapupTimeout = pick(r, 0, 0, 25)
	p.settings.AgentUnavailable = pick(r, conversation.AgentUnavailableRefuse, conversation.AgentUnavailableWait, conversation.AgentUnavailableOriginQueue)
	p.settings.Unanswered = pick(r, conversation.UnansweredOriginQueue, conversation.UnansweredSender)

	for i := range min(40, 8+conversations/8) {
		a := agent{name: fmt.Sprintf("agent-%02d", i), capacity: 1 + r.IntN(4), queues: []string{p.queues[i%len(p.queues)]}}
		if second := pick(r, p.queues...); second != a.queues[0] {
			a.queues = append(a.queues, second)
		}
		p.agents = append(p.agents, a)
		for at := between(r, 0, 30*time.Second); at < p.lasts; at += between(r, 10*time.Second, 50*time.Second) {
			back := at + between(r, time.Second, 5*time.Second)
			p.shifts = append(p.shifts, shift{at, a.name, pick(r, desk.PresenceBreak, desk.PresenceOffline)}, shift{back, a.name, desk.PresenceAvailable})
		}
	}
	slices.SortStableFunc(p.shifts, func(a, b shift) int { return int(a.at - b.at) })
}

// The first fifth of the load, at most 20 s, has no faults. It gives figures to compare with.
const quietPart = 5

// calmGap is the most time between two faults once each kind has come. In a run of minutes, the system recovers in
// between.
const calmGap = 25 * time.Second

// planFaults chooses the faults: first each kind once, the gateway's kill first and the others in random order;
// then random kinds. It hits a store (the Temporal server, the database) only when the store that was hit before
// can be expected to have recovered.
func planFaults(r *rand.Rand, lasts time.Duration, withDatabase bool) []fault {
	kinds, more := []kind{killWorker, stopWorker, killTemporal}, append([]kind{freezeWorker, freezeGateway}, ofTrials...)
	if withDatabase {
		kinds, more = append(kinds, killDatabase), append(more, ofDatabase[1:]...)
	} else {
		more = append(more, lockedDatabase)
	}
	r.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	r.Shuffle(len(more), func(i, j int) { more[i], more[j] = more[j], more[i] })
	kinds = append(kinds, more...) // a short run has time for some of them
	// Requests that a killed gateway was processing are retried after half a minute, so in a short run this fault
	// comes first.
	due := append([]kind{killGateway}, kinds...)
	kinds = append(kinds, killWorker, killGateway, killGateway)

	quiet := min(lasts/quietPart, 20*time.Second)
	rest := min(15*time.Second, lasts/4)
	gap := min(10*time.Second, (lasts-quiet)/time.Duration(len(due)+1))
	var faults []fault
	var storeAgain time.Duration
	for at := quiet; at < lasts; at += between(r, gap/3, gap) {
		// Choose the first due kind that may come now. When every kind has come, choose any.
		next := slices.IndexFunc(due, func(k kind) bool { return !k.ofStore() || at >= storeAgain })
		if next < 0 {
			continue
		}
		f := fault{at: at, kind: due[next], which: r.IntN(workerCount), away: between(r, 0, min(3*time.Second, lasts/8))}
		due = slices.Delete(due, next, next+1)
		if len(due) == 0 {
			due, gap = []kind{pick(r, kinds...)}, max(gap, calmGap)
		}
		switch f.kind { //nolint:exhaustive // the others keep the duration chosen above
		case stopWorker, readOnlyDatabase, fullDatabase, exhaustedDatabase, lockedDatabase:
			f.away = between(r, 2*time.Second, min(8*time.Second, lasts/3))
		case freezeWorker, freezeGateway:
			f.away = between(r, 2*time.Second, min(14*time.Second, lasts/3))
		}
		switch {
		case f.kind == killTemporal || f.kind == killDatabase:
			storeAgain = at + f.away + rest
		case f.kind.ofStore():
			storeAgain = at + f.away + rest/3 // no server has to restart
		}
		faults = append(faults, f)
	}
	return faults
}

// planMoods chooses how the receiver of webhooks answers over time. At the end it answers normally.
func planMoods(r *rand.Rand, lasts time.Duration) []mood {
	var moods []mood
	most := min(20*time.Second, lasts/4)
	for at := between(r, most/4, most); at < lasts; at += between(r, most/2, most) {
		until := at + between(r, most/8, most/3)
		moods = append(moods, mood{at, pick(r, refuses, hangs, isAway)}, mood{until, pleased})
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
