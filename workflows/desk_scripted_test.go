package workflows_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"go.temporal.io/sdk/activity"

	"github.com/baton-transfers/baton/activities"
	"github.com/baton-transfers/baton/conversation"
)

var _ activities.Desk = (*scriptedDesk)(nil)

// errAway is the error of an unreachable desk.
var errAway = errors.New("the desk is away")

// scriptedDesk is a desk in memory, for tests with the suite's clock, which a database cannot follow. Tests control
// it. It fulfills the contract of [activities.Desk] by applying snapshots, and records where a conversation breaks
// its part of the contract.
type scriptedDesk struct {
	mutex sync.Mutex

	settings conversation.Settings
	plugin   string
	// agents maps the names of agents to whether they are available. queues maps queues to their members.
	agents map[string]bool
	queues map[string][]string
	notes  []string
	// places makes the desk match waiting tasks at once with the first suitable member.
	places bool
	// queriesToFail and syncsToFail are how many calls will fail, answersToLose how many will take effect and
	// then fail.
	queriesToFail, syncsToFail, answersToLose int
	// overtaken is set if a snapshot does not wait for the answer to the one before: it may contain the same task
	// again, and arrive before it.
	overtaken bool
	// whileAsked and duringSync are called during a call.
	whileAsked func(conversation.FactsQuery)
	duringSync func(conversation.Snapshot)

	queries []conversation.FactsQuery
	// calls are the names of the activities that sent a snapshot, and snapshots are the snapshots.
	calls     []string
	snapshots []conversation.Snapshot

	revision  int
	status    conversation.ConversationStatus
	tasks     map[string]conversation.Task
	transfers map[string]conversation.Transfer
	left      []conversation.Note
	events    []conversation.Event
	broken    []string
}

func newScriptedDesk() *scriptedDesk {
	settings := conversation.DefaultSettings()
	settings.MessagingTransfers, settings.TransferNotes = true, true
	return &scriptedDesk{
		settings:  settings,
		agents:    map[string]bool{"alice": true, "bob": true, "carol": true, "dave": true},
		queues:    map[string][]string{"support": {"alice", "dave"}, "billing": {"bob"}, "empty": {}, "nobody-yet": {}},
		places:    true,
		tasks:     map[string]conversation.Task{},
		transfers: map[string]conversation.Transfer{},
	}
}

// Facts implements [activities.Desk].
func (d *scriptedDesk) Facts(_ context.Context, q conversation.FactsQuery) (conversation.Facts, error) {
	if d.whileAsked != nil {
		d.whileAsked(q)
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.queries = append(d.queries, q)
	if d.queriesToFail > 0 {
		d.queriesToFail--
		return conversation.Facts{}, errAway
	}
	available, known := d.agents[q.Agent]
	members, queueKnown := d.queues[q.Queue]
	return conversation.Facts{
		Settings: d.settings, Plugin: d.plugin,
		AgentKnown: known, AgentAvailable: available,
		QueueKnown: queueKnown, QueueMembers: len(members),
		NoteKnown: slices.Contains(d.notes, q.Note),
	}, nil
}

// Sync implements [activities.Desk].
func (d *scriptedDesk) Sync(ctx context.Context, snapshot conversation.Snapshot) (conversation.Acknowledgement, error) {
	if d.duringSync != nil {
		d.duringSync(snapshot)
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.syncsToFail > 0 {
		d.syncsToFail--
		return conversation.Acknowledgement{}, errAway
	}
	d.calls = append(d.calls, activity.GetInfo(ctx).ActivityType.Name)
	d.snapshots = append(d.snapshots, snapshot)
	d.apply(snapshot, activity.GetInfo(ctx))
	if d.answersToLose > 0 {
		d.answersToLose--
		return conversation.Acknowledgement{}, errAway
	}
	return conversation.Acknowledgement{Revision: d.revision, Events: len(d.events), Matches: d.match(snapshot)}, nil
}

// goAhead gives the desk more of the conversation than the conversation has.
func (d *scriptedDesk) goAhead(revisions, events int) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.revision += revisions
	for range events {
		d.events = append(d.events, conversation.Event{Number: len(d.events) + 1, Name: "of a time that is lost"})
	}
	lost := "WT" + strings.Repeat("f", 32)
	d.tasks[lost] = conversation.Task{SID: lost, Status: conversation.TaskPending}
	d.overtaken = true // older snapshots arrive now
}

// failSyncs makes the next syncs fail, that many of them, including those in progress.
func (d *scriptedDesk) failSyncs(count int) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.syncsToFail = count
}

// received returns the snapshots received, and the tasks according to them.
func (d *scriptedDesk) received() ([]conversation.Snapshot, map[string]conversation.Task) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return slices.Clone(d.snapshots), maps.Clone(d.tasks)
}

// shown returns the newest snapshot.
func (d *scriptedDesk) shown() conversation.Snapshot {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.snapshots[len(d.snapshots)-1]
}

// apply makes the rows equal to the snapshot, and checks the snapshot's promises.
func (d *scriptedDesk) apply(snapshot conversation.Snapshot, call activity.Info) {
	if snapshot.Revision < d.revision {
		if !d.overtaken {
			d.complain("revision %d came after revision %d", snapshot.Revision, d.revision)
		}
		return
	}
	unseen := slices.ContainsFunc(snapshot.Tasks, func(t *conversation.Task) bool {
		_, seen := d.tasks[t.SID]
		return !seen
	})
	if created := call.ActivityType.Name == "CreateTask"; created != unseen && call.Attempt == 1 && !d.overtaken {
		d.complain("%s came where bringing an unseen task was %t", call.ActivityType.Name, unseen)
	}
	d.applyEvents(snapshot)
	if snapshot.Whole {
		d.tasks, d.transfers = map[string]conversation.Task{}, map[string]conversation.Transfer{}
	}
	for sid, row := range d.tasks {
		if row.Status.Live() && !slices.ContainsFunc(snapshot.Tasks, func(t *conversation.Task) bool { return t.SID == sid }) {
			d.complain("the snapshot of revision %d leaves out task %s, which was %s", snapshot.Revision, sid, row.Status)
		}
	}
	for sid, row := range d.transfers {
		if row.Status == conversation.TransferActive &&
			!slices.ContainsFunc(snapshot.Transfers, func(t *conversation.Transfer) bool { return t.SID == sid }) {
			d.complain("the snapshot of revision %d leaves out transfer %s, which was active", snapshot.Revision, sid)
		}
	}
	for _, task := range snapshot.Tasks {
		d.tasks[task.SID] = *task
	}
	for _, transfer := range snapshot.Transfers {
		d.transfers[transfer.SID] = *transfer
	}
	for _, note := range snapshot.Notes {
		if !slices.Contains(d.left, note) {
			d.left = append(d.left, note)
		}
	}
	d.revision, d.status = snapshot.Revision, snapshot.Status
}

// applyEvents appends the events that the desk lacks. They must have no gaps, and their tasks must be in the
// snapshot.
func (d *scriptedDesk) applyEvents(snapshot conversation.Snapshot) {
	last := map[string]conversation.TaskStatus{}
	for _, e := range snapshot.Events {
		switch have := len(d.events); {
		case e.Number == have+1:
			d.events = append(d.events, e)
		case e.Number > have+1:
			d.complain("event %d came after event %d", e.Number, have)
		case jsonOf(d.events[e.Number-1]) != jsonOf(e):
			d.complain("event %d came twice and differs", e.Number)
		}
		last[e.Task] = e.TaskStatus
		if e.Name == conversation.EventReservationRejected || e.Name == conversation.EventReservationTimeout {
			last[e.Task] = "" // its later changes are in the snapshot, but not always in an event
		}
	}
	for sid, status := range last {
		at := slices.IndexFunc(snapshot.Tasks, func(t *conversation.Task) bool { return t.SID == sid })
		switch {
		case at < 0:
			d.complain("the snapshot of revision %d has an event of task %s without the task", snapshot.Revision, sid)
		case status != "" && snapshot.Tasks[at].Status != status:
			d.complain("the snapshot of revision %d shows task %s %s, its last event %s", snapshot.Revision, sid, snapshot.Tasks[at].Status, status)
		}
	}
}

// match offers each waiting task to the first available member of its queue who does not have the conversation, is
// not wrapping it up and has not declined this task.
func (d *scriptedDesk) match(snapshot conversation.Snapshot) []conversation.ReserveCommand {
	var matches []conversation.ReserveCommand
	for _, task := range snapshot.Tasks {
		if !d.places || task.Status != conversation.TaskPending || task.Direct {
			continue
		}
		for _, member := range d.queues[task.Queue] {
			if d.agents[member] && !d.has(member) && !d.refused(member, task.SID) {
				matches = append(matches, conversation.ReserveCommand{
					Task: task.SID, Agent: member, PendingSeq: task.PendingSeq,
					Reservation: reservationSID(task.SID, task.PendingSeq),
				})
				break
			}
		}
	}
	return matches
}

func (d *scriptedDesk) has(agent string) bool {
	for _, t := range d.tasks {
		if t.Agent == agent && (t.Status == conversation.TaskAssigned || t.Status == conversation.TaskWrapping) {
			return true
		}
	}
	return false
}

func (d *scriptedDesk) refused(agent, task string) bool {
	return slices.ContainsFunc(d.events, func(e conversation.Event) bool {
		return e.Task == task && e.Agent == agent && !e.Excused &&
			(e.Name == conversation.EventReservationRejected || e.Name == conversation.EventReservationTimeout)
	})
}

func (d *scriptedDesk) complain(format string, args ...any) {
	d.broken = append(d.broken, fmt.Sprintf(format, args...))
}

// disagreements returns the differences between the desk's records and the conversation. There are none once the
// conversation has synced everything.
func (d *scriptedDesk) disagreements(record conversation.Record) []string {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	found := slices.Clone(d.broken)
	tell := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if d.revision != record.Revision || d.status != record.Status {
		tell("the desk shows revision %d, %s; the conversation is at %d, %s", d.revision, d.status, record.Revision, record.Status)
	}
	if len(d.events) != record.Events {
		tell("the desk has %d events of %d", len(d.events), record.Events)
	}
	if len(d.tasks) != len(record.Tasks) || len(d.transfers) != len(record.Transfers) {
		tell("the desk has %d tasks of %d and %d transfers of %d", len(d.tasks), len(record.Tasks), len(d.transfers), len(record.Transfers))
	}
	for _, t := range record.Tasks {
		row := d.tasks[t.SID]
		if t.Attributes == nil {
			row.Attributes = nil // forgotten
		}
		if jsonOf(row) != jsonOf(*t) {
			tell("the desk's task is %s, the conversation's %s", jsonOf(row), jsonOf(*t))
		}
	}
	for _, t := range record.Transfers {
		if row := jsonOf(d.transfers[t.SID]); row != jsonOf(*t) {
			tell("the desk's transfer is %s, the conversation's %s", row, jsonOf(*t))
		}
	}
	return found
}

// reservationSID returns the SID that the scripted desk gives a match.
func reservationSID(task string, match int) string {
	return conversation.SIDOf(conversation.PrefixReservation, uuid.NewSHA1(uuid.Nil, fmt.Appendf(nil, "%s %d", task, match)))
}

func jsonOf(value any) string {
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(encoded)
}
