package conversation

import (
	"slices"
	"time"
)

// Outcome is what a command changed, in its state after the command.
type Outcome struct {
	Task               *Task              `json:"task,omitempty"`
	Transfer           *Transfer          `json:"transfer,omitempty"`
	ConversationStatus ConversationStatus `json:"conversation_status"`
	// Revision is the conversation's revision. The desk shows the effect of the command from this revision on.
	Revision int `json:"revision,omitempty"`
	// Unchanged is true if the effect was already there, because of an earlier command with another ID or without
	// one. A command repeated with its own ID returns its first outcome, without Unchanged.
	Unchanged bool `json:"unchanged,omitempty"`
}

// Result is the result of applying a command.
type Result struct {
	Outcome Outcome
	// Changed is false if the effect was already there.
	Changed bool
	// Stale is true if a match of the desk came too late. The desk has to release it.
	Stale bool
	// Events and Notes have to be sent to the desk.
	Events []Event
	Notes  []Note
}

// decision is what an allowed command will do. Its apply is nil if the effect is already there.
type decision struct {
	task     *Task
	transfer *Transfer
	stale    bool
	apply    func(*change)
}

// remembers is the number of commands with an ID that a conversation remembers.
const remembers = 100

// Check returns a refusal if the state alone is enough to refuse the command. It changes nothing. [State.Apply] may
// still refuse the command because of the desk's facts.
func (s *State) Check(c Command, now time.Time) error {
	if _, _, refusal := s.check(c, now); refusal != nil {
		return refusal
	}
	return nil
}

// Ask checks the command as [State.Check] does. It returns the query whose answer [State.Apply] needs, nil if it
// needs none.
func (s *State) Ask(c Command, now time.Time) (*FactsQuery, error) {
	d, _, refusal := s.check(c, now)
	if refusal != nil {
		return nil, refusal
	}
	asks, ok := c.(asking)
	if !ok || d.apply == nil {
		return nil, nil //nolint:nilnil // nil means: nothing to ask
	}
	query := asks.factsQuery(s)
	return &query, nil
}

// Apply carries the command out at the time now and raises the revision by one, or returns a [*Refusal] and changes
// nothing. Commands with a query (see [State.Ask]) need the desk's facts; facts is nil if the desk did not answer.
// Other commands ignore facts.
func (s *State) Apply(c Command, facts *Facts, now time.Time) (Result, error) {
	d, earlier, refusal := s.check(c, now)
	if refusal != nil {
		return Result{}, refusal
	}
	if earlier != nil {
		return Result{Outcome: s.outcome(s.Task(earlier.Task), s.Transfer(earlier.Transfer))}, nil
	}
	asks, ok := c.(asking)
	if !ok {
		facts = nil
	}
	if ok && d.apply != nil {
		if facts == nil {
			return Result{}, Refuse(CodeDeskUnavailable, Details{},
				"the desk did not answer or is too far behind, and nothing was changed: send the %s again in a moment", c.Name())
		}
		if refusal := asks.judge(s, facts); refusal != nil {
			return Result{}, refusal
		}
	}
	if d.apply == nil {
		outcome := s.outcome(d.task, d.transfer)
		outcome.Unchanged = true
		return Result{Outcome: outcome, Stale: d.stale}, nil
	}

	ch := &change{State: s, command: c.Name(), by: c.meta().By, now: now, facts: facts, task: d.task, transfer: d.transfer}
	if facts != nil {
		s.Settings = facts.Settings
	}
	d.apply(ch)
	ch.settle()
	s.Revision++
	ch.remember(c)
	return Result{Outcome: s.outcome(ch.task, ch.transfer), Changed: true, Events: ch.events, Notes: ch.notes}, nil
}

// check returns what the command would do, or the earlier command with the same ID.
func (s *State) check(c Command, now time.Time) (decision, *Remembered, *Refusal) {
	if refusal := c.valid(); refusal != nil {
		return decision{}, nil, refusal
	}
	if id := c.meta().CommandID; id != "" {
		if at := slices.IndexFunc(s.Remembered, func(r Remembered) bool { return r.ID == id }); at >= 0 {
			earlier := s.Remembered[at]
			if earlier.Hash != hashOf(c) {
				return decision{}, nil, Refuse(CodeInvalidPayload, Details{Field: "command_id"},
					"the command_id %q was used for another command: give each command an ID of its own", id)
			}
			return decision{}, &earlier, nil
		}
		if mayHaveForgotten(s.Remembered, c.meta().FirstSentAt) {
			return decision{}, nil, Refuse(CodeInvalidPayload, Details{Field: "command_id"},
				"whether the command %q was carried out is no longer known, because a hundred others were since it was first sent: "+
					"look at the conversation, and send what is still to be done under another command_id", id)
		}
	}
	d, refusal := c.decide(s, now)
	return d, nil, refusal
}

// remember keeps the command with its outcome, if it has an ID.
func (ch *change) remember(c Command) {
	id := c.meta().CommandID
	if id == "" {
		return
	}
	r := Remembered{ID: id, Hash: hashOf(c), At: ch.now}
	if ch.task != nil {
		r.Task = ch.task.SID
	}
	if ch.transfer != nil {
		r.Transfer = ch.transfer.SID
	}
	ch.Remembered = append(ch.Remembered, r)
	if extra := len(ch.Remembered) - remembers; extra > 0 {
		ch.Remembered = slices.Delete(ch.Remembered, 0, extra)
	}
}

// mayHaveForgotten reports whether a command first sent at that time may have been carried out and forgotten. This
// is so if all remembered commands, oldest first, are newer. A clock difference of some seconds matters only if a
// hundred commands came within those seconds.
func mayHaveForgotten(remembered []Remembered, sent time.Time) bool {
	return !sent.IsZero() && len(remembered) >= remembers && remembered[0].At.After(sent)
}

// outcome copies the task and the transfer, so that an answer being sent does not change with the state.
func (s *State) outcome(task *Task, transfer *Transfer) Outcome {
	return Outcome{Task: task.clone(), Transfer: transfer.clone(), ConversationStatus: s.Status, Revision: s.Revision}
}

func (t *Task) clone() *Task {
	if t == nil {
		return nil
	}
	c := *t
	if t.Reservation != nil {
		r := *t.Reservation
		c.Reservation = &r
	}
	return &c // attributes are shared: they are never changed in place
}

func (t *Transfer) clone() *Transfer {
	if t == nil {
		return nil
	}
	c := *t
	return &c
}

// Snapshot returns the conversation for the desk. It contains the tasks and transfers that have not ended or that
// the events mention, and the events and notes themselves.
func (s *State) Snapshot(events []Event, notes []Note) Snapshot {
	return s.snapshot(events, notes, false)
}

// WholeSnapshot is a [State.Snapshot] with every task and transfer of the state. The desk ends others that it
// shows.
func (s *State) WholeSnapshot(events []Event, notes []Note) Snapshot {
	return s.snapshot(events, notes, true)
}

func (s *State) snapshot(events []Event, notes []Note, whole bool) Snapshot {
	p := Snapshot{
		Conversation: s.Conversation, Status: s.Status, Channel: s.Channel, Customer: s.Customer, Revision: s.Revision,
		CreatedAt: s.CreatedAt, ClosedAt: s.ClosedAt, LastEvent: s.Events, Whole: whole, Tasks: []*Task{}, Transfers: []*Transfer{},
		Notes: notes, Events: events,
	}
	for _, t := range s.Tasks {
		if whole || t.Status.Live() || slices.ContainsFunc(events, func(e Event) bool { return e.Task == t.SID }) {
			p.Tasks = append(p.Tasks, t.clone())
		}
	}
	for _, t := range s.Transfers {
		if whole || t.Status == TransferActive || slices.ContainsFunc(events, func(e Event) bool { return e.Transfer == t.SID }) {
			p.Transfers = append(p.Transfers, t.clone())
		}
	}
	return p
}
