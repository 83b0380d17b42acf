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

// plan is everything that a seed decides. Times count from the start of the load.
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

// agent is somebody who works at the desk.
type agent struct {
	name     string
	capacity int
	queues   []string
}

// shift is a moment at which an agent comes or goes.
type shift struct {
	at       time.Duration
	agent    string
	presence desk.Presence
}

// kind is what a fault is done to.
type kind string

const (
	killWorker   kind = "worker killed"
	stopWorker   kind = "worker stopped"
	killGateway  kind = "gateway killed"
	killTemporal kind = "Temporal server killed"
	killDatabase kind = "database killed"
	// A frozen process is stopped for longer than every timeout, where it can be met while it holds a lock.
	freezeWorker  kind = "worker frozen"
	freezeGateway kind = "gateway frozen"
	// Connections to the database go silent, in both directions or in that of its answers; it is read-only, full, and
	// has no connection left.
	silentDatabase    kind = "database connections silent"
	stalledDatabase   kind = "database answers stalled"
	readOnlyDatabase  kind = "database read-only"
	fullDatabase      kind = "database full"
	exhaustedDatabase kind = "database out of connections"
	// A file that another process has locked is what a database server's frozen client is.
	lockedDatabase kind = "database locked"
	// hungTemporal isn't planned: see [faults.watch].
	hungTemporal kind = "Temporal server hung"
)

// ofStore tells whether the fault is one of what everything else is kept in.
func (k kind) ofStore() bool {
	return k == killTemporal || k == lockedDatabase || slices.Contains(ofDatabase, k)
}

// ofDatabase are the faults of a database server.
var ofDatabase = []kind{killDatabase, silentDatabase, stalledDatabase, readOnlyDatabase, fullDatabase, exhaustedDatabase}

// fault is something that is killed, or stopped, and how long it stays so.
type fault struct {
	at   time.Duration
	kind kind
	// which is its number, of several workers or gateways.
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

// mood is how the receiver answers from a moment on.
type mood struct {
	at     time.Duration
	temper temper
}

// Of each there are two, so that one goes on while the other is away.
const (
	workerCount  = 2
	gatewayCount = 2
)

// The streams of random numbers of a seed. Each talk has one of its own, so that it stays the same whatever
// else is planned.
const (
	streamPeople = iota
	streamFaults
	streamTalks
)

func random(seed, stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, stream)) //nolint:gosec // a plan is no secret
}

// between is a random time of the range.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// newPlan makes the plan of a seed. Sets of more agents than a tenth of the conversations leave too few to be
// passed to and fro, so they grow together.
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

// planPeople decides who works on what, and by which settings.
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

// Of the time of the load, the first part is quiet, so that there is something to compare with.
const quietPart = 5

// calmGap is the most time between two faults once each kind has come: a run of minutes recovers in between.
const calmGap = 25 * time.Second

// planFaults decides what is killed when: everything once at first, in a random order but for the gateway,
// and then whatever comes. A store (the Temporal server, the database) is left alone until the one before
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
	// What a killed gateway was sending is sent again after half a minute, so it comes first in a short run.
	due := append([]kind{killGateway}, kinds...)
	kinds = append(kinds, killWorker, killGateway, killGateway)

	quiet := min(lasts/quietPart, 20*time.Second)
	rest := min(15*time.Second, lasts/4)
	gap := min(10*time.Second, (lasts-quiet)/time.Duration(len(due)+1))
	var faults []fault
	var storeAgain time.Duration
	for at := quiet; at < lasts; at += between(r, gap/3, gap) {
		// The first of those that are due and may come now; when all are through, any.
		next := slices.IndexFunc(due, func(k kind) bool { return !k.ofStore() || at >= storeAgain })
		if next < 0 {
			continue
		}
		f := fault{at: at, kind: due[next], which: r.IntN(workerCount), away: between(r, 0, min(3*time.Second, lasts/8))}
		due = slices.Delete(due, next, next+1)
		if len(due) == 0 {
			due, gap = []kind{pick(r, kinds...)}, max(gap, calmGap)
		}
		switch f.kind { //nolint:exhaustive // the others are away as long as they are
		case stopWorker, readOnlyDatabase, fullDatabase, exhaustedDatabase, lockedDatabase:
			f.away = between(r, 2*time.Second, min(8*time.Second, lasts/3))
		case freezeWorker, freezeGateway:
			f.away = between(r, 2*time.Second, min(14*time.Second, lasts/3))
		}
		switch {
		case f.kind == killTemporal || f.kind == killDatabase:
			storeAgain = at + f.away + rest
		case f.kind.ofStore():
			storeAgain = at + f.away + rest/3 // nothing has to start again
		}
		faults = append(faults, f)
	}
	return faults
}

// planMoods decides how the receiver of webhooks answers; at the end it is pleased.
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

// sid is the conversation's SID that a talk is started under, where its caller chooses it.
func sid(r *rand.Rand) string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], r.Uint64())
	binary.BigEndian.PutUint64(id[8:], r.Uint64())
	return conversation.SIDOf(conversation.PrefixConversation, id)
}
