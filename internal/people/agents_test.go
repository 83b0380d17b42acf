package people_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
)

func testDirectory(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice", "dave")
	h.Staff("billing", "bob")
	require.NoError(t, people.AddQueue(t.Context(), h.Desk, "empty_one"))
	require.NoError(t, routing.SetPresence(t.Context(), h.Desk, "dave", desk.PresenceBreak))
	th := h.Start("support").Follow().Accept("alice")
	h.Start("billing").Follow()
	look := func(agent, search string, limit int) people.Directory {
		t.Helper()
		found, err := people.SearchDirectory(t.Context(), h.Desk, people.DirectoryQuery{Conversation: th.SID, Agent: agent, Search: search, Limit: limit})
		require.NoError(t, err)
		return found
	}
	found := look("alice", "", 10)
	require.Equal(t, []people.QueueEntry{
		{Name: "billing", FriendlyName: "billing", Choice: "billing", Members: 1, Available: 1, Waiting: 1},
		{Name: "empty_one", FriendlyName: "empty_one", Choice: "empty_one"},
		{Name: "support", FriendlyName: "support", Choice: "support", Members: 2, Available: 1},
	}, found.Queues)
	require.Equal(t, []people.AgentEntry{
		{Name: "bob", FriendlyName: "bob", Choice: "bob", Presence: desk.PresenceAvailable, Load: 1, Capacity: people.DefaultCapacity},
		{Name: "dave", FriendlyName: "dave", Choice: "dave", Presence: desk.PresenceBreak, Capacity: people.DefaultCapacity},
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
	_, err := people.SearchDirectory(t.Context(), h.Desk, people.DirectoryQuery{Conversation: th.SID, Agent: "dave", Limit: 10})
	require.Equal(t, conversation.CodeNotYourTask, conversation.CodeOf(err))
}

func testAgents(t *testing.T, h *desktest.Environment) {
	require.NoError(t, people.AddAgent(h.T.Context(), h.Desk, people.NewAgent{Name: "alice"}))
	alice := h.AgentNamed("alice")
	require.Equal(t, conversation.AgentSID("alice"), alice.SID)
	require.Equal(t, desk.RoleAgent, alice.Role)
	require.Equal(t, desk.PresenceOffline, alice.Presence)
	require.Len(t, alice.Channels, len(conversation.Channels()))
	for i, channel := range conversation.Channels() {
		require.Equal(t, people.AgentChannel{Channel: channel, Capacity: 3}, alice.Channels[i])
	}
	for _, name := range []string{"", "Alice", "alice smith", "älice", "-a", "customer", "system", strings.Repeat("a", 65), "alice"} {
		err := people.AddAgent(h.T.Context(), h.Desk, people.NewAgent{Name: name})
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err), "%q", name)
	}
	for _, wrong := range []people.NewAgent{{Name: "bob", Role: "boss"}, {Name: "bob", Capacity: -1}, {Name: "bob", Presence: "asleep"}} {
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(people.AddAgent(h.T.Context(), h.Desk, wrong)))
	}
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(routing.SetPresence(h.T.Context(), h.Desk, "bob", desk.PresenceAvailable)))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(routing.SetPresence(h.T.Context(), h.Desk, "alice", "asleep")))
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(people.SetCapacity(h.T.Context(), h.Desk, "bob", conversation.ChannelWeb, 1)))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(people.SetCapacity(h.T.Context(), h.Desk, "alice", "pigeon", 1)))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(people.SetCapacity(h.T.Context(), h.Desk, "alice", conversation.ChannelWeb, -1)))
	_, err := people.FindAgent(h.T.Context(), h.Desk, "bob")
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(err))

	h.Staff("support", "alice", "bob")
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceAvailable))
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "bob", desk.PresenceOffline))
	th := h.Start("support").Follow().Accept("alice")
	agents, err := people.ListAgents(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.Len(t, agents, 2)
	require.Equal(t, h.AgentNamed("alice"), agents[0])
	require.Equal(t, []string{"support"}, agents[0].Queues)
	require.Equal(t, 1, h.Load("alice", conversation.ChannelWeb))

	require.ErrorContains(t, people.RemoveAgent(h.T.Context(), h.Desk, "alice"), "still has 1 live task:")
	th.End("alice").WrapUp("alice")
	require.NoError(t, people.RemoveAgent(h.T.Context(), h.Desk, "alice"))
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(people.RemoveAgent(h.T.Context(), h.Desk, "alice")))
	agents, err = people.ListAgents(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.Len(t, agents, 1)
	desktest.RequireShownWhole(t, h, th)
}

func testQueues(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	require.NoError(t, people.AddAgent(h.T.Context(), h.Desk, people.NewAgent{Name: "bob"}))
	require.NoError(t, people.SetMembers(h.T.Context(), h.Desk, "support", "bob", "alice", "bob"))
	require.NoError(t, people.AddQueue(h.T.Context(), h.Desk, "billing"))
	for _, name := range []string{"", "Support", "support"} {
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(people.AddQueue(h.T.Context(), h.Desk, name)))
	}
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(people.AddMember(h.T.Context(), h.Desk, "support", "missing")))
	require.Equal(t, conversation.CodeUnknownQueue, conversation.CodeOf(people.AddMember(h.T.Context(), h.Desk, "nothing", "alice")))
	require.Equal(t, conversation.CodeUnknownQueue, conversation.CodeOf(people.SetMembers(h.T.Context(), h.Desk, "nothing")))
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(people.UpdateQueue(h.T.Context(), h.Desk, "support", people.QueueChange{Leave: []string{"missing"}})))

	since := h.Clock.Now()
	waiting := h.Start("billing").Follow()
	h.Start("support").Follow().Accept("alice")
	queues, err := people.ListQueues(h.T.Context(), h.Desk)
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

	require.ErrorContains(t, people.RemoveQueue(h.T.Context(), h.Desk, "billing"), "the queue billing still has 1 live task:")
	require.ErrorContains(t, people.RemoveQueue(h.T.Context(), h.Desk, "support"), "1 live task:")
	waiting.Do(conversation.CloseCommand{})
	waiting.Follow()
	require.NoError(t, people.RemoveQueue(h.T.Context(), h.Desk, "billing"))
	require.NoError(t, people.UpdateQueue(h.T.Context(), h.Desk, "support", people.QueueChange{Leave: []string{"bob"}}))
	require.NoError(t, people.UpdateQueue(h.T.Context(), h.Desk, "support", people.QueueChange{Leave: []string{"bob"}}))
	queues, err = people.ListQueues(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.Len(t, queues, 1)
	require.Equal(t, []string{"alice"}, queues[0].Members)
}

func testSeedDemo(t *testing.T, h *desktest.Environment) {
	seeded, err := people.SeedDemo(h.T.Context(), h.Desk)
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
	require.NoError(t, people.RemoveAgent(h.T.Context(), h.Desk, "bob"))
	seeded, err = people.SeedDemo(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.False(t, seeded, "the desk isn't empty")
}
