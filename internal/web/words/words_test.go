package words

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
)

// TestSentencesIsolateNames composes sentences of right-to-left names, reasons and notes.
func TestSentencesIsolateNames(t *testing.T) {
	t.Parallel()
	const dana = "\u2068דנה\u2069"
	known := Names{desk.Names{Agents: map[string]string{"dana": "דנה", "bob": "Bob"}, Queues: map[string]string{"sales": "مبيعات"}}}
	declined := records.Attempt{Agent: "dana", Reason: conversation.ReasonDeclined, Words: "מאוחר\u202e (3)\u2069"}
	require.Equal(t, dana+" declined: ‘\u2068מאוחר (3)\u2069’.", attempted(known, declined))
	require.Equal(t, "waiting in \u2068مبيعات\u2069", whereabouts(known, conversation.Task{Status: conversation.TaskPending, Queue: "sales"}))
	require.Equal(t, dana, known.Target(conversation.Target{Agent: "dana"}))
	require.Equal(t, "Bob did not answer in time.", attempted(known, records.Attempt{Agent: "bob", Reason: conversation.ReasonExpired}), "nothing moves")

	thread := records.Thread{Names: known.Of, Events: []conversation.Event{
		{Name: conversation.EventReservationRejected, Agent: "dana", Reason: "מאוחר"},
		{Name: conversation.EventTaskUpdated, To: conversation.Target{Queue: "sales"}, By: "dana"},
	}}
	told := Timeline(thread)
	require.Equal(t, dana+" declined: \u2068מאוחר\u2069", told[0].Text)
	require.Equal(t, "Moved to \u2068مبيعات\u2069 (by "+dana+")", told[1].Text)
	require.Equal(t, dana+" declined: ‘\u2068מאוחר\u2069’", ForAgents(thread, "bob")[0].Text)

	thread.Tasks = []conversation.Task{{Agent: "dana", AssignedAt: time.Now()}}
	require.Equal(t, "You are talking to "+dana, ForCustomer(thread)[0].Text)
}

// TestTimelineKeepsPeoplesWords: Baton's reasons are put into words, and an agent's words are shown as they were
// written, even if they look like one of Baton's reasons.
func TestTimelineKeepsPeoplesWords(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		event conversation.Event
		want  string
	}{
		{conversation.Event{Name: conversation.EventReservationRejected, Reason: "wrong order_id", Cause: conversation.CauseAgent}, "alice declined: wrong order_id"},
		{conversation.Event{Name: conversation.EventReservationRejected, Reason: "expired", Cause: conversation.CauseAgent}, "alice declined: expired"},
		{conversation.Event{Name: conversation.EventReservationRejected, Reason: "agent_unavailable", Cause: conversation.CauseAgent}, "alice declined: agent_unavailable"},
		{conversation.Event{Name: conversation.EventReservationRejected, Reason: "agent_unavailable", Cause: conversation.CauseUnavailable}, "alice is no longer available"},
		{conversation.Event{Name: conversation.EventTaskCompleted, Reason: "canceled", Disposition: "canceled"}, "alice completed the wrap-up: canceled"},
		{conversation.Event{Name: conversation.EventTaskCompleted, Reason: conversation.DispositionTimeout}, "alice’s wrap-up was completed automatically"},
		{conversation.Event{Name: conversation.EventTaskCanceled, Reason: "conversation_closed"}, "The task was canceled: the conversation was closed"},
		{conversation.Event{Name: conversation.EventTransferAttemptFailed, Reason: "expired"}, "The transfer was not accepted: no agent answered in time"},
	} {
		test.event.Agent = "alice"
		require.Equal(t, test.want, Timeline(records.Thread{Events: []conversation.Event{test.event}})[0].Text)
	}
}

// TestTranscriptTellsWhoDeclined: the transcript does not say that an agent declined if the desk declined for them.
func TestTranscriptTellsWhoDeclined(t *testing.T) {
	t.Parallel()
	for cause, want := range map[conversation.Cause]string{
		conversation.CauseUnavailable: "alice is no longer available", conversation.CauseAgent: "alice declined: ‘agent_unavailable’",
	} {
		thread := records.Thread{Events: []conversation.Event{{Name: conversation.EventReservationRejected, Agent: "alice", Reason: "agent_unavailable", Cause: cause}}}
		require.Equal(t, want, ForAgents(thread, "bob")[0].Text)
	}
}
