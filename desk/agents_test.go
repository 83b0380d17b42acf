package desk_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/desk/desktest"
)

func testDirectory(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice", "dave")
	h.Staff("billing", "bob")
	require.NoError(t, desk.AddQueue(t.Context(), h.Desk, "empty_one"))
	require.NoError(t, desk.SetPresence(t.Context(), h.Desk, "dave", desk.PresenceBreak))
	th := h.Start("support").Follow().Accept("alice")
	h.Start("billing").Follow()
	look := func(agent, search string, limit int) desk.Directory {
		t.Helper()
		found, err := desk.SearchDirectory(t.Context(), h.Desk, desk.DirectoryQuery{Conversation: th.SID, Agent: agent, Search: search, Limit: limit})
		require.NoError(t, err)
		return found
	}
	found := look("alice", "", 10)
	require.Equal(t, []desk.QueueEntry{
		{Name: "billing", FriendlyName: "billing", Choice: "billing", Members: 1, Available: 1, Waiting: 1},
		{Name: "empty_one", FriendlyName: "empty_one", Choice: "empty_one"},
		{Name: "support", FriendlyName: "support", Choice: "support", Members: 2, Available: 1},
	}, found.Queues)
	require.Equal(t, []desk.AgentEntry{
		{Name: "bob", FriendlyName: "bob", Choice: "bob", Presence: desk.PresenceAvailable, Load: 1, Capacity: desk.DefaultCapacity},
		{Name: "dave", FriendlyName: "dave", Choice: "dave", Presence: desk.PresenceBreak, Capacity: desk.DefaultCapacity},
	}, found.Agents, "available ones first, and not alice herself")
	require.False(t, found.More)
	require.True(t, look("alice", "", 1).More)
	require.Empty(t, look("alice", "BIL", 10).Agents)
	require.Len(t, look("alice", " Bil ", 10).Queues, 1, "in any case")
	require.Len(t, look("alice", "_", 10).Queues, 1, "a letter as any other")
	require.Empty(t, look("alice", "%", 10).Queues)

	th.Transfer("alice", desktest.ToAgent("bob"), "").Accept("bob")
	names := []string{}
	for _, a := range look("alice", "", 10).Agents {
		names = append(names, a.Name)
	}
	require.Equal(t, []string{"dave"}, names, "bob has the conversation")
	require.Equal(t, "alice", look("bob", "ali", 10).Agents[0].Name, "who wraps up can get it back")
	_, err := desk.SearchDirectory(t.Context(), h.Desk, desk.DirectoryQuery{Conversation: th.SID, Agent: "dave", Limit: 10})
	require.Equal(t, conversation.CodeNotYourTask, conversation.CodeOf(err))
}

func testAgents(t *testing.T, h *desktest.Environment) {
	require.NoError(t, desk.AddAgent(h.T.Context(), h.Desk, desk.NewAgent{Name: "alice"}))
	alice := h.AgentNamed("alice")
	require.Equal(t, conversation.AgentSID("alice"), alice.SID)
	require.Equal(t, desk.RoleAgent, alice.Role)
	require.Equal(t, desk.PresenceOffline, alice.Presence)
	require.Len(t, alice.Channels, len(conversation.Channels()))
	for i, channel := range conversation.Channels() {
		require.Equal(t, desk.AgentChannel{Channel: channel, Capacity: 3}, alice.Channels[i])
	}
	for _, name := range []string{"", "Alice", "alice smith", "älice", "-a", "customer", "system", strings.Repeat("a", 65), "alice"} {
		err := desk.AddAgent(h.T.Context(), h.Desk, desk.NewAgent{Name: name})
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err), "%q", name)
	}
	for _, wrong := range []desk.NewAgent{{Name: "bob", Role: "boss"}, {Name: "bob", Capacity: -1}, {Name: "bob", Presence: "asleep"}} {
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(desk.AddAgent(h.T.Context(), h.Desk, wrong)))
	}
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(desk.SetPresence(h.T.Context(), h.Desk, "bob", desk.PresenceAvailable)))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(desk.SetPresence(h.T.Context(), h.Desk, "alice", "asleep")))
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(desk.SetCapacity(h.T.Context(), h.Desk, "bob", conversation.ChannelWeb, 1)))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(desk.SetCapacity(h.T.Context(), h.Desk, "alice", "pigeon", 1)))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(desk.SetCapacity(h.T.Context(), h.Desk, "alice", conversation.ChannelWeb, -1)))
	_, err := desk.FindAgent(h.T.Context(), h.Desk, "bob")
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(err))

	h.Staff("support", "alice", "bob")
	require.NoError(t, desk.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceAvailable))
	require.NoError(t, desk.SetPresence(h.T.Context(), h.Desk, "bob", desk.PresenceOffline))
	th := h.Start("support").Follow().Accept("alice")
	agents, err := desk.ListAgents(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.Len(t, agents, 2)
	require.Equal(t, h.AgentNamed("alice"), agents[0])
	require.Equal(t, []string{"support"}, agents[0].Queues)
	require.Equal(t, 1, h.Load("alice", conversation.ChannelWeb))

	require.ErrorContains(t, desk.RemoveAgent(h.T.Context(), h.Desk, "alice"), "still has 1 live task:")
	th.End("alice").WrapUp("alice")
	require.NoError(t, desk.RemoveAgent(h.T.Context(), h.Desk, "alice"))
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(desk.RemoveAgent(h.T.Context(), h.Desk, "alice")))
	agents, err = desk.ListAgents(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.Len(t, agents, 1)
	requireShown(t, h, th)
}

func testQueues(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	require.NoError(t, desk.AddAgent(h.T.Context(), h.Desk, desk.NewAgent{Name: "bob"}))
	require.NoError(t, desk.SetMembers(h.T.Context(), h.Desk, "support", "bob", "alice", "bob"))
	require.NoError(t, desk.AddQueue(h.T.Context(), h.Desk, "billing"))
	for _, name := range []string{"", "Support", "support"} {
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(desk.AddQueue(h.T.Context(), h.Desk, name)))
	}
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(desk.AddMember(h.T.Context(), h.Desk, "support", "missing")))
	require.Equal(t, conversation.CodeUnknownQueue, conversation.CodeOf(desk.AddMember(h.T.Context(), h.Desk, "nothing", "alice")))
	require.Equal(t, conversation.CodeUnknownQueue, conversation.CodeOf(desk.SetMembers(h.T.Context(), h.Desk, "nothing")))
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(desk.UpdateQueue(h.T.Context(), h.Desk, "support", desk.QueueChange{Leave: []string{"missing"}})))

	since := h.Clock.Now()
	waiting := h.Start("billing").Follow()
	h.Start("support").Follow().Accept("alice")
	queues, err := desk.ListQueues(h.T.Context(), h.Desk)
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

	require.ErrorContains(t, desk.RemoveQueue(h.T.Context(), h.Desk, "billing"), "the queue billing still has 1 live task:")
	require.ErrorContains(t, desk.RemoveQueue(h.T.Context(), h.Desk, "support"), "1 live task:")
	waiting.Do(conversation.CloseCommand{})
	waiting.Follow()
	require.NoError(t, desk.RemoveQueue(h.T.Context(), h.Desk, "billing"))
	require.NoError(t, desk.UpdateQueue(h.T.Context(), h.Desk, "support", desk.QueueChange{Leave: []string{"bob"}}))
	require.NoError(t, desk.UpdateQueue(h.T.Context(), h.Desk, "support", desk.QueueChange{Leave: []string{"bob"}}))
	queues, err = desk.ListQueues(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.Len(t, queues, 1)
	require.Equal(t, []string{"alice"}, queues[0].Members)
}

func testSeedDemo(t *testing.T, h *desktest.Environment) {
	seeded, err := desk.SeedDemo(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.True(t, seeded)
	for name, queues := range map[string][]string{"alice": {"support"}, "bob": {"billing"}, "carol": {}} {
		a := h.AgentNamed(name)
		require.Equal(t, queues, a.Queues)
		require.True(t, a.Available())
		require.Equal(t, 3, a.Channels[0].Capacity)
	}
	require.Equal(t, desk.RoleSupervisor, h.AgentNamed("carol").Role)
	settings, err := desk.ReadSettings(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.Equal(t, conversation.DefaultSettings(), settings)
	require.NoError(t, desk.RemoveAgent(h.T.Context(), h.Desk, "bob"))
	seeded, err = desk.SeedDemo(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.False(t, seeded, "the desk isn't empty")
}
