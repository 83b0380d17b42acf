package httpapi_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/httpapi"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routes"
	"github.com/baton-transfers/baton/internal/routing"
)

// Texts that people write in these tests. They must not appear in the log.
const (
	secretNote = "the customer was charged twice, and is furious"
	aMessage   = "my card ends with 4242"
)

// may holds the status that each kind of caller gets from a call.
type may struct {
	// The callers are a service, a supervisor, the agent who has the conversation or whom the path names, and
	// another agent. Every call requires credentials.
	service, supervisor, agent, other int
}

const (
	yes = http.StatusOK
	no  = http.StatusForbidden
)

// The groups of callers in the contract.
var (
	all         = may{yes, yes, yes, yes} // for everyone who works here
	ownOnly     = may{yes, yes, yes, no}  // an agent's own conversations, offers and presence
	writersOnly = may{yes, no, yes, no}   // to write to the customer: a supervisor's key only reads and moves
	leadersOnly = may{yes, yes, no, no}   // to move conversations, and to set capacities
	adminsOnly  = may{yes, no, no, no}    // for the organisation's programs
)

// creates is the same for a call that answers 201, deletes for one that answers 204.
func (m may) creates() may { return m.answers(http.StatusCreated) }
func (m may) deletes() may { return m.answers(http.StatusNoContent) }

func (m may) answers(status int) may {
	for _, cell := range []*int{&m.service, &m.supervisor, &m.agent, &m.other} {
		if *cell == yes {
			*cell = status
		}
	}
	return m
}

// permission is a row of the table: a call, who may make it, and its parameters for success.
type permission struct {
	call string
	may  may
	// hires is set if the call needs a worker of its own.
	hires bool
	// stage is the state of the conversation before the call.
	stage stage
	// form holds pairs of a name and a value of the form; json is the body of a JSON call.
	form []string
	json string
}

// stage is the state of the conversation that a call names.
type stage int

const (
	// has: alice has it; offered: it is offered to her; waits: it waits in the queue quiet.
	has stage = iota
	offered
	waits
	// passed: alice has transferred it to bob, to whom it is offered; accepted: bob has it, alice wraps it up.
	passed
	accepted
)

func (st stage) begin(h *environment) string {
	h.t.Helper()
	switch st {
	case waits:
		return h.start()
	case offered:
		return h.offer("alice")
	case has, passed, accepted:
	}
	sid := h.give("alice")
	if st == passed || st == accepted {
		h.do(sid, conversation.TransferCommand{From: "alice", To: conversation.Target{Agent: "bob"}})
	}
	if st == accepted {
		h.do(sid, conversation.AcceptCommand{Agent: "bob"})
	}
	return sid
}

const (
	interactions  = "/v1/Interactions/{interaction}"
	channels      = interactions + "/Channels/{channel}"
	workspaces    = "/v1/Workspaces/{workspace}"
	conversations = "/v1/Conversations/{conversation}"
	instances     = "/v1/Instances/{instance}"
)

// permissions returns the table of every call. Values in braces are those of the resources.
func permissions() []permission {
	return []permission{
		{call: "POST /v1/Interactions", may: adminsOnly, form: []string{"Channel", `{"type":"web"}`, "Routing", `{"properties":{"queue_sid":"{quiet}"}}`}},
		{call: "GET " + interactions, may: ownOnly},
		{call: "POST " + interactions, may: adminsOnly, form: []string{"WebhookTtid", "IW1"}},
		{call: "GET " + interactions + "/Channels", may: ownOnly},
		{call: "GET " + channels, may: ownOnly},
		{call: "POST " + channels, may: ownOnly, form: []string{"Status", "closed"}},
		{call: "POST " + channels + "/Invites", may: leadersOnly, stage: waits, form: []string{"Routing", `{"properties":{"worker_sid":"{bob}"}}`}},
		{call: "GET " + channels + "/Invites", may: ownOnly},
		{call: "GET " + channels + "/Participants", may: ownOnly},
		{
			call: "POST " + channels + "/Participants", may: ownOnly, stage: waits,
			form: []string{"Type", "agent", "MediaProperties", "{}", "RoutingProperties", `{"worker_sid":"{alice}"}`},
		},
		{call: "POST " + channels + "/Participants/{participant}", may: ownOnly, form: []string{"Status", "wrapup"}},
		{
			call: "POST " + channels + "/Transfers", may: ownOnly.creates(),
			json: `{"from":"{participant}","to":"{bob}","type":"cold","note_sid":"{note}"}`,
		},
		{call: "GET " + channels + "/Transfers/{transfer}", may: ownOnly, stage: passed},
		{call: "POST " + channels + "/Transfers/{transfer}", may: ownOnly, stage: passed, json: `{"status":"failed"}`},

		{call: "GET /v3/Instances/{instance}/TransferSettings", may: all},
		{call: "POST /v3/Instances/{instance}/TransferSettings", may: adminsOnly, json: `{"enabled":true,"transfer_notes_enabled":true}`},
		{call: "POST " + instances + "/Notes", may: ownOnly, form: []string{"InteractionSid", "{interaction}", "Summary", secretNote}},
		{call: "GET " + instances + "/Notes/{note}", may: ownOnly},
		{call: "GET " + instances + "/Notes", may: ownOnly, form: []string{"InteractionSid", "{interaction}"}},

		{call: "GET /v1/Workspaces", may: all},
		{call: "GET " + workspaces, may: all},
		{call: "POST " + workspaces, may: adminsOnly, form: []string{"FriendlyName", "Our workspace"}},
		{call: "GET " + workspaces + "/Activities", may: all},
		{call: "POST " + workspaces + "/Activities", may: adminsOnly.creates(), form: []string{"FriendlyName", "{new}"}},
		{call: "GET " + workspaces + "/Activities/{activity}", may: all},
		{call: "POST " + workspaces + "/Activities/{activity}", may: adminsOnly, form: []string{"FriendlyName", "{new}"}},
		{call: "DELETE " + workspaces + "/Activities/{activity}", may: adminsOnly.deletes()},
		{call: "GET " + workspaces + "/TaskChannels", may: all},
		{call: "GET " + workspaces + "/TaskChannels/{taskchannel}", may: all},
		{call: "GET " + workspaces + "/Workflows", may: all},
		{call: "POST " + workspaces + "/Workflows", may: adminsOnly.creates(), form: []string{"FriendlyName", "{new}", "Configuration", configuration}},
		{call: "GET " + workspaces + "/Workflows/{workflow}", may: all},
		{call: "POST " + workspaces + "/Workflows/{workflow}", may: adminsOnly, form: []string{"Configuration", configuration}},
		{call: "DELETE " + workspaces + "/Workflows/{workflow}", may: adminsOnly.deletes()},

		{call: "GET " + workspaces + "/Workers", may: all},
		{call: "POST " + workspaces + "/Workers", may: adminsOnly.creates(), form: []string{"FriendlyName", "{new}"}},
		{call: "GET " + workspaces + "/Workers/{worker}", may: all},
		{call: "POST " + workspaces + "/Workers/{worker}", may: ownOnly, hires: true, form: []string{"ActivitySid", "{available}"}},
		{call: "DELETE " + workspaces + "/Workers/{worker}", may: adminsOnly.deletes(), hires: true},
		{call: "GET " + workspaces + "/Workers/{worker}/Channels", may: all},
		{call: "GET " + workspaces + "/Workers/{worker}/Channels/{workerchannel}", may: all},
		{call: "POST " + workspaces + "/Workers/{worker}/Channels/{workerchannel}", may: leadersOnly, hires: true, form: []string{"Capacity", "5"}},
		{call: "GET " + workspaces + "/TaskQueues", may: all},
		{call: "POST " + workspaces + "/TaskQueues", may: adminsOnly.creates(), form: []string{"FriendlyName", "{new}", "TargetWorkers", "1==0"}},
		{call: "GET " + workspaces + "/TaskQueues/{queue}", may: all},
		{call: "POST " + workspaces + "/TaskQueues/{queue}", may: adminsOnly, form: []string{"FriendlyName", "{new}"}},
		{call: "DELETE " + workspaces + "/TaskQueues/{queue}", may: adminsOnly.deletes()},

		{call: "GET " + workspaces + "/Tasks", may: all},
		{call: "POST " + workspaces + "/Tasks", may: adminsOnly.creates(), form: []string{"TaskQueueSid", "{quiet}", "Attributes", `{"customerName":"Crystal Minh"}`}},
		{call: "GET " + workspaces + "/Tasks/{task}", may: ownOnly},
		{call: "POST " + workspaces + "/Tasks/{task}", may: ownOnly, form: []string{"AssignmentStatus", "completed", "Reason", "refunded"}},
		{call: "DELETE " + workspaces + "/Tasks/{task}", may: leadersOnly.deletes(), stage: offered},
		{call: "GET " + workspaces + "/Tasks/{task}/Reservations", may: ownOnly},
		{call: "POST " + workspaces + "/Tasks/{task}/Reservations", may: ownOnly.creates(), stage: waits, form: []string{"WorkerSid", "{alice}"}},
		{call: "GET " + workspaces + "/Tasks/{task}/Reservations/{reservation}", may: ownOnly},
		{
			call: "POST " + workspaces + "/Tasks/{task}/Reservations/{reservation}", may: ownOnly, stage: offered,
			form: []string{"ReservationStatus", "accepted"},
		},
		{call: "GET " + workspaces + "/Workers/{worker}/Reservations", may: ownOnly},
		{call: "GET " + workspaces + "/Workers/{worker}/Reservations/{reservation}", may: ownOnly},
		{
			call: "POST " + workspaces + "/Workers/{worker}/Reservations/{reservation}", may: ownOnly, stage: offered,
			form: []string{"ReservationStatus", "rejected"},
		},

		{call: "GET /v1/Conversations", may: all},
		{call: "POST /v1/Conversations", may: adminsOnly.creates(), form: []string{"FriendlyName", "Refunds"}},
		{call: "GET " + conversations, may: ownOnly},
		{call: "POST " + conversations, may: ownOnly, form: []string{"FriendlyName", "Refunds", "State", "closed"}},
		{call: "DELETE " + conversations, may: adminsOnly.deletes()},
		{call: "GET " + conversations + "/Messages", may: ownOnly},
		{call: "POST " + conversations + "/Messages", may: writersOnly.creates(), form: []string{"Author", "alice", "Body", aMessage}},
		{call: "GET " + conversations + "/Messages/{message}", may: ownOnly},
		{call: "POST " + conversations + "/Messages/{message}", may: adminsOnly, form: []string{"Body", aMessage}},
		{call: "DELETE " + conversations + "/Messages/{message}", may: adminsOnly.deletes()},
		{call: "GET " + conversations + "/Participants", may: ownOnly},
		{call: "POST " + conversations + "/Participants", may: adminsOnly.creates(), form: []string{"Identity", "crystals-son"}},
		{call: "GET " + conversations + "/Participants/{member}", may: ownOnly},
		{call: "POST " + conversations + "/Participants/{member}", may: adminsOnly, form: []string{"Attributes", `{"son":true}`}},
		{call: "DELETE " + conversations + "/Participants/{member}", may: adminsOnly.deletes()},

		{call: "GET " + workspaces + "/Events", may: leadersOnly},
		{call: "GET " + workspaces + "/Events/{event}", may: leadersOnly},
		{call: "GET /v1/Insights/Segments", may: leadersOnly},
		{call: "GET /v1/Insights/Conversations", may: leadersOnly},
		{call: "GET " + workspaces + "/Statistics", may: leadersOnly},
		{call: "GET " + workspaces + "/RealTimeStatistics", may: leadersOnly},
		{call: "GET " + workspaces + "/CumulativeStatistics", may: leadersOnly},
		{call: "GET " + workspaces + "/Workers/Statistics", may: leadersOnly},
		{call: "GET " + workspaces + "/Workers/RealTimeStatistics", may: leadersOnly},
		{call: "GET " + workspaces + "/Workers/CumulativeStatistics", may: leadersOnly},
		{call: "GET " + workspaces + "/Workers/{worker}/Statistics", may: leadersOnly},
		{call: "GET " + workspaces + "/TaskQueues/Statistics", may: leadersOnly},
		{call: "POST " + workspaces + "/TaskQueues/RealTimeStatistics", may: leadersOnly, json: `{"queueSids":["{quiet}"]}`},
		{call: "GET " + workspaces + "/TaskQueues/{queue}/Statistics", may: leadersOnly},
		{call: "GET " + workspaces + "/TaskQueues/{queue}/RealTimeStatistics", may: leadersOnly},
		{call: "GET " + workspaces + "/TaskQueues/{queue}/CumulativeStatistics", may: leadersOnly},
		{call: "GET " + workspaces + "/Workflows/{workflow}/Statistics", may: leadersOnly},
		{call: "GET " + workspaces + "/Workflows/{workflow}/RealTimeStatistics", may: leadersOnly},
		{call: "GET " + workspaces + "/Workflows/{workflow}/CumulativeStatistics", may: leadersOnly},
	}
}

const configuration = `{"task_routing":{"filters":[],"default_filter":{"queue":"{quiet}"}}}`

// resources holds the resources for a call: a conversation of its own, and other resources, which are made when the
// call names them.
type resources struct {
	*environment

	stage stage
	// hires makes the worker that the call names exist for this call only.
	hires bool
	made  map[string]string
}

func (p permission) resources(h *environment) *resources {
	return &resources{environment: h, stage: p.stage, hires: p.hires, made: map[string]string{}}
}

var inBraces = regexp.MustCompile(`\{[a-z]+\}`)

// fill replaces names in braces by the values of the resources.
func (s *resources) fill(text string) string {
	return inBraces.ReplaceAllStringFunc(text, func(name string) string { return s.value(strings.Trim(name, "{}")) })
}

func (s *resources) value(name string) string {
	s.t.Helper()
	if s.made[name] == "" {
		s.made[name] = s.make(name)
	}
	return s.made[name]
}

// names numbers the resources, so that their names are unique.
var names atomic.Int64

// sceneNames lists the names of all values that a resources may have.
var sceneNames = []string{
	"conversation", "interaction", "channel", "task", "participant", "reservation", "transfer", "note", "message", "member", "workspace", "instance",
	"activity", "available", "taskchannel", "workerchannel", "workflow", "queue", "quiet", "agent", "worker", "alice", "bob", "event", "new",
}

func (s *resources) make(name string) string {
	s.t.Helper()
	ctx, digits := s.t.Context(), func(prefix string) string { return conversation.SameSID(prefix, s.value("conversation")) }
	switch name {
	case "new":
		return fmt.Sprintf("made-%d", names.Add(1))
	case "conversation":
		return s.stage.begin(s.environment)
	case "interaction":
		return digits(conversation.PrefixInteraction)
	case "channel":
		return digits(conversation.PrefixInteractionChannel)
	case "task":
		return s.state(s.value("conversation")).Tasks[0].SID
	case "participant":
		return conversation.SameSID("UT", s.value("task"))
	case "reservation":
		return s.state(s.value("conversation")).Tasks[0].Reservation.SID
	case "transfer":
		return s.state(s.value("conversation")).Transfers[0].SID
	case "note":
		sid, err := records.StoreNote(ctx, s.desk, s.value("conversation"), "alice", secretNote)
		require.NoError(s.t, err)
		return sid
	case "message":
		said, err := records.Say(ctx, s.desk, records.NewMessage{Conversation: s.value("conversation"), From: records.FromCustomer, Text: aMessage})
		require.NoError(s.t, err)
		return said.SID
	case "member":
		added, err := records.AddParticipant(ctx, s.desk, records.Participant{Conversation: s.value("conversation"), Identity: "crystals-mother"})
		require.NoError(s.t, err)
		return added.SID
	case "workspace":
		return s.workspace()
	case "instance":
		return s.instance()
	case "activity":
		added, err := routing.AddActivity(ctx, s.desk, s.value("new"), false)
		require.NoError(s.t, err)
		s.made["new"] = "" // another name for what the call makes
		return added.SID
	case "available":
		return routing.ActivityOf(desk.PresenceAvailable).SID
	case "taskchannel", "workerchannel":
		return string(conversation.ChannelWeb)
	case "workflow":
		saved, err := routes.SaveWorkflow(ctx, s.desk, routes.Workflow{FriendlyName: s.value("new"), Configuration: s.fill(configuration)})
		require.NoError(s.t, err)
		s.made["new"] = ""
		return saved.SID
	case "queue":
		queue := s.value("new")
		require.NoError(s.t, people.AddQueue(ctx, s.desk, queue))
		s.made["new"] = ""
		return conversation.QueueSID(queue)
	case "quiet":
		return conversation.QueueSID(name)
	case "worker":
		return conversation.AgentSID(s.value("agent"))
	case "agent":
		if !s.hires {
			return "alice"
		}
		agent := fmt.Sprintf("agent-%d", names.Add(1))
		require.NoError(s.t, people.AddAgent(ctx, s.desk, people.NewAgent{Name: agent}))
		return agent
	case "alice", "bob":
		return conversation.AgentSID(name)
	case "event":
		happened, err := outbox.EventPage(ctx, s.desk, outbox.EventFilter{}, desk.Page{Limit: 1})
		require.NoError(s.t, err)
		return happened.Entries[0].SID()
	}
	require.Fail(s.t, "a call names what no resources has", "{%s}", name)
	return ""
}

// agentKey returns the key of the agent who has the conversation or whom the call names.
func (s *resources) agentKey() key {
	if s.hires {
		return s.newKey(access.KeyAgent, s.value("agent"))
	}
	return s.alice
}

// ask makes the call.
func (p permission) ask(s *resources, as key) answer {
	s.t.Helper()
	method, path, _ := strings.Cut(p.call, " ")
	path = s.fill(path)
	if p.json != "" {
		return s.send(as, method, path, "application/json", s.fill(p.json))
	}
	form := url.Values{}
	for pair := range slices.Chunk(p.form, 2) {
		form.Set(pair[0], s.fill(pair[1]))
	}
	return s.environment.ask(as, method, path, form)
}

// recorded returns everything of the resources's conversation that a call may change.
func (s *resources) recorded() string {
	s.t.Helper()
	sid := s.made["conversation"]
	if sid == "" {
		return ""
	}
	ctx := s.t.Context()
	messages, err := records.ReadTranscript(ctx, s.desk, sid, records.AsSystem())
	require.NoError(s.t, err)
	notes, err := records.ListNotes(ctx, s.desk, sid, records.AsSystem())
	require.NoError(s.t, err)
	members, err := records.ListParticipants(ctx, s.desk, sid)
	require.NoError(s.t, err)
	details, err := records.ReadDetails(ctx, s.desk, sid)
	require.NoError(s.t, err)
	encoded, err := json.MarshalIndent([]any{s.state(sid), messages, notes, members, details}, "", " ")
	require.NoError(s.t, err)
	return string(encoded)
}

// rows returns the table's rows by call.
var rows = sync.OnceValue(func() map[string]permission {
	found := map[string]permission{}
	for _, p := range permissions() {
		found[p.call] = p
	}
	return found
})

func TestPermissions(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	table := rows()
	require.Len(t, table, len(permissions()), "a call has one row")
	routes := map[string]rest.Route{}
	for _, r := range httpapi.Routes() {
		routes[r.Method+" "+r.Path] = r
	}
	require.Empty(t, without(routes, table), "calls without a row: say who may make them")
	require.Empty(t, without(table, routes), "rows without a call")
	for call, p := range table {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			p.test(h.in(t), routes[call])
		})
	}
}

// without returns the keys of the first that aren't the second's.
func without[A, B any](first map[string]A, second map[string]B) (missing []string) {
	for key := range first {
		if _, found := second[key]; !found {
			missing = append(missing, key)
		}
	}
	slices.Sort(missing)
	return missing
}

// test makes the call as every caller. Refused calls change nothing, so all of these and the first allowed call
// share a resources. Each further call that changes something has its own resources.
func (p permission) test(h *environment, r rest.Route) {
	h.t.Helper()
	s := p.resources(h)
	columns := []struct {
		who    string
		as     func(*resources) key
		status int
	}{
		{"a service", func(*resources) key { return h.service }, p.may.service},
		{"the account", func(*resources) key { return h.owner() }, p.may.service},
		{"a supervisor", func(*resources) key { return h.supervisor }, p.may.supervisor},
		{"the agent", (*resources).agentKey, p.may.agent},
		{"another agent", func(*resources) key { return h.dave }, p.may.other},
	}
	p.ask(s, key{}).isError(http.StatusUnauthorized, 20003)
	for _, column := range columns {
		if column.status != no {
			continue
		}
		as := column.as(s)
		before := s.recorded()
		p.ask(s, as).isError(http.StatusForbidden, 20403)
		require.Equal(h.t, before, s.recorded(), "%s was refused, and changed something", column.who)
	}
	for _, column := range columns {
		if column.status == no {
			continue
		}
		a := p.ask(s, column.as(s))
		require.Equal(h.t, column.status, a.status, "%s: %s", column.who, a.body)
		require.Equal(h.t, r.Status, a.status, "the status that the route tells of")
		if r.Method != http.MethodGet {
			s = p.resources(h)
		}
	}
}

func TestCredentialsThatAreNone(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	ofRevoked := h.newKey(access.KeyService, "")
	h.ask(ofRevoked, http.MethodGet, "/v1/Workspaces", nil).is(http.StatusOK)
	require.NoError(t, access.RevokeKey(t.Context(), h.desk, ofRevoked.user))
	bodies := map[string]bool{}
	for name, wrong := range map[string]key{
		"no one's":                      {},
		"an unknown key":                {"SK0123456789abcdef0123456789abcdef", h.service.secret},
		"a key without its secret":      {h.service.user, ""},
		"a key with another's secret":   {h.service.user, h.alice.secret},
		"a key with the auth token":     {h.service.user, h.account.AuthToken},
		"a key in other case":           {strings.ToLower(h.service.user), h.service.secret},
		"a secret without its key":      {"", h.service.secret},
		"the account without its token": {h.account.SID, ""},
		"the account with a secret":     {h.account.SID, h.service.secret},
		"the account with itself":       {h.account.SID, h.account.SID},
		"the hash of a secret":          {h.service.user, hashOf(h.service.secret)},
		"an agent's name":               {"alice", h.alice.secret},
		"a revoked key":                 ofRevoked,
	} {
		for _, path := range []string{"/v1/Workspaces", "/v1/Conversations/" + h.give("alice"), "/v1/nowhere"} {
			a := h.ask(wrong, http.MethodGet, path, nil).isError(http.StatusUnauthorized, 20003)
			require.Equal(t, `Basic realm="Baton"`, a.header.Get("WWW-Authenticate"), name)
			bodies[a.body] = true
		}
	}
	require.Len(t, bodies, 1, "the answer doesn't tell what is wrong, nor what is there")

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.server.URL+"/v1/Workspaces", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+h.account.AuthToken)
	h.sendRequest(request).isError(http.StatusUnauthorized, 20003)
	h.send(key{}, http.MethodPost, "/v1/Workspaces/"+h.workspace(), "application/x-www-form-urlencoded",
		url.Values{"AccountSid": {h.account.SID}, "AuthToken": {h.account.AuthToken}}.Encode()).isError(http.StatusUnauthorized, 20003)
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// An agent's key acts as its own agent, even if the path, the query or the body names another. In each case the
// key's agent is on the conversation or may make the call, and names another agent.
func TestAnAgentsKeyActsAsNobodyElse(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	asBob, asAlice := func(h *environment) key { return h.bob }, func(h *environment) key { return h.alice }
	for name, try := range map[string]struct {
		permission

		as func(h *environment) key
	}{
		"a transfer from another": {permission{
			call: "POST " + channels + "/Transfers", stage: passed,
			json: `{"from":"{participant}","to":"{bob}"}`,
		}, asBob},
		"another's transfer taken back": {permission{
			call: "POST " + channels + "/Transfers/{transfer}", stage: passed, json: `{"status":"failed"}`,
		}, asBob},
		"a message of another agent": {permission{
			call: "POST " + conversations + "/Messages", stage: accepted, form: []string{"Author", "alice", "Body", aMessage},
		}, asBob},
		"a message of the customer": {permission{
			call: "POST " + conversations + "/Messages", stage: accepted, form: []string{"Author", "Crystal Minh", "Body", aMessage},
		}, asBob},
		"a message of the customer under their other name": {permission{
			call: "POST " + conversations + "/Messages", stage: accepted, form: []string{"Author", records.FromCustomer, "Body", aMessage},
		}, asBob},
		"a message of the system": {permission{
			call: "POST " + conversations + "/Messages", stage: accepted, form: []string{"Author", records.FromSystem, "Body", aMessage},
		}, asBob},
		"another's reservation completed": {permission{
			call: "POST " + workspaces + "/Tasks/{task}/Reservations/{reservation}", stage: accepted, form: []string{"ReservationStatus", "completed"},
		}, asBob},
		"another's reservation read": {permission{
			call: "GET " + workspaces + "/Tasks/{task}/Reservations/{reservation}", stage: accepted,
		}, asBob},
		"another's reservation read under their name": {permission{
			call: "GET " + workspaces + "/Workers/{alice}/Reservations/{reservation}", stage: accepted,
		}, asBob},
		"another's reservation under their name": {permission{
			call: "POST " + workspaces + "/Workers/{alice}/Reservations/{reservation}", stage: accepted, form: []string{"ReservationStatus", "completed"},
		}, asBob},
		"another's reservations of the same task": {permission{
			call: "GET " + workspaces + "/Tasks/{task}/Reservations", stage: accepted, form: []string{"WorkerSid", "{alice}"},
		}, asBob},
		"another's task completed": {permission{
			call: "POST " + workspaces + "/Tasks/{task}", stage: accepted, form: []string{"AssignmentStatus", "completed"},
		}, asBob},
		"another's task canceled": {permission{
			call: "POST " + workspaces + "/Tasks/{task}", stage: offered, form: []string{"AssignmentStatus", "canceled"},
		}, asAlice},
		"another's participation ended": {permission{
			call: "POST " + channels + "/Participants/{participant}", stage: accepted, form: []string{"Status", "closed"},
		}, asBob},
		"another agent put on the channel": {permission{
			call: "POST " + channels + "/Participants", stage: offered,
			form: []string{"Type", "agent", "MediaProperties", "{}", "RoutingProperties", `{"worker_sid":"{bob}"}`},
		}, asAlice},
		"an external person put on the channel": {permission{
			call: "POST " + channels + "/Participants", form: []string{"Type", "external", "MediaProperties", `{"identity":"crystals-son"}`},
		}, asAlice},
		"an end to a conversation that another has": {permission{
			call: "POST " + channels, stage: accepted, form: []string{"Status", "closed"},
		}, asAlice},
		"an end to a conversation that is only offered": {permission{
			call: "POST " + conversations, stage: offered, form: []string{"State", "closed"},
		}, asAlice},
		"another name beside an end that isn't theirs": {permission{
			call: "POST " + conversations, stage: accepted, form: []string{"FriendlyName", "Mine", "State", "closed"},
		}, asAlice},
		"another's wrapup completed with the conversation": {permission{
			call: "POST " + channels, stage: accepted, form: []string{"Status", "closed", "Routing", `{"status":"closed"}`},
		}, asBob},
		"skills of their own": {permission{
			call: "POST " + workspaces + "/Workers/{worker}", form: []string{"Attributes", `{"skills":["everything"]}`},
		}, asAlice},
		"a name of their own": {permission{
			call: "POST " + workspaces + "/Workers/{worker}", form: []string{"FriendlyName", "The boss"},
		}, asAlice},
		"a supervisor's naming": {permission{
			call: "POST " + workspaces + "/Workers/{worker}", form: []string{"FriendlyName", "The boss"},
		}, func(h *environment) key { return h.supervisor }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := h.in(t)
			s := try.resources(h)
			s.value("conversation")
			before := s.recorded()
			try.ask(s, try.as(h)).isError(http.StatusForbidden, 20403)
			require.Equal(t, before, s.recorded(), "it was refused, and changed something")
		})
	}
}

// If a field of a call does not name the agent, it is the key's agent.
func TestAnAgentsKeyActsAsItsAgent(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid := passed.begin(h)
	h.do(sid, conversation.AcceptCommand{Agent: "bob"})
	interaction := conversation.SameSID(conversation.PrefixInteraction, sid)

	var message struct{ Author string }
	h.ask(h.bob, http.MethodPost, "/v1/Conversations/"+sid+"/Messages", url.Values{"Body": {aMessage}}).is(http.StatusCreated).read(&message)
	require.Equal(t, "bob", message.Author)
	var note struct{ Author string }
	h.ask(h.alice, http.MethodPost, "/v1/Instances/"+h.instance()+"/Notes", url.Values{"InteractionSid": {interaction}, "Summary": {secretNote}, "Author": {"bob"}}).
		is(http.StatusOK).read(&note)
	require.Equal(t, "alice", note.Author, "a note's author isn't chosen")

	// The agent who has it may write; the agent who wraps it up may read.
	h.ask(h.alice, http.MethodGet, "/v1/Conversations/"+sid+"/Messages", nil).is(http.StatusOK)
	h.ask(h.alice, http.MethodPost, "/v1/Conversations/"+sid+"/Messages", url.Values{"Body": {aMessage}}).isError(http.StatusBadRequest, 20001)
	h.do(sid, conversation.WrapupCommand{Agent: "alice"})
	h.ask(h.alice, http.MethodGet, "/v1/Conversations/"+sid+"/Messages", nil).isError(http.StatusForbidden, 20403)
	h.ask(h.alice, http.MethodGet, "/v1/Instances/"+h.instance()+"/Notes", url.Values{"InteractionSid": {interaction}}).isError(http.StatusForbidden, 20403)
}

// A request with the token of another caller is a different request: it does not get the other caller's answer.
func TestATokenIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid := h.give("alice")
	write := func(as key) answer {
		form := url.Values{"Body": {aMessage}}.Encode()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.server.URL+"/v1/Conversations/"+sid+"/Messages", strings.NewReader(form))
		require.NoError(t, err)
		request.SetBasicAuth(as.user, as.secret)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("I-Twilio-Idempotency-Token", "the same")
		return h.sendRequest(request)
	}
	var first, again, others struct {
		SID string `json:"sid"`
	}
	write(h.alice).is(http.StatusCreated).read(&first)
	write(h.alice).is(http.StatusCreated).read(&again)
	require.Equal(t, first, again)
	write(h.dave).isError(http.StatusForbidden, 20403)
	write(key{}).isError(http.StatusUnauthorized, 20003)
	write(h.service).is(http.StatusCreated).read(&others)
	require.NotEqual(t, first, others)
	require.NoError(t, access.RevokeKey(t.Context(), h.desk, h.alice.user))
	write(h.alice).isError(http.StatusUnauthorized, 20003)
}

// sids returns the SIDs of the list with that key.
func (a answer) sids(key string) []string {
	a.t.Helper()
	var page map[string]json.RawMessage
	a.is(http.StatusOK).read(&page)
	var entries []struct {
		SID string `json:"sid"`
	}
	require.NoError(a.t, json.Unmarshal(page[key], &entries))
	found := []string{}
	for _, entry := range entries {
		found = append(found, entry.SID)
	}
	return found
}

func TestAnAgentsListsHoldItsOwn(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	alices, offered, bobs, waiting, passed := h.give("alice"), h.offer("alice"), h.give("bob"), h.start(), passed.begin(h)
	first := func(sid string) string { return h.state(sid).Tasks[0].SID }
	tasks := "/v1/Workspaces/" + h.workspace() + "/Tasks"

	require.ElementsMatch(t, []string{first(alices), first(offered), first(passed)}, h.ask(h.alice, http.MethodGet, tasks, nil).sids("tasks"))
	require.ElementsMatch(t, []string{first(bobs), h.state(passed).Tasks[1].SID}, h.ask(h.bob, http.MethodGet, tasks, nil).sids("tasks"))
	require.Empty(t, h.ask(h.dave, http.MethodGet, tasks, nil).sids("tasks"))
	require.Len(t, h.ask(h.supervisor, http.MethodGet, tasks, nil).sids("tasks"), 6)
	for _, filter := range []url.Values{
		{"RoutingTarget": {conversation.AgentSID("bob")}},
		{"AssignmentStatus": {"pending"}},
		{"EvaluateTaskAttributes": {`order == "3348917502"`}},
		{"TaskQueueSid": {conversation.QueueSID("quiet")}},
		{"TaskQueueName": {"quiet"}},
		{"Ordering": {"DateCreated:desc"}},
		{"Page": {"0"}, "PageSize": {"1000"}},
		{"WorkflowSid": {desk.DefaultWorkflow()}},
		{"Priority": {"0"}},
	} {
		own := []string{first(alices), first(offered), first(passed)}
		require.Subset(t, own, h.ask(h.alice, http.MethodGet, tasks, filter).sids("tasks"), "%v", filter)
	}

	require.ElementsMatch(t, []string{alices, offered, passed}, h.ask(h.alice, http.MethodGet, "/v1/Conversations", nil).sids("conversations"))
	require.ElementsMatch(t, []string{bobs, passed}, h.ask(h.bob, http.MethodGet, "/v1/Conversations", nil).sids("conversations"))
	require.Empty(t, h.ask(h.dave, http.MethodGet, "/v1/Conversations", nil).sids("conversations"))
	require.Contains(t, h.ask(h.service, http.MethodGet, "/v1/Conversations", nil).sids("conversations"), waiting)

	// A task was offered to alice before bob: bob sees only his own reservation of it.
	h.do(offered, conversation.MoveCommand{To: conversation.Target{Agent: "bob"}})
	reservations := tasks + "/" + first(offered) + "/Reservations"
	require.Equal(t, []string{h.state(offered).Tasks[0].Reservation.SID}, h.ask(h.bob, http.MethodGet, reservations, nil).sids("reservations"))
	require.Len(t, h.ask(h.service, http.MethodGet, reservations, nil).sids("reservations"), 2)
	require.Len(t, h.ask(h.alice, http.MethodGet, "/v1/Workspaces/"+h.workspace()+"/Workers/"+conversation.AgentSID("alice")+"/Reservations", nil).sids("reservations"), 3)
}

func TestARevokedKeyIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid := h.give("alice")
	for _, role := range access.KeyRoles() {
		agent := map[access.KeyRole]string{access.KeyAgent: "alice"}[role]
		revoked := h.newKey(role, agent)
		other := h.newKey(role, agent)
		h.ask(revoked, http.MethodGet, "/v1/Conversations/"+sid, nil).is(http.StatusOK)
		require.NoError(t, access.RevokeKey(t.Context(), h.desk, revoked.user))
		h.ask(revoked, http.MethodGet, "/v1/Conversations/"+sid, nil).isError(http.StatusUnauthorized, 20003)
		h.ask(revoked, http.MethodPost, "/v1/Conversations/"+sid+"/Messages", url.Values{"Author": {"alice"}, "Body": {"Hello"}}).
			isError(http.StatusUnauthorized, 20003)
		h.ask(other, http.MethodGet, "/v1/Conversations/"+sid, nil).is(http.StatusOK)
	}
	before := h.owner()
	h.ask(before, http.MethodGet, "/v1/Conversations/"+sid, nil).is(http.StatusOK)
	renewed, err := access.RenewAuthToken(t.Context(), h.desk)
	require.NoError(t, err)
	h.ask(before, http.MethodGet, "/v1/Conversations/"+sid, nil).isError(http.StatusUnauthorized, 20003)
	h.ask(key{renewed.SID, renewed.AuthToken}, http.MethodGet, "/v1/Conversations/"+sid, nil).is(http.StatusOK)
}

// The desk's files do not contain the secrets of keys. The log contains neither secrets nor what people wrote: not
// for successful calls, not for refused ones, and not after the desk is closed.
func TestSecretsStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	keys := []key{h.service, h.supervisor, h.alice, h.bob, h.dave}
	for _, p := range permissions() {
		s := p.resources(h)
		for _, as := range []key{{h.service.user, h.account.AuthToken}, h.dave, h.service} {
			p.ask(s, as)
		}
	}

	files, err := filepath.Glob(h.file + "*")
	require.NoError(t, err)
	require.Contains(t, files, h.file+"-wal")
	var content []byte
	for _, file := range files {
		part, err := os.ReadFile(file)
		require.NoError(t, err)
		content = append(content, part...)
	}
	kept := string(content)
	for _, k := range keys {
		require.Contains(t, kept, k.user, "what is searched is where the keys are kept")
		require.NotContains(t, kept, k.secret)
	}
	require.Contains(t, kept, secretNote)

	// Every call again, with the desk closed.
	made := []*resources{}
	for _, p := range permissions() {
		s := p.resources(h)
		p.ask(s, key{})
		made = append(made, s)
	}
	require.NoError(t, h.desk.Close())
	for i, p := range permissions() {
		p.ask(made[i], h.service).isError(http.StatusInternalServerError, 20500)
	}
	logged := h.log.String()
	require.Equal(t, len(permissions()), strings.Count(logged, "request failed"))
	for _, personal := range []string{"Crystal Minh", "crystal@example.com", "crystals-", "3348917502"} {
		require.NotContains(t, logged, personal)
	}
	// The environment checks for secrets and written texts at the end of every test.
	require.Subset(t, h.log.secrets, []string{secretNote, aMessage, h.account.AuthToken, h.service.secret, h.dave.secret})
}
