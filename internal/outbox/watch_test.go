package outbox_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/records"
)

func testWatch(t *testing.T, h *desktest.Environment) {
	before, err := desk.LastPosition(t.Context(), h.Desk)
	require.NoError(t, err)
	h.Staff("support", "alice")
	th := h.Start("support").Follow()
	now, err := desk.LastPosition(t.Context(), h.Desk)
	require.NoError(t, err)
	events, err := outbox.EventsAfter(t.Context(), h.Desk, before, 1000)
	require.NoError(t, err)
	require.Equal(t, now, events[len(events)-1].Position)
	require.Equal(t, th.SID, events[len(events)-1].Conversation)
	require.Empty(t, events[0].Conversation, "a queue was added, at the desk itself")

	administered, err := desk.LastAdministered(t.Context(), h.Desk)
	require.NoError(t, err)
	h.TransfersOn()
	changed, err := desk.LastAdministered(t.Context(), h.Desk)
	require.NoError(t, err)
	require.Greater(t, changed, administered)

	spoken := func() int {
		t.Helper()
		found, err := records.ReadSpoken(t.Context(), h.Desk, []string{th.SID, desktest.NewSID()})
		require.NoError(t, err)
		require.Len(t, found, 1)
		return found[th.SID]
	}
	quiet := spoken()
	said := desktest.Say(h, th, records.FromCustomer, "hello")
	written := spoken()
	require.Greater(t, written, quiet)
	_, err = records.UpdateMessage(t.Context(), h.Desk, th.SID, said.SID, records.MessageChange{Text: new("hello!")})
	require.NoError(t, err)
	edited := spoken()
	require.Greater(t, edited, written)
	require.NoError(t, records.RemoveMessage(t.Context(), h.Desk, th.SID, said.SID))
	require.Greater(t, spoken(), edited)
}
