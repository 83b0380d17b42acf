package words

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/records"
)

// Line is one line of a thread: a message or an action.
type Line struct {
	// ID is the element ID; it is the same while the line says the same. Number is the message's number, 0 for an
	// action.
	ID     string
	Number int
	At     time.Time
	// Author is the display name of the author, "" for an action. Mine is set for the reader's own messages.
	Author string
	Mine   bool
	// Customer and System are set for a message of the customer and of the system; neither is set for an agent's.
	Customer, System bool
	Text             string
	// Note is the note that agents see below the line.
	Note string
	// Edited is set for a message that was changed later.
	Edited bool
}

// Done reports whether the line is an action.
func (l Line) Done() bool { return l.Author == "" && !l.System }

// ForAgents returns the lines of a thread as agents and supervisors see them. reader is the name of the agent who
// reads.
func ForAgents(t records.Thread, reader string) []Line {
	named := Names{t.Names}
	lines := messages(t, func(m records.Message) bool { return m.From == reader }, cmp.Or(t.Conversation.Customer.Name, "Customer"))
	notes := map[string]string{}
	for _, n := range t.Notes {
		notes[n.SID] = n.Text
		if n.Kind == conversation.NoteWrapup {
			lines = append(lines, Line{At: n.CreatedAt, Text: named.Agent(n.Author) + " left a wrap-up note", Note: n.Text})
		}
	}
	for _, x := range t.Transfers {
		lines = append(lines, Line{At: x.CreatedAt, Text: named.Agent(x.From) + " transferred this to " + named.Target(x.To), Note: notes[x.Note]})
		if x.Status == conversation.TransferFailed {
			lines = append(lines, Line{At: x.EndedAt, Text: "The transfer to " + named.Target(x.To) + " ended: " + because(x.FailureReason)})
		}
	}
	for _, task := range t.Tasks {
		if task.AssignedAt.IsZero() {
			continue
		}
		did := " accepted"
		if task.Transfer != "" {
			did = " took over"
		}
		lines = append(lines, Line{At: task.AssignedAt, Text: named.Agent(task.Agent) + did})
	}
	for _, e := range t.Events {
		if a, ok := attemptOf(e); ok {
			lines = append(lines, Line{At: a.At, Text: strings.TrimSuffix(attempted(named, a), ".")})
		}
	}
	lines = inOrder(lines)
	if t.Conversation.Status != conversation.ConversationActive {
		ended := "Conversation ended."
		if t.Conversation.Channel == conversation.ChannelWeb {
			ended = "Chat ended."
		}
		lines = append(lines, Line{Text: ended})
	}
	return identified(lines)
}

// attemptOf returns the failed offer that the event records; false for other events.
func attemptOf(e conversation.Event) (records.Attempt, bool) {
	a := records.Attempt{Reservation: e.Reservation, Agent: e.Agent, At: e.At}
	switch e.Name { //nolint:exhaustive // the other events record no failed offer
	case conversation.EventReservationRejected:
		if a.Reason, a.Words = conversation.ReasonDeclined, e.Reason; e.Cause == conversation.CauseUnavailable {
			a.Reason, a.Words = conversation.ReasonAgentUnavailable, ""
		}
	case conversation.EventReservationTimeout:
		a.Reason = conversation.ReasonExpired
	default:
		return records.Attempt{}, false
	}
	return a, true
}

// ForCustomer returns the lines of a thread as its customer sees them: no notes, and nothing about the work of
// agents except which agent the customer talks to.
func ForCustomer(t records.Thread) []Line {
	named := Names{t.Names}
	lines := messages(t, func(m records.Message) bool { return m.From == records.FromCustomer }, "You")
	for _, x := range t.Transfers {
		lines = append(lines, Line{At: x.CreatedAt, Text: "We’re connecting you with a colleague"})
		unanswered := []conversation.Reason{conversation.ReasonDeclined, conversation.ReasonExpired, conversation.ReasonTaskTimeout}
		if x.Status == conversation.TransferFailed && slices.Contains(unanswered, x.FailureReason) {
			lines = append(lines, Line{At: x.EndedAt, Text: "We could not connect you with a colleague"})
		}
	}
	for _, task := range t.Tasks {
		if !task.AssignedAt.IsZero() {
			lines = append(lines, Line{At: task.AssignedAt, Text: "You are talking to " + named.Agent(task.Agent)})
		}
	}
	return identified(inOrder(lines))
}

func messages(t records.Thread, mine func(records.Message) bool, customer string) []Line {
	lines := make([]Line, 0, len(t.Messages))
	for _, m := range t.Messages {
		l := Line{ID: "message-" + m.SID, Number: m.Number, At: m.At, Author: t.Names.Agent(m.From), Mine: mine(m), Text: m.Text, Edited: !m.UpdatedAt.IsZero()}
		switch m.From {
		case records.FromCustomer:
			l.Author, l.Customer = cmp.Or(conversation.CleanName(m.Identity), customer), true
		case records.FromSystem:
			l.Author, l.System = "", true
		}
		lines = append(lines, l)
	}
	return lines
}

// identified gives each line without an ID an ID derived from its time and text. A page that shows the line again
// finds the same element and leaves it unchanged.
func identified(lines []Line) []Line {
	taken := map[string]int{}
	for i := range lines {
		l := &lines[i]
		if l.ID != "" {
			continue
		}
		sum := sha256.Sum256([]byte(l.At.UTC().Format(time.RFC3339Nano) + "\n" + l.Text))
		l.ID = "line-" + hex.EncodeToString(sum[:8])
		if taken[l.ID]++; taken[l.ID] > 1 {
			l.ID += "-" + strconv.Itoa(taken[l.ID])
		}
	}
	return lines
}

// inOrder sorts lines by time. Lines of the same time keep their order.
func inOrder(lines []Line) []Line {
	slices.SortStableFunc(lines, func(a, b Line) int { return a.At.Compare(b.At) })
	return lines
}

// because returns the words for one of Baton's reasons.
func because(reason conversation.Reason) string {
	switch reason {
	case conversation.ReasonDeclined:
		return "it was declined"
	case conversation.ReasonExpired:
		return "no agent answered in time"
	case conversation.ReasonCanceled:
		return "the sender canceled it"
	case conversation.ReasonTaskTimeout:
		return "it waited for too long"
	case conversation.ReasonConversationClosed:
		return "the conversation was closed"
	case conversation.ReasonAgentUnavailable:
		return "the agent is not available"
	case conversation.ReasonWorkflowEnded:
		return "the conversation was ended from outside Baton"
	case conversation.ReasonReset:
		return "the conversation was set back to before it"
	}
	return string(reason)
}
