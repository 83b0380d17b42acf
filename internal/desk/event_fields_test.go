package desk_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/insights"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// testEventFields checks that the typed fields of events are set, also of events that builds without these fields
// have stored.
func testEventFields(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support")
	h.Staff("billing", "bob")
	h.Staff("sales", "alice")
	began := h.Clock.Now()
	moved := h.Start("support").Follow()
	moved.Do(conversation.MoveCommand{To: desktest.ToQueue("billing")})
	moved.Follow().Accept("bob")
	moved.Do(conversation.EndCommand{Agent: "bob"})
	moved.Do(conversation.WrapupCommand{Agent: "bob", Disposition: "moved to queue billing"})
	moved.Follow()
	passed := h.Start("billing").Follow().Accept("bob").Transfer("bob", desktest.ToAgent("alice"), "")
	passed.Do(conversation.DeclineCommand{Agent: "alice", Reason: "moved to agent bob"})
	passed.Follow()
	require.NoError(t, people.SetCapacity(t.Context(), h.Desk, "bob", conversation.ChannelSMS, 7))
	require.NoError(t, routing.SetPresence(t.Context(), h.Desk, "bob", desk.PresenceBreak))

	check := func() {
		t.Helper()
		happened, err := outbox.EventPage(t.Context(), h.Desk, outbox.EventFilter{}, desk.Page{Limit: 100})
		require.NoError(t, err)
		to, disposition, activity, capacity := map[conversation.EventName][]conversation.Target{}, "", "", 0
		for _, e := range happened.Entries {
			if e.To != (conversation.Target{}) {
				to[e.Name] = append(to[e.Name], e.To)
			}
			if e.Name == conversation.EventTaskCompleted {
				disposition = e.Disposition
			} else {
				require.Empty(t, e.Disposition, e.Name)
			}
			if e.Name == desk.EventAgentActivity && e.Agent == "bob" && activity == "" {
				activity = e.Activity
			}
			if e.Name == desk.EventAgentCapacity {
				require.Equal(t, conversation.ChannelSMS, e.Channel)
				capacity = *e.Capacity
			}
		}
		require.Equal(t, []conversation.Target{desktest.ToQueue("billing")}, to[conversation.EventTaskUpdated])
		require.Equal(t, "moved to queue billing", disposition)
		require.Equal(t, routing.ActivityOf(desk.PresenceBreak).Name, activity)
		require.Equal(t, 7, capacity)
		figures, err := insights.ReadCumulative(t.Context(), h.Desk, began, h.Clock.Now().Add(time.Second), insights.StatisticsFilter{})
		require.NoError(t, err)
		require.Equal(t, 1, figures[0].Tasks.Moved)
	}
	check()
	require.NoError(t, h.ExclusiveTx(t.Context(), "keep the events as earlier builds did", func(tx *desk.Tx) error {
		for _, table := range []string{"events", "desk_events"} {
			type kept struct {
				position int64
				event    string
			}
			rows, err := sqldb.All(t.Context(), tx, func(r sqldb.Row) (k kept, err error) {
				err = r.Scan(&k.position, &k.event)
				return k, err
			}, `SELECT position, event FROM `+table)
			require.NoError(t, err)
			for _, k := range rows {
				var fields map[string]any
				require.NoError(t, json.Unmarshal([]byte(k.event), &fields))
				for _, name := range []string{"to", "disposition", "activity", "channel", "capacity"} {
					delete(fields, name)
				}
				encoded, err := json.Marshal(fields)
				require.NoError(t, err)
				_, err = tx.Exec(t.Context(), `UPDATE `+table+` SET event = $2 WHERE position = $1`, k.position, string(encoded))
				require.NoError(t, err)
			}
		}
		return nil
	}))
	check()
}
