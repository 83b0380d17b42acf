package desk

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

func testSwitches(t *testing.T, h *house) {
	settings, err := h.Settings(h.t.Context())
	require.NoError(t, err)
	require.Equal(t, conversation.DefaultSettings(), settings)

	turn := func(transfers, notes bool) (conversation.Settings, error) {
		return h.SetSettings(h.t.Context(), "carol", func(s *conversation.Settings) { s.MessagingTransfers, s.TransferNotes = transfers, notes })
	}
	_, err = turn(false, true)
	require.Equal(t, conversation.CodeMessagingTransfersOff, conversation.CodeOf(err))

	require.NoError(t, h.SetPlugin(h.t.Context(), Plugin{Name: "chat-handover", Version: "1.2", Enabled: true, ConversationTransfer: true}))
	require.NoError(t, h.SetPlugin(h.t.Context(), Plugin{Name: "a-theme", Enabled: true}))
	_, err = turn(true, false)
	var refusal *conversation.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, conversation.CodePluginConflict, refusal.Code)
	require.Equal(t, "chat-handover", refusal.Details.Plugin)
	require.Contains(t, refusal.Message, "chat-handover")
	settings, err = h.Settings(h.t.Context())
	require.NoError(t, err)
	require.False(t, settings.MessagingTransfers, "nothing was changed")

	require.NoError(t, h.SetPlugin(h.t.Context(), Plugin{Name: "chat-handover", Version: "1.2", ConversationTransfer: true}))
	settings, err = turn(true, true)
	require.NoError(t, err)
	require.True(t, settings.MessagingTransfers && settings.TransferNotes)

	require.NoError(t, h.SetPlugin(h.t.Context(), Plugin{Name: "chat-handover", Version: "1.3", Enabled: true, ConversationTransfer: true}))
	v, err := h.Facts(h.t.Context(), conversation.FactsQuery{Command: conversation.CommandTransfer})
	require.NoError(t, err)
	require.Equal(t, "chat-handover", v.Plugin)
	settings, err = h.SetSettings(h.t.Context(), "carol", func(s *conversation.Settings) { s.ReservationTimeout = 60 })
	require.NoError(t, err, "they are on already")
	require.Equal(t, 60, settings.ReservationTimeout)

	settings, err = h.SetSettings(h.t.Context(), "carol", func(s *conversation.Settings) { s.MessagingTransfers = false })
	require.NoError(t, err)
	require.False(t, settings.TransferNotes, "notes go off with transfers")

	plugins, err := h.Plugins(h.t.Context())
	require.NoError(t, err)
	require.Equal(t, []Plugin{
		{Name: "a-theme", Enabled: true},
		{Name: "chat-handover", Version: "1.3", Enabled: true, ConversationTransfer: true},
	}, plugins)
	require.NoError(t, h.RemovePlugin(h.t.Context(), "chat-handover"))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(h.RemovePlugin(h.t.Context(), "chat-handover")))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(h.SetPlugin(h.t.Context(), Plugin{Name: " "})))
	_, err = turn(true, true)
	require.NoError(t, err)

	again, err := h.open().Settings(h.t.Context())
	require.NoError(t, err)
	require.True(t, again.MessagingTransfers, "it is kept")
}

func testSettingsOutOfRange(t *testing.T, h *house) {
	for field, change := range map[string]func(*conversation.Settings){
		"reservation_timeout": func(s *conversation.Settings) { s.ReservationTimeout = 0 },
		"task_timeout":        func(s *conversation.Settings) { s.TaskTimeout = 1_209_601 },
		"wrapup_timeout":      func(s *conversation.Settings) { s.WrapupTimeout = -1 },
		"reoffer_after":       func(s *conversation.Settings) { s.ReofferAfter = -1 },
		"agent_unavailable":   func(s *conversation.Settings) { s.AgentUnavailable = "shrug" },
		"unanswered":          func(s *conversation.Settings) { s.Unanswered = "" },
	} {
		_, err := h.SetSettings(h.t.Context(), "carol", change)
		var refusal *conversation.Refusal
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, conversation.CodeInvalidPayload, refusal.Code)
		require.Equal(t, field, refusal.Details.Field)
	}
	settings, err := h.SetSettings(h.t.Context(), "carol", func(s *conversation.Settings) {
		*s = conversation.Settings{
			ReservationTimeout: 86_400, TaskTimeout: 1_209_600, WrapupTimeout: 30,
			AgentUnavailable: conversation.AgentUnavailableWait, Unanswered: conversation.UnansweredSender, ReofferAfter: 0,
		}
	})
	require.NoError(t, err)
	kept, err := h.Settings(h.t.Context())
	require.NoError(t, err)
	require.Equal(t, settings, kept)
}

func testFacts(t *testing.T, h *house) {
	h.staff("support", "alice", "bob")
	require.NoError(t, h.AddQueue(h.t.Context(), "empty"))
	require.NoError(t, h.SetPresence(h.t.Context(), "bob", PresenceBreak))
	ask := func(q conversation.FactsQuery) conversation.Facts {
		t.Helper()
		v, err := h.Facts(h.t.Context(), q)
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

	th := h.start("support").follow()
	note, err := h.StoreNote(h.t.Context(), th.sid, "alice", "for later")
	require.NoError(t, err)
	require.Equal(t, conversation.Facts{NoteKnown: true}, ask(conversation.FactsQuery{Conversation: th.sid, Note: note}))
	require.Equal(t, conversation.Facts{}, ask(conversation.FactsQuery{Conversation: newSID(), Note: note}))
	require.Equal(t, conversation.Facts{ConversationKnown: true}, ask(conversation.FactsQuery{Conversation: th.sid, Command: conversation.CommandStart}))
	require.Equal(t, conversation.Facts{}, ask(conversation.FactsQuery{Conversation: newSID(), Command: conversation.CommandStart}))
}

func testAgents(t *testing.T, h *house) {
	require.NoError(t, h.AddAgent(h.t.Context(), NewAgent{Name: "alice"}))
	alice := h.agent("alice")
	require.Equal(t, conversation.AgentSID("alice"), alice.SID)
	require.Equal(t, RoleAgent, alice.Role)
	require.Equal(t, PresenceOffline, alice.Presence)
	require.Len(t, alice.Channels, len(conversation.Channels()))
	for i, channel := range conversation.Channels() {
		require.Equal(t, AgentChannel{Channel: channel, Capacity: 3}, alice.Channels[i])
	}
	for _, name := range []string{"", "Alice", "alice smith", "älice", "-a", "customer", "system", strings.Repeat("a", 65), "alice"} {
		err := h.AddAgent(h.t.Context(), NewAgent{Name: name})
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err), "%q", name)
	}
	for _, wrong := range []NewAgent{{Name: "bob", Role: "boss"}, {Name: "bob", Capacity: -1}, {Name: "bob", Presence: "asleep"}} {
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(h.AddAgent(h.t.Context(), wrong)))
	}
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(h.SetPresence(h.t.Context(), "bob", PresenceAvailable)))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(h.SetPresence(h.t.Context(), "alice", "asleep")))
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(h.SetCapacity(h.t.Context(), "bob", conversation.ChannelWeb, 1)))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(h.SetCapacity(h.t.Context(), "alice", "pigeon", 1)))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(h.SetCapacity(h.t.Context(), "alice", conversation.ChannelWeb, -1)))
	_, err := h.Agent(h.t.Context(), "bob")
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(err))

	h.staff("support", "alice", "bob")
	require.NoError(t, h.SetPresence(h.t.Context(), "alice", PresenceAvailable))
	require.NoError(t, h.SetPresence(h.t.Context(), "bob", PresenceOffline))
	th := h.start("support").follow().accept("alice")
	agents, err := h.Agents(h.t.Context())
	require.NoError(t, err)
	require.Len(t, agents, 2)
	require.Equal(t, h.agent("alice"), agents[0])
	require.Equal(t, []string{"support"}, agents[0].Queues)
	require.Equal(t, 1, h.load("alice", conversation.ChannelWeb))

	require.ErrorContains(t, h.RemoveAgent(h.t.Context(), "alice"), "still has 1 live task:")
	th.end("alice").wrapup("alice")
	require.NoError(t, h.RemoveAgent(h.t.Context(), "alice"))
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(h.RemoveAgent(h.t.Context(), "alice")))
	agents, err = h.Agents(h.t.Context())
	require.NoError(t, err)
	require.Len(t, agents, 1)
	requireShown(t, h, th)
}

func testQueues(t *testing.T, h *house) {
	h.staff("support", "alice")
	require.NoError(t, h.AddAgent(h.t.Context(), NewAgent{Name: "bob"}))
	require.NoError(t, h.SetMembers(h.t.Context(), "support", "bob", "alice", "bob"))
	require.NoError(t, h.AddQueue(h.t.Context(), "billing"))
	for _, name := range []string{"", "Support", "support"} {
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(h.AddQueue(h.t.Context(), name)))
	}
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(h.AddMember(h.t.Context(), "support", "nobody")))
	require.Equal(t, conversation.CodeUnknownQueue, conversation.CodeOf(h.AddMember(h.t.Context(), "nothing", "alice")))
	require.Equal(t, conversation.CodeUnknownQueue, conversation.CodeOf(h.SetMembers(h.t.Context(), "nothing")))
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(h.RemoveMember(h.t.Context(), "support", "nobody")))

	since := h.clock.now()
	waiting := h.start("billing").follow()
	h.start("support").follow().accept("alice")
	queues, err := h.Queues(h.t.Context())
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

	require.ErrorContains(t, h.RemoveQueue(h.t.Context(), "billing"), "the queue billing still has 1 live task:")
	require.ErrorContains(t, h.RemoveQueue(h.t.Context(), "support"), "1 live task:")
	waiting.do(conversation.CloseCommand{})
	waiting.follow()
	require.NoError(t, h.RemoveQueue(h.t.Context(), "billing"))
	require.NoError(t, h.RemoveMember(h.t.Context(), "support", "bob"))
	require.NoError(t, h.RemoveMember(h.t.Context(), "support", "bob"))
	queues, err = h.Queues(h.t.Context())
	require.NoError(t, err)
	require.Len(t, queues, 1)
	require.Equal(t, []string{"alice"}, queues[0].Members)
}

func testSeedDemo(t *testing.T, h *house) {
	seeded, err := h.SeedDemo(h.t.Context())
	require.NoError(t, err)
	require.True(t, seeded)
	for name, queues := range map[string][]string{"alice": {"support"}, "bob": {"billing"}, "carol": {}} {
		a := h.agent(name)
		require.Equal(t, queues, a.Queues)
		require.True(t, a.Available())
		require.Equal(t, 3, a.Channels[0].Capacity)
	}
	require.Equal(t, RoleSupervisor, h.agent("carol").Role)
	settings, err := h.Settings(h.t.Context())
	require.NoError(t, err)
	require.Equal(t, conversation.DefaultSettings(), settings)
	require.NoError(t, h.RemoveAgent(h.t.Context(), "bob"))
	seeded, err = h.SeedDemo(h.t.Context())
	require.NoError(t, err)
	require.False(t, seeded, "the desk isn't empty")
}

func testConversations(t *testing.T, h *house) {
	h.transfersOn()
	h.staff("support", "alice")
	h.staff("billing", "bob")
	passed := h.start("support").follow().accept("alice").transfer("alice", toQueue("billing"), "").accept("bob")
	h.clock.advance(time.Second)
	closed := h.start("support").follow().accept("alice").end("alice").wrapup("alice")
	h.clock.advance(time.Second)
	offered := h.start("support").follow()
	find := func(f Filter) (sids []string) {
		t.Helper()
		found, err := h.Conversations(h.t.Context(), f)
		require.NoError(t, err)
		for _, c := range found {
			sids = append(sids, c.SID)
		}
		return sids
	}
	require.Equal(t, []string{offered.sid, closed.sid, passed.sid}, find(Filter{}), "newest first")
	require.Equal(t, []string{closed.sid}, find(Filter{Status: conversation.ConversationClosed}))
	require.ElementsMatch(t, []string{passed.sid, offered.sid}, find(Filter{Agent: "alice"}))
	require.Equal(t, []string{passed.sid}, find(Filter{Queue: "billing"}))
	require.Equal(t, []string{passed.sid},
		find(Filter{Status: conversation.ConversationActive, Agent: "alice", Queue: "support", Offset: 1, Limit: 1}))
}
