package words

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/records"
)

// Happening is one line of a conversation's timeline.
type Happening struct {
	At   time.Time
	Text string
	// Until is when the offer expires, zero for other events.
	Until time.Time
	// Name is the event's name, "" if the line is not an event.
	Name conversation.EventName
	// Refused is set for something that failed: a refused command, an offer that was not accepted, a failed
	// transfer.
	Refused bool
}

// inVain are the events that record a failure.
var inVain = []conversation.EventName{
	conversation.EventReservationRejected, conversation.EventReservationTimeout, conversation.EventReservationCanceled,
	conversation.EventReservationRescinded, conversation.EventTransferFailed, conversation.EventTransferCanceled,
	conversation.EventTransferAttemptFailed, conversation.EventTaskCanceled,
}

// Timeline returns everything that happened in the conversation, in order: the events of its history, and the
// refused commands, which the history does not contain.
func Timeline(t records.Thread) []Happening {
	var told []Happening
	named := Names{t.Names}
	for _, e := range t.Events {
		h := Happening{At: e.At, Text: inWords(t, e), Name: e.Name, Refused: slices.Contains(inVain, e.Name)}
		if e.Name == conversation.EventReservationCreated {
			h.Until = e.ExpiresAt
		}
		told = append(told, h)
	}
	for _, r := range t.Refused {
		text := "was refused: " + strings.ReplaceAll(string(r.Code), "_", " ")
		if r.Code == conversation.CodeWrapupPending {
			text = "was refused the accept: their wrap-up is not complete"
		}
		told = append(told, Happening{At: r.At, Text: named.Agent(r.Agent) + " " + text, Refused: true})
	}
	slices.SortStableFunc(told, func(a, b Happening) int { return a.At.Compare(b.At) })
	return told
}

// inWords describes an event in words.
func inWords(t records.Thread, e conversation.Event) string {
	named := Names{t.Names}
	agent, queue := cmp.Or(named.Agent(e.Agent), "no agent"), named.Queue(e.Queue)
	why := ""
	if e.Reason != "" {
		why = ": " + Isolated(because(conversation.Reason(e.Reason)))
	}
	words := "" // an agent's words, even if they equal one of Baton's reasons
	if e.Reason != "" {
		words = ": " + Isolated(e.Reason)
	}
	said := string(e.Name)
	switch e.Name {
	case conversation.EventTaskCreated:
		said = "A task in " + queue
	case conversation.EventTaskUpdated:
		said = "The task continues" + why
		if e.To != (conversation.Target{}) {
			said = "Moved to " + named.Target(e.To)
		}
	case conversation.EventTaskWrapup:
		said = agent + " wraps up"
	case conversation.EventTaskCompleted:
		said = agent + " completed the wrap-up" + words
		if e.Reason == conversation.DispositionTimeout {
			said = agent + "’s wrap-up was completed automatically"
		}
	case conversation.EventTaskCanceled:
		said = "The task was canceled" + why
	case conversation.EventTaskQueueEntered:
		said = "It waits in " + queue
	case conversation.EventTransferInitiated:
		said = agent + " passed it on to " + toWhom(t, e)
	case conversation.EventTransferAttemptFailed:
		said = "The transfer was not accepted" + why
	case conversation.EventTransferFailed:
		said = "The transfer failed" + why
	case conversation.EventTransferCanceled:
		said = "The transfer was canceled"
	case conversation.EventTransferCompleted:
		said = "The transfer is complete: " + agent + " has it"
	case conversation.EventReservationCreated:
		said = "Offered to " + agent
	case conversation.EventReservationAccepted:
		said = agent + " accepted"
	case conversation.EventReservationRejected:
		said = agent + " declined" + words
		if e.Cause == conversation.CauseUnavailable {
			said = agent + " is no longer available"
		}
	case conversation.EventReservationTimeout:
		said = agent + " let the offer expire"
	case conversation.EventReservationCanceled:
		said = "The offer to " + agent + " was canceled" + why
	case conversation.EventReservationRescinded:
		said = "The offer to " + agent + " was withdrawn"
	case conversation.EventReservationWrapup:
		said = agent + "’s turn is over"
	case conversation.EventReservationCompleted:
		said = agent + " is done"
	}
	if e.By != "" {
		said += " (by " + named.Agent(e.By) + ")"
	}
	return said
}

// toWhom returns the name of the target of the event's transfer.
func toWhom(t records.Thread, e conversation.Event) string {
	for _, x := range t.Transfers {
		if x.Task == e.Task {
			return Names{t.Names}.Target(x.To)
		}
	}
	return Names{t.Names}.Queue(e.Queue)
}
