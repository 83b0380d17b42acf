package conversation

import (
	"fmt"
	"slices"
	"strings"
)

// transition is a legal change of a status, and the commands that may make it.
type transition[S ~string] struct {
	from, to S
	by       []CommandName
}

//go:generate go run -C ../tools/generate .

// The tables below contain every legal change of status. Any other change is a bug and panics. The diagrams in
// docs/architecture.md are generated from these tables.

var taskTransitions = []transition[TaskStatus]{
	{"", TaskPending, []CommandName{CommandStart, CommandTransfer, CommandCancel}},
	{TaskPending, TaskReserved, []CommandName{CommandStart, CommandReserve, CommandTransfer, CommandMove}},
	{TaskReserved, TaskPending, []CommandName{CommandDecline, CommandExpire, CommandMove}},
	{TaskReserved, TaskAssigned, []CommandName{CommandAccept}},
	{TaskAssigned, TaskWrapping, []CommandName{CommandTransfer, CommandEnd, CommandClose}},
	// Only when the task's own transfer fails.
	{TaskWrapping, TaskAssigned, []CommandName{CommandCancel, CommandDecline, CommandExpire}},
	{TaskWrapping, TaskCompleted, []CommandName{CommandWrapup, CommandExpire}},
	{TaskPending, TaskCanceled, []CommandName{CommandCancel, CommandClose, CommandExpire}},
	{TaskReserved, TaskCanceled, []CommandName{CommandCancel, CommandClose, CommandDecline, CommandExpire}},
}

var reservationTransitions = []transition[ReservationStatus]{
	{"", ReservationPending, []CommandName{CommandStart, CommandReserve, CommandTransfer, CommandMove}},
	{ReservationPending, ReservationAccepted, []CommandName{CommandAccept}},
	{ReservationPending, ReservationRejected, []CommandName{CommandDecline}},
	{ReservationPending, ReservationTimeout, []CommandName{CommandExpire}},
	{ReservationPending, ReservationCanceled, []CommandName{CommandCancel, CommandClose, CommandExpire}},
	{ReservationPending, ReservationRescinded, []CommandName{CommandMove}},
	{ReservationAccepted, ReservationWrapping, []CommandName{CommandTransfer, CommandEnd, CommandClose}},
	{ReservationWrapping, ReservationAccepted, []CommandName{CommandCancel, CommandDecline, CommandExpire}},
	{ReservationWrapping, ReservationCompleted, []CommandName{CommandWrapup, CommandExpire}},
}

var transferTransitions = []transition[TransferStatus]{
	{"", TransferActive, []CommandName{CommandTransfer}},
	{TransferActive, TransferCompleted, []CommandName{CommandAccept}},
	{TransferActive, TransferFailed, []CommandName{CommandCancel, CommandClose, CommandDecline, CommandExpire}},
}

var conversationTransitions = []transition[ConversationStatus]{
	{"", ConversationActive, []CommandName{CommandStart}},
	{ConversationActive, ConversationWrapping, []CommandName{CommandEnd, CommandClose, CommandExpire}},
	{ConversationWrapping, ConversationClosed, []CommandName{CommandWrapup, CommandClose, CommandExpire}},
}

// advance changes *status, and panics if the command may not make this change.
func advance[S ~string](table []transition[S], status *S, to S, by CommandName) {
	for _, t := range table {
		if t.from == *status && t.to == to && slices.Contains(t.by, by) {
			*status = to
			return
		}
	}
	panic(fmt.Sprintf("%s may not turn %q into %q", by, *status, to))
}

// Diagrams returns the state machines as Mermaid state diagrams, made from the tables above.
func Diagrams() []Diagram {
	return []Diagram{
		{"Task", mermaid(taskTransitions, TaskCompleted, TaskCanceled)},
		{"Transfer", mermaid(transferTransitions, TransferCompleted, TransferFailed)},
		{"Conversation", mermaid(conversationTransitions, ConversationClosed)},
	}
}

func mermaid[S ~string](table []transition[S], ends ...S) string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	for _, t := range table {
		from := string(t.from)
		if from == "" {
			from = "[*]"
		}
		fmt.Fprintf(&b, "    %s --> %s: %s\n", from, t.to, joinNames(t.by))
	}
	for _, end := range ends {
		fmt.Fprintf(&b, "    %s --> [*]\n", end)
	}
	return b.String()
}

// Diagram is a state diagram in Mermaid's language.
type Diagram struct{ Title, Mermaid string }
