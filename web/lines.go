package web

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// line is one line of a thread: a message, or something that was done.
type line struct {
	// ID is the line's own on the page, for as long as it says the same. Number is the message's, 0 for what was done.
	ID     string
	Number int
	At     time.Time
	// Author is who wrote it as people read the name, empty for what was done. Mine is set for the reader's own.
	Author string
	Mine   bool
	// Customer and System tell whose message it is, where it is no agent's.
	Customer, System bool
	Text             string
	// Note is what agents see below it.
	Note string
	// Edited is set for a message that was changed afterwards.
	Edited bool
}

// done says whether it is something that was done.
func (l line) Done() bool { return l.Author == "" && !l.System }

// forAgents are the lines of a thread as agents and supervisors see them, for the one of that name.
func forAgents(t desk.Thread, reader string) []line {
	named := names{t.Names}
	lines := messages(t, func(m desk.Message) bool { return m.From == reader }, cmp.Or(t.Conversation.Customer.Name, "Customer"))
	notes := map[string]string{}
	for _, n := range t.Notes {
		notes[n.SID] = n.Text
		if n.Kind == conversation.NoteWrapup {
			lines = append(lines, line{At: n.CreatedAt, Text: named.Agent(n.Author) + " left a wrapup note", Note: n.Text})
		}
	}
	for _, x := range t.Transfers {
		lines = append(lines, line{At: x.CreatedAt, Text: named.Agent(x.From) + " transferred this to " + named.target(x.To), Note: notes[x.Note]})
		if x.Status == conversation.TransferFailed {
			lines = append(lines, line{At: x.EndedAt, Text: "The transfer to " + named.target(x.To) + " ended: " + because(x.FailureReason)})
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
		lines = append(lines, line{At: task.AssignedAt, Text: named.Agent(task.Agent) + did})
	}
	for _, e := range t.Events {
		if a, ok := attemptOf(e); ok {
			lines = append(lines, line{At: a.At, Text: strings.TrimSuffix(attempted(named, a), ".")})
		}
	}
	lines = inOrder(lines)
	if t.Conversation.Status != conversation.ConversationActive {
		lines = append(lines, line{Text: "Chat ended."})
	}
	return identified(lines)
}

// attemptOf is the offer that an event says was not accepted; false for other events.
func attemptOf(e conversation.Event) (desk.Attempt, bool) {
	a := desk.Attempt{Reservation: e.Reservation, Agent: e.Agent, At: e.At}
	switch e.Name { //nolint:exhaustive // the others are about no offer that failed
	case conversation.EventReservationRejected:
		if a.Reason, a.Words = conversation.ReasonDeclined, e.Reason; e.Cause == conversation.CauseUnavailable {
			a.Reason, a.Words = conversation.ReasonAgentUnavailable, ""
		}
	case conversation.EventReservationTimeout:
		a.Reason = conversation.ReasonExpired
	default:
		return desk.Attempt{}, false
	}
	return a, true
}

// forCustomer are the lines of a thread as its customer sees them: never a note, and nothing of what
// agents do among themselves but who is there for them.
func forCustomer(t desk.Thread) []line {
	named := names{t.Names}
	lines := messages(t, func(m desk.Message) bool { return m.From == desk.FromCustomer }, "You")
	for _, x := range t.Transfers {
		lines = append(lines, line{At: x.CreatedAt, Text: "We’re connecting you with a colleague"})
		if x.Status == conversation.TransferFailed && x.FailureReason != conversation.ReasonConversationClosed {
			lines = append(lines, line{At: x.EndedAt, Text: "We could not connect you with a colleague"})
		}
	}
	for _, task := range t.Tasks {
		if !task.AssignedAt.IsZero() {
			lines = append(lines, line{At: task.AssignedAt, Text: "You are talking to " + named.Agent(task.Agent)})
		}
	}
	return identified(inOrder(lines))
}

func messages(t desk.Thread, mine func(desk.Message) bool, customer string) []line {
	lines := make([]line, 0, len(t.Messages))
	for _, m := range t.Messages {
		l := line{ID: "message-" + m.SID, Number: m.Number, At: m.At, Author: t.Names.Agent(m.From), Mine: mine(m), Text: m.Text, Edited: !m.UpdatedAt.IsZero()}
		switch m.From {
		case desk.FromCustomer:
			l.Author, l.Customer = cmp.Or(conversation.CleanName(m.Identity), customer), true
		case desk.FromSystem:
			l.Author, l.System = "", true
		}
		lines = append(lines, l)
	}
	return lines
}

// identified gives each line without an ID one that is made of what it says: a page that shows it again finds the
// same element, and changes nothing.
func identified(lines []line) []line {
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

// inOrder sorts by time; what is of one moment stays in the order it was told in.
func inOrder(lines []line) []line {
	slices.SortStableFunc(lines, func(a, b line) int { return a.At.Compare(b.At) })
	return lines
}

// because says a reason of Baton's in words.
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
