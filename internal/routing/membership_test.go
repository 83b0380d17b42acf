package routing_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
)

func testQueueExpressions(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	require.NoError(t, people.AddAgent(ctx, h.Desk, people.NewAgent{Name: "alice", Attributes: `{"skills":["billing"],"language":"en"}`}))
	require.NoError(t, people.AddAgent(ctx, h.Desk, people.NewAgent{Name: "bob", Attributes: `{"skills":["support"]}`}))
	require.NoError(t, people.CreateQueue(ctx, h.Desk, people.NewQueue{Name: "billing", TargetWorkers: `skills HAS "billing" AND language == "en"`}))
	require.NoError(t, people.CreateQueue(ctx, h.Desk, people.NewQueue{Name: "everyone", TargetWorkers: `1==1`}))
	require.NoError(t, people.CreateQueue(ctx, h.Desk, people.NewQueue{Name: "bobs", TargetWorkers: `name IN ["bob"]`}))
	members := func() map[string]string {
		queues, err := people.ListQueues(ctx, h.Desk)
		require.NoError(t, err)
		found := map[string]string{}
		for _, q := range queues {
			found[q.Name] = strings.Join(q.Members, " ")
		}
		return found
	}
	require.Equal(t, map[string]string{"billing": "alice", "everyone": "alice bob", "bobs": "bob"}, members())

	require.NoError(t, people.UpdateAgent(ctx, h.Desk, "bob", people.AgentChange{Attributes: new(`{"skills":["support","billing"],"language":"en"}`)}))
	require.NoError(t, people.UpdateAgent(ctx, h.Desk, "alice", people.AgentChange{Attributes: new(`{}`)}))
	require.NoError(t, people.UpdateAgent(ctx, h.Desk, "bob", people.AgentChange{Rewrite: func(are string) string { return strings.Replace(are, `"support",`, "", 1) }}))
	require.JSONEq(t, `{"skills":["billing"],"language":"en"}`, string(h.AgentNamed("bob").Attributes))
	require.NoError(t, people.AddAgent(ctx, h.Desk, people.NewAgent{Name: "carol", Attributes: `{"skills":["billing"],"language":"en"}`}))
	require.Equal(t, map[string]string{"billing": "bob carol", "everyone": "alice bob carol", "bobs": "bob"}, members(), "it follows the agents")

	require.NoError(t, people.UpdateQueue(ctx, h.Desk, "billing", people.QueueChange{TargetWorkers: new(`language != "en"`)}))
	require.Equal(t, "alice", members()["billing"], "and the queue")

	desktest.RequireRefused(t, conversation.CodeInvalidPayload, people.AddMember(ctx, h.Desk, "everyone", "bob"), "follows from its expression")
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, people.UpdateQueue(ctx, h.Desk, "everyone", people.QueueChange{Leave: []string{"bob"}}), "follows from its expression")
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, people.SetMembers(ctx, h.Desk, "everyone", "bob"), "follows from its expression")
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, people.UpdateQueue(ctx, h.Desk, "everyone", people.QueueChange{TargetWorkers: new(`skills HAS`)}), "target_workers: at character")
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, people.UpdateAgent(ctx, h.Desk, "bob", people.AgentChange{Attributes: new(`[]`)}), "JSON object")
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, people.UpdateAgent(ctx, h.Desk, "bob", people.AgentChange{Rewrite: func(string) string { return `[]` }}), "JSON object")
	desktest.RequireRefused(t, conversation.CodeUnknownQueue, people.UpdateQueue(ctx, h.Desk, "sales", people.QueueChange{}), "no queue named")
	require.Equal(t, map[string]string{"billing": "alice", "everyone": "alice bob carol", "bobs": "bob"}, members(), "what is refused changes nothing")
}

// testJoiningIsPlaced: an agent who joins a queue by their attributes is offered its waiting tasks.
func testJoiningIsPlaced(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	require.NoError(t, people.AddAgent(t.Context(), h.Desk, people.NewAgent{Name: "alice", Presence: desk.PresenceAvailable}))
	require.NoError(t, people.CreateQueue(t.Context(), h.Desk, people.NewQueue{Name: "support", TargetWorkers: `ready == true`}))
	th := h.Start("support").Follow()
	require.Empty(t, h.Matches())
	require.NoError(t, people.UpdateAgent(t.Context(), h.Desk, "alice", people.AgentChange{Attributes: new(`{"ready":true}`)}))
	h.DispatchNow()
	require.Equal(t, map[string]string{th.State.Tasks[0].SID: "alice"}, h.Matches())
}

func testActivities(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	h.Staff("support", "alice")
	lunch, err := routing.AddActivity(ctx, h.Desk, "Lunch", false)
	require.NoError(t, err)
	chat, err := routing.AddActivity(ctx, h.Desk, "Chat only", true)
	require.NoError(t, err)

	require.NoError(t, people.UpdateAgent(ctx, h.Desk, "alice", people.AgentChange{Activity: &lunch.SID}))
	require.Equal(t, "Lunch", h.AgentNamed("alice").Activity.Name)
	require.Equal(t, desk.PresenceBreak, h.AgentNamed("alice").Presence)
	require.NoError(t, people.UpdateAgent(ctx, h.Desk, "alice", people.AgentChange{Activity: &chat.SID}))
	require.Equal(t, "Chat only", h.AgentNamed("alice").Activity.Name)
	require.True(t, h.AgentNamed("alice").Available())
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, routing.RemoveActivity(ctx, h.Desk, chat.SID), "alice has this activity")
	require.NoError(t, routing.SetPresence(ctx, h.Desk, "alice", desk.PresenceOffline))
	require.Equal(t, "Offline", h.AgentNamed("alice").Activity.Name)

	renamed, err := routing.RenameActivity(ctx, h.Desk, chat.SID, "Chats")
	require.NoError(t, err)
	require.Equal(t, "Chats", renamed.Name)
	require.NoError(t, routing.RemoveActivity(ctx, h.Desk, chat.SID))
	_, err = routing.AddActivity(ctx, h.Desk, "Break", true)
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, err, "already")
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, routing.RemoveActivity(ctx, h.Desk, routing.ActivityOf(desk.PresenceBreak).SID), "every desk has")
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, people.UpdateAgent(ctx, h.Desk, "alice", people.AgentChange{Activity: new("WA1")}), "no activity")

	found, err := outbox.EventPage(ctx, h.Desk, outbox.EventFilter{Name: desk.EventAgentActivity, Agent: "alice"}, desk.Page{})
	require.NoError(t, err)
	var reasons []string
	for _, e := range found.Entries {
		reasons = append(reasons, e.Reason)
	}
	require.Equal(t, []string{"Offline", "Chat only", "Lunch"}, reasons, "newest first")
	events, err := outbox.ConversationEvents(ctx, h.Desk, 0, 0)
	require.NoError(t, err)
	require.Empty(t, events, "the conversations' feed has none of it")
}

// testExpensiveExpressions uses expressions of queues and attributes of agents that take too long to evaluate.
func testExpensiveExpressions(t *testing.T, h *desktest.Environment) {
	list := `{"list":[` + strings.TrimSuffix(strings.Repeat("1,", 2000), ",") + `]}`
	long := strings.TrimSuffix(strings.Repeat(`list HAS "x" OR `, 250), ` OR `)
	require.NoError(t, people.AddAgent(t.Context(), h.Desk, people.NewAgent{Name: "erin", Attributes: list}))
	refused := func(err error, field string) {
		t.Helper()
		require.ErrorContains(t, err, field+": ")
		require.ErrorContains(t, err, "too many steps")
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err))
	}
	refused(people.CreateQueue(t.Context(), h.Desk, people.NewQueue{Name: "long", TargetWorkers: long}), "target_workers")
	require.NoError(t, people.CreateQueue(t.Context(), h.Desk, people.NewQueue{Name: "lists", TargetWorkers: "1==0"}))
	refused(people.UpdateQueue(t.Context(), h.Desk, "lists", people.QueueChange{TargetWorkers: &long}), "target_workers")
	require.NoError(t, people.UpdateAgent(t.Context(), h.Desk, "erin", people.AgentChange{Attributes: new("{}")}))
	require.NoError(t, people.UpdateQueue(t.Context(), h.Desk, "lists", people.QueueChange{TargetWorkers: &long}))
	refused(people.UpdateAgent(t.Context(), h.Desk, "erin", people.AgentChange{Attributes: &list}), "attributes")
	refused(people.AddAgent(t.Context(), h.Desk, people.NewAgent{Name: "frank", Attributes: list}), "attributes")
	require.Empty(t, h.AgentNamed("erin").Queues)
}

// testManyMembers adds and removes more members of a queue than one statement does.
func testManyMembers(t *testing.T, h *desktest.Environment) {
	const many = 1300
	for i := range many {
		require.NoError(t, people.AddAgent(t.Context(), h.Desk, people.NewAgent{
			Name: fmt.Sprintf("agent-%04d", i), Attributes: fmt.Sprintf(`{"level":%d}`, i), Presence: desk.PresenceAvailable, Capacity: 1,
		}))
	}
	members := func() int {
		queues, err := people.ListQueues(t.Context(), h.Desk)
		require.NoError(t, err)
		return len(queues[0].Members)
	}
	require.NoError(t, people.CreateQueue(t.Context(), h.Desk, people.NewQueue{Name: "levels", TargetWorkers: "level >= 0"}))
	require.Equal(t, many, members())
	require.NoError(t, people.UpdateQueue(t.Context(), h.Desk, "levels", people.QueueChange{TargetWorkers: new("level < 7")}))
	require.Equal(t, 7, members())
	require.NoError(t, people.UpdateQueue(t.Context(), h.Desk, "levels", people.QueueChange{TargetWorkers: new("level >= 5")}))
	require.Equal(t, many-5, members())
	require.NoError(t, people.UpdateAgent(t.Context(), h.Desk, "agent-0006", people.AgentChange{Attributes: new(`{"level":1}`)}))
	require.Equal(t, many-6, members())

	// Changes between the evaluation and the transaction are taken into account.
	p, err := routing.SelectMembers(t.Context(), h.Desk, "level >= 5")
	require.NoError(t, err)
	require.NoError(t, people.UpdateAgent(t.Context(), h.Desk, "agent-0006", people.AgentChange{Attributes: new(`{"level":9}`)}))
	require.NoError(t, h.ExclusiveTx(t.Context(), "fill the queue", func(tx *desk.Tx) error { return routing.FillQueue(t.Context(), tx, "levels", p) }))
	require.Equal(t, many-5, members())
	for i := range 2 {
		p.Find("agent-0009", `{"level":9}`, i == 1) // as if the evaluation had found that
		require.NoError(t, h.ExclusiveTx(t.Context(), "fill the queue", func(tx *desk.Tx) error { return routing.FillQueue(t.Context(), tx, "levels", p) }))
		require.Equal(t, many-6+i, members(), "the transaction evaluates only what has changed")
	}
}
