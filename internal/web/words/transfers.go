package words

import (
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/records"
)

// Notice says what happened to a transfer.
type Notice struct {
	// SID is the ID to dismiss the notice with.
	SID string
	// Customer is the customer's name, Text the outcome.
	Customer, Text string
	// Link is the address of the conversation, "" if the agent may no longer open it.
	Link string
	// Failed is set if the transfer was not accepted.
	Failed bool
}

// NoticeOf returns the notice for the sender of a transfer; false while the transfer has no outcome to report.
func NoticeOf(named Names, sent records.SentTransfer) (Notice, bool) {
	switch x := sent.Transfer; x.Status {
	case conversation.TransferActive:
		if sent.Attempt == nil {
			return Notice{}, false
		}
		return Notice{SID: sent.Attempt.Reservation, Text: Standing(named, sent), Failed: true}, true
	case conversation.TransferCompleted:
		text := named.Agent(x.AcceptedBy) + " accepted."
		if x.To.Agent != "" && x.To.Agent != x.AcceptedBy {
			text = named.Agent(x.AcceptedBy) + " accepted instead of " + named.Agent(x.To.Agent) + "."
		}
		return Notice{SID: x.SID, Text: text}, true
	case conversation.TransferFailed:
		return Notice{SID: x.SID, Text: failed(named, sent), Failed: true}, true
	}
	return Notice{}, false
}

// Standing returns the state of an active transfer: the outcome of its last offer, and where its task is now. It
// returns "" before an offer has failed.
func Standing(named Names, sent records.SentTransfer) string {
	if sent.Attempt == nil {
		return ""
	}
	return attempted(named, *sent.Attempt) + " Now " + whereabouts(named, sent.Task) + "."
}

// attempted returns the outcome of an offer that was not accepted, as a sentence.
func attempted(named Names, a records.Attempt) string {
	agent := named.Agent(a.Agent)
	switch {
	case a.Reason == conversation.ReasonExpired:
		return agent + " did not answer in time."
	case a.Reason == conversation.ReasonAgentUnavailable:
		return agent + " is no longer available."
	case a.Words != "":
		return agent + " declined: ‘" + Isolated(a.Words) + "’."
	}
	return agent + " declined."
}

// whereabouts returns where a task is.
func whereabouts(named Names, task conversation.Task) string {
	switch {
	case task.Status == conversation.TaskReserved:
		return "offered to " + named.Agent(task.Agent)
	case task.Status == conversation.TaskAssigned:
		return "with " + named.Agent(task.Agent)
	case task.Direct:
		return "waiting for " + named.Agent(task.Agent)
	}
	return "waiting in " + named.Queue(task.Queue)
}

// failed says why a transfer failed, and whether its sender has the conversation again.
func failed(named Names, sent records.SentTransfer) string {
	x := sent.Transfer
	text := "The transfer to " + named.Target(x.To) + " failed: " + because(x.FailureReason) + "."
	switch x.FailureReason {
	case conversation.ReasonDeclined, conversation.ReasonExpired:
		if sent.Attempt != nil {
			text = attempted(named, *sent.Attempt)
		}
	case conversation.ReasonCanceled:
		text = "The transfer to " + named.Target(x.To) + " was canceled."
	case conversation.ReasonTaskTimeout:
		text = "The transfer to " + named.Target(x.To) + " waited for too long."
	case conversation.ReasonConversationClosed:
		text = "The conversation was closed before the transfer to " + named.Target(x.To) + " was accepted."
	case conversation.ReasonWorkflowEnded, conversation.ReasonReset: // text says it already
	case conversation.ReasonAgentUnavailable: // a reason of offers, never of transfers
	}
	for _, task := range sent.Conversation.Live {
		if task.Agent == x.From && task.Status == conversation.TaskAssigned {
			return text + " You have the conversation again."
		}
	}
	return text
}
