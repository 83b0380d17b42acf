package check

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/insights"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/lab/chaos/journal"
	"github.com/baton-transfers/baton/lab/chaos/plan"
)

// calm is the evidence of one conversation in which nothing went wrong: alice accepts it and transfers it to bob
// with a note; bob accepts and ends it; both wrap up; one command is refused.
func calm(t *testing.T) *Evidence {
	t.Helper()
	const sid = "CH0123456789abcdef0123456789abcdef"
	var (
		state  conversation.State
		events []conversation.Event
		v      = &Evidence{
			plan:    plan.Plan{Agents: []plan.Agent{{Name: "alice", Capacity: 1}, {Name: "bob", Capacity: 1}}},
			records: map[string]conversation.Record{}, feed: map[string][]desk.LoggedEvent{}, shown: []string{sid},
			transcripts: map[string][]records.Message{sid: {{Number: 1, Text: "hello", From: records.FromCustomer}}},
			notes:       map[string][]conversation.Note{}, tasks: map[string][]records.Task{},
			agents: []people.Agent{{Name: "alice", Presence: desk.PresenceAvailable}, {Name: "bob"}},
			has:    map[string]int{"alice": 0, "bob": 0}, counted: map[string]int{"alice": 0, "bob": 0},
			signals: map[string]map[string]int{sid: {"talk-03": 2}}, histories: 1, replayed: 1, seen: journal.Seen{Looked: 1},
		}
		now   = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
		facts = &conversation.Facts{
			Settings: conversation.DefaultSettings(), AgentKnown: true, AgentAvailable: true, QueueKnown: true, QueueMembers: 1,
		}
	)
	facts.Settings.MessagingTransfers, facts.Settings.TransferNotes = true, true
	carry := func(c conversation.Command) conversation.Result {
		now = now.Add(time.Second)
		result, err := state.Apply(c, facts, now)
		require.NoError(t, err)
		events = append(events, result.Events...)
		v.notes[sid] = append(v.notes[sid], result.Notes...)
		return result
	}
	asked := func(e journal.Entry) *journal.Entry {
		e.Conversation, e.Attempts = sid, max(1, e.Attempts)
		e.Sent, e.Answered = now, now.Add(time.Millisecond)
		v.entries = append(v.entries, &e)
		return &e
	}
	does := func(id string, w plan.Way, c conversation.Command) {
		c = journal.Under(id, c)
		outcome := carry(c).Outcome
		e := asked(journal.Entry{ID: id, Name: c.Name(), Way: w, Command: c, Verdict: journal.Done, Outcome: &outcome})
		if w == plan.BySignal {
			e.Verdict, e.Outcome = journal.Handed, nil
		}
		if x, ok := c.(conversation.TransferCommand); ok {
			e.Text = x.Note
		}
	}
	start := conversation.StartCommand{Conversation: sid, Channel: conversation.ChannelWeb, Queue: "support", Attributes: conversation.Attributes{"order": []byte("17")}}
	carry(start)
	asked(journal.Entry{ID: "talk", Name: conversation.CommandStart, Way: plan.ByClient, Command: start, Verdict: journal.Done})
	carry(conversation.ReserveCommand{Task: state.Tasks[0].SID, Agent: "alice", PendingSeq: state.Tasks[0].PendingSeq})
	does("talk-01", plan.ByClient, conversation.AcceptCommand{Agent: "alice"})
	does("talk-02", plan.ByClient, conversation.TransferCommand{From: "alice", To: conversation.Target{Agent: "bob"}, Note: "charged twice"})
	does("talk-03", plan.BySignal, conversation.AcceptCommand{Agent: "bob"})
	asked(journal.Entry{ID: "talk-04", Name: conversation.CommandCancel, Way: plan.ByClient, Command: conversation.CancelCommand{Agent: "alice"}, Verdict: journal.Refused, Code: conversation.CodeNoActiveTransfer})
	does("key-00", plan.ByHTTP, conversation.EndCommand{Agent: "bob"})
	asked(journal.Entry{ID: "key-01", Name: plan.NameSay, Way: plan.ByHTTP, Author: records.FromCustomer, Text: "hello", Verdict: journal.Done})
	does("talk-05", plan.ByClient, conversation.WrapupCommand{Agent: "alice"})
	does("talk-06", plan.ByClient, conversation.WrapupCommand{Agent: "bob"})

	v.records[sid] = conversation.Record{State: state}
	for i, event := range events {
		fed := desk.LoggedEvent{Position: int64(i + 1), Conversation: sid, Event: event}
		v.feed[sid] = append(v.feed[sid], fed)
		v.Happened = append(v.Happened, fed)
		v.Told = append(v.Told, fed.Position)
	}
	v.position = int64(len(events))
	for _, task := range state.Tasks {
		v.tasks[sid] = append(v.tasks[sid], records.Task{Conversation: sid, Task: *task})
	}
	v.figures.Conversations = 1
	v.figures.Sent = insights.Transfers{Initiated: 1, Completed: 1}
	return v
}

func (v *Evidence) only() string { return v.shown[0] }

// The checks find what is lost and what is doubled: each case is the calm evidence with one defect.
func TestTheCheckerCanFail(t *testing.T) {
	t.Parallel()
	for _, one := range calm(t).Judge(nil) {
		require.True(t, one.Clean(), "%s: %v", one.What, one.Details)
		if !strings.HasPrefix(one.What, "processes") {
			require.NotZero(t, one.Looked, one.What)
		}
	}
	event := func(v *Evidence, name conversation.EventName) int {
		for i, e := range v.feed[v.only()] {
			if e.Name == name {
				return i
			}
		}
		require.Fail(t, "no such event", name)
		return 0
	}
	for name, wrong := range map[string]struct {
		with                 func(v *Evidence)
		what                 string
		lost, doubled, wrong int
	}{
		"an accept without its effect": {func(v *Evidence) {
			v.feed[v.only()][event(v, conversation.EventReservationAccepted)].By = ""
		}, "commands with their one effect", 1, 0, 0},
		"a transfer that was made twice": {func(v *Evidence) {
			made := v.feed[v.only()][event(v, conversation.EventTransferInitiated)]
			v.feed[v.only()] = append(v.feed[v.only()], made)
		}, "commands with their one effect", 0, 1, 0},
		"an effect without a command": {func(v *Evidence) {
			v.feed[v.only()][1].By = "nobody"
		}, "commands with their one effect", 0, 1, 0},
		"a refused command with an effect": {func(v *Evidence) {
			v.entries[4].ID, v.feed[v.only()][3].By = "odd", "odd"
			v.feed[v.only()][3].Name = conversation.EventTransferCanceled
		}, "commands with their one effect", 1, 0, 1},
		"a command that was never answered": {func(v *Evidence) {
			v.entries[2].Verdict = journal.Unknown
		}, "requests, signals and updates answered", 1, 0, 0},
		"a conversation that isn't there": {func(v *Evidence) {
			delete(v.feed, v.only())
		}, "conversations begun", 1, 0, 0},
		"a conversation without a start": {func(v *Evidence) {
			v.shown = append(v.shown, "CHffffffffffffffffffffffffffffffff")
		}, "conversations begun", 0, 1, 0},
		"a signal that isn't in the history": {func(v *Evidence) {
			delete(v.signals[v.only()], "talk-03")
		}, "signals taken, in the histories, decided", 1, 0, 0},
		"a signal that was neither carried out nor refused": {func(v *Evidence) {
			v.entries = append(v.entries, &journal.Entry{ID: "talk-07", Conversation: v.only(), Name: conversation.CommandDecline, Verdict: journal.Handed, Command: conversation.DeclineCommand{Agent: "bob"}})
			v.signals[v.only()]["talk-07"] = 1
		}, "signals taken, in the histories, decided", 1, 0, 0},
		"a workflow task that decided otherwise than the history": {func(v *Evidence) {
			v.differing = append(v.differing, errors.New("event 12 is another"))
		}, "histories that replay as they ran", 0, 0, 1},
		"a message that isn't stored": {func(v *Evidence) {
			v.transcripts[v.only()] = nil
		}, "messages in the transcripts", 1, 0, 0},
		"a message that is stored twice": {func(v *Evidence) {
			v.transcripts[v.only()] = append(v.transcripts[v.only()], records.Message{Number: 2, Text: "hello"})
		}, "messages in the transcripts", 0, 1, 0},
		"a note that isn't there":    {func(v *Evidence) { v.notes = nil }, "notes at the desk", 1, 0, 0},
		"a note that is there twice": {func(v *Evidence) { v.notes["CH"] = v.notes[v.only()] }, "notes at the desk", 0, 1, 0},
		"a run in which nothing was said": {func(v *Evidence) {
			v.entries, v.transcripts = nil, nil
		}, "messages in the transcripts", 0, 0, 1},
		"a run in which nothing was carried out": {func(v *Evidence) {
			v.entries, v.feed = nil, nil
		}, "commands with their one effect", 0, 0, 4},
		"an event without a position": {func(v *Evidence) { v.Happened = append(v.Happened[:2], v.Happened[3:]...) }, "events in the event log, without gaps", 1, 0, 0},
		"an event that is numbered as another": {func(v *Evidence) {
			v.feed[v.only()][4].Number--
		}, "events in the event log, without gaps", 1, 1, 0},
		"an attribute that did not go along": {func(v *Evidence) { v.tasks[v.only()][1].Attributes = nil }, "tasks with their conversation's attributes", 1, 0, 0},
		"a match that is left over":          {func(v *Evidence) { v.counted["bob"] = 1 }, "agents who have what counts against them", 0, 1, 0},
		"a task that waits for a free agent": {func(v *Evidence) { v.seen.Stranded = []error{errors.New("it waits")} }, "agents who have what counts against them", 1, 0, 0},
		"an agent who is offered too much":   {func(v *Evidence) { v.plan.Agents[0].Capacity = 0 }, "offers within the agent's capacity", 0, 0, 1},
		"a webhook that never came":          {func(v *Evidence) { v.Told = append(v.Told[:3], v.Told[4:]...) }, "webhooks delivered, in order", 1, 0, 0},
		"a webhook before the one before it": {func(v *Evidence) { v.Told[2], v.Told[3] = v.Told[3], v.Told[2] }, "webhooks delivered, in order", 0, 0, 1},
		"a transfer that isn't counted":      {func(v *Evidence) { v.figures.Sent.Initiated, v.figures.Sent.Completed = 0, 0 }, "transfers in the insights", 3, 0, 0},
		"a transfer that is counted twice":   {func(v *Evidence) { v.figures.Sent.Initiated, v.figures.Sent.Completed = 2, 2 }, "transfers in the insights", 0, 3, 0},
		"an agent who does not have the presence that was set": {func(v *Evidence) {
			v.entries = append(v.entries, &journal.Entry{Name: plan.NamePresence, Agent: "bob", Presence: "available", Verdict: journal.Done})
		}, "agents as they were last told to be", 1, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := calm(t)
			wrong.with(v)
			for _, one := range v.Judge(nil) {
				if one.What == wrong.what {
					require.Equal(t, []int{wrong.lost, wrong.doubled, wrong.wrong}, []int{one.Lost, one.Doubled, one.Wrong}, "lost, doubled, wrong: %v", one.Details)
					return
				}
			}
			require.Fail(t, "no such line", wrong.what)
		})
	}
}

// The check finds a state in the events that broke an invariant for a moment and that the driver never read.
func TestAStateThatNobodySawIsFound(t *testing.T) {
	t.Parallel()
	ends := func(by string) bool { return by == "key-00" }
	v := calm(t)
	events := func() (all []conversation.Event) {
		for _, e := range v.feed[v.only()] {
			all = append(all, e.Event)
		}
		return all
	}
	states, err := brokenPast(v.records[v.only()], events(), ends)
	require.NoError(t, err)
	require.Equal(t, v.records[v.only()].Revision, states, "as many as there were commands")

	_, err = brokenPast(v.records[v.only()], events(), func(string) bool { return false })
	require.ErrorContains(t, err, "I3", "the customer's side ended without a command")

	for i, e := range v.feed[v.only()] {
		if e.Name == conversation.EventReservationWrapup && e.Agent == "alice" {
			v.feed[v.only()][i].ReservationStatus = conversation.ReservationAccepted // she still has it
		}
		if e.Name == conversation.EventTaskWrapup && e.Agent == "alice" {
			v.feed[v.only()][i].Name = conversation.EventTaskUpdated
		}
	}
	_, err = brokenPast(v.records[v.only()], events(), ends)
	require.ErrorContains(t, err, "I3", "alice and the offer to bob")
	require.ErrorContains(t, err, "I2", "alice and bob")
}
