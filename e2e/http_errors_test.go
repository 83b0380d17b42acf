package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	twilioclient "github.com/twilio/twilio-go/client"
	conversationapi "github.com/twilio/twilio-go/rest/conversations/v1"
	flexapi "github.com/twilio/twilio-go/rest/flex/v1"
	taskapi "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/testenv"
)

// The errors for mistakes that any request can contain.
var (
	unauthorized = refusal{http.StatusUnauthorized, 20003, ""}
	noPageSize   = refusal{http.StatusBadRequest, 20007, ""}
	noSID        = refusal{http.StatusBadRequest, 20423, conversation.CodeInvalidPayload}
	mayNot       = refusal{http.StatusForbidden, 20403, ""}
	changed      = refusal{http.StatusPreconditionFailed, 20412, ""}
)

// wrongParameter, gone, wrongState and inConflict have different codes for each product.
func wrongParameter(product rest.Product) refusal {
	return refusal{http.StatusBadRequest, codeOf(product, 20422, 45004), conversation.CodeInvalidPayload}
}

func gone(product rest.Product) refusal {
	return refusal{http.StatusNotFound, codeOf(product, 20404, 45006), ""}
}

func wrongState(product rest.Product, reason conversation.Code) refusal {
	return refusal{http.StatusBadRequest, codeOf(product, 20001, 45007), reason}
}

func inConflict(product rest.Product, reason conversation.Code) refusal {
	return refusal{http.StatusConflict, codeOf(product, 20409, 45007), reason}
}

func codeOf(product rest.Product, usual, flex int) int {
	if product == "Flex" {
		return flex
	}
	return usual
}

// requireError requires that a plain request was refused with the refusal, and that Twilio's library reads the
// whole body into its error.
func requireError(t *testing.T, got reply, wanted refusal) twilioclient.TwilioRestError {
	t.Helper()
	require.Equal(t, wanted.status, got.Status, "%s", got.Text)
	decoder := json.NewDecoder(strings.NewReader(got.Text))
	decoder.DisallowUnknownFields()
	var told twilioclient.TwilioRestError
	require.NoError(t, decoder.Decode(&told), "%s", got.Text)
	require.Equal(t, wanted.code, told.Code, "%s", got.Text)
	if wanted.reason != "" {
		require.Equal(t, string(wanted.reason), told.Details["reason"], "%s", got.Text)
	}
	return told
}

// refuseAnywhere requires that the route refuses each common mistake.
func refuseAnywhere(t *testing.T, f *httpEnvironment, r rest.Route, p places) {
	t.Helper()
	service, stranger := f.unlimited(t), f.as(t, "", "")
	body := func() any { return nil }
	if e := exampleOf(r); e.body != nil {
		body = func() any { return e.body(service, p) }
	}
	requireError(t, stranger.asks(r, p, body()), unauthorized)
	for _, name := range placeholder.FindAllStringSubmatch(r.Path, -1) {
		for _, given := range wrongPlaces(name[1], p[name[1]]) {
			elsewhere := maps.Clone(p)
			elsewhere[name[1]] = given
			if name[1] == "interaction" { // its channel has the same digits
				elsewhere["channel"] = "UO" + given[min(2, len(given)):]
			}
			requireError(t, service.asks(r, elsewhere, body()), notThere(r, name[1]))
		}
	}
	for _, parameter := range r.Takes {
		required, isRequired := strings.CutSuffix(parameter, "*")
		if !isRequired {
			continue
		}
		for _, left := range without(body(), required) {
			told := requireError(t, service.asks(r, p, left), wrongParameter(r.Product))
			require.Equal(t, required, told.Details["field"])
		}
	}
	if r.List != "" {
		refusePages(t, service, r, p, body())
	}
	refuseBodies(t, service, r, p)
}

// wrongPlaces are unused SIDs and values that are no SIDs.
func wrongPlaces(name, right string) []string {
	prefix := "CH"
	if len(right) > 2 && strings.ToUpper(right[:2]) == right[:2] {
		prefix = right[:2]
	}
	wrong := []string{prefix + i32("0"), prefix + i32("x"), right + "0", "'; DROP TABLE tasks; --"}
	if name == "task" || name == "reservation" {
		wrong = append(wrong, "WK"+i32("0"))
	}
	return wrong
}

// notThere returns how a route reports a missing resource.
func notThere(r rest.Route, place string) refusal {
	switch place {
	case "conversation":
		return refusal{http.StatusNotFound, 50350, ""}
	case "member":
		return refusal{http.StatusNotFound, 50432, ""}
	}
	return gone(r.Product)
}

// without returns bodies in which the parameter is missing or blank.
func without(body any, parameter string) []any {
	switch b := body.(type) {
	case url.Values:
		absent, blank := maps.Clone(b), maps.Clone(b)
		delete(absent, parameter)
		blank[parameter] = []string{" "}
		return []any{absent, blank}
	case testenv.JSON:
		absent, null := maps.Clone(b.Value.(map[string]any)), maps.Clone(b.Value.(map[string]any))
		delete(absent, parameter)
		null[parameter] = nil
		return []any{testenv.JSON{Value: absent}, testenv.JSON{Value: null}}
	}
	return nil
}

func refusePages(t *testing.T, service *api, r rest.Route, p places, body any) {
	t.Helper()
	most := 1000
	if r.Product == rest.ProductConversations {
		most = 100
	}
	with := func(name, value string) reply {
		query := url.Values{}
		if given, isForm := body.(url.Values); isForm {
			query = maps.Clone(given)
		}
		query.Set(name, value)
		return service.asks(r, p, query)
	}
	for _, size := range []string{"0", "-1", "x", "1.5", strconv.Itoa(most + 1), "99999999999999999999"} {
		requireError(t, with("PageSize", size), noPageSize)
	}
	require.Equal(t, http.StatusOK, with("PageSize", strconv.Itoa(most)).Status)
	for name, values := range map[string][]string{"Page": {"-1", "x", "99999999999999999999"}, "PageToken": {"PA", "PA!", "next", "PAeA"}} {
		for _, value := range values {
			told := requireError(t, with(name, value), wrongParameter(r.Product))
			require.Equal(t, name, told.Details["field"])
		}
	}
}

// refuseBodies requires that the route refuses bodies that can't be read or are too long.
func refuseBodies(t *testing.T, service *api, r rest.Route, p places) {
	t.Helper()
	to := address(r, p)
	if r.Method != http.MethodPost {
		requireError(t, service.call(r.Method, to+"?Name=%zz", nil), refusal{http.StatusBadRequest, codeOf(r.Product, 20422, 45004), conversation.CodeInvalidPayload})
		return
	}
	long := strings.Repeat("x", rest.MaxBody)
	requireError(t, service.call(r.Method, to, form("Field", long)), refusal{http.StatusRequestEntityTooLarge, 20413, ""})
	if r.JSON {
		requireError(t, service.call(r.Method, to, testenv.JSON{Value: long}), refusal{http.StatusRequestEntityTooLarge, 20413, ""})
	} else {
		requireError(t, service.call(r.Method, to, testenv.JSON{Value: long}), refusal{http.StatusUnsupportedMediaType, 20415, ""})
	}
	requireError(t, service.call(r.Method, to, testenv.Text{Type: "application/x-www-form-urlencoded", Content: "Field=%zz"}), wrongParameter(r.Product))
	if r.JSON {
		requireError(t, service.call(r.Method, to, testenv.Text{Type: "application/json", Content: `{"from":`}), wrongParameter(r.Product))
		for _, text := range []string{"", "null", "[]", `"text"`, "7", `{"from":7,"to":7,"status":7,"enabled":7,"queueSids":7}`} {
			requireError(t, service.call(r.Method, to, testenv.Text{Type: "application/json", Content: text}), wrongParameter(r.Product))
		}
		requireError(t, service.call(r.Method, to, form("status", "failed")), wrongParameter(r.Product))
	}
}

// wrong is a request that must be refused.
type wrong struct {
	method, address string
	body            any
	wanted          refusal
	// field is the parameter that the error names, or "".
	field string
}

// refuseAll sends all requests before it fails.
func refuseAll(t *testing.T, a *api, requests map[string]wrong) {
	t.Helper()
	var answeredOtherwise []string
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		w := requests[name]
		got := a.call(w.method, w.address, w.body)
		told := refusal{status: got.Status}
		code, _ := got.body["code"].(float64)
		details, _ := got.body["details"].(map[string]any)
		reason, _ := details["reason"].(string)
		if told.code = int(code); w.wanted.reason != "" {
			told.reason = conversation.Code(reason)
		}
		if told != w.wanted || (w.field != "" && details["field"] != w.field) {
			answeredOtherwise = append(answeredOtherwise, fmt.Sprintf("%s: wanted %+v %s, got %s", name, w.wanted, w.field, got.Text))
		}
	}
	require.Empty(t, answeredOtherwise)
}

const (
	post   = http.MethodPost
	get    = http.MethodGet
	remove = http.MethodDelete
)

// Every call refuses its mistakes. Each part is independent. The transfers come last, because some of their
// refusals depend on a setting for all conversations.
func TestHTTPRefusesWhatIsWrong(t *testing.T) { //nolint:tparallel // transfers come last
	t.Parallel()
	f := openHTTP(t)
	t.Run("calls", func(t *testing.T) { refuseCalls(t, f) })
	service := f.unlimited(t)
	p := &passing{f, service, service.startsWithAlice()}
	p.refuseWrongOnes(t)
	p.refuseBySwitches(t)
	p.refuseOneAfterTheOther(t)
}

func refuseCalls(t *testing.T, f *httpEnvironment) {
	t.Helper()
	for name, part := range map[string]func(*testing.T, *httpEnvironment){
		"credentials": refuseCredentials, "nowhere": refuseNowhere, "too many requests": refuseTooMany, "tasks": refuseTasks,
		"reservations": refuseReservations, "claims": refuseClaims, "workers": refuseWorkers, "queues": refuseQueues, "workflows": refuseWorkflows,
		"activities": refuseActivities, "the workspace": refuseWorkspace, "conversations": refuseConversations, "interactions": refuseInteractions,
		"participants": refuseParticipants, "notes": refuseNotes, "races": refuseOvertaken,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t, f)
		})
	}
}

// passing is a conversation that alice wants to transfer.
type passing struct {
	*httpEnvironment

	service *api
	of      interaction
}

// transfers is the address for transfers of the interaction.
func (i interaction) transfers() string {
	return flexHost + "/v1/Interactions/" + i.sid + "/Channels/" + i.channel + "/Transfers"
}

// body returns the transfer from alice to bob, with these keys and values changed.
func (p *passing) body(keysAndValues ...any) testenv.JSON {
	values := map[string]any{"from": participant(p.of.task), "to": conversation.AgentSID("bob")}
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		values[keysAndValues[i].(string)] = keysAndValues[i+1]
	}
	return testenv.JSON{Value: values}
}

// note creates a note of the interaction and returns its SID.
func (p *passing) note(of interaction) any {
	return p.service.does(http.StatusOK, post, flexHost+"/v1/Instances/"+p.service.instance+"/Notes", form("InteractionSid", of.sid, "Summary", "In short."))["sid"]
}

// transferFailed is the refusal of transfers that would be correct at another time.
func transferFailed(reason conversation.Code) refusal {
	return refusal{http.StatusConflict, 45313, reason}
}

func (p *passing) refuseWrongOnes(t *testing.T) {
	t.Helper()
	p.hire(t, "dave", 1000)
	require.NoError(t, routing.SetPresence(in(t, testenv.Patience), p.Desk, "dave", desk.PresenceBreak))
	other, email, here, alone := p.service.startsWithAlice(), p.service.withEmail(), p.of.transfers(), p.nobodys(t, "nobodys")
	unknown := func(reason conversation.Code) refusal { return refusal{http.StatusNotFound, 45006, reason} }
	notAvailable := func(reason conversation.Code) refusal { return refusal{http.StatusBadRequest, 45004, reason} }
	refuseAll(t, p.service, map[string]wrong{
		"from is no SID":            {post, here, p.body("from", "alice"), wrongParameter("Flex"), "from"},
		"from is unknown":           {post, here, p.body("from", "UT"+i32("0")), gone("Flex"), ""},
		"from is the customer":      {post, here, p.body("from", participant(p.of.conversation)), gone("Flex"), ""},
		"from is of another":        {post, here, p.body("from", participant(other.task)), gone("Flex"), ""},
		"to is no SID":              {post, here, p.body("to", "bob"), wrongParameter("Flex"), "to"},
		"to is a task":              {post, here, p.body("to", p.of.task), wrongParameter("Flex"), "to"},
		"to is no agent":            {post, here, p.body("to", "WK"+i32("0")), unknown(conversation.CodeUnknownAgent), ""},
		"to is no queue":            {post, here, p.body("to", "WQ"+i32("0")), unknown(conversation.CodeUnknownQueue), ""},
		"to a workflow":             {post, here, p.body("to", desk.DefaultWorkflow()), notAvailable(conversation.CodeTargetNotAvailable), ""},
		"to oneself":                {post, here, p.body("to", conversation.AgentSID("alice")), transferFailed(conversation.CodeTransferToSelf), ""},
		"to a queue without agents": {post, here, p.body("to", alone), transferFailed(conversation.CodeQueueEmpty), ""},
		"to an agent on a break":    {post, here, p.body("to", conversation.AgentSID("dave")), transferFailed(conversation.CodeAgentUnavailable), ""},
		"warm":                      {post, here, p.body("type", "warm"), notAvailable(conversation.CodeModeNotAvailable), ""},
		"external":                  {post, here, p.body("type", "external"), wrongParameter("Flex"), "type"},
		"lukewarm":                  {post, here, p.body("type", "lukewarm"), wrongParameter("Flex"), ""},
		"a note's text":             {post, here, p.body("note_sid", "Charged twice."), wrongParameter("Flex"), "note_sid"},
		"no such note":              {post, here, p.body("note_sid", "KQ"+i32("0")), wrongParameter("Flex"), ""},
		"the note of another":       {post, here, p.body("note_sid", p.note(other)), wrongParameter("Flex"), ""},
		"an email":                  {post, email.transfers(), p.body("from", participant(email.task)), transferFailed(conversation.CodeChannelNotTransferable), ""},
	})
	requireError(t, p.agent(t, "bob").call(post, here, p.body()), mayNot)
	p.service.requireStatus(p.of.task, "assigned")
}

func (p *passing) refuseBySwitches(t *testing.T) {
	t.Helper()
	service, here := p.service, p.of.transfers()
	settings, note := flexHost+"/v3/Instances/"+service.instance+"/TransferSettings", p.note(p.of)
	plugin := func(enabled bool) {
		require.NoError(t, desk.SetPlugin(in(t, testenv.Patience), p.Desk, desk.Plugin{Name: "transfer-plugin", Enabled: enabled, ConversationTransfer: true}))
	}
	service.switches(true, false)
	requireError(t, service.call(post, here, p.body("note_sid", note)), transferFailed(conversation.CodeTransferNotesOff))
	service.switches(false, false)
	requireError(t, service.call(post, here, p.body()), transferFailed(conversation.CodeMessagingTransfersOff))
	requireError(t, service.call(post, settings, testenv.JSON{Value: map[string]any{"transfer_notes_enabled": true}}), transferFailed(conversation.CodeMessagingTransfersOff))
	plugin(true)
	told := requireError(t, service.call(post, settings, testenv.JSON{Value: map[string]any{"enabled": true}}), transferFailed(conversation.CodePluginConflict))
	require.Equal(t, "transfer-plugin", told.Details["plugin"])
	plugin(false)
	service.switches(true, true)
	plugin(true)
	requireError(t, service.call(post, here, p.body()), transferFailed(conversation.CodePluginConflict))
	require.NoError(t, desk.RemovePlugin(in(t, testenv.Patience), p.Desk, "transfer-plugin"))
	refuseAll(t, service, map[string]wrong{
		"summaries": {post, settings, testenv.JSON{Value: map[string]any{"ai_summary_enabled": true}}, wrongParameter("Flex"), "ai_summary_enabled"},
		"a text":    {post, settings, testenv.JSON{Value: map[string]any{"enabled": "yes"}}, wrongParameter("Flex"), ""},
		"two entries": {post, settings, testenv.JSON{Value: map[string]any{"transfer_settings": []any{
			map[string]any{"enabled": true}, map[string]any{"enabled": false},
		}}}, wrongParameter("Flex"), "transfer_settings"},
	})
	require.Equal(t, []any{map[string]any{"enabled": true, "transfer_notes_enabled": true, "ai_summary_enabled": false}},
		service.does(http.StatusOK, get, settings, nil)["transfer_settings"])
}

func (p *passing) refuseOneAfterTheOther(t *testing.T) {
	t.Helper()
	service, here := p.service, p.of.transfers()
	cancel, over := testenv.JSON{Value: map[string]any{"status": "failed"}}, refusal{http.StatusConflict, 45354, conversation.CodeConversationClosed}
	passed := service.does(http.StatusCreated, post, here, p.body())
	transfer, second := here+"/"+passed["sid"].(string), service.latestTask(p.of)
	back := p.body("from", participant(second), "to", conversation.AgentSID("alice"))
	requireError(t, service.call(post, here, p.body()), wrongState("Flex", conversation.CodeTaskNotAssigned))
	requireError(t, service.call(post, here, back), wrongState("Flex", conversation.CodeTaskNotAssigned))
	requireError(t, service.call(post, transfer, testenv.JSON{Value: map[string]any{"status": "completed"}}), wrongParameter("Flex"))
	service.accepts("bob", second)
	requireError(t, service.call(post, transfer, cancel), inConflict("Flex", conversation.CodeNoActiveTransfer))
	service.does(http.StatusOK, post, flexHost+"/v1/Interactions/"+p.of.sid+"/Channels/"+p.of.channel, form("Status", "closed"))
	requireError(t, service.call(post, here, back), over)
	requireError(t, service.call(post, transfer, cancel), over)
}

// withEmail returns an email interaction that alice has.
func (a *api) withEmail() interaction {
	a.t.Helper()
	answered, err := a.FlexV1.CreateInteraction((&flexapi.CreateInteractionParams{}).SetChannel(map[string]any{"type": "email", "initiated_by": "customer"}).
		SetRouting(map[string]any{"properties": map[string]any{"queue_sid": conversation.QueueSID("support")}}))
	require.NoError(a.t, err)
	i := interactionOf(a.t, answered)
	a.accepts("alice", i.task)
	return i
}

func refuseCredentials(t *testing.T, f *httpEnvironment) {
	key, secret, err := access.AddKey(in(t, testenv.Patience), f.Desk, access.Key{Name: "revoked", Role: access.KeyService})
	require.NoError(t, err)
	right := f.as(t, key.SID, secret)
	right.does(http.StatusOK, get, right.inWorkspace(""), nil)
	require.NoError(t, access.RevokeKey(in(t, testenv.Patience), f.Desk, key.SID))
	other, _, err := access.AddKey(in(t, testenv.Patience), f.Desk, access.Key{Name: "other", Role: access.KeyService})
	require.NoError(t, err)
	basic := func(user, secret string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret))
	}
	var first string
	for name, authorization := range map[string]string{
		"missing": "", "another scheme": "Bearer " + f.account.AuthToken, "garbled": "Basic !!!", "no colon": "Basic " + base64.StdEncoding.EncodeToString([]byte("x")),
		"no secret": basic(f.account.SID, ""), "a wrong token": basic(f.account.SID, secret), "an unknown key": basic("SK"+i32("0"), secret),
		"a wrong secret": basic(other.SID, secret), "no user": basic("", f.account.AuthToken), "another account": basic("AC"+i32("0"), f.account.AuthToken),
		"a revoked key": basic(key.SID, secret),
	} {
		got := f.as(t, "", "").call(get, right.inWorkspace("/Tasks"), nil, "Authorization", authorization)
		requireError(t, got, unauthorized)
		require.Equal(t, `Basic realm="Baton"`, got.Header.Get("WWW-Authenticate"), name)
		if first == "" {
			first = got.Text
		}
		require.Equal(t, first, got.Text, "%s: the answer doesn't tell what is wrong", name)
	}
	_, err = right.TaskrouterV1.FetchWorkspace(right.workspace)
	requireRefused(t, err, unauthorized)

	// Correct, but not for this conversation.
	alice, supervisor := f.agent(t, "alice"), f.withKey(t, access.Key{Role: access.KeySupervisor})
	for _, refused := range []reply{
		alice.call(post, alice.inWorkspace("/Tasks"), form("TaskQueueSid", conversation.QueueSID("support"))),
		alice.call(get, alice.inWorkspace("/Events"), nil), alice.call(get, alice.inWorkspace("/Workers/"+conversation.AgentSID("bob")+"/Reservations"), nil),
		alice.call(post, alice.inWorkspace("/Workers/"+conversation.AgentSID("bob")), form("ActivitySid", routing.ActivityOf(desk.PresenceBreak).SID)),
		supervisor.call(post, supervisor.inWorkspace(""), form("FriendlyName", "Mine")),
		supervisor.call(post, conversationsHost+"/v1/Conversations", nil),
	} {
		requireError(t, refused, mayNot)
	}
}

func refuseNowhere(t *testing.T, f *httpEnvironment) {
	service := f.admin(t)
	for _, address := range []string{
		taskRouterHost + "/v1", taskRouterHost + "/v1/Nonsense", taskRouterHost + "/v2/Workspaces", service.inWorkspace("/Tasks/"),
		flexHost + "/v1/Instances", conversationsHost + "/v1/Conversations/CH1/Webhooks",
		flexHost + "/v1/Interactions/%2e%2e/etc", taskRouterHost + "/v1/Workspaces/%00",
	} {
		requireError(t, service.call(get, address, nil), refusal{http.StatusNotFound, 20404, ""})
	}
	requireError(t, f.as(t, "", "").call(get, taskRouterHost+"/v1/Nonsense", nil), unauthorized)
	for _, not := range []struct{ method, address, allow string }{
		{remove, flexHost + "/v1/Interactions", "POST"},
		{http.MethodPut, service.inWorkspace("/Tasks"), "GET POST"},
		{post, taskRouterHost + "/v1/Workspaces", "GET"},
		{remove, service.inWorkspace(""), "GET POST"},
		{post, service.inWorkspace("/TaskChannels"), "GET"},
		{http.MethodPatch, service.inWorkspace("/Tasks/WT1"), "DELETE GET POST"},
		{get, flexHost + "/v1/Interactions", "POST"},
	} {
		got := service.call(not.method, not.address, nil)
		requireError(t, got, refusal{http.StatusMethodNotAllowed, 20004, ""})
		allowed := strings.FieldsFunc(strings.Join(got.Header.Values("Allow"), ","), func(r rune) bool { return r == ',' || r == ' ' })
		slices.Sort(allowed)
		require.Equal(t, not.allow, strings.Join(allowed, " "), "%s %s", not.method, not.address)
	}
}

func refuseTooMany(t *testing.T, f *httpEnvironment) {
	hasty := f.withKey(t, access.Key{Role: access.KeyService, RateLimit: 1})
	refused := reply{}
	for range 100 { // twice the limit comes at once, and the rest over time
		if refused = hasty.call(get, hasty.inWorkspace(""), nil); refused.Status != http.StatusOK {
			break
		}
	}
	requireError(t, refused, refusal{http.StatusTooManyRequests, 20429, ""})
	require.Equal(t, "1", refused.Header.Get("Retry-After"))
	f.admin(t).does(http.StatusOK, get, hasty.inWorkspace(""), nil)
	waitFor(t, testenv.Patience, "the key is let in again", func() bool { return hasty.call(get, hasty.inWorkspace(""), nil).Status == http.StatusOK })
}

func refuseTasks(t *testing.T, f *httpEnvironment) {
	const product = "TaskRouter"
	service := f.unlimited(t)
	tasks := service.inWorkspace("/Tasks")
	queue := []string{"TaskQueueSid", conversation.QueueSID("support")}
	with := func(more ...string) url.Values { return form(append(slices.Clone(queue), more...)...) }
	refuseAll(t, service, map[string]wrong{
		"a workflow that is no SID":  {post, tasks, form("WorkflowSid", "default"), noSID, "WorkflowSid"},
		"a queue that is no SID":     {post, tasks, form("TaskQueueSid", "support"), noSID, "TaskQueueSid"},
		"no such queue":              {post, tasks, form("TaskQueueSid", "WQ"+i32("0")), refusal{http.StatusNotFound, 20404, conversation.CodeUnknownQueue}, ""},
		"no such workflow":           {post, tasks, form("WorkflowSid", "WW"+i32("0")), gone(product), ""},
		"a target that is no SID":    {post, tasks, with("RoutingTarget", "alice"), wrongParameter(product), "RoutingTarget"},
		"no such target":             {post, tasks, with("RoutingTarget", "WK"+i32("0")), refusal{http.StatusNotFound, 20404, conversation.CodeUnknownAgent}, ""},
		"a channel by fax":           {post, tasks, with("TaskChannel", "fax"), wrongParameter(product), "TaskChannel"},
		"attributes as a list":       {post, tasks, with("Attributes", "[]"), wrongParameter(product), ""},
		"attributes as text":         {post, tasks, with("Attributes", "name=Crystal"), wrongParameter(product), ""},
		"attributes cut short":       {post, tasks, with("Attributes", `{"name":`), wrongParameter(product), ""},
		"attributes that are long":   {post, tasks, with("Attributes", `{"name":"`+strings.Repeat("x", conversation.MaxAttributes)+`"}`), wrongParameter(product), ""},
		"a priority below none":      {post, tasks, with("Priority", "-1"), wrongParameter(product), "Priority"},
		"a priority in words":        {post, tasks, with("Priority", "high"), wrongParameter(product), "Priority"},
		"a status that isn't one":    {get, tasks + "?AssignmentStatus=waiting", nil, wrongParameter(product), "AssignmentStatus"},
		"one of several statuses":    {get, tasks + "?AssignmentStatus=pending,waiting", nil, wrongParameter(product), "AssignmentStatus"},
		"a filter by a queue's name": {get, tasks + "?TaskQueueSid=support", nil, noSID, "TaskQueueSid"},
		"an expression":              {get, tasks + "?EvaluateTaskAttributes=" + url.QueryEscape("order >"), nil, wrongParameter(product), "EvaluateTaskAttributes"},
		"an order by name":           {get, tasks + "?Ordering=Name:asc", nil, wrongParameter(product), "Ordering"},
		"an order sideways":          {get, tasks + "?Ordering=Priority:sideways", nil, wrongParameter(product), "Ordering"},
		"addons perhaps":             {get, tasks + "?HasAddons=perhaps", nil, wrongParameter(product), "HasAddons"},
	})

	// The task's state does not allow these.
	waiting := service.waiting()["task"]
	i := service.startsWithAlice()
	refuseAll(t, service, map[string]wrong{
		"set to what it can't be":   {post, tasks + "/" + i.task, form("AssignmentStatus", "assigned"), wrongParameter(product), "AssignmentStatus"},
		"set to nonsense":           {post, tasks + "/" + i.task, form("AssignmentStatus", "done"), wrongParameter(product), "AssignmentStatus"},
		"wrapping before assigned":  {post, tasks + "/" + waiting, form("AssignmentStatus", "wrapping"), wrongState(product, ""), ""},
		"completed before assigned": {post, tasks + "/" + waiting, form("AssignmentStatus", "completed"), wrongState(product, ""), ""},
		"canceled when assigned":    {post, tasks + "/" + i.task, form("AssignmentStatus", "canceled"), wrongState(product, ""), ""},
		"deleted when assigned":     {remove, tasks + "/" + i.task, nil, wrongState(product, ""), ""},
		"other attributes":          {post, tasks + "/" + i.task, form("Attributes", `{"order":8}`), wrongParameter(product), "Attributes"},
		"another priority":          {post, tasks + "/" + i.task, form("Priority", "9"), wrongParameter(product), "Priority"},
	})
	_, err := service.TaskrouterV1.UpdateTask(service.workspace, i.task, (&taskapi.UpdateTaskParams{}).SetAssignmentStatus("completed"))
	require.NoError(t, err)
	service.does(http.StatusOK, post, tasks+"/"+waiting, form("AssignmentStatus", "canceled", "Reason", "they hung up"))
	refuseAll(t, service, map[string]wrong{
		"wrapping when completed":   {post, tasks + "/" + i.task, form("AssignmentStatus", "wrapping"), wrongState(product, ""), ""},
		"canceled when completed":   {post, tasks + "/" + i.task, form("AssignmentStatus", "canceled"), wrongState(product, ""), ""},
		"canceled a second time":    {post, tasks + "/" + waiting, form("AssignmentStatus", "canceled"), wrongState(product, ""), ""},
		"completed when canceled":   {post, tasks + "/" + waiting, form("AssignmentStatus", "completed"), wrongState(product, ""), ""},
		"accepted after completion": {post, tasks + "/" + i.task + "/Reservations/" + service.reservationOf(i.task), form("ReservationStatus", "accepted"), wrongState(product, ""), ""},
	})
	completed := service.call(post, tasks+"/"+i.task, form("AssignmentStatus", "completed"))
	require.Contains(t, []int{http.StatusBadRequest, http.StatusConflict}, completed.Status, "completed a second time: %s", completed.Text)
	service.requireStatus(waiting, "canceled")
}

func refuseReservations(t *testing.T, f *httpEnvironment) {
	const product = "TaskRouter"
	service := f.unlimited(t)
	i := service.starts("billing")
	offer := its(service.pendingOf("bob", i.task).Sid)
	ofTask, ofWorker := service.inWorkspace("/Tasks/"+i.task+"/Reservations"), service.inWorkspace("/Workers/"+conversation.AgentSID("bob")+"/Reservations")
	other := service.startsWithAlice()
	accepted := service.reservationOf(other.task)
	ofOther := service.inWorkspace("/Tasks/" + other.task + "/Reservations/" + accepted)
	refuseAll(t, service, map[string]wrong{
		"set to nonsense":            {post, ofTask + "/" + offer, form("ReservationStatus", "taken"), wrongParameter(product), "ReservationStatus"},
		"set to what it is":          {post, ofTask + "/" + offer, form("ReservationStatus", "pending"), wrongParameter(product), "ReservationStatus"},
		"timed out manually":         {post, ofWorker + "/" + offer, form("ReservationStatus", "timeout"), wrongParameter(product), "ReservationStatus"},
		"wrapping before accepted":   {post, ofTask + "/" + offer, form("ReservationStatus", "wrapping"), wrongState(product, ""), ""},
		"completed before accepted":  {post, ofTask + "/" + offer, form("ReservationStatus", "completed"), wrongState(product, ""), ""},
		"accepted a second time":     {post, ofOther, form("ReservationStatus", "accepted"), wrongState(product, ""), ""},
		"rejected when accepted":     {post, ofOther, form("ReservationStatus", "rejected"), wrongState(product, ""), ""},
		"of another task":            {post, ofTask + "/" + accepted, form("ReservationStatus", "accepted"), gone(product), ""},
		"of another agent":           {get, ofWorker + "/" + accepted, nil, gone(product), ""},
		"a filter by nonsense":       {get, ofTask + "?ReservationStatus=taken", nil, wrongParameter(product), "ReservationStatus"},
		"a filter by an agent":       {get, ofTask + "?WorkerSid=bob", nil, noSID, "WorkerSid"},
		"a filter by unknown":        {get, ofTask + "?WorkerSid=WK" + i32("0"), nil, gone(product), ""},
		"rejected for no activity":   {post, ofTask + "/" + offer, form("ReservationStatus", "rejected", "WorkerActivitySid", "WA"+i32("0")), wrongParameter(product), ""},
		"rejected for no activity's": {post, ofTask + "/" + offer, form("ReservationStatus", "rejected", "WorkerActivitySid", "break"), noSID, "WorkerActivitySid"},
	})
	told := requireError(t, service.call(post, ofOther, form("ReservationStatus", "accepted")), wrongState(product, ""))
	require.Contains(t, told.Message, "Reservation "+accepted+" not in expected state [pending]")
	shown, err := service.TaskrouterV1.FetchTaskReservation(service.workspace, i.task, offer)
	require.NoError(t, err)
	require.Equal(t, "pending", its(shown.ReservationStatus), "what was refused has changed nothing")

	// The offer is rescinded, because its task goes to another queue.
	_, err = service.FlexV1.CreateInteractionChannelInvite(i.sid, i.channel, (&flexapi.CreateInteractionChannelInviteParams{}).
		SetRouting(map[string]any{"properties": map[string]any{"queue_sid": conversation.QueueSID("support")}}))
	require.NoError(t, err)
	requireError(t, service.call(post, ofTask+"/"+offer, form("ReservationStatus", "accepted")), wrongState(product, ""))
}

func refuseClaims(t *testing.T, f *httpEnvironment) {
	const product = "TaskRouter"
	service := f.unlimited(t)
	f.hire(t, "carl", 1000)
	require.NoError(t, routing.SetPresence(in(t, testenv.Patience), f.Desk, "carl", desk.PresenceBreak))
	claim := func(task string) string { return service.inWorkspace("/Tasks/" + task + "/Reservations") }
	as := func(agent string) url.Values { return form("WorkerSid", conversation.AgentSID(agent)) }
	waiting := service.waiting()["task"]
	has := service.startsWithAlice()
	passed := service.transferred()
	refuseAll(t, service, map[string]wrong{
		"by what is no SID":       {post, claim(waiting), form("WorkerSid", "alice"), noSID, "WorkerSid"},
		"by an unknown agent":     {post, claim(waiting), form("WorkerSid", "WK"+i32("0")), refusal{http.StatusNotFound, 20404, conversation.CodeUnknownAgent}, ""},
		"by who is on a break":    {post, claim(waiting), as("carl"), inConflict(product, conversation.CodeAgentUnavailable), ""},
		"of a taken task":         {post, claim(has.task), as("bob"), wrongState(product, ""), ""},
		"of what one has already": {post, claim(has.task), as("alice"), wrongState(product, conversation.CodeNoReservation), ""},
		"of what bob is offered":  {post, claim(passed["task"]), as("alice"), inConflict(product, conversation.CodeWrapupPending), ""},
	})
	requireError(t, f.agent(t, "alice").call(post, claim(waiting), as("bob")), mayNot)
	service.requireStatus(waiting, "pending")

	// Alice is still in wrap-up, and the queue's only agent is on a break.
	require.NoError(t, people.AddQueue(in(t, testenv.Patience), f.Desk, "evenings"))
	require.NoError(t, people.AddMember(in(t, testenv.Patience), f.Desk, "evenings", "carl"))
	left := service.startsWithAlice()
	_, err := service.transfers(left, map[string]any{"from": participant(left.task), "to": conversation.QueueSID("evenings")})
	require.NoError(t, err)
	next := service.latestTask(left)
	told := requireError(t, service.call(post, claim(next), as("alice")), inConflict(product, conversation.CodeWrapupPending))
	require.Equal(t, left.task, told.Details["task"])
	service.requireStatus(next, "pending")
	service.does(http.StatusCreated, post, claim(next), as("bob"))
}

func refuseWorkers(t *testing.T, f *httpEnvironment) {
	const product = "TaskRouter"
	service := f.unlimited(t)
	workers := service.inWorkspace("/Workers")
	bob := workers + "/" + conversation.AgentSID("bob")
	i := service.startsWithAlice()
	refuseAll(t, service, map[string]wrong{
		"a name that is taken":      {post, workers, form("FriendlyName", "Alice"), inConflict(product, conversation.CodeInvalidPayload), ""},
		"a name without letters":    {post, workers, form("FriendlyName", "!?"), wrongParameter(product), "FriendlyName"},
		"a name that is too long":   {post, workers, form("FriendlyName", strings.Repeat("x", 256)), wrongParameter(product), ""},
		"a name that is reserved":   {post, workers, form("FriendlyName", "Customer"), wrongParameter(product), ""},
		"attributes as a list":      {post, workers, form("FriendlyName", "Erin", "Attributes", "[]"), wrongParameter(product), ""},
		"attributes cut short":      {post, bob, form("Attributes", `{"a":`), wrongParameter(product), ""},
		"an activity by name":       {post, workers, form("FriendlyName", "Erin", "ActivitySid", "Available"), noSID, "ActivitySid"},
		"no such activity":          {post, workers, form("FriendlyName", "Erin", "ActivitySid", "WA"+i32("0")), wrongParameter(product), ""},
		"an activity for bob":       {post, bob, form("ActivitySid", "Available"), noSID, "ActivitySid"},
		"no such activity for bob":  {post, bob, form("ActivitySid", "WA"+i32("0")), wrongParameter(product), ""},
		"removed with a task":       {remove, workers + "/" + conversation.AgentSID("alice"), nil, inConflict(product, conversation.CodeInvalidPayload), ""},
		"available perhaps":         {get, workers + "?Available=perhaps", nil, wrongParameter(product), "Available"},
		"filtered by an activity":   {get, workers + "?ActivitySid=Available", nil, noSID, "ActivitySid"},
		"filtered by a queue":       {get, workers + "?TaskQueueSid=support", nil, noSID, "TaskQueueSid"},
		"filtered by half a wish":   {get, workers + "?TargetWorkersExpression=" + url.QueryEscape("skills HAS"), nil, wrongParameter(product), "TargetWorkersExpression"},
		"ordered by name":           {get, workers + "?Ordering=FriendlyName:asc", nil, wrongParameter(product), "Ordering"},
		"a capacity below none":     {post, bob + "/Channels/web", form("Capacity", "-1"), wrongParameter(product), "Capacity"},
		"a capacity in words":       {post, bob + "/Channels/web", form("Capacity", "many"), wrongParameter(product), "Capacity"},
		"a capacity beyond all":     {post, bob + "/Channels/web", form("Capacity", "1001"), wrongParameter(product), ""},
		"full, but not available":   {post, bob + "/Channels/web", form("Capacity", "5", "Available", "false"), wrongParameter(product), "Available"},
		"a channel by fax":          {get, bob + "/Channels/fax", nil, gone(product), ""},
		"reservations by nonsense":  {get, bob + "/Reservations?ReservationStatus=taken", nil, wrongParameter(product), "ReservationStatus"},
		"statistics of no time":     {get, bob + "/Statistics?Minutes=0", nil, wrongParameter(product), "Minutes"},
		"statistics since whenever": {get, bob + "/Statistics?StartDate=yesterday", nil, wrongParameter(product), "StartDate"},
		"events since whenever":     {get, service.inWorkspace("/Events?EndDate=yesterday"), nil, wrongParameter(product), "EndDate"},
		"events of what is no task": {get, service.inWorkspace("/Events?TaskSid=1"), nil, noSID, "TaskSid"},
	})
	service.requireStatus(i.task, "assigned")
	shown, err := service.TaskrouterV1.FetchWorker(service.workspace, conversation.AgentSID("bob"))
	require.NoError(t, err)
	require.Equal(t, "Available", its(shown.ActivityName))
}

func refuseQueues(t *testing.T, f *httpEnvironment) {
	const product = "TaskRouter"
	service := f.unlimited(t)
	queues := service.inWorkspace("/TaskQueues")
	waits := service.waiting()["queue"]
	refuseAll(t, service, map[string]wrong{
		"a name that is taken":   {post, queues, form("FriendlyName", "Support"), inConflict(product, conversation.CodeInvalidPayload), ""},
		"a name without letters": {post, queues, form("FriendlyName", "…"), wrongParameter(product), "FriendlyName"},
		"half an expression":     {post, queues, form("FriendlyName", "half", "TargetWorkers", "skills HAS"), wrongParameter(product), ""},
		"an expression in vain":  {post, queues + "/" + waits, form("TargetWorkers", "1 = = 1"), wrongParameter(product), ""},
		"two at a time":          {post, queues, form("FriendlyName", "two", "MaxReservedWorkers", "2"), wrongParameter(product), "MaxReservedWorkers"},
		"last in, first out":     {post, queues + "/" + waits, form("TaskOrder", "LIFO"), wrongParameter(product), "TaskOrder"},
		"removed with a task":    {remove, queues + "/" + waits, nil, inConflict(product, conversation.CodeInvalidPayload), ""},
		"for no attributes":      {get, queues + "?EvaluateWorkerAttributes=skills", nil, wrongParameter(product), "EvaluateWorkerAttributes"},
		"ordered by chance":      {get, queues + "?Ordering=Chance", nil, wrongParameter(product), "Ordering"},
		"statistics of a word":   {post, queues + "/RealTimeStatistics", testenv.JSON{Value: map[string]any{"queueSids": []string{"support"}}}, wrongParameter(product), "queueSids"},
		"statistics of too many": {post, queues + "/RealTimeStatistics", testenv.JSON{Value: map[string]any{"queueSids": slices.Repeat([]string{waits}, 51)}}, wrongParameter(product), "queueSids"},
		"statistics backwards":   {get, queues + "/" + waits + "/Statistics?StartDate=2026-01-02T00:00:00Z&EndDate=2026-01-01T00:00:00Z", nil, wrongParameter(product), ""},
	})
}

func refuseWorkflows(t *testing.T, f *httpEnvironment) {
	const product = "TaskRouter"
	service := f.unlimited(t)
	workflows := service.inWorkspace("/Workflows")
	right := fmt.Sprintf(toSupport, conversation.QueueSID("support"))
	service.does(http.StatusCreated, post, workflows, form("FriendlyName", "Taken", "Configuration", right))
	configured := func(text string) url.Values { return form("FriendlyName", "wrong", "Configuration", text) }
	refuseAll(t, service, map[string]wrong{
		"a name that is taken":     {post, workflows, form("FriendlyName", "Taken", "Configuration", right), inConflict(product, conversation.CodeInvalidPayload), ""},
		"no JSON":                  {post, workflows, configured("support"), wrongParameter(product), ""},
		"no queue":                 {post, workflows, configured("{}"), wrongParameter(product), ""},
		"no such queue":            {post, workflows, configured(fmt.Sprintf(toSupport, "WQ"+i32("0"))), refusal{http.StatusNotFound, 20404, conversation.CodeUnknownQueue}, ""},
		"half an expression":       {post, workflows, configured(`{"task_routing":{"filters":[{"expression":"order >","targets":[{"queue":"` + conversation.QueueSID("support") + `"}]}]}}`), wrongParameter(product), ""},
		"a priority in words":      {post, workflows, configured(`{"task_routing":{"default_filter":{"queue":"` + conversation.QueueSID("support") + `","priority":"high"}}}`), wrongParameter(product), ""},
		"a timeout of its own":     {post, workflows, form("FriendlyName", "wrong", "Configuration", right, "TaskReservationTimeout", "60"), wrongParameter(product), "TaskReservationTimeout"},
		"a timeout beyond all":     {post, workflows, form("FriendlyName", "wrong", "Configuration", right, "TaskReservationTimeout", "86401"), wrongParameter(product), "TaskReservationTimeout"},
		"the default one, removed": {remove, workflows + "/" + desk.DefaultWorkflow(), nil, inConflict(product, conversation.CodeInvalidPayload), ""},
	})
}

func refuseActivities(t *testing.T, f *httpEnvironment) {
	const product = "TaskRouter"
	service := f.unlimited(t)
	activities := service.inWorkspace("/Activities")
	lunch := service.does(http.StatusCreated, post, activities, form("FriendlyName", "Lunch", "Available", "false"))["sid"].(string)
	service.does(http.StatusCreated, post, service.inWorkspace("/Workers"), form("FriendlyName", "Hungry", "ActivitySid", lunch))
	refuseAll(t, service, map[string]wrong{
		"a name that is taken":   {post, activities, form("FriendlyName", "Lunch"), inConflict(product, conversation.CodeInvalidPayload), ""},
		"available perhaps":      {post, activities, form("FriendlyName", "Tea", "Available", "perhaps"), wrongParameter(product), "Available"},
		"a standard one renamed": {post, activities + "/" + routing.ActivityOf(desk.PresenceBreak).SID, form("FriendlyName", "Tea"), wrongParameter(product), ""},
		"renamed to a taken one": {post, activities + "/" + lunch, form("FriendlyName", "Break"), inConflict(product, conversation.CodeInvalidPayload), ""},
		"renamed to nothing":     {post, activities + "/" + lunch, form("FriendlyName", " "), wrongParameter(product), ""},
		"removed while in use":   {remove, activities + "/" + lunch, nil, inConflict(product, conversation.CodeInvalidPayload), ""},
		"a standard one removed": {remove, activities + "/" + routing.ActivityOf(desk.PresenceOffline).SID, nil, inConflict(product, conversation.CodeInvalidPayload), ""},
	})
}

func refuseWorkspace(t *testing.T, f *httpEnvironment) {
	const product = "TaskRouter"
	service := f.unlimited(t)
	refuseAll(t, service, map[string]wrong{
		"events by FTP":           {post, service.inWorkspace(""), form("EventCallbackUrl", "ftp://example.com/"), wrongParameter(product), ""},
		"events to this machine":  {post, service.inWorkspace(""), form("EventCallbackUrl", "http://127.0.0.1:1/"), wrongParameter(product), "EventCallbackUrl"},
		"events that don't exist": {post, service.inWorkspace(""), form("EventsFilter", "task.created,task.forgotten"), wrongParameter(product), ""},
		"a blank name":            {post, service.inWorkspace(""), form("FriendlyName", " "), wrongParameter(product), ""},
	})
	shown, err := service.TaskrouterV1.FetchWorkspace(service.workspace)
	require.NoError(t, err)
	require.Equal(t, "Baton", its(shown.FriendlyName))
	require.Empty(t, its(shown.EventCallbackUrl))
}

func refuseConversations(t *testing.T, f *httpEnvironment) {
	const product = "Conversations"
	service := f.unlimited(t)
	conversations := conversationsHost + "/v1/Conversations"
	closed := refusal{http.StatusConflict, 50377, conversation.CodeConversationClosed}
	opened, err := service.ConversationsV1.CreateConversation((&conversationapi.CreateConversationParams{}).SetUniqueName("taken"))
	require.NoError(t, err)
	i := service.startsWithAlice()
	its1 := conversations + "/" + i.conversation
	over := service.startsWithAlice()
	require.NoError(t, service.ConversationsV1.DeleteConversation(over.conversation, nil))
	service.does(http.StatusCreated, post, its1+"/Participants", form("Identity", "crystal"))
	people := service.does(http.StatusOK, get, its1+"/Participants", nil)["participants"].([]any)
	customer := its1 + "/Participants/" + people[0].(map[string]any)["sid"].(string)
	refuseAll(t, service, map[string]wrong{
		"a unique name that is taken":  {post, conversations, form("UniqueName", "taken"), inConflict(product, conversation.CodeInvalidPayload), ""},
		"changed to one that is taken": {post, its1, form("UniqueName", "taken"), inConflict(product, conversation.CodeInvalidPayload), ""},
		"a unique name like a SID":     {post, conversations, form("UniqueName", its(opened.Sid)), wrongParameter(product), ""},
		"begun as closed":              {post, conversations, form("State", "closed"), wrongParameter(product), "State"},
		"made inactive":                {post, its1, form("State", "inactive"), wrongParameter(product), "State"},
		"opened again":                 {post, conversations + "/" + over.conversation, form("State", "active"), wrongParameter(product), "State"},
		"attributes as text":           {post, conversations, form("Attributes", "vip"), wrongParameter(product), ""},
		"attributes that are long":     {post, its1, form("Attributes", `{"a":"`+strings.Repeat("x", 17_000)+`"}`), wrongParameter(product), ""},
		"a list of nonsense":           {get, conversations + "?State=open", nil, wrongParameter(product), "State"},
		"a list since whenever":        {get, conversations + "?StartDate=yesterday", nil, wrongParameter(product), "StartDate"},
		"messages sideways":            {get, its1 + "/Messages?Order=sideways", nil, wrongParameter(product), "Order"},
		"a message that is long":       {post, its1 + "/Messages", form("Body", strings.Repeat("x", records.MaxMessage+1)), wrongParameter(product), ""},
		"a message's attributes":       {post, its1 + "/Messages", form("Body", "Hello", "Attributes", "[1]"), wrongParameter(product), ""},
		"a message of bob's":           {post, its1 + "/Messages", form("Body", "Hello", "Author", "bob"), refusal{http.StatusForbidden, 20403, conversation.CodeNotYourTask}, ""},
		"a message after the end":      {post, conversations + "/" + over.conversation + "/Messages", form("Body", "Hello"), closed, ""},
		"alice's after the end":        {post, conversations + "/" + over.conversation + "/Messages", form("Body", "Hello", "Author", "alice"), wrongState(product, conversation.CodeTaskNotAssigned), ""},
		"no one added":                 {post, its1 + "/Participants", nil, wrongParameter(product), ""},
		"by identity and address":      {post, its1 + "/Participants", form("Identity", "a", "MessagingBinding.Address", "+1"), wrongParameter(product), ""},
		"added a second time":          {post, its1 + "/Participants", form("Identity", "crystal"), refusal{http.StatusConflict, 50433, ""}, ""},
		"the customer, changed":        {post, customer, form("Identity", "another"), wrongParameter(product), ""},
		"the customer, removed":        {remove, customer, nil, wrongParameter(product), ""},
	})
	requireError(t, f.agent(t, "bob").call(get, its1, nil), mayNot)
	requireError(t, f.agent(t, "alice").call(post, its1+"/Messages", form("Body", "Hello", "Author", "Crystal Minh")), mayNot)
	require.Empty(t, bodies(t, service, i.conversation), "what was refused isn't written")
}

func refuseInteractions(t *testing.T, f *httpEnvironment) {
	const product = "Flex"
	service := f.unlimited(t)
	interactions := flexHost + "/v1/Interactions"
	i := service.startsWithAlice()
	channel := interactions + "/" + i.sid + "/Channels/" + i.channel
	with := func(channel, routing string) url.Values { return form("Channel", channel, "Routing", routing) }
	web, support := `{"type":"web"}`, `{"properties":{"queue_sid":"`+conversation.QueueSID("support")+`"}}`
	media := func(sid string) string { return `{"type":"web","properties":{"media_channel_sid":"` + sid + `"}}` }
	refuseAll(t, service, map[string]wrong{
		"a channel that is no JSON":     {post, interactions, with("web", support), wrongParameter(product), "Channel"},
		"a channel by fax":              {post, interactions, with(`{"type":"fax"}`, support), wrongParameter(product), "Channel"},
		"a channel of no type":          {post, interactions, with(`{}`, support), wrongParameter(product), "Channel"},
		"a channel of a number":         {post, interactions, with(`{"type":7}`, support), wrongParameter(product), "Channel"},
		"a media channel by name":       {post, interactions, with(media("order-7"), support), wrongParameter(product), "Channel"},
		"no such media channel":         {post, interactions, with(media("CH"+i32("0")), support), gone(product), ""},
		"a media channel started":       {post, interactions, with(media(i.conversation), support), inConflict(product, conversation.CodeInvalidPayload), ""},
		"a routing that is no JSON":     {post, interactions, with(web, "support"), wrongParameter(product), "Routing"},
		"a routing without properties":  {post, interactions, with(web, "{}"), wrongParameter(product), "Routing"},
		"no such queue":                 {post, interactions, with(web, `{"properties":{"queue_sid":"WQ`+i32("0")+`"}}`), refusal{http.StatusNotFound, 45006, conversation.CodeUnknownQueue}, ""},
		"no such workflow":              {post, interactions, with(web, `{"properties":{"workflow_sid":"WW`+i32("0")+`"}}`), gone(product), ""},
		"no such worker":                {post, interactions, with(web, `{"properties":{"queue_sid":"`+conversation.QueueSID("support")+`","worker_sid":"WK`+i32("0")+`"}}`), refusal{http.StatusNotFound, 45006, conversation.CodeUnknownAgent}, ""},
		"another workspace":             {post, interactions, with(web, `{"properties":{"workspace_sid":"WS`+i32("0")+`"}}`), gone(product), ""},
		"attributes as a list":          {post, interactions, with(web, `{"properties":{"attributes":[]}}`), wrongParameter(product), ""},
		"attributes as wrong text":      {post, interactions, with(web, `{"properties":{"attributes":"x"}}`), wrongParameter(product), ""},
		"attributes that are long":      {post, interactions, with(web, `{"properties":{"attributes":{"a":"`+strings.Repeat("x", conversation.MaxAttributes)+`"}}}`), wrongParameter(product), ""},
		"a priority below none":         {post, interactions, with(web, `{"properties":{"priority":-1}}`), wrongParameter(product), ""},
		"a channel set to nonsense":     {post, channel, form("Status", "open"), wrongParameter(product), "Status"},
		"closed with half a routing":    {post, channel, form("Status", "closed", "Routing", "{"), wrongParameter(product), "Routing"},
		"an invite to what alice has":   {post, channel + "/Invites", form("Routing", support), wrongState(product, conversation.CodeNoReservation), ""},
		"an invite without properties":  {post, channel + "/Invites", form("Routing", "{}"), wrongParameter(product), "Routing"},
		"an invite to no queue":         {post, channel + "/Invites", form("Routing", `{"properties":{"queue_sid":"WQ`+i32("0")+`"}}`), refusal{http.StatusNotFound, 45006, conversation.CodeUnknownQueue}, ""},
		"the channel of another":        {get, interactions + "/" + i.sid + "/Channels/UO" + i32("0"), nil, gone(product), ""},
		"segments of what is none":      {get, flexHost + "/v1/Insights/Segments?SegmentId=1", nil, noSID, "SegmentId"},
		"conversations of what is none": {get, flexHost + "/v1/Insights/Conversations?SegmentId=1", nil, noSID, "SegmentId"},
	})
	service.requireStatus(i.task, "assigned")
}

func refuseParticipants(t *testing.T, f *httpEnvironment) {
	const product = "Flex"
	service := f.unlimited(t)
	i := service.startsWithAlice()
	participants := flexHost + "/v1/Interactions/" + i.sid + "/Channels/" + i.channel + "/Participants"
	add := func(kind, media string, more ...string) url.Values {
		return form(append([]string{"Type", kind, "MediaProperties", media}, more...)...)
	}
	refuseAll(t, service, map[string]wrong{
		"of no type":              {post, participants, add("guest", "{}"), wrongParameter(product), "Type"},
		"media that is no JSON":   {post, participants, add("customer", "+15558675310"), wrongParameter(product), "MediaProperties"},
		"media of no one":         {post, participants, add("customer", "{}"), wrongParameter(product), ""},
		"an agent, unknown":       {post, participants, add("agent", "{}"), wrongParameter(product), "RoutingProperties"},
		"an agent who isn't one":  {post, participants, add("agent", "{}", "RoutingProperties", `{"worker_sid":"WK`+i32("0")+`"}`), refusal{http.StatusNotFound, 45006, conversation.CodeUnknownAgent}, ""},
		"an agent without a task": {post, participants, add("agent", "{}", "RoutingProperties", `{"worker_sid":"`+conversation.AgentSID("bob")+`"}`), wrongState(product, conversation.CodeNoReservation), ""},
		"set to nonsense":         {post, participants + "/" + participant(i.task), form("Status", "gone"), wrongParameter(product), "Status"},
		"the customer wraps up":   {post, participants + "/" + participant(i.conversation), form("Status", "wrapup"), wrongState(product, ""), ""},
	})
	requireError(t, f.agent(t, "bob").call(post, participants+"/"+participant(i.task), form("Status", "wrapup")), mayNot)
	requireError(t, f.agent(t, "bob").call(get, participants, nil), mayNot)
	service.requireStatus(i.task, "assigned")
	service.does(http.StatusOK, post, participants+"/"+participant(i.task), form("Status", "closed"))
	f.closed(t, i.conversation)
	requireError(t, service.call(post, participants+"/"+participant(i.task), form("Status", "wrapup")), refusal{http.StatusConflict, 45354, conversation.CodeConversationClosed})
}

func refuseNotes(t *testing.T, f *httpEnvironment) {
	const product = "Flex"
	service := f.unlimited(t)
	i, other := service.startsWithAlice(), service.startsWithAlice()
	notes := flexHost + "/v1/Instances/" + service.instance + "/Notes"
	note := func(sid string, more ...string) url.Values {
		return form(append([]string{"InteractionSid", sid}, more...)...)
	}
	refuseAll(t, service, map[string]wrong{
		"of what is no SID":       {post, notes, note("KD1", "Summary", "In short."), noSID, "InteractionSid"},
		"of no interaction":       {post, notes, note("KD"+i32("0"), "Summary", "In short."), gone(product), ""},
		"a blank one":             {post, notes, note(i.sid, "Summary", " \n"), wrongParameter(product), "Summary"},
		"one that is too long":    {post, notes, note(i.sid, "Summary", strings.Repeat("é", conversation.MaxNote+1)), wrongParameter(product), ""},
		"of another type":         {post, notes, note(i.sid, "Summary", "In short.", "Type", "wrapup"), wrongParameter(product), "Type"},
		"of another's channel":    {post, notes, note(i.sid, "Summary", "In short.", "ChannelSid", other.channel), gone(product), ""},
		"of a channel by name":    {post, notes, note(i.sid, "Summary", "In short.", "ChannelSid", "web"), noSID, "ChannelSid"},
		"the list of no SID":      {get, notes + "?InteractionSid=1", nil, noSID, "InteractionSid"},
		"the list of another one": {get, notes + "?InteractionSid=KD" + i32("0"), nil, gone(product), ""},
	})
	kept := service.does(http.StatusOK, post, notes, note(i.sid, "Summary", strings.Repeat("é", conversation.MaxNote)))
	require.Equal(t, strings.Repeat("é", conversation.MaxNote), kept["summary"])
	bob := f.agent(t, "bob")
	requireError(t, bob.call(get, notes+"/"+kept["sid"].(string), nil), mayNot)
	requireError(t, bob.call(post, notes, note(i.sid, "Summary", "Me too.")), mayNot)
}

// refuseOvertaken requires that a change with the ETag of an outdated version is refused.
func refuseOvertaken(t *testing.T, f *httpEnvironment) {
	service := f.unlimited(t)
	p := service.waiting()
	task := service.inWorkspace("/Tasks/" + p["task"])
	tag := func(address string) string {
		got := service.call(get, address, nil)
		require.Equal(t, http.StatusOK, got.Status)
		require.NotEmpty(t, got.Header.Get("ETag"))
		return got.Header.Get("ETag")
	}
	stale := tag(task)
	claimed := service.does(http.StatusCreated, post, task+"/Reservations", form("WorkerSid", conversation.AgentSID("alice")))
	reservation := task + "/Reservations/" + claimed["sid"].(string)
	pending := tag(reservation)
	for _, header := range []string{stale, `"never"`, `W/` + stale, `"a", "b"`} {
		requireError(t, service.call(post, task, form("AssignmentStatus", "canceled"), "If-Match", header), changed)
		requireError(t, service.call(remove, task, nil, "If-Match", header), changed)
		requireError(t, service.call(post, reservation, form("ReservationStatus", "accepted"), "If-Match", header), changed)
	}
	requireError(t, service.call(post, service.inWorkspace("/Workers/"+conversation.AgentSID("alice")), form("Attributes", "{}"), "If-Match", `"never"`), changed)
	service.requireStatus(p["task"], "reserved")

	// A list of tags matches if one of them does, and * always matches.
	service.does(http.StatusOK, post, reservation, form("ReservationStatus", "accepted"), "If-Match", `"other", `+pending)
	require.NotEqual(t, pending, tag(reservation))
	requireError(t, service.call(post, reservation, form("ReservationStatus", "accepted"), "If-Match", pending), changed)
	service.does(http.StatusOK, post, task, form("AssignmentStatus", "wrapping"), "If-Match", "*")
	service.does(http.StatusOK, post, task, form("AssignmentStatus", "completed"), "If-Match", tag(task))
	_, err := service.TaskrouterV1.UpdateTask(service.workspace, p["task"], (&taskapi.UpdateTaskParams{}).SetAssignmentStatus("completed").SetIfMatch(stale))
	requireRefused(t, err, changed)
}
