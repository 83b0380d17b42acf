package workflows

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/baton-transfers/baton/conversation"
)

// searchable holds the values of the search attributes.
type searchable struct {
	status, channel, queue string
	agents, wrapping       []string
	transfers              int64
}

func searchableOf(s *conversation.State) searchable {
	v := searchable{
		status: string(s.Status), channel: string(s.Channel), transfers: int64(s.HadTransfers()),
		agents: []string{}, wrapping: []string{},
	}
	for _, t := range s.Tasks {
		switch t.Status {
		case conversation.TaskPending:
			v.queue = t.Queue
		case conversation.TaskReserved, conversation.TaskAssigned:
			v.queue = t.Queue
			v.agents = append(v.agents, t.Agent)
		case conversation.TaskWrapping:
			v.wrapping = append(v.wrapping, t.Agent)
		case conversation.TaskCompleted, conversation.TaskCanceled:
		}
	}
	slices.Sort(v.agents)
	slices.Sort(v.wrapping)
	return v
}

// searchAttributes are the search attributes as last written.
type searchAttributes struct {
	state   *conversation.State
	written searchable
	// writtenIn is the projector's number of turns at that time.
	writtenIn int
}

// write upserts the search attributes that have changed.
func (a *searchAttributes) write(ctx workflow.Context) {
	now := searchableOf(a.state)
	if reflect.DeepEqual(now, a.written) {
		return
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, now.updates(a.written)...); err != nil {
		logger(ctx).Error("search attributes not updated", "error", err)
	}
	a.written = now
}

// updates returns the updates for the attributes that differ from before.
func (v searchable) updates(before searchable) []temporal.SearchAttributeUpdate {
	var updates []temporal.SearchAttributeUpdate
	if v.status != before.status {
		updates = append(updates, SearchStatus.ValueSet(v.status))
	}
	if v.channel != before.channel {
		updates = append(updates, SearchChannel.ValueSet(v.channel))
	}
	if v.queue != before.queue && v.queue == "" {
		updates = append(updates, SearchQueue.ValueUnset())
	} else if v.queue != before.queue {
		updates = append(updates, SearchQueue.ValueSet(v.queue))
	}
	if !slices.Equal(v.agents, before.agents) {
		updates = append(updates, SearchAgents.ValueSet(v.agents))
	}
	if !slices.Equal(v.wrapping, before.wrapping) {
		updates = append(updates, SearchWrapping.ValueSet(v.wrapping))
	}
	if v.transfers != before.transfers {
		updates = append(updates, SearchTransfers.ValueSet(v.transfers))
	}
	return updates
}

// shownTransfers is how many transfers the current details list, the newest first.
const shownTransfers = 5

// currentDetails describes the conversation's state in Markdown, for operators.
func currentDetails(record *conversation.Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s** on %s · revision %d\n\n", record.Status, record.Channel, record.Revision)
	for _, t := range record.LiveTasks() {
		fmt.Fprintf(&b, "- %s (task `%s`, queue %s)\n", taskLine(t), t.SID, inMarkdown(t.Queue))
	}
	if len(record.LiveTasks()) == 0 {
		b.WriteString("- nothing is pending\n")
	}
	if n := len(record.Transfers); n > 0 {
		b.WriteString("\n**Transfers**, the last first\n\n")
		for i := n - 1; i >= 0 && i >= n-shownTransfers; i-- {
			fmt.Fprintf(&b, "- %s (`%s`)\n", transferLine(record.Transfers[i]), record.Transfers[i].SID)
		}
	}
	if n := len(record.Refusals); n > 0 {
		last := record.Refusals[n-1]
		fmt.Fprintf(&b, "\n**Last refused signal** %s, %s: %s\n", inCode(last.Command), clock(last.At), inMarkdown(last.Message))
	}
	return b.String()
}

// inMarkdown escapes a text from people so that Markdown shows it literally: on one line, without links, images,
// HTML, code or emphasis.
func inMarkdown(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case strings.ContainsRune("\\`*_[]~|", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		case strings.ContainsRune("<>&@", r), r == ':' && strings.HasPrefix(text[i+1:], "/"),
			r == '.' && strings.HasSuffix(strings.ToLower(text[:i]), "www"): // Markdown turns an address into a link
			fmt.Fprintf(&b, "&#%d;", r)
		case unicode.IsControl(r), unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp):
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// inCode returns a text as code in Markdown, which is shown literally.
func inCode(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == '`' || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return r
	}, text)
	return "`" + text + "`"
}

// taskLine describes a live task on one line.
func taskLine(t *conversation.Task) string {
	switch t.Status {
	case conversation.TaskPending:
		if t.Direct {
			return fmt.Sprintf("waits for **%s** to become available, until %s", inMarkdown(t.Agent), clock(t.TimeoutAt))
		}
		return fmt.Sprintf("waits in **%s**, until %s", inMarkdown(t.Queue), clock(t.TimeoutAt))
	case conversation.TaskReserved:
		return fmt.Sprintf("offered to **%s**, until %s", inMarkdown(t.Agent), clock(t.Reservation.ExpiresAt))
	case conversation.TaskAssigned:
		return fmt.Sprintf("**%s** has the conversation, since %s", inMarkdown(t.Agent), clock(t.AssignedAt))
	case conversation.TaskWrapping:
		if !t.WrapupTimeoutAt.IsZero() {
			return fmt.Sprintf("**%s** wraps up, until %s", inMarkdown(t.Agent), clock(t.WrapupTimeoutAt))
		}
		return fmt.Sprintf("**%s** wraps up, since %s", inMarkdown(t.Agent), clock(t.WrappingAt))
	case conversation.TaskCompleted, conversation.TaskCanceled:
	}
	return string(t.Status)
}

// transferLine describes a transfer on one line.
func transferLine(t *conversation.Transfer) string {
	how := string(t.Status)
	switch {
	case t.AcceptedBy != "":
		how = "accepted by " + inMarkdown(t.AcceptedBy)
	case t.FailureReason != "":
		how = "failed: " + string(t.FailureReason)
	}
	return fmt.Sprintf("%s: %s → %s, %s", clock(t.CreatedAt), inMarkdown(t.From), inMarkdown(t.To.String()), how)
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func deadlineSummary(d conversation.Deadline) string {
	switch d.Kind {
	case conversation.DeadlineReservation:
		return short("the offer to " + d.Task.Agent + " expires")
	case conversation.DeadlineTask:
		return short("the task in " + d.Task.Queue + " has waited for too long")
	case conversation.DeadlineWrapup:
		return short(d.Task.Agent + "'s wrapup completes itself")
	}
	return ""
}

// snapshotSummary summarizes a snapshot by its events.
func snapshotSummary(snapshot conversation.Snapshot) string {
	var parts []string
	for _, e := range snapshot.Events {
		if part := eventSummary(e); part != "" {
			parts = append(parts, part)
		}
	}
	if snapshot.Status == conversation.ConversationClosed {
		parts = append(parts, "closed")
	}
	if len(parts) == 0 {
		return fmt.Sprintf("release what is stale at revision %d", snapshot.Revision)
	}
	return short(strings.Join(parts, "; "))
}

// eventSummary returns "" for events that only accompany others.
func eventSummary(e conversation.Event) string {
	switch e.Name {
	case conversation.EventTaskQueueEntered:
		return "waits in " + e.Queue
	case conversation.EventTaskUpdated:
		if e.Agent != "" && e.ReservationStatus != "" {
			return "back to " + e.Agent
		}
		return e.Reason
	case conversation.EventTaskWrapup:
		return e.Agent + " wraps up"
	case conversation.EventTaskCompleted:
		return e.Agent + " has wrapped up"
	case conversation.EventTransferInitiated:
		return e.Agent + " passes it on"
	case conversation.EventTransferFailed, conversation.EventTransferAttemptFailed, conversation.EventTransferCanceled:
		return "transfer failed: " + e.Reason
	case conversation.EventReservationCreated:
		return "offered to " + e.Agent
	case conversation.EventReservationAccepted:
		return e.Agent + " accepts"
	case conversation.EventReservationRejected:
		return e.Agent + " declines"
	case conversation.EventReservationTimeout:
		return e.Agent + " lets the offer expire"
	case conversation.EventTaskCreated, conversation.EventTaskCanceled, conversation.EventTransferCompleted,
		conversation.EventReservationCanceled, conversation.EventReservationRescinded, conversation.EventReservationWrapup,
		conversation.EventReservationCompleted:
	}
	return ""
}

// maxSummary is the most bytes of JSON in a summary. Encrypted, it must be below the 400 bytes that the server
// keeps.
const maxSummary = 130

// StartSummary summarizes the start of a conversation.
func StartSummary(start conversation.StartCommand) string {
	return short(fmt.Sprintf("%s conversation for %s", start.Channel, inMarkdown(start.Queue)))
}

func short(summary string) string {
	length := 0
	for i, r := range summary {
		if length += conversation.BytesInJSON(r); length > maxSummary {
			return summary[:i] + "…"
		}
	}
	return summary
}
