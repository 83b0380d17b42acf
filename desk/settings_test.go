package desk_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/desk/desktest"
)

func testSwitches(t *testing.T, h *environment) {
	settings, err := h.Settings(h.T.Context())
	require.NoError(t, err)
	require.Equal(t, conversation.DefaultSettings(), settings)

	turn := func(transfers, notes bool) (conversation.Settings, error) {
		return h.SetSettings(h.T.Context(), "carol", func(s *conversation.Settings) { s.MessagingTransfers, s.TransferNotes = transfers, notes })
	}
	_, err = turn(false, true)
	require.Equal(t, conversation.CodeMessagingTransfersOff, conversation.CodeOf(err))

	require.NoError(t, h.SetPlugin(h.T.Context(), desk.Plugin{Name: "chat-handover", Version: "1.2", Enabled: true, ConversationTransfer: true}))
	require.NoError(t, h.SetPlugin(h.T.Context(), desk.Plugin{Name: "a-theme", Enabled: true}))
	_, err = turn(true, false)
	var refusal *conversation.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, conversation.CodePluginConflict, refusal.Code)
	require.Equal(t, "chat-handover", refusal.Details.Plugin)
	require.Contains(t, refusal.Message, "chat-handover")
	settings, err = h.Settings(h.T.Context())
	require.NoError(t, err)
	require.False(t, settings.MessagingTransfers, "nothing was changed")

	require.NoError(t, h.SetPlugin(h.T.Context(), desk.Plugin{Name: "chat-handover", Version: "1.2", ConversationTransfer: true}))
	settings, err = turn(true, true)
	require.NoError(t, err)
	require.True(t, settings.MessagingTransfers && settings.TransferNotes)

	require.NoError(t, h.SetPlugin(h.T.Context(), desk.Plugin{Name: "chat-handover", Version: "1.3", Enabled: true, ConversationTransfer: true}))
	v, err := h.Facts(h.T.Context(), conversation.FactsQuery{Command: conversation.CommandTransfer})
	require.NoError(t, err)
	require.Equal(t, "chat-handover", v.Plugin)
	settings, err = h.SetSettings(h.T.Context(), "carol", func(s *conversation.Settings) { s.ReservationTimeout = 60 })
	require.NoError(t, err, "they are on already")
	require.Equal(t, 60, settings.ReservationTimeout)

	settings, err = h.SetSettings(h.T.Context(), "carol", func(s *conversation.Settings) { s.MessagingTransfers = false })
	require.NoError(t, err)
	require.False(t, settings.TransferNotes, "notes go off with transfers")

	plugins, err := h.Plugins(h.T.Context())
	require.NoError(t, err)
	require.Equal(t, []desk.Plugin{
		{Name: "a-theme", Enabled: true},
		{Name: "chat-handover", Version: "1.3", Enabled: true, ConversationTransfer: true},
	}, plugins)
	require.NoError(t, h.RemovePlugin(h.T.Context(), "chat-handover"))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(h.RemovePlugin(h.T.Context(), "chat-handover")))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(h.SetPlugin(h.T.Context(), desk.Plugin{Name: " "})))
	_, err = turn(true, true)
	require.NoError(t, err)

	again, err := h.Reopen().Settings(h.T.Context())
	require.NoError(t, err)
	require.True(t, again.MessagingTransfers, "it is kept")
}

func testSettingsOutOfRange(t *testing.T, h *environment) {
	for field, change := range map[string]func(*conversation.Settings){
		"reservation_timeout": func(s *conversation.Settings) { s.ReservationTimeout = 0 },
		"task_timeout":        func(s *conversation.Settings) { s.TaskTimeout = 1_209_601 },
		"wrapup_timeout":      func(s *conversation.Settings) { s.WrapupTimeout = -1 },
		"reoffer_after":       func(s *conversation.Settings) { s.ReofferAfter = -1 },
		"agent_unavailable":   func(s *conversation.Settings) { s.AgentUnavailable = "shrug" },
		"unanswered":          func(s *conversation.Settings) { s.Unanswered = "" },
	} {
		_, err := h.SetSettings(h.T.Context(), "carol", change)
		var refusal *conversation.Refusal
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, conversation.CodeInvalidPayload, refusal.Code)
		require.Equal(t, field, refusal.Details.Field)
	}
	settings, err := h.SetSettings(h.T.Context(), "carol", func(s *conversation.Settings) {
		*s = conversation.Settings{
			ReservationTimeout: 86_400, TaskTimeout: 1_209_600, WrapupTimeout: 30,
			AgentUnavailable: conversation.AgentUnavailableWait, Unanswered: conversation.UnansweredSender, ReofferAfter: 0,
		}
	})
	require.NoError(t, err)
	kept, err := h.Settings(h.T.Context())
	require.NoError(t, err)
	require.Equal(t, settings, kept)
}

func testFacts(t *testing.T, h *environment) {
	h.Staff("support", "alice", "bob")
	require.NoError(t, h.AddQueue(h.T.Context(), "empty"))
	require.NoError(t, h.SetPresence(h.T.Context(), "bob", desk.PresenceBreak))
	ask := func(q conversation.FactsQuery) conversation.Facts {
		t.Helper()
		v, err := h.Facts(h.T.Context(), q)
		require.NoError(t, err)
		require.Equal(t, conversation.DefaultSettings(), v.Settings)
		v.Settings = conversation.Settings{}
		return v
	}
	require.Equal(t, conversation.Facts{AgentKnown: true, AgentAvailable: true}, ask(conversation.FactsQuery{Agent: "alice"}))
	require.Equal(t, conversation.Facts{AgentKnown: true}, ask(conversation.FactsQuery{Agent: "bob"}))
	require.Equal(t, conversation.Facts{}, ask(conversation.FactsQuery{Agent: "unknown"}))
	require.Equal(t, conversation.Facts{QueueKnown: true, QueueMembers: 2}, ask(conversation.FactsQuery{Queue: "support"}))
	require.Equal(t, conversation.Facts{QueueKnown: true}, ask(conversation.FactsQuery{Queue: "empty"}))
	require.Equal(t, conversation.Facts{}, ask(conversation.FactsQuery{Queue: "nothing"}))

	th := h.Start("support").Follow()
	note, err := h.StoreNote(h.T.Context(), th.SID, "alice", "for later")
	require.NoError(t, err)
	require.Equal(t, conversation.Facts{NoteKnown: true}, ask(conversation.FactsQuery{Conversation: th.SID, Note: note}))
	require.Equal(t, conversation.Facts{}, ask(conversation.FactsQuery{Conversation: desktest.NewSID(), Note: note}))
	require.Equal(t, conversation.Facts{ConversationKnown: true}, ask(conversation.FactsQuery{Conversation: th.SID, Command: conversation.CommandStart}))
	require.Equal(t, conversation.Facts{}, ask(conversation.FactsQuery{Conversation: desktest.NewSID(), Command: conversation.CommandStart}))
}

func testAgents(t *testing.T, h *environment) {
	require.NoError(t, h.AddAgent(h.T.Context(), desk.NewAgent{Name: "alice"}))
	alice := h.AgentNamed("alice")
	require.Equal(t, conversation.AgentSID("alice"), alice.SID)
	require.Equal(t, desk.RoleAgent, alice.Role)
	require.Equal(t, desk.PresenceOffline, alice.Presence)
	require.Len(t, alice.Channels, len(conversation.Channels()))
	for i, channel := range conversation.Channels() {
		require.Equal(t, desk.AgentChannel{Channel: channel, Capacity: 3}, alice.Channels[i])
	}
	for _, name := range []string{"", "Alice", "alice smith", "älice", "-a", "customer", "system", strings.Repeat("a", 65), "alice"} {
		err := h.AddAgent(h.T.Context(), desk.NewAgent{Name: name})
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err), "%q", name)
	}
	for _, wrong := range []desk.NewAgent{{Name: "bob", Role: "boss"}, {Name: "bob", Capacity: -1}, {Name: "bob", Presence: "asleep"}} {
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(h.AddAgent(h.T.Context(), wrong)))
	}
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(h.SetPresence(h.T.Context(), "bob", desk.PresenceAvailable)))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(h.SetPresence(h.T.Context(), "alice", "asleep")))
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(h.SetCapacity(h.T.Context(), "bob", conversation.ChannelWeb, 1)))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(h.SetCapacity(h.T.Context(), "alice", "pigeon", 1)))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(h.SetCapacity(h.T.Context(), "alice", conversation.ChannelWeb, -1)))
	_, err := h.Agent(h.T.Context(), "bob")
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(err))

	h.Staff("support", "alice", "bob")
	require.NoError(t, h.SetPresence(h.T.Context(), "alice", desk.PresenceAvailable))
	require.NoError(t, h.SetPresence(h.T.Context(), "bob", desk.PresenceOffline))
	th := h.Start("support").Follow().Accept("alice")
	agents, err := h.Agents(h.T.Context())
	require.NoError(t, err)
	require.Len(t, agents, 2)
	require.Equal(t, h.AgentNamed("alice"), agents[0])
	require.Equal(t, []string{"support"}, agents[0].Queues)
	require.Equal(t, 1, h.Load("alice", conversation.ChannelWeb))

	require.ErrorContains(t, h.RemoveAgent(h.T.Context(), "alice"), "still has 1 live task:")
	th.End("alice").WrapUp("alice")
	require.NoError(t, h.RemoveAgent(h.T.Context(), "alice"))
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(h.RemoveAgent(h.T.Context(), "alice")))
	agents, err = h.Agents(h.T.Context())
	require.NoError(t, err)
	require.Len(t, agents, 1)
	requireShown(t, h, th)
}

func testQueues(t *testing.T, h *environment) {
	h.Staff("support", "alice")
	require.NoError(t, h.AddAgent(h.T.Context(), desk.NewAgent{Name: "bob"}))
	require.NoError(t, h.SetMembers(h.T.Context(), "support", "bob", "alice", "bob"))
	require.NoError(t, h.AddQueue(h.T.Context(), "billing"))
	for _, name := range []string{"", "Support", "support"} {
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(h.AddQueue(h.T.Context(), name)))
	}
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(h.AddMember(h.T.Context(), "support", "missing")))
	require.Equal(t, conversation.CodeUnknownQueue, conversation.CodeOf(h.AddMember(h.T.Context(), "nothing", "alice")))
	require.Equal(t, conversation.CodeUnknownQueue, conversation.CodeOf(h.SetMembers(h.T.Context(), "nothing")))
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(h.RemoveMember(h.T.Context(), "support", "missing")))

	since := h.Clock.Now()
	waiting := h.Start("billing").Follow()
	h.Start("support").Follow().Accept("alice")
	queues, err := h.Queues(h.T.Context())
	require.NoError(t, err)
	require.Len(t, queues, 2)
	require.Equal(t, "billing", queues[0].Name)
	require.Equal(t, conversation.QueueSID("billing"), queues[0].SID)
	require.Empty(t, queues[0].Members)
	require.Equal(t, 1, queues[0].Waiting)
	require.Equal(t, since, queues[0].WaitingSince)
	require.Equal(t, []string{"alice", "bob"}, queues[1].Members)
	require.Zero(t, queues[1].Waiting)
	require.True(t, queues[1].WaitingSince.IsZero())

	require.ErrorContains(t, h.RemoveQueue(h.T.Context(), "billing"), "the queue billing still has 1 live task:")
	require.ErrorContains(t, h.RemoveQueue(h.T.Context(), "support"), "1 live task:")
	waiting.Do(conversation.CloseCommand{})
	waiting.Follow()
	require.NoError(t, h.RemoveQueue(h.T.Context(), "billing"))
	require.NoError(t, h.RemoveMember(h.T.Context(), "support", "bob"))
	require.NoError(t, h.RemoveMember(h.T.Context(), "support", "bob"))
	queues, err = h.Queues(h.T.Context())
	require.NoError(t, err)
	require.Len(t, queues, 1)
	require.Equal(t, []string{"alice"}, queues[0].Members)
}

func testSeedDemo(t *testing.T, h *environment) {
	seeded, err := h.SeedDemo(h.T.Context())
	require.NoError(t, err)
	require.True(t, seeded)
	for name, queues := range map[string][]string{"alice": {"support"}, "bob": {"billing"}, "carol": {}} {
		a := h.AgentNamed(name)
		require.Equal(t, queues, a.Queues)
		require.True(t, a.Available())
		require.Equal(t, 3, a.Channels[0].Capacity)
	}
	require.Equal(t, desk.RoleSupervisor, h.AgentNamed("carol").Role)
	settings, err := h.Settings(h.T.Context())
	require.NoError(t, err)
	require.Equal(t, conversation.DefaultSettings(), settings)
	require.NoError(t, h.RemoveAgent(h.T.Context(), "bob"))
	seeded, err = h.SeedDemo(h.T.Context())
	require.NoError(t, err)
	require.False(t, seeded, "the desk isn't empty")
}

func testConversations(t *testing.T, h *environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	passed := h.Start("support").Follow().Accept("alice").Transfer("alice", desktest.ToQueue("billing"), "").Accept("bob")
	h.Clock.Advance(time.Second)
	closed := h.Start("support").Follow().Accept("alice").End("alice").WrapUp("alice")
	h.Clock.Advance(time.Second)
	offered := h.Start("support").Follow()
	find := func(f desk.Filter) (sids []string) {
		t.Helper()
		found, err := h.ConversationPage(h.T.Context(), f, "", desk.Page{})
		require.NoError(t, err)
		for _, c := range found.Entries {
			sids = append(sids, c.SID)
		}
		return sids
	}
	require.Equal(t, []string{offered.SID, closed.SID, passed.SID}, find(desk.Filter{}), "newest first")
	require.Equal(t, []string{closed.SID}, find(desk.Filter{Status: conversation.ConversationClosed}))
	require.ElementsMatch(t, []string{passed.SID, offered.SID}, find(desk.Filter{Agent: "alice"}))
	require.Equal(t, []string{passed.SID}, find(desk.Filter{Queue: "billing"}))
	both := desk.Filter{Status: conversation.ConversationActive, Agent: "alice", Queue: "support"}
	require.Equal(t, []string{offered.SID, passed.SID}, find(both))
	second, err := h.ConversationPage(h.T.Context(), both, "", desk.Page{Limit: 1, Skip: 1})
	require.NoError(t, err)
	require.Len(t, second.Entries, 1)
	require.Equal(t, passed.SID, second.Entries[0].SID)
}
