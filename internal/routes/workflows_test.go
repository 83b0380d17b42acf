package routes_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/routes"
)

func testWorkflows(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	h.Staff("support")
	h.Clock.Advance(time.Second)
	h.Staff("billing")
	route := func(workflow string, attributes map[string]any) routes.Route {
		found, err := routes.FindRoute(ctx, h.Desk, workflow, attributes)
		require.NoError(t, err)
		return found
	}
	require.Equal(t, routes.Route{Queue: "support"}, route("", nil), "the queue that was added first")

	configuration := `{"task_routing":{"filters":[
		{"filter_friendly_name":"VIP","expression":"tier == \"gold\" AND amount > 100","targets":[{"queue":"` + conversation.QueueSID("billing") + `","priority":"7"}]}],
		"default_filter":{"queue":"` + conversation.QueueSID("support") + `"}}}`
	saved, err := routes.SaveWorkflow(ctx, h.Desk, routes.Workflow{FriendlyName: "Sales", Configuration: configuration})
	require.NoError(t, err)
	require.Equal(t, routes.Route{Queue: "billing", Priority: 7}, route(saved.SID, map[string]any{"tier": "gold", "amount": 250.0}))
	require.Equal(t, routes.Route{Queue: "support"}, route(saved.SID, map[string]any{"tier": "gold", "amount": 5.0}))

	_, err = routes.SaveWorkflow(ctx, h.Desk, routes.Workflow{SID: desk.DefaultWorkflow(), FriendlyName: "Everything", Configuration: strings.ReplaceAll(configuration, "gold", "tin")})
	require.NoError(t, err, "the default one may be changed")
	require.Equal(t, routes.Route{Queue: "billing", Priority: 7}, route("", map[string]any{"tier": "tin", "amount": 250.0}))

	for _, wrong := range []struct{ workflow routes.Workflow }{
		{routes.Workflow{FriendlyName: "Sales", Configuration: configuration}},
		{routes.Workflow{FriendlyName: "A", Configuration: `{}`}},
		{routes.Workflow{FriendlyName: "A", Configuration: `nonsense`}},
		{routes.Workflow{FriendlyName: "A", Configuration: strings.ReplaceAll(configuration, "AND", "ALSO")}},
		{routes.Workflow{FriendlyName: "A", Configuration: strings.ReplaceAll(configuration, `"7"`, `"-7"`)}},
		{routes.Workflow{SID: "WW1", FriendlyName: "A", Configuration: configuration}},
		{routes.Workflow{FriendlyName: "", Configuration: configuration}},
	} {
		_, err := routes.SaveWorkflow(ctx, h.Desk, wrong.workflow)
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err), "%+v: %v", wrong.workflow, err)
	}
	_, err = routes.SaveWorkflow(ctx, h.Desk, routes.Workflow{FriendlyName: "A", Configuration: `{"task_routing":{"default_filter":{"queue":"WQ1"}}}`})
	desktest.RequireRefused(t, conversation.CodeUnknownQueue, err, "no queue with the SID")
	for key, in := range map[string]string{
		"timeout": "targets", "skip_if": "targets", "expression": "targets", "order_by": "targets", "known_worker_sid": "targets",
		"known_worker_friendly_name": "targets", "condition": "filters", "max": "default_filter", "version": "",
	} {
		given := map[string]string{
			"targets": strings.Replace(configuration, `"priority"`, `"`+key+`":"1==1","priority"`, 1), "filters": strings.Replace(configuration, `"expression"`, `"`+key+`":1,"expression"`, 1),
			"default_filter": strings.Replace(configuration, `"default_filter":{`, `"default_filter":{"`+key+`":true,`, 1), "": strings.Replace(configuration, "{", `{"`+key+`":{},`, 1),
		}[in]
		_, err := routes.SaveWorkflow(ctx, h.Desk, routes.Workflow{SID: saved.SID, FriendlyName: "Sales", Configuration: given})
		desktest.RequireRefused(t, conversation.CodeInvalidPayload, err, key+`" in `)
		if in == "targets" {
			require.ErrorContains(t, err, `filter 1 "VIP"`)
		}
		_, err = routes.SaveWorkflow(ctx, h.Desk, routes.Workflow{SID: saved.SID, FriendlyName: "Sales", Configuration: strings.Replace(configuration, `"priority"`, `"skip_if":null,"order_by":"","priority"`, 1)})
		require.NoError(t, err, "a key without a value asks for nothing")
	}
	ignored := strings.Replace(configuration, `"priority"`, `"timeout":60,"priority"`, 1)
	require.NoError(t, h.ExclusiveTx(ctx, "store a configuration of before", func(tx *desk.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE workflows SET configuration = $1 WHERE sid = $2`, ignored, saved.SID)
		return err
	}))
	_, err = routes.SaveWorkflow(ctx, h.Desk, routes.Workflow{SID: saved.SID, FriendlyName: "Sales and returns", Configuration: ignored})
	require.NoError(t, err, "a configuration that an older version stored may be renamed")
	require.Equal(t, routes.Route{Queue: "billing", Priority: 7}, route(saved.SID, map[string]any{"tier": "gold", "amount": 250.0}))
	require.NoError(t, routes.RemoveWorkflow(ctx, h.Desk, saved.SID))
	_, err = routes.FindRoute(ctx, h.Desk, saved.SID, nil)
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, err, "no workflow")
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, routes.RemoveWorkflow(ctx, h.Desk, desk.DefaultWorkflow()), "every desk has")
}

// testExpensiveExpression uses attributes of a task for which an expression takes too long to evaluate.
func testExpensiveExpression(t *testing.T, h *desktest.Environment) {
	h.Staff("lists")
	list := `{"list":[` + strings.TrimSuffix(strings.Repeat("1,", 2000), ",") + `]}`
	long := strings.TrimSuffix(strings.Repeat(`list HAS "x" OR `, 250), ` OR `)
	saved, err := routes.SaveWorkflow(t.Context(), h.Desk, routes.Workflow{FriendlyName: "Long", Configuration: fmt.Sprintf(
		`{"task_routing":{"filters":[{"expression":%q,"targets":[{"queue":%q}]}]}}`, long, conversation.QueueSID("lists"))})
	require.NoError(t, err)
	var attributes map[string]any
	require.NoError(t, json.Unmarshal([]byte(list), &attributes))
	_, err = routes.FindRoute(t.Context(), h.Desk, saved.SID, attributes)
	require.ErrorContains(t, err, "attributes: ")
	require.ErrorContains(t, err, "too many steps")
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err))
}

// testConfigurationLength counts the characters of a workflow's configuration, not its bytes.
func testConfigurationLength(t *testing.T, _ *desktest.Environment) {
	for _, character := range []string{"a", "é", "😀"} {
		_, refusal := routes.ReadRouting(strings.Repeat(character, routes.MaxConfiguration+1), nil)
		require.Contains(t, refusal.Message, "has 65537 characters: shorten it to at most 65536")
	}
}
