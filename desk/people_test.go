package desk_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/desk/desktest"
)

func refusedWith(t *testing.T, code conversation.Code, err error, says string) {
	t.Helper()
	require.Equal(t, code, conversation.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, says)
}

func testQueueExpressions(t *testing.T, h *environment) {
	ctx := t.Context()
	require.NoError(t, h.AddAgent(ctx, desk.NewAgent{Name: "alice", Attributes: `{"skills":["billing"],"language":"en"}`}))
	require.NoError(t, h.AddAgent(ctx, desk.NewAgent{Name: "bob", Attributes: `{"skills":["support"]}`}))
	require.NoError(t, h.CreateQueue(ctx, desk.NewQueue{Name: "billing", TargetWorkers: `skills HAS "billing" AND language == "en"`}))
	require.NoError(t, h.CreateQueue(ctx, desk.NewQueue{Name: "everyone", TargetWorkers: `1==1`}))
	require.NoError(t, h.CreateQueue(ctx, desk.NewQueue{Name: "bobs", TargetWorkers: `name IN ["bob"]`}))
	members := func() map[string]string {
		queues, err := h.Queues(ctx)
		require.NoError(t, err)
		found := map[string]string{}
		for _, q := range queues {
			found[q.Name] = strings.Join(q.Members, " ")
		}
		return found
	}
	require.Equal(t, map[string]string{"billing": "alice", "everyone": "alice bob", "bobs": "bob"}, members())

	require.NoError(t, h.UpdateAgent(ctx, "bob", desk.AgentChange{Attributes: new(`{"skills":["support","billing"],"language":"en"}`)}))
	require.NoError(t, h.UpdateAgent(ctx, "alice", desk.AgentChange{Attributes: new(`{}`)}))
	require.NoError(t, h.UpdateAgent(ctx, "bob", desk.AgentChange{Rewrite: func(are string) string { return strings.Replace(are, `"support",`, "", 1) }}))
	require.JSONEq(t, `{"skills":["billing"],"language":"en"}`, string(h.AgentNamed("bob").Attributes))
	require.NoError(t, h.AddAgent(ctx, desk.NewAgent{Name: "carol", Attributes: `{"skills":["billing"],"language":"en"}`}))
	require.Equal(t, map[string]string{"billing": "bob carol", "everyone": "alice bob carol", "bobs": "bob"}, members(), "it follows the agents")

	require.NoError(t, h.UpdateQueue(ctx, "billing", desk.QueueChange{TargetWorkers: new(`language != "en"`)}))
	require.Equal(t, "alice", members()["billing"], "and the queue")

	refusedWith(t, conversation.CodeInvalidPayload, h.AddMember(ctx, "everyone", "bob"), "follows from its expression")
	refusedWith(t, conversation.CodeInvalidPayload, h.RemoveMember(ctx, "everyone", "bob"), "follows from its expression")
	refusedWith(t, conversation.CodeInvalidPayload, h.SetMembers(ctx, "everyone", "bob"), "follows from its expression")
	refusedWith(t, conversation.CodeInvalidPayload, h.UpdateQueue(ctx, "everyone", desk.QueueChange{TargetWorkers: new(`skills HAS`)}), "target_workers: at character")
	refusedWith(t, conversation.CodeInvalidPayload, h.UpdateAgent(ctx, "bob", desk.AgentChange{Attributes: new(`[]`)}), "JSON object")
	refusedWith(t, conversation.CodeInvalidPayload, h.UpdateAgent(ctx, "bob", desk.AgentChange{Rewrite: func(string) string { return `[]` }}), "JSON object")
	refusedWith(t, conversation.CodeUnknownQueue, h.UpdateQueue(ctx, "sales", desk.QueueChange{}), "no queue named")
	require.Equal(t, map[string]string{"billing": "alice", "everyone": "alice bob carol", "bobs": "bob"}, members(), "what is refused changes nothing")
}

// testJoiningIsPlaced: an agent who joins a queue by their attributes is offered its waiting tasks.
func testJoiningIsPlaced(t *testing.T, h *environment) {
	h.TransfersOn()
	require.NoError(t, h.AddAgent(t.Context(), desk.NewAgent{Name: "alice", Presence: desk.PresenceAvailable}))
	require.NoError(t, h.CreateQueue(t.Context(), desk.NewQueue{Name: "support", TargetWorkers: `ready == true`}))
	th := h.Start("support").Follow()
	require.Empty(t, h.Matches())
	require.NoError(t, h.UpdateAgent(t.Context(), "alice", desk.AgentChange{Attributes: new(`{"ready":true}`)}))
	h.DispatchNow()
	require.Equal(t, map[string]string{th.State.Tasks[0].SID: "alice"}, h.Matches())
}

func testActivities(t *testing.T, h *environment) {
	ctx := t.Context()
	h.Staff("support", "alice")
	lunch, err := h.AddActivity(ctx, "Lunch", false)
	require.NoError(t, err)
	chat, err := h.AddActivity(ctx, "Chat only", true)
	require.NoError(t, err)

	require.NoError(t, h.UpdateAgent(ctx, "alice", desk.AgentChange{Activity: &lunch.SID}))
	require.Equal(t, "Lunch", h.AgentNamed("alice").Activity.Name)
	require.Equal(t, desk.PresenceBreak, h.AgentNamed("alice").Presence)
	require.NoError(t, h.UpdateAgent(ctx, "alice", desk.AgentChange{Activity: &chat.SID}))
	require.Equal(t, "Chat only", h.AgentNamed("alice").Activity.Name)
	require.True(t, h.AgentNamed("alice").Available())
	refusedWith(t, conversation.CodeInvalidPayload, h.RemoveActivity(ctx, chat.SID), "alice has this activity")
	require.NoError(t, h.SetPresence(ctx, "alice", desk.PresenceOffline))
	require.Equal(t, "Offline", h.AgentNamed("alice").Activity.Name)

	renamed, err := h.RenameActivity(ctx, chat.SID, "Chats")
	require.NoError(t, err)
	require.Equal(t, "Chats", renamed.Name)
	require.NoError(t, h.RemoveActivity(ctx, chat.SID))
	_, err = h.AddActivity(ctx, "Break", true)
	refusedWith(t, conversation.CodeInvalidPayload, err, "already")
	refusedWith(t, conversation.CodeInvalidPayload, h.RemoveActivity(ctx, desk.ActivityOf(desk.PresenceBreak).SID), "every desk has")
	refusedWith(t, conversation.CodeInvalidPayload, h.UpdateAgent(ctx, "alice", desk.AgentChange{Activity: new("WA1")}), "no activity")

	found, err := h.EventPage(ctx, desk.EventFilter{Name: desk.EventAgentActivity, Agent: "alice"}, desk.Page{})
	require.NoError(t, err)
	var told []string
	for _, e := range found.Entries {
		told = append(told, e.Reason)
	}
	require.Equal(t, []string{"Offline", "Chat only", "Lunch"}, told, "newest first")
	events, err := h.ConversationEvents(ctx, 0, 0)
	require.NoError(t, err)
	require.Empty(t, events, "the conversations' feed has none of it")
}

func testKeys(t *testing.T, h *environment) {
	ctx := t.Context()
	account, err := h.Account(ctx)
	require.NoError(t, err)
	again, err := h.Reopen().Account(ctx)
	require.NoError(t, err)
	require.Equal(t, account, again, "there is one account, no matter which process opens the desk first")
	require.Len(t, account.AuthToken, 32)
	renewed, err := h.RenewAuthToken(ctx)
	require.NoError(t, err)
	require.Equal(t, account.SID, renewed.SID)
	require.NotEqual(t, account.AuthToken, renewed.AuthToken)

	h.Staff("support", "alice")
	key, secret, err := h.AddKey(ctx, desk.Key{Name: "alice's desk", Role: desk.KeyAgent, Agent: "alice"})
	require.NoError(t, err)
	require.Equal(t, desk.DefaultRateLimit, key.RateLimit)
	found, err := h.Authenticate(ctx, key.SID, secret)
	require.NoError(t, err)
	require.Equal(t, key.SID, found.SID)
	require.Equal(t, "alice", found.Agent)
	for name, credentials := range map[string][2]string{
		"another secret": {key.SID, renewed.AuthToken}, "no secret": {key.SID, ""}, "another key": {desk.PrefixKey + strings.Repeat("0", 32), secret},
		"nothing": {"", ""}, "no such key and no secret": {desk.PrefixKey + strings.Repeat("0", 32), ""},
	} {
		_, err := h.Authenticate(ctx, credentials[0], credentials[1])
		require.ErrorIs(t, err, desk.ErrCredentials, name)
	}

	require.NoError(t, h.RevokeKey(ctx, key.SID))
	require.NoError(t, h.RevokeKey(ctx, key.SID), "again, it does no harm")
	_, err = h.Reopen().Authenticate(ctx, key.SID, secret)
	require.ErrorIs(t, err, desk.ErrCredentials)
	keys, err := h.Keys(ctx)
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.False(t, keys[0].RevokedAt.IsZero())

	for _, wrong := range []struct {
		key  desk.Key
		code conversation.Code
		says string
	}{
		{desk.Key{Name: "x", Role: "root"}, conversation.CodeInvalidPayload, "no role"},
		{desk.Key{Name: "x", Role: desk.KeyAgent}, conversation.CodeInvalidPayload, "bound to one agent"},
		{desk.Key{Name: "x", Role: desk.KeyService, Agent: "alice"}, conversation.CodeInvalidPayload, "only a key of the role agent"},
		{desk.Key{Name: "x", Role: desk.KeyAgent, Agent: "missing"}, conversation.CodeUnknownAgent, "no agent named"},
		{desk.Key{Name: " ", Role: desk.KeyService}, conversation.CodeInvalidPayload, "key's name"},
		{desk.Key{Name: "x", Role: desk.KeyService, RateLimit: -1}, conversation.CodeInvalidPayload, "requests a second"},
	} {
		_, _, err := h.AddKey(ctx, wrong.key)
		refusedWith(t, wrong.code, err, wrong.says)
	}
	refusedWith(t, conversation.CodeInvalidPayload, h.RevokeKey(ctx, "SK1"), "no key")
}

// testSecretsAreHashed looks at all stored data: they contain nothing of a key's secret.
func testSecretsAreHashed(t *testing.T, h *environment) {
	_, secret, err := h.AddKey(t.Context(), desk.Key{Name: "shop", Role: desk.KeyService})
	require.NoError(t, err)
	kept := fmt.Sprint(h.Contents())
	require.Contains(t, kept, "shop")
	require.NotContains(t, kept, secret)
}

func testWorkspace(t *testing.T, h *environment) {
	ctx := t.Context()
	set := func(url string, filter ...string) error {
		_, err := h.SetWorkspace(ctx, func(w *desk.Workspace) { w.EventCallbackURL, w.EventsFilter = url, filter })
		return err
	}
	require.NoError(t, set("https://example.com/events", "task.created", "reservation.accepted"))
	account, err := h.Account(ctx)
	require.NoError(t, err)
	require.Equal(t, desk.Workspace{desk.DefaultWorkspaceName, "https://example.com/events", []string{"task.created", "reservation.accepted"}}, account.Workspace)
	refusedWith(t, conversation.CodeInvalidPayload, set("ftp://example.com"), "http or https")
	refusedWith(t, conversation.CodeInvalidPayload, set("/events"), "http or https")
	refusedWith(t, conversation.CodeInvalidPayload, set("", "task.eaten"), "no event")
	require.NoError(t, set(""))
}

func testWorkflows(t *testing.T, h *environment) {
	ctx := t.Context()
	h.Staff("support")
	h.Clock.Advance(time.Second)
	h.Staff("billing")
	route := func(workflow string, attributes map[string]any) desk.Route {
		found, err := h.Route(ctx, workflow, attributes)
		require.NoError(t, err)
		return found
	}
	require.Equal(t, desk.Route{Queue: "support"}, route("", nil), "the queue that was added first")

	configuration := `{"task_routing":{"filters":[
		{"filter_friendly_name":"VIP","expression":"tier == \"gold\" AND amount > 100","targets":[{"queue":"` + conversation.QueueSID("billing") + `","priority":"7"}]}],
		"default_filter":{"queue":"` + conversation.QueueSID("support") + `"}}}`
	saved, err := h.SaveWorkflow(ctx, desk.Workflow{FriendlyName: "Sales", Configuration: configuration})
	require.NoError(t, err)
	require.Equal(t, desk.Route{Queue: "billing", Priority: 7}, route(saved.SID, map[string]any{"tier": "gold", "amount": 250.0}))
	require.Equal(t, desk.Route{Queue: "support"}, route(saved.SID, map[string]any{"tier": "gold", "amount": 5.0}))

	_, err = h.SaveWorkflow(ctx, desk.Workflow{SID: desk.DefaultWorkflow(), FriendlyName: "Everything", Configuration: strings.ReplaceAll(configuration, "gold", "tin")})
	require.NoError(t, err, "the default one may be changed")
	require.Equal(t, desk.Route{Queue: "billing", Priority: 7}, route("", map[string]any{"tier": "tin", "amount": 250.0}))

	for _, wrong := range []struct{ workflow desk.Workflow }{
		{desk.Workflow{FriendlyName: "Sales", Configuration: configuration}},
		{desk.Workflow{FriendlyName: "A", Configuration: `{}`}},
		{desk.Workflow{FriendlyName: "A", Configuration: `nonsense`}},
		{desk.Workflow{FriendlyName: "A", Configuration: strings.ReplaceAll(configuration, "AND", "ALSO")}},
		{desk.Workflow{FriendlyName: "A", Configuration: strings.ReplaceAll(configuration, `"7"`, `"-7"`)}},
		{desk.Workflow{SID: "WW1", FriendlyName: "A", Configuration: configuration}},
		{desk.Workflow{FriendlyName: "", Configuration: configuration}},
	} {
		_, err := h.SaveWorkflow(ctx, wrong.workflow)
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err), "%+v: %v", wrong.workflow, err)
	}
	_, err = h.SaveWorkflow(ctx, desk.Workflow{FriendlyName: "A", Configuration: `{"task_routing":{"default_filter":{"queue":"WQ1"}}}`})
	refusedWith(t, conversation.CodeUnknownQueue, err, "no queue with the SID")
	for key, in := range map[string]string{
		"timeout": "targets", "skip_if": "targets", "expression": "targets", "order_by": "targets", "known_worker_sid": "targets",
		"known_worker_friendly_name": "targets", "condition": "filters", "max": "default_filter", "version": "",
	} {
		given := map[string]string{
			"targets": strings.Replace(configuration, `"priority"`, `"`+key+`":"1==1","priority"`, 1), "filters": strings.Replace(configuration, `"expression"`, `"`+key+`":1,"expression"`, 1),
			"default_filter": strings.Replace(configuration, `"default_filter":{`, `"default_filter":{"`+key+`":true,`, 1), "": strings.Replace(configuration, "{", `{"`+key+`":{},`, 1),
		}[in]
		_, err := h.SaveWorkflow(ctx, desk.Workflow{SID: saved.SID, FriendlyName: "Sales", Configuration: given})
		refusedWith(t, conversation.CodeInvalidPayload, err, key+`" in `)
		if in == "targets" {
			require.ErrorContains(t, err, `filter 1 "VIP"`)
		}
		_, err = h.SaveWorkflow(ctx, desk.Workflow{SID: saved.SID, FriendlyName: "Sales", Configuration: strings.Replace(configuration, `"priority"`, `"skip_if":null,"order_by":"","priority"`, 1)})
		require.NoError(t, err, "a key without a value asks for nothing")
	}
	ignored := strings.Replace(configuration, `"priority"`, `"timeout":60,"priority"`, 1)
	require.NoError(t, h.WriteTx(ctx, func(tx *desk.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE workflows SET configuration = $1 WHERE sid = $2`, ignored, saved.SID)
		return err
	}))
	_, err = h.SaveWorkflow(ctx, desk.Workflow{SID: saved.SID, FriendlyName: "Sales and returns", Configuration: ignored})
	require.NoError(t, err, "a configuration that an older version stored may be renamed")
	require.Equal(t, desk.Route{Queue: "billing", Priority: 7}, route(saved.SID, map[string]any{"tier": "gold", "amount": 250.0}))
	require.NoError(t, h.RemoveWorkflow(ctx, saved.SID))
	_, err = h.Route(ctx, saved.SID, nil)
	refusedWith(t, conversation.CodeInvalidPayload, err, "no workflow")
	refusedWith(t, conversation.CodeInvalidPayload, h.RemoveWorkflow(ctx, desk.DefaultWorkflow()), "every desk has")
}

func testDrafts(t *testing.T, h *environment) {
	ctx := t.Context()
	h.Staff("support", "alice")
	sid, err := h.OpenDraft(ctx, desk.Draft{SID: desktest.NewSID(), Channel: conversation.ChannelChat, Details: desk.Details{UniqueName: "order-17", Attributes: `{"a":1}`}})
	require.NoError(t, err)
	again, err := h.OpenDraft(ctx, desk.Draft{SID: sid, Channel: conversation.ChannelChat, Details: desk.Details{FriendlyName: "another"}})
	require.NoError(t, err)
	require.Equal(t, sid, again)
	_, err = h.Say(ctx, desk.NewMessage{Conversation: sid, From: desk.FromCustomer, Text: "hello"})
	require.NoError(t, err, "the customer may write before anybody is there")
	_, err = h.AddParticipant(ctx, desk.Participant{Conversation: sid, Address: "+15551234567", ProxyAddress: "+15557654321"})
	require.NoError(t, err)

	shown, err := h.Conversation(ctx, sid)
	require.NoError(t, err)
	require.True(t, shown.IsDraft())
	found, err := h.Conversations(ctx, desk.Filter{})
	require.NoError(t, err)
	require.Empty(t, found, "it is no conversation yet")
	facts, err := h.Facts(ctx, conversation.FactsQuery{Conversation: sid, Command: conversation.CommandStart, Queue: "support"})
	require.NoError(t, err)
	require.False(t, facts.ConversationKnown, "and may be started under its SID")

	h.Clock.Advance(time.Hour)
	h.Start("support", func(c *conversation.StartCommand) { c.Conversation = sid }).Follow()
	shown, err = h.Conversation(ctx, sid)
	require.NoError(t, err)
	require.False(t, shown.IsDraft())
	require.Equal(t, 1, shown.Messages, "what was written before is kept")
	require.NoError(t, h.CloseDraft(ctx, sid))
	require.Equal(t, conversation.ConversationActive, shown.Status, "a started one isn't closed as a draft")
	named, err := h.ConversationNamed(ctx, "order-17")
	require.NoError(t, err)
	require.Equal(t, sid, named)

	other, err := h.OpenDraft(ctx, desk.Draft{Channel: conversation.ChannelChat})
	require.NoError(t, err)
	_, err = h.SetDetails(ctx, other, func(d *desk.Details) { d.UniqueName = "order-17" })
	refusedWith(t, conversation.CodeInvalidPayload, err, "already")
	require.NoError(t, h.CloseDraft(ctx, other))
	facts, err = h.Facts(ctx, conversation.FactsQuery{Conversation: other, Command: conversation.CommandStart, Queue: "support"})
	require.NoError(t, err)
	require.True(t, facts.ConversationKnown, "a closed draft isn't started any more")
}

func testParticipants(t *testing.T, h *environment) {
	ctx := t.Context()
	sid, err := h.OpenDraft(ctx, desk.Draft{Channel: conversation.ChannelChat})
	require.NoError(t, err)
	added, err := h.AddParticipant(ctx, desk.Participant{Conversation: sid, Identity: "crystal"})
	require.NoError(t, err)
	same, err := h.AddParticipant(ctx, added)
	require.NoError(t, err)
	require.Equal(t, added, same, "the same one again")
	_, err = h.AddParticipant(ctx, desk.Participant{Conversation: sid, Identity: "crystal"})
	refusedWith(t, conversation.CodeInvalidPayload, err, "already")
	_, err = h.AddParticipant(ctx, desk.Participant{Conversation: sid})
	refusedWith(t, conversation.CodeInvalidPayload, err, "either")
	_, err = h.AddParticipant(ctx, desk.Participant{Conversation: sid, Identity: "a", Address: "b"})
	refusedWith(t, conversation.CodeInvalidPayload, err, "either")
	changed, err := h.UpdateParticipant(ctx, sid, added.SID, func(p *desk.Participant) { p.Attributes = `{"vip":true}` })
	require.NoError(t, err)
	require.JSONEq(t, `{"vip":true}`, changed.Attributes)
	require.NoError(t, h.RemoveParticipant(ctx, sid, added.SID))
	refusedWith(t, conversation.CodeInvalidPayload, h.RemoveParticipant(ctx, sid, added.SID), "has no participant")
}

func testChangedMessages(t *testing.T, h *environment) {
	ctx := t.Context()
	h.Staff("support", "alice")
	th := h.Start("support").Follow()
	first, err := h.Say(ctx, desk.NewMessage{Conversation: th.SID, From: desk.FromCustomer, Text: "hello", Attributes: `{"mood":"good"}`})
	require.NoError(t, err)
	second, err := h.Say(ctx, desk.NewMessage{Conversation: th.SID, From: desk.FromCustomer, Text: "my card is 4111"})
	require.NoError(t, err)
	changed, err := h.UpdateMessage(ctx, th.SID, second.SID, desk.MessageChange{Text: new("my card is ****")})
	require.NoError(t, err)
	require.Equal(t, "my card is ****", changed.Text)
	require.False(t, changed.UpdatedAt.IsZero())
	_, err = h.UpdateMessage(ctx, th.SID, second.SID, desk.MessageChange{Text: new(" ")})
	refusedWith(t, conversation.CodeInvalidPayload, err, "empty")
	require.NoError(t, h.RemoveMessage(ctx, th.SID, first.SID))
	_, err = h.Message(ctx, th.SID, first.SID, desk.AsSystem())
	refusedWith(t, conversation.CodeInvalidPayload, err, "no message")
	transcript, err := h.Transcript(ctx, th.SID, desk.AsSystem())
	require.NoError(t, err)
	require.Len(t, transcript, 1)
	require.Equal(t, 2, transcript[0].Number, "the numbers of the others stay")
}

// testPages reads lists page by page, in both directions, while tasks arrive: no entry that was there is missing,
// and none is repeated.
func testPages(t *testing.T, h *environment) {
	h.Staff("support")
	var all []string
	begin := func() {
		all = append(all, h.Start("support", desktest.WithPriority(len(all)%3)).Follow().Task().SID)
		if len(all)%2 == 0 { // otherwise two have the same time
			h.Clock.Advance(time.Second)
		}
	}
	for range 13 {
		begin()
	}
	read := func(f desk.TaskFilter, size int) (sids []string, back []string) {
		page := desk.Page{Limit: size}
		for {
			found, err := h.TaskList(t.Context(), f, page)
			require.NoError(t, err)
			require.LessOrEqual(t, len(found.Entries), size)
			for _, task := range found.Entries {
				sids = append(sids, task.SID)
			}
			if !found.More {
				back = append([]string{}, sids[len(sids)-len(found.Entries):]...)
				for earlier := found; earlier.Earlier && len(earlier.Entries) > 0; {
					cursor := earlier.First
					var err error
					earlier, err = h.TaskList(t.Context(), f, desk.Page{Limit: size, Before: &cursor})
					require.NoError(t, err)
					var some []string
					for _, task := range earlier.Entries {
						some = append(some, task.SID)
					}
					back = append(some, back...)
				}
				return sids, back
			}
			cursor := found.Last
			page = desk.Page{Limit: size, After: &cursor}
		}
	}
	for _, size := range []int{1, 4, 5, 13, 100} {
		forwards, backwards := read(desk.TaskFilter{}, size)
		require.ElementsMatch(t, all, forwards)
		require.Equal(t, forwards, backwards)
		newest, _ := read(desk.TaskFilter{NewestFirst: true}, size)
		slices.Reverse(newest)
		require.Equal(t, forwards, newest)
		chosen, _ := read(desk.TaskFilter{Chooses: func(task desk.Task) bool { return task.Priority == 2 }}, size)
		require.Len(t, chosen, 4)
		same, _ := read(desk.TaskFilter{Priority: new(2)}, size)
		require.Equal(t, chosen, same)
	}
	first, err := h.TaskList(t.Context(), desk.TaskFilter{}, desk.Page{Limit: 5})
	require.NoError(t, err)
	begin()
	rest, err := h.TaskList(t.Context(), desk.TaskFilter{}, desk.Page{Limit: 100, After: &first.Last})
	require.NoError(t, err)
	require.Len(t, rest.Entries, 9, "what has come in between is at the end")
	skipped, err := h.TaskList(t.Context(), desk.TaskFilter{}, desk.Page{Limit: 5, Skip: 5})
	require.NoError(t, err)
	require.Equal(t, rest.Entries[:5], skipped.Entries)
	none, err := h.TaskList(t.Context(), desk.TaskFilter{Statuses: []conversation.TaskStatus{conversation.TaskAssigned, conversation.TaskCanceled}}, desk.Page{})
	require.NoError(t, err)
	require.Empty(t, none.Entries)
	require.False(t, none.More)
}

// testExpensiveExpressions uses expressions of queues and attributes of agents that take too long to evaluate.
func testExpensiveExpressions(t *testing.T, h *environment) {
	list := `{"list":[` + strings.TrimSuffix(strings.Repeat("1,", 2000), ",") + `]}`
	long := strings.TrimSuffix(strings.Repeat(`list HAS "x" OR `, 250), ` OR `)
	require.NoError(t, h.AddAgent(t.Context(), desk.NewAgent{Name: "erin", Attributes: list}))
	refused := func(err error, field string) {
		t.Helper()
		require.ErrorContains(t, err, field+": ")
		require.ErrorContains(t, err, "too many steps")
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err))
	}
	refused(h.CreateQueue(t.Context(), desk.NewQueue{Name: "long", TargetWorkers: long}), "target_workers")
	require.NoError(t, h.CreateQueue(t.Context(), desk.NewQueue{Name: "lists", TargetWorkers: "1==0"}))
	refused(h.UpdateQueue(t.Context(), "lists", desk.QueueChange{TargetWorkers: &long}), "target_workers")
	require.NoError(t, h.UpdateAgent(t.Context(), "erin", desk.AgentChange{Attributes: new("{}")}))
	require.NoError(t, h.UpdateQueue(t.Context(), "lists", desk.QueueChange{TargetWorkers: &long}))
	refused(h.UpdateAgent(t.Context(), "erin", desk.AgentChange{Attributes: &list}), "attributes")
	refused(h.AddAgent(t.Context(), desk.NewAgent{Name: "frank", Attributes: list}), "attributes")
	require.Empty(t, h.AgentNamed("erin").Queues)

	saved, err := h.SaveWorkflow(t.Context(), desk.Workflow{FriendlyName: "Long", Configuration: fmt.Sprintf(
		`{"task_routing":{"filters":[{"expression":%q,"targets":[{"queue":%q}]}]}}`, long, conversation.QueueSID("lists"))})
	require.NoError(t, err)
	var attributes map[string]any
	require.NoError(t, json.Unmarshal([]byte(list), &attributes))
	_, err = h.Route(t.Context(), saved.SID, attributes)
	refused(err, "attributes")
}

// testManyMembers adds and removes more members of a queue than one statement does.
func testManyMembers(t *testing.T, h *environment) {
	const many, atOnce = 1300, 100 // a transaction has a deadline
	for first := 0; first < many; first += atOnce {
		require.NoError(t, h.ExclusiveTx(t.Context(), "add many agents", func(tx *desk.Tx) error {
			for i := first; i < first+atOnce; i++ {
				if err := tx.AddAgent(t.Context(), desk.NewAgent{
					Name: fmt.Sprintf("agent-%04d", i), Attributes: fmt.Sprintf(`{"level":%d}`, i), Role: desk.RoleAgent, Presence: desk.PresenceAvailable, Capacity: 1,
				}, 1); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	members := func() int {
		queues, err := h.Queues(t.Context())
		require.NoError(t, err)
		return len(queues[0].Members)
	}
	require.NoError(t, h.CreateQueue(t.Context(), desk.NewQueue{Name: "levels", TargetWorkers: "level >= 0"}))
	require.Equal(t, many, members())
	require.NoError(t, h.UpdateQueue(t.Context(), "levels", desk.QueueChange{TargetWorkers: new("level < 7")}))
	require.Equal(t, 7, members())
	require.NoError(t, h.UpdateQueue(t.Context(), "levels", desk.QueueChange{TargetWorkers: new("level >= 5")}))
	require.Equal(t, many-5, members())
	require.NoError(t, h.UpdateAgent(t.Context(), "agent-0006", desk.AgentChange{Attributes: new(`{"level":1}`)}))
	require.Equal(t, many-6, members())

	// Changes between the evaluation and the transaction are taken into account.
	p, err := h.Populate(t.Context(), "level >= 5")
	require.NoError(t, err)
	require.NoError(t, h.UpdateAgent(t.Context(), "agent-0006", desk.AgentChange{Attributes: new(`{"level":9}`)}))
	require.NoError(t, h.ExclusiveTx(t.Context(), "fill the queue", func(tx *desk.Tx) error { return tx.FillQueue(t.Context(), "levels", p) }))
	require.Equal(t, many-5, members())
	for i := range 2 {
		p.Find("agent-0009", `{"level":9}`, i == 1) // as if the evaluation had found that
		require.NoError(t, h.ExclusiveTx(t.Context(), "fill the queue", func(tx *desk.Tx) error { return tx.FillQueue(t.Context(), "levels", p) }))
		require.Equal(t, many-6+i, members(), "the transaction evaluates only what has changed")
	}
}
