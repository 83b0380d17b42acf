package desk_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/routing"
)

func testSwitches(t *testing.T, h *desktest.Environment) {
	settings, err := desk.ReadSettings(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.Equal(t, conversation.DefaultSettings(), settings)

	turn := func(transfers, notes bool) (conversation.Settings, error) {
		return desk.SetSettings(h.T.Context(), h.Desk, "carol", func(s *conversation.Settings) { s.MessagingTransfers, s.TransferNotes = transfers, notes })
	}
	_, err = turn(false, true)
	require.Equal(t, conversation.CodeMessagingTransfersOff, conversation.CodeOf(err))

	require.NoError(t, desk.SetPlugin(h.T.Context(), h.Desk, desk.Plugin{Name: "chat-handover", Version: "1.2", Enabled: true, ConversationTransfer: true}))
	require.NoError(t, desk.SetPlugin(h.T.Context(), h.Desk, desk.Plugin{Name: "a-theme", Enabled: true}))
	_, err = turn(true, false)
	var refusal *conversation.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, conversation.CodePluginConflict, refusal.Code)
	require.Equal(t, "chat-handover", refusal.Details.Plugin)
	require.Contains(t, refusal.Message, "chat-handover")
	settings, err = desk.ReadSettings(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.False(t, settings.MessagingTransfers, "nothing was changed")

	require.NoError(t, desk.SetPlugin(h.T.Context(), h.Desk, desk.Plugin{Name: "chat-handover", Version: "1.2", ConversationTransfer: true}))
	settings, err = turn(true, true)
	require.NoError(t, err)
	require.True(t, settings.MessagingTransfers && settings.TransferNotes)

	require.NoError(t, desk.SetPlugin(h.T.Context(), h.Desk, desk.Plugin{Name: "chat-handover", Version: "1.3", Enabled: true, ConversationTransfer: true}))
	v, err := routing.ReadFacts(h.T.Context(), h.Desk, conversation.FactsQuery{Command: conversation.CommandTransfer})
	require.NoError(t, err)
	require.Equal(t, "chat-handover", v.Plugin)
	settings, err = desk.SetSettings(h.T.Context(), h.Desk, "carol", func(s *conversation.Settings) { s.ReservationTimeout = 60 })
	require.NoError(t, err, "they are on already")
	require.Equal(t, 60, settings.ReservationTimeout)

	settings, err = desk.SetSettings(h.T.Context(), h.Desk, "carol", func(s *conversation.Settings) { s.MessagingTransfers = false })
	require.NoError(t, err)
	require.False(t, settings.TransferNotes, "notes go off with transfers")

	plugins, err := desk.ListPlugins(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.Equal(t, []desk.Plugin{
		{Name: "a-theme", Enabled: true},
		{Name: "chat-handover", Version: "1.3", Enabled: true, ConversationTransfer: true},
	}, plugins)
	require.NoError(t, desk.RemovePlugin(h.T.Context(), h.Desk, "chat-handover"))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(desk.RemovePlugin(h.T.Context(), h.Desk, "chat-handover")))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(desk.SetPlugin(h.T.Context(), h.Desk, desk.Plugin{Name: " "})))
	_, err = turn(true, true)
	require.NoError(t, err)

	again, err := desk.ReadSettings(h.T.Context(), h.Reopen())
	require.NoError(t, err)
	require.True(t, again.MessagingTransfers, "it is kept")
}

func testSettingsOutOfRange(t *testing.T, h *desktest.Environment) {
	for field, change := range map[string]func(*conversation.Settings){
		"reservation_timeout": func(s *conversation.Settings) { s.ReservationTimeout = 0 },
		"task_timeout":        func(s *conversation.Settings) { s.TaskTimeout = 1_209_601 },
		"wrapup_timeout":      func(s *conversation.Settings) { s.WrapupTimeout = -1 },
		"reoffer_after":       func(s *conversation.Settings) { s.ReofferAfter = -1 },
		"agent_unavailable":   func(s *conversation.Settings) { s.AgentUnavailable = "shrug" },
		"unanswered":          func(s *conversation.Settings) { s.Unanswered = "" },
	} {
		_, err := desk.SetSettings(h.T.Context(), h.Desk, "carol", change)
		var refusal *conversation.Refusal
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, conversation.CodeInvalidPayload, refusal.Code)
		require.Equal(t, field, refusal.Details.Field)
	}
	settings, err := desk.SetSettings(h.T.Context(), h.Desk, "carol", func(s *conversation.Settings) {
		*s = conversation.Settings{
			ReservationTimeout: 86_400, TaskTimeout: 1_209_600, WrapupTimeout: 30,
			AgentUnavailable: conversation.AgentUnavailableWait, Unanswered: conversation.UnansweredSender, ReofferAfter: 0,
		}
	})
	require.NoError(t, err)
	kept, err := desk.ReadSettings(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.Equal(t, settings, kept)
}
