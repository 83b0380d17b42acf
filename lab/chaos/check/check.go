// Package check finds out what was lost, doubled or wrong in a run of chaos. [Gather] reads what is left once all is
// quiet: the conversations' states and histories, and the desk's rows, events and figures. [Evidence.Judge] compares it
// with the driver's journal and the plan.
//
// It sends no commands, and must not import: what runs the processes or makes faults.
package check

import (
	"fmt"
	"slices"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/insights"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/lab/chaos/journal"
	"github.com/baton-transfers/baton/lab/chaos/plan"
)

// Evidence is everything that the checks look at once all is quiet. The checks use nothing else, so that a test can
// give them wrong evidence.
type Evidence struct {
	plan    plan.Plan
	entries []*journal.Entry
	// records holds the conversations' states, and feed their events in the order of the event log, both by
	// conversation SID.
	records map[string]conversation.Record
	feed    map[string][]desk.LoggedEvent
	// Happened holds all events, including those of the desk itself; position is the last position of the event
	// log.
	Happened []desk.LoggedEvent
	position int64
	// trials holds the SIDs of the trials' conversations. The other fields by SID, shown and figures leave them
	// out; happened contains their events.
	trials map[string]bool
	// shown holds the SIDs of the conversations that the desk knows.
	shown       []string
	transcripts map[string][]records.Message
	notes       map[string][]conversation.Note
	// tasks are the desk's tasks by conversation SID.
	tasks   map[string][]records.Task
	agents  []people.Agent
	figures insights.Figures
	// has and counted are the agents' tasks; see agree.Loads.
	has, counted map[string]int
	// Told are the positions of the webhooks that the receiver accepted, in order of arrival.
	Told                          []int64
	pendingWebhooks, deadWebhooks int
	// signals is how often each signal is in the histories, by conversation SID and command ID.
	signals map[string]map[string]int
	// histories is how many histories were read, and replayed how many of them were replayed. differing holds the
	// errors of workflow tasks and replays that decided otherwise than the history.
	histories int
	replayed  int
	differing []error
	// differ is where the desk differs from the conversations. seen is what the driver saw during the run.
	differ []error
	seen   journal.Seen
}

// Row is one line of the result: how many items were checked, and how many of them were lost, doubled, or wrong in
// another way.
type Row struct {
	What                 string
	Looked               int
	Lost, Doubled, Wrong int
	Details              []string
}

func (r *Row) lose(format string, args ...any) {
	r.Lost++
	r.detail("lost: "+format, args...)
}

func (r *Row) double(format string, args ...any) {
	r.Doubled++
	r.detail("doubled: "+format, args...)
}

// Mistake records what is wrong in another way than lost or doubled.
func (r *Row) Mistake(format string, args ...any) {
	r.Wrong++
	r.detail("wrong: "+format, args...)
}

// keptDetails is how many details of a row are shown.
const keptDetails = 10

func (r *Row) detail(format string, args ...any) {
	if len(r.Details) < keptDetails {
		r.Details = append(r.Details, fmt.Sprintf(format, args...))
	}
}

// Clean reports whether the row has found nothing.
func (r *Row) Clean() bool { return r.Lost+r.Doubled+r.Wrong == 0 }

// Judge runs all checks and returns their rows. wrong lists what processes did that no process may.
func (v *Evidence) Judge(wrong []string) []Row {
	rows := []Row{
		v.answers(), v.starts(), v.effects(), v.handedOver(), v.claims(), v.presences(),
		v.messages(), v.notesLeft(), v.invariants(), v.attributes(), v.feedComplete(), v.deskAgrees(), v.loads(), v.capacities(),
		v.webhooks(), v.insights(), v.replays(),
	}
	for i := range rows {
		if rows[i].Looked == 0 {
			rows[i].Mistake("there was none: the run says nothing about them")
		}
	}
	return append(rows, processes(wrong))
}

// answers checks that every request, signal and update was answered in the end.
func (v *Evidence) answers() Row {
	r := Row{What: "requests, signals and updates answered"}
	for _, e := range v.entries {
		r.Looked++
		if e.Verdict == journal.Unknown {
			r.lose("%s %s of %s, by %s, was never answered in %d attempts", e.Name, e.ID, e.Conversation, e.Way, e.Attempts)
		}
	}
	return r
}

// starts checks that every started conversation exists, and no other.
func (v *Evidence) starts() Row {
	r := Row{What: "conversations begun"}
	begun := map[string]bool{}
	for _, e := range v.entries {
		if e.Name != conversation.CommandStart {
			continue
		}
		if e.Verdict == journal.Done {
			r.Looked++
			begun[e.Conversation] = true
			if events := v.feed[e.Conversation]; len(events) == 0 || events[0].Name != conversation.EventTaskCreated {
				r.lose("conversation %s, begun by %s", e.Conversation, e.ID)
			}
		}
	}
	for _, sid := range v.shown {
		if !begun[sid] {
			r.double("conversation %s is at the desk, but no caller got an answer that it began", sid)
		}
	}
	return r
}

// firstOf names, for each command, the events of which it leaves exactly one.
var firstOf = map[conversation.CommandName][]conversation.EventName{
	conversation.CommandTransfer: {conversation.EventTransferInitiated},
	conversation.CommandAccept:   {conversation.EventReservationAccepted},
	conversation.CommandDecline:  {conversation.EventReservationRejected},
	conversation.CommandWrapup:   {conversation.EventTaskCompleted},
	conversation.CommandEnd:      {conversation.EventTaskWrapup},
	conversation.CommandCancel:   {conversation.EventTransferCanceled},
	conversation.CommandMove:     {conversation.EventTaskUpdated},
	// A close ends the one task that waits or is assigned.
	conversation.CommandClose: {conversation.EventTaskCanceled, conversation.EventTaskWrapup},
}

// effect returns the events that are the entry's own effect.
func (v *Evidence) effect(e *journal.Entry) []desk.LoggedEvent {
	var own []desk.LoggedEvent
	for _, event := range v.feed[e.Conversation] {
		if event.By == e.ID && slices.Contains(firstOf[e.Name], event.Name) {
			own = append(own, event)
		}
	}
	return own
}

// elsewhere reports whether another command had the effect that the entry was to have, so that the entry had
// nothing left to do.
func (v *Evidence) elsewhere(e *journal.Entry) bool {
	of := func(agent, task string) bool {
		return slices.ContainsFunc(v.feed[e.Conversation], func(event desk.LoggedEvent) bool {
			return slices.Contains(firstOf[e.Name], event.Name) && (agent == "" || event.Agent == agent) && (task == "" || event.Task == task)
		})
	}
	switch c := e.Command.(type) {
	case conversation.AcceptCommand:
		return of(c.Agent, c.Task)
	case conversation.DeclineCommand:
		return of(c.Agent, c.Task)
	case conversation.WrapupCommand:
		return of(c.Agent, c.Task)
	case conversation.EndCommand:
		return of(c.Agent, c.Task)
	case conversation.CancelCommand:
		return of("", "")
	case conversation.MoveCommand: // it may have waited there already, which no event shows
		return true
	case conversation.CloseCommand:
		return v.records[e.Conversation].Status != conversation.ConversationActive
	}
	return false
}

// effects checks that a command answered as done has one effect, that a refused one has none, and that every effect
// was requested. A refused command may still have an effect in two cases: an earlier attempt had no answer, or the
// conversation closed and the answer was lost.
func (v *Evidence) effects() Row {
	r := Row{What: "commands with their one effect"}
	had := map[conversation.CommandName]bool{}
	asked := map[string]map[string]bool{}
	for _, e := range v.entries {
		if asked[e.Conversation] == nil {
			asked[e.Conversation] = map[string]bool{"": true}
		}
		asked[e.Conversation][e.ID] = true
		if firstOf[e.Name] == nil {
			continue
		}
		r.Looked++
		own := len(v.effect(e))
		had[e.Name] = had[e.Name] || own > 0
		nothingToDo := (e.Outcome != nil && e.Outcome.Unchanged) || (e.Way == plan.ByHTTP && v.elsewhere(e))
		maybe := e.Unanswered > 0 || e.Code == conversation.CodeConversationClosed
		switch {
		case own > 1:
			r.double("%s %s of %s has %d effects", e.Name, e.ID, e.Conversation, own)
		case e.Verdict == journal.Done && own == 0 && !nothingToDo:
			r.lose("%s %s of %s, by %s, was answered as done and has no effect", e.Name, e.ID, e.Conversation, e.Way)
		case e.Verdict == journal.Refused && own > 0 && !maybe:
			r.Mistake("%s %s of %s, by %s, was refused (%s) and has an effect", e.Name, e.ID, e.Conversation, e.Way, e.Refusal)
		}
	}
	for _, name := range []conversation.CommandName{conversation.CommandTransfer, conversation.CommandAccept, conversation.CommandWrapup} {
		if !had[name] {
			r.Mistake("no %s has had an effect: the run says nothing about them", name)
		}
	}
	for sid, events := range v.feed {
		for _, event := range events {
			if !asked[sid][event.By] {
				r.double("event %d of %s (%s) is by %q, who has asked for nothing", event.Number, sid, event.Name, event.By)
			}
		}
	}
	return r
}

// handedOver checks that the signals that the server accepted are in the histories, and that those without an
// effect were refused.
func (v *Evidence) handedOver() Row {
	r := Row{What: "signals taken, in the histories, decided"}
	type of struct {
		sid  string
		name conversation.CommandName
	}
	without := map[of]int{}
	for _, e := range v.entries {
		if e.Verdict != journal.Handed {
			continue
		}
		r.Looked++
		copies := v.signals[e.Conversation][e.ID]
		if copies == 0 {
			r.lose("signal %s %s of %s isn't in its history", e.Name, e.ID, e.Conversation)
		}
		if len(v.effect(e)) == 0 && !v.elsewhere(e) {
			without[of{e.Conversation, e.Name}] += copies
		}
	}
	for which, copies := range without {
		record := v.records[which.sid]
		recorded := 0
		for _, refusal := range record.Refusals {
			if refusal.Command == string(which.name) {
				recorded++
			}
		}
		if recorded < copies && len(record.Refusals) < keptRefusals {
			r.lose("%d signals %s of %s had no effect, and %d were refused", copies, which.name, which.sid, recorded)
		}
	}
	return r
}

// keptRefusals is how many refused signals a conversation keeps.
const keptRefusals = 20

// claims checks that each reservation was made once, and that an agent whose claim was answered as done got the
// reservation in the answer.
func (v *Evidence) claims() Row {
	r := Row{What: "offers made, and claimed ones had"}
	offered := map[string]string{} // agents by reservation
	for sid, events := range v.feed {
		for _, event := range events {
			if event.Name != conversation.EventReservationCreated {
				continue
			}
			r.Looked++
			if offered[event.Reservation] != "" {
				r.double("reservation %s of %s was made twice", event.Reservation, sid)
			}
			offered[event.Reservation] = event.Agent
		}
	}
	for _, e := range v.entries {
		if e.Name == plan.NameClaim && e.Verdict == journal.Done && offered[e.Told] != e.Agent {
			r.lose("claim %s of %s: reservation %s was %s's, and is %q's", e.ID, e.Conversation, e.Told, e.Agent, offered[e.Told])
		}
	}
	return r
}

// presences checks that each agent has the presence of the last change that was answered.
func (v *Evidence) presences() Row {
	r := Row{What: "agents as they were last told to be"}
	last := map[string]*journal.Entry{}
	for _, e := range v.entries {
		if e.Name == plan.NamePresence && (last[e.Agent] == nil || e.Answered.After(last[e.Agent].Answered)) {
			last[e.Agent] = e
		}
	}
	for _, a := range v.agents {
		r.Looked++
		if e := last[a.Name]; e != nil && e.Verdict == journal.Done && string(a.Presence) != e.Presence {
			r.lose("%s is %s, and was last set to %s", a.Name, a.Presence, e.Presence)
		}
	}
	return r
}

// messages checks that each answered message is in the transcript once, in its author's order, and that there are
// no others.
func (v *Evidence) messages() Row {
	r := Row{What: "messages in the transcripts"}
	texts := map[string]map[string][]int{}
	for sid, transcript := range v.transcripts {
		texts[sid] = map[string][]int{}
		for i, m := range transcript {
			texts[sid][m.Text] = append(texts[sid][m.Text], m.Number)
			if m.Number != i+1 {
				r.lose("message %d of %s has the number %d", i+1, sid, m.Number)
			}
		}
	}
	said := map[string][]*journal.Entry{}
	for _, e := range v.entries {
		if e.Name != plan.NameSay {
			continue
		}
		r.Looked++
		stored := len(texts[e.Conversation][e.Text])
		switch {
		case stored > 1:
			r.double("%q is stored %d times", e.Text, stored)
		case stored == 0 && e.Verdict == journal.Done:
			r.lose("%q was answered and isn't stored", e.Text)
		case stored == 1 && e.Verdict == journal.Refused && e.Unanswered == 0:
			r.Mistake("%q was refused (%s) and is stored", e.Text, e.Refusal)
		}
		if stored == 1 && e.Verdict == journal.Done {
			said[e.Conversation+" "+e.Author] = append(said[e.Conversation+" "+e.Author], e)
		}
		delete(texts[e.Conversation], e.Text)
	}
	for sid, left := range texts {
		for text := range left {
			r.double("%q is stored in %s, but nothing like it was sent", text, sid)
		}
	}
	v.messageOrder(&r, said)
	return r
}

// messageOrder checks that a message sent after an earlier one of the same author was answered comes after it.
func (v *Evidence) messageOrder(r *Row, said map[string][]*journal.Entry) {
	numbers := map[string]int{}
	for _, transcript := range v.transcripts {
		for _, m := range transcript {
			numbers[m.Text] = m.Number
		}
	}
	for _, entries := range said {
		for i, later := range entries {
			for _, earlier := range entries[:i] {
				if earlier.Answered.Before(later.Sent) && numbers[earlier.Text] > numbers[later.Text] {
					r.Mistake("%q is after %q, which was written after it", earlier.Text, later.Text)
				}
			}
		}
	}
}

// notesLeft checks that each note is stored once for each transfer or request that left it.
func (v *Evidence) notesLeft() Row {
	r := Row{What: "notes at the desk"}
	texts := map[string]int{}
	for _, notes := range v.notes {
		for _, note := range notes {
			texts[note.Text]++
		}
	}
	for _, e := range v.entries {
		wanted := 0
		switch {
		case e.Text == "" || e.Name == plan.NameSay:
			continue
		case e.Name == plan.NameNote && e.Verdict == journal.Done:
			wanted = 1
		case e.Name == conversation.CommandTransfer:
			wanted = len(v.effect(e))
		}
		r.Looked++
		switch stored := texts[e.Text]; {
		case stored < wanted:
			r.lose("%q", e.Text)
		case stored > max(1, wanted) || (stored > wanted && e.Name == conversation.CommandTransfer):
			r.double("%q is there %d times", e.Text, stored)
		}
	}
	return r
}

// invariants checks every state that was read during the run, and every state that the events describe.
func (v *Evidence) invariants() Row {
	r := Row{What: "states with the invariants I1 to I4 and I6", Looked: v.seen.Looked}
	for _, err := range v.seen.Broken {
		r.Mistake("%v", err)
	}
	names := map[string]map[string]conversation.CommandName{}
	for _, e := range v.entries {
		if names[e.Conversation] == nil {
			names[e.Conversation] = map[string]conversation.CommandName{}
		}
		names[e.Conversation][e.ID] = e.Name
	}
	for sid, record := range v.records {
		var events []conversation.Event
		for _, event := range v.feed[sid] {
			events = append(events, event.Event)
		}
		states, err := brokenPast(record, events, func(by string) bool {
			name := names[sid][by]
			return name == conversation.CommandEnd || name == conversation.CommandClose || name == conversation.CommandWrapup
		})
		r.Looked += states
		if err != nil {
			r.Mistake("%v", err)
		}
		if states > record.Revision {
			r.double("%s has had %d commands, and events of %d", sid, record.Revision, states)
		}
	}
	return r
}

// attributes checks that every task has the attributes that its conversation was started with (I5).
func (v *Evidence) attributes() Row {
	r := Row{What: "tasks with their conversation's attributes"}
	for _, e := range v.entries {
		start, ok := e.Command.(conversation.StartCommand)
		if !ok || e.Verdict != journal.Done {
			continue
		}
		for _, task := range v.tasks[e.Conversation] {
			r.Looked++
			for name, value := range start.Attributes {
				if !sameJSON(task.Attributes[name], value) {
					r.lose("the attribute %s of task %s is %s, and was %s", name, task.SID, task.Attributes[name], value)
				}
			}
		}
	}
	return r
}

// feedComplete checks that positions and event numbers have no gaps and no duplicates.
func (v *Evidence) feedComplete() Row {
	r := Row{What: "events in the event log, without gaps", Looked: len(v.Happened)}
	next := int64(1)
	for _, event := range v.Happened {
		switch {
		case event.Position < next:
			r.double("position %d of the event log", event.Position)
		case event.Position > next:
			r.lose("positions %d to %d of the event log", next, event.Position-1)
		}
		next = event.Position + 1
	}
	if v.position != next-1 {
		r.lose("the event log has come to %d, and its last event is %d", v.position, next-1)
	}
	for sid, events := range v.feed {
		number := 1
		for _, event := range events {
			switch {
			case event.Number < number:
				r.double("event %d of %s", event.Number, sid)
			case event.Number > number:
				r.lose("events %d to %d of %s", number, event.Number-1, sid)
			}
			number = event.Number + 1
		}
		if told := v.records[sid].Events; told != number-1 {
			r.lose("%s has had %d events, and the event log has %d", sid, told, number-1)
		}
	}
	return r
}

func (v *Evidence) deskAgrees() Row {
	r := Row{What: "conversations that the desk shows as they are", Looked: len(v.records)}
	for _, err := range v.differ {
		r.Mistake("%v", err)
	}
	return r
}

// loads checks that the tasks that count against each agent are the tasks that the agent has, so no match is left
// that was neither delivered nor released. It also checks that no task waited while an agent was free, so none was
// forgotten.
func (v *Evidence) loads() Row {
	r := Row{What: "agents who have what counts against them", Looked: len(v.counted)}
	for agent, counted := range v.counted {
		switch has := v.has[agent]; {
		case has > counted:
			r.lose("%s has %d tasks, and %d count", agent, has, counted)
		case has < counted:
			r.double("%s has %d tasks, and %d count", agent, has, counted)
		}
	}
	for _, err := range v.seen.Stranded {
		r.lose("%v", err)
	}
	return r
}

// capacities checks that agents had room for the tasks that a queue offered them. Tasks directed to one agent and
// claimed tasks ignore the capacity. A match that was in flight when its agent left, and arrives after the agent
// has come back, may exceed the capacity by one: the desk declines it for the agent, unless another command comes
// first. Such a late offer is recognized by its task, which waited before the agent came.
func (v *Evidence) capacities() Row {
	r := Row{What: "offers within the agent's capacity"}
	capacity := map[string]int{}
	for _, a := range v.plan.Agents {
		capacity[a.Name] = a.Capacity
	}
	claimed := map[string]bool{}
	for _, e := range v.entries {
		if e.Name == plan.NameClaim { // answered or not
			claimed[e.Conversation+" "+e.Agent] = true
		}
	}
	takenBack := map[string]bool{}
	for _, event := range v.Happened {
		if event.ReservationStatus == conversation.ReservationRejected && event.Cause == conversation.CauseUnavailable {
			takenBack[event.Reservation] = true
		}
	}
	type place struct {
		agent   string
		channel conversation.Channel
	}
	type offer struct {
		place

		late bool
	}
	load, late, held := map[place]int{}, map[place]int{}, map[string]offer{}
	came, waits := map[string]int64{}, map[string]int64{} // positions: an agent last came, a task began to wait
	for i, event := range v.Happened {
		if event.Name == desk.EventAgentActivity && event.Activity == routing.ActivityOf(desk.PresenceAvailable).Name {
			came[event.Agent] = event.Position
		}
		if event.Name == conversation.EventTaskQueueEntered {
			waits[event.Task] = event.Position
		}
		if event.Reservation == "" || v.trials[event.Conversation] {
			continue
		}
		switch event.ReservationStatus {
		case conversation.ReservationPending:
			r.Looked++
			at := place{event.Agent, v.records[event.Conversation].Channel}
			if meant(v.Happened[:i], event) || claimed[event.Conversation+" "+event.Agent] || takenBack[event.Reservation] {
				continue
			}
			one := offer{at, came[event.Agent] > waits[event.Task]}
			held[event.Reservation] = one
			load[at]++
			if one.late {
				late[at]++
			}
			if load[at]-late[at] > capacity[event.Agent] {
				r.Mistake("event %d of %s offers %s one more than they can take (%d on %s)", event.Number, event.Conversation, event.Agent, capacity[event.Agent], at.channel)
			}
		case conversation.ReservationRejected, conversation.ReservationTimeout, conversation.ReservationCanceled,
			conversation.ReservationRescinded, conversation.ReservationCompleted:
			waits[event.Task] = event.Position
			if one, counts := held[event.Reservation]; counts {
				load[one.place]--
				if one.late {
					late[one.place]--
				}
				delete(held, event.Reservation)
			}
		case conversation.ReservationAccepted, conversation.ReservationWrapping:
		}
	}
	return r
}

// meant reports whether the task was directed to that agent by a transfer, a move or a start, and has not gone to a
// queue since.
func meant(before []desk.LoggedEvent, offer desk.LoggedEvent) bool {
	for _, event := range slices.Backward(before) {
		if event.Task == offer.Task {
			made := event.Name == conversation.EventTransferInitiated || event.Name == conversation.EventTaskCreated
			moved := event.Name == conversation.EventTaskUpdated && event.To.Agent != ""
			return made || moved
		}
	}
	return false
}

// webhooks checks that the receiver got every event at least once, and the events of each stream in order.
func (v *Evidence) webhooks() Row {
	r := Row{What: "webhooks delivered, in order", Looked: len(v.Happened)}
	if v.pendingWebhooks > 0 || v.deadWebhooks > 0 {
		r.Mistake("%d are still to be delivered, %d were given up", v.pendingWebhooks, v.deadWebhooks)
	}
	streamOf := map[int64]string{}
	for _, event := range v.Happened {
		streamOf[event.Position] = event.Conversation
		switch {
		case event.Conversation != "":
		case event.Agent != "":
			streamOf[event.Position] = "agent/" + event.Agent
		default:
			streamOf[event.Position] = "queue/" + event.Queue
		}
	}
	came := map[int64]bool{}
	last := map[string]int64{}
	for _, position := range v.Told {
		stream := streamOf[position]
		if position < last[stream] {
			r.Mistake("event %d of %s came after %d", position, stream, last[stream])
		}
		came[position], last[stream] = true, position
	}
	for _, event := range v.Happened {
		if !came[event.Position] {
			r.lose("event %d (%s) of %s", event.Position, event.Name, streamOf[event.Position])
		}
	}
	return r
}

// insights checks that the figures match the conversations and the driver's log.
func (v *Evidence) insights() Row {
	r := Row{What: "transfers in the insights"}
	var wanted insights.Transfers
	for _, record := range v.records {
		for _, x := range record.Transfers {
			count(&wanted, x)
		}
	}
	sent := v.figures.Sent
	r.Looked = wanted.Initiated
	for _, figure := range []struct {
		what          string
		wanted, shown int
	}{
		{"initiated", wanted.Initiated, sent.Initiated},
		{"completed", wanted.Completed, sent.Completed},
		{"failed", wanted.Failed, sent.Failed},
		{"declined", wanted.Declined, sent.Declined},
		{"expired", wanted.Expired, sent.Expired},
		{"canceled", wanted.Canceled, sent.Canceled},
		{"timed out", wanted.TimedOut, sent.TimedOut},
		{"abandoned", wanted.Abandoned, sent.Abandoned},
		{"open", wanted.Open, sent.Open},
		{"begun", len(v.records), v.figures.Conversations},
		{"initiated, by the driver's log", v.logged(conversation.CommandTransfer), sent.Initiated},
		{"canceled, by the driver's log", v.logged(conversation.CommandCancel), sent.Canceled},
	} {
		switch {
		case figure.shown < figure.wanted:
			r.lose("%s: %d, and %d are counted", figure.what, figure.wanted, figure.shown)
		case figure.shown > figure.wanted:
			r.double("%s: %d, and %d are counted", figure.what, figure.wanted, figure.shown)
		}
	}
	return r
}

// logged returns how many commands of that name the driver knows to have succeeded: by their answers, and without
// an answer (signals, lost answers) by their effects.
func (v *Evidence) logged(name conversation.CommandName) int {
	count := 0
	for _, e := range v.entries {
		switch {
		case e.Name != name:
		case e.Verdict == journal.Done && e.Outcome != nil && !e.Outcome.Unchanged, len(v.effect(e)) > 0:
			count++
		}
	}
	return count
}

func add(t *insights.Transfers, more insights.Transfers) {
	t.Initiated, t.Completed, t.Failed = t.Initiated+more.Initiated, t.Completed+more.Completed, t.Failed+more.Failed
	t.Declined, t.Expired, t.Canceled = t.Declined+more.Declined, t.Expired+more.Expired, t.Canceled+more.Canceled
	t.TimedOut, t.Abandoned, t.Open = t.TimedOut+more.TimedOut, t.Abandoned+more.Abandoned, t.Open+more.Open
}

func count(t *insights.Transfers, x *conversation.Transfer) {
	t.Initiated++
	switch x.Status {
	case conversation.TransferActive:
		t.Open++
	case conversation.TransferCompleted:
		t.Completed++
	case conversation.TransferFailed:
		t.Failed++
		switch x.FailureReason {
		case conversation.ReasonDeclined:
			t.Declined++
		case conversation.ReasonExpired:
			t.Expired++
		case conversation.ReasonCanceled:
			t.Canceled++
		case conversation.ReasonTaskTimeout:
			t.TimedOut++
		case conversation.ReasonConversationClosed:
			t.Abandoned++
		case conversation.ReasonWorkflowEnded, conversation.ReasonReset: // counted as failed only
		case conversation.ReasonAgentUnavailable: // the reason of an attempt, never of a transfer
		}
	}
}

func (v *Evidence) replays() Row {
	r := Row{What: "histories that replay as they ran", Looked: v.histories}
	for _, err := range v.differing {
		r.Mistake("%v", err)
	}
	return r
}

func processes(wrong []string) Row {
	r := Row{What: "processes without a panic or an end of their own"}
	for _, line := range wrong {
		r.Mistake("%s", line)
	}
	return r
}
