package conversation_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// A story is a conversation written in steps, such as
//
//	start · reserve alice · accept alice · transfer alice→bob note=Hi · accept bob
//
// Steps go through Decode like the commands of a service. Each is checked against the invariants, and the state
// survives a JSON round trip. Targets are agents or, with a #, queues. T1, T2 … and U1, U2 … are tasks and
// transfers in order of creation, R1, R2 … the last reservations of those tasks. T0, U0 and R0 do not exist in this
// conversation. Any field of a payload may follow as key=value. Other steps change the surroundings:
//
//	set unanswered=sender   the administrator changes a setting; the next facts bring it
//	away bob · back bob     an agent's activity
//	plugin acme             a plugin that transfers conversations is enabled; `plugin` alone disables it
//	silent · answering      the desk doesn't answer; it does again
//	later 30s               time passes
//	due                     time passes until the earliest deadline, and the timer fires
type story struct {
	t     *testing.T
	state *conversation.State
	desk  *storyDesk
	now   time.Time
	// last is the result of the last step, and events and notes are all so far.
	last     conversation.Result
	events   []conversation.Event
	notes    []conversation.Note
	sent     conversation.Command
	tampered bool
}

const (
	storyConversation = "CH0123456789abcdef0123456789abcdef"
	storedNote        = "KQ11111111111111111111111111111111"
)

var monday = time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)

// storyDesk has the agents alice, bob and carol, and the queues support, billing and night. No agent works on
// night.
type storyDesk struct {
	settings conversation.Settings
	plugin   string
	away     map[string]bool
	silent   bool
}

func (d *storyDesk) facts(q *conversation.FactsQuery) *conversation.Facts {
	if q == nil || d.silent {
		return nil
	}
	members := map[string]int{"support": 1, "billing": 1, "night": 0}
	n, queueKnown := members[q.Queue]
	agentKnown := q.Agent == "alice" || q.Agent == "bob" || q.Agent == "carol"
	return &conversation.Facts{
		Settings: d.settings, Plugin: d.plugin,
		AgentKnown: agentKnown, AgentAvailable: agentKnown && !d.away[q.Agent],
		QueueKnown: queueKnown, QueueMembers: n, NoteKnown: q.Note == storedNote,
	}
}

func bothSwitchesOn() conversation.Settings {
	settings := conversation.DefaultSettings()
	settings.MessagingTransfers, settings.TransferNotes = true, true
	return settings
}

// tell runs a story in which nothing is refused.
func tell(t *testing.T, steps string) *story {
	t.Helper()
	s := &story{
		t: t, state: &conversation.State{}, now: monday,
		desk: &storyDesk{settings: bothSwitchesOn(), away: map[string]bool{}},
	}
	return s.then(steps)
}

// then continues the story.
func (s *story) then(steps string) *story {
	s.t.Helper()
	for step := range strings.SplitSeq(steps, "·") {
		require.NoError(s.t, s.try(strings.TrimSpace(step)), "step %q of %q", step, steps)
	}
	return s
}

// refuses runs one step that must be refused.
func (s *story) refuses(step string) *conversation.Refusal {
	s.t.Helper()
	var refusal *conversation.Refusal
	require.ErrorAs(s.t, s.try(step), &refusal, "step %q", step)
	return refusal
}

func (s *story) try(step string) error {
	s.t.Helper()
	verb, rest, _ := strings.Cut(step, " ")
	key, value, _ := strings.Cut(rest, "=")
	switch verb {
	case "set":
		encoded, err := json.Marshal(s.desk.settings)
		require.NoError(s.t, err)
		fields := map[string]any{}
		require.NoError(s.t, json.Unmarshal(encoded, &fields))
		require.Contains(s.t, fields, key)
		fields[key] = value
		if n, err := strconv.Atoi(value); err == nil {
			fields[key] = n
		} else if value == "on" || value == "off" {
			fields[key] = value == "on"
		}
		encoded, err = json.Marshal(fields)
		require.NoError(s.t, err)
		require.NoError(s.t, json.Unmarshal(encoded, &s.desk.settings))
	case "away", "back":
		s.desk.away[rest] = verb == "away"
	case "plugin":
		s.desk.plugin = rest
	case "silent", "answering":
		s.desk.silent = verb == "silent"
	case "later":
		d, err := time.ParseDuration(rest)
		require.NoError(s.t, err)
		s.now = s.now.Add(d)
	case "due":
		deadline, ok := s.state.Deadline()
		require.True(s.t, ok, "nothing is due")
		s.now = deadline.At
		return s.send(conversation.ExpireCommand{})
	case "expire":
		return s.send(conversation.ExpireCommand{})
	default:
		payload, err := json.Marshal(s.payload(verb, strings.Fields(rest)))
		require.NoError(s.t, err)
		command, err := conversation.Decode(conversation.CommandName(verb), payload, "")
		if err != nil {
			return err
		}
		return s.send(command)
	}
	return nil
}

// payload encodes a command's payload as a service would send it.
func (s *story) payload(verb string, words []string) map[string]any {
	payload := map[string]any{}
	switch verb {
	case "start":
		payload["conversation"], payload["channel"], payload["queue"] = storyConversation, "web", "support"
		payload["customer"] = map[string]string{"name": "Crystal Minh", "address": "web:crystal"}
	case "reserve":
		for _, task := range s.state.Tasks {
			if task.Status == conversation.TaskPending {
				payload["task"], payload["placement"] = task.SID, task.PendingSeq
			}
		}
	}
	for _, word := range words {
		key, value, isField := strings.Cut(word, "=")
		from, to, isPassing := strings.Cut(word, "→")
		switch {
		case isField && (key == "priority" || key == "placement"):
			n, err := strconv.Atoi(value)
			require.NoError(s.t, err)
			payload[key] = n
		case isField && key == "attributes":
			payload[key] = json.RawMessage(value)
		case isField:
			payload[key] = s.sid(value)
		case isPassing:
			if from != "" {
				payload["from"] = from
			}
			if queue, isQueue := strings.CutPrefix(to, "#"); isQueue {
				payload["to"] = map[string]string{"queue": queue}
			} else if workflow, isWorkflow := strings.CutPrefix(to, "workflow:"); isWorkflow {
				payload["to"] = map[string]string{"workflow": workflow}
			} else {
				payload["to"] = map[string]string{"agent": to}
			}
		default:
			payload["agent"] = word
		}
	}
	return payload
}

// send carries out a command with the desk's answer, and checks the step.
func (s *story) send(command conversation.Command) error {
	s.t.Helper()
	before := roundTrip(s.t, s.state)
	query, askErr := s.state.Ask(command, s.now)
	facts := s.desk.facts(query)
	result, err := s.state.Apply(command, facts, s.now)
	if askErr != nil {
		require.Equal(s.t, askErr, err, "Ask and Apply refuse alike")
		require.Equal(s.t, askErr, s.state.Check(command, s.now), "Check and Ask refuse alike")
	}
	s.sent = command
	if err != nil {
		require.Equal(s.t, encoded(s.t, before), encoded(s.t, s.state), "a refused command changes nothing")
	} else {
		s.last = result
		s.events, s.notes = append(s.events, result.Events...), append(s.notes, result.Notes...)
	}
	if !s.tampered {
		require.NoError(s.t, checkStep(step{
			before: before, command: command, facts: facts, now: s.now, after: s.state, result: result, err: err,
		}))
	}
	require.Equal(s.t, encoded(s.t, s.state), encoded(s.t, roundTrip(s.t, s.state)), "the state survives JSON")
	return err
}

// sid replaces T1, U1 and R1 by their SIDs, and returns other words unchanged.
func (s *story) sid(word string) string {
	if len(word) != 2 || word[1] < '0' || word[1] > '9' {
		return word
	}
	n := int(word[1] - '0')
	switch {
	case word[0] == 'T' && n == 0:
		return conversation.PrefixTask + strings.Repeat("0", 32)
	case word[0] == 'U' && n == 0:
		return conversation.PrefixTransfer + strings.Repeat("0", 32)
	case word[0] == 'R' && n == 0:
		return conversation.PrefixReservation + strings.Repeat("0", 32)
	case word[0] == 'R' && n <= len(s.state.Tasks) && s.state.Tasks[n-1].Reservation != nil:
		return s.state.Tasks[n-1].Reservation.SID
	case word[0] == 'T' && n <= len(s.state.Tasks):
		return s.state.Tasks[n-1].SID
	case word[0] == 'U' && n <= len(s.state.Transfers):
		return s.state.Transfers[n-1].SID
	}
	return word
}

// readable replaces SIDs by T1 and U1.
func (s *story) readable(text string) string {
	for i, task := range s.state.Tasks {
		text = strings.ReplaceAll(text, task.SID, "T"+strconv.Itoa(i+1))
	}
	for i, transfer := range s.state.Transfers {
		text = strings.ReplaceAll(text, transfer.SID, "U"+strconv.Itoa(i+1))
	}
	text = strings.ReplaceAll(text, conversation.PrefixTask+strings.Repeat("0", 32), "T0")
	return strings.ReplaceAll(text, conversation.PrefixTransfer+strings.Repeat("0", 32), "U0")
}

// summary returns a summary of the conversation, as an operator would write it.
func (s *story) summary() string { return s.readable(summary(s.state)) }

// newEvents returns the names of the events of the last step.
func (s *story) newEvents() string {
	var names []string
	for _, event := range s.last.Events {
		names = append(names, string(event.Name))
	}
	return strings.Join(names, " ")
}

func (s *story) task(n int) *conversation.Task         { return s.state.Tasks[n-1] }
func (s *story) transfer(n int) *conversation.Transfer { return s.state.Transfers[n-1] }

// summary describes a state in one line: its status, tasks and transfers.
func summary(s *conversation.State) string {
	parts := []string{string(s.Status)}
	for _, task := range s.Tasks {
		who := task.Agent
		switch {
		case who == "":
			who = "#" + task.Queue
		case task.Queue != "support":
			who += "@" + task.Queue
		}
		line := fmt.Sprintf("%s %s %s", task.SID, who, task.Status)
		if task.Status == conversation.TaskPending && task.Head {
			line += " head"
		}
		if reason := string(task.CanceledReason) + task.Disposition; reason != "" {
			line += " (" + reason + ")"
		}
		parts = append(parts, line)
	}
	for _, transfer := range s.Transfers {
		to := transfer.To.Agent
		if transfer.To.Queue != "" {
			to = "#" + transfer.To.Queue
		}
		line := fmt.Sprintf("%s %s→%s %s", transfer.SID, transfer.From, to, transfer.Status)
		if transfer.AcceptedBy != "" && transfer.AcceptedBy != transfer.To.Agent {
			line += " by " + transfer.AcceptedBy
		}
		if transfer.FailureReason != "" {
			line += " (" + string(transfer.FailureReason) + ")"
		}
		parts = append(parts, line)
	}
	return strings.Join(parts, " · ")
}

func encoded(t *testing.T, s *conversation.State) string {
	t.Helper()
	raw, err := json.Marshal(s)
	require.NoError(t, err)
	return string(raw)
}

// roundTrip encodes and decodes a state, as continue-as-new does.
func roundTrip(t *testing.T, s *conversation.State) *conversation.State {
	t.Helper()
	var next conversation.State
	require.NoError(t, json.Unmarshal([]byte(encoded(t, s)), &next))
	return &next
}

// codeOf returns the refusal's code, "" if the command was carried out.
func codeOf(err error) conversation.Code {
	return conversation.CodeOf(err)
}
