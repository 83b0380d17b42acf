package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/testenv"
)

// printedDev is the output of `baton dev --json`.
type printedDev struct {
	HTTP      string `json:"http"`
	Account   string `json:"account_sid"`
	Token     string `json:"auth_token"`
	Workspace string `json:"workspace_sid"`
	Instance  string `json:"instance_sid"`
}

// printedKey is the output of `baton keys add --json`.
type printedKey struct {
	SID    string `json:"sid"`
	Secret string `json:"secret"`
	Role   string `json:"role"`
	Agent  string `json:"agent"`
}

// runsDevAsJSON starts `baton dev --json` and returns its output once everything runs.
func (u *user) runsDevAsJSON(t *testing.T) (*process, printedDev) {
	t.Helper()
	dev := launch(t, "baton dev", have(t, batonProgram), u.environment(t),
		"dev", "--data", u.data, "--temporal", "127.0.0.1:0", "--ui", "127.0.0.1:0", "--http", "127.0.0.1:0", "--json")
	var printed printedDev
	waitFor(t, testenv.Patience, "everything runs", func() bool {
		require.True(t, dev.Runs(), "baton dev has ended: %s%s", dev.Stdout.Tail(), dev.Stderr.Tail())
		return json.Unmarshal([]byte(dev.Stdout.String()), &printed) == nil
	})
	return dev, printed
}

// told is the answer to a client of the HTTP API: the status and an error's code.
type told struct {
	Status int    `json:"-"`
	Code   int    `json:"code"`
	SID    string `json:"sid"`
}

// asks sends a request with those credentials: a GET, or a POST if there is a form.
func asks(t *testing.T, user, secret, address string, form url.Values) told {
	t.Helper()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	answer, err := testenv.Call(in(t, testenv.Patience), http.DefaultClient, testenv.Request{Method: method, URL: address, User: user, Secret: secret, Body: form})
	require.NoError(t, err)
	answered := told{}
	require.NoError(t, answer.Decode(&answered))
	answered.Status = answer.Status
	return answered
}

var (
	authenticate = told{Status: http.StatusUnauthorized, Code: 20003}
	forbidden    = told{Status: http.StatusForbidden, Code: 20403}
)

func TestStarterDevPrintsCredentialsThatWork(t *testing.T) {
	t.Parallel()
	u, other := newUser(t), newUser(t)
	dev, printed := u.runsDevAsJSON(t)
	_, others := other.runsDevAsJSON(t)

	for prefix, sid := range map[string]string{
		desk.PrefixAccount: printed.Account, desk.PrefixWorkspace: printed.Workspace, desk.PrefixInstance: printed.Instance,
	} {
		require.True(t, conversation.IsSID(prefix, sid), "%q", sid)
	}
	require.Regexp(t, `^[0-9a-zA-Z]{32,}$`, printed.Token, "long, and of characters that Twilio's libraries take")
	require.NotEqual(t, others.Account, printed.Account, "each data folder has an account of its own")
	require.NotEqual(t, others.Token, printed.Token, "there is no default password")
	require.NotEqual(t, others.Workspace, printed.Workspace)

	works := func(p printedDev) {
		t.Helper()
		require.Equal(t, told{Status: http.StatusOK, SID: p.Workspace}, asks(t, p.Account, p.Token, p.HTTP+"/v1/Workspaces/"+p.Workspace, nil))
		require.Equal(t, http.StatusOK, asks(t, p.Account, p.Token, p.HTTP+"/v3/Instances/"+p.Instance+"/TransferSettings", nil).Status)
	}
	works(printed)
	works(others)
	require.Equal(t, authenticate, asks(t, others.Account, others.Token, printed.HTTP+"/v1/Workspaces", nil), "of another folder")
	require.Equal(t, authenticate, asks(t, printed.Account, others.Token, printed.HTTP+"/v1/Workspaces", nil), "with another's token")
	require.Equal(t, authenticate, asks(t, "", "", printed.HTTP+"/v1/Workspaces", nil))

	// A conversation started over HTTP appears on the command line and is offered to alice.
	routing := `{"properties":{"queue_sid":"` + conversation.QueueSID("support") + `","attributes":{"customerName":"Crystal Minh"}}}`
	started := asks(t, printed.Account, printed.Token, printed.HTTP+"/v1/Interactions", url.Values{"Channel": {`{"type":"web"}`}, "Routing": {routing}})
	require.Equal(t, http.StatusOK, started.Status)
	sid := conversation.SameSID(conversation.PrefixConversation, started.SID)
	u.offered(t, sid, "alice")
	require.Equal(t, "Crystal Minh", u.shows(t, sid).Customer.Name)

	// After a restart, the credentials are the same.
	require.Equal(t, exitDone, dev.interrupt(t))
	_, again := u.runsDevAsJSON(t)
	again.HTTP = printed.HTTP // any free port
	require.Equal(t, printed, again)

	var account struct {
		Account string `json:"account_sid"`
		Token   string `json:"auth_token"`
	}
	u.reads(t, &account, "keys", "account")
	require.Equal(t, printed.Account, account.Account)
	require.Equal(t, printed.Token, account.Token)
}

func TestStarterManagesKeys(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	_, dev := u.runsDevAsJSON(t)
	workspaces, events := dev.HTTP+"/v1/Workspaces", dev.HTTP+"/v1/Workspaces/"+dev.Workspace+"/Events"
	settings := dev.HTTP + "/v3/Instances/" + dev.Instance + "/TransferSettings"

	var service, supervisor, agent printedKey
	u.reads(t, &service, "keys", "add", "--role", "service", "--name", "the shop")
	u.reads(t, &supervisor, "keys", "add", "--role", "supervisor")
	u.reads(t, &agent, "keys", "add", "--role", "agent", "--agent", "alice", "--limit", "50")
	for _, key := range []printedKey{service, supervisor, agent} {
		require.True(t, conversation.IsSID(desk.PrefixKey, key.SID), "%q", key.SID)
		require.Equal(t, http.StatusOK, asks(t, key.SID, key.Secret, workspaces, nil).Status, "%s: an added key works at once", key.Role)
		require.Equal(t, authenticate, asks(t, key.SID, dev.Token, workspaces, nil))
		require.Equal(t, authenticate, asks(t, dev.Account, key.Secret, workspaces, nil))
	}
	require.Equal(t, http.StatusOK, asks(t, service.SID, service.Secret, events, nil).Status)
	require.Equal(t, http.StatusOK, asks(t, supervisor.SID, supervisor.Secret, events, nil).Status)
	require.Equal(t, forbidden, asks(t, agent.SID, agent.Secret, events, nil))
	for _, key := range []printedKey{supervisor, agent} {
		require.Equal(t, forbidden, asks(t, key.SID, key.Secret, settings, url.Values{}), key.Role)
	}
	require.Equal(t, "alice", agent.Agent)

	// The secret is shown once; afterwards no command shows it.
	printed := u.does(t, "keys", "add", "--role", "agent", "--agent", "bob")
	require.Contains(t, printed, "it can't be shown again")
	bobs := strings.Fields(printed)[2]
	require.True(t, conversation.IsSID(desk.PrefixKey, bobs), "keys add printed\n%s", printed)
	for _, listing := range [][]string{{"keys", "list"}, {"keys"}, {"keys", "list", "--json"}} {
		listed := u.does(t, listing...)
		for _, told := range []string{service.SID, supervisor.SID, agent.SID, bobs, "the shop", "alice", "bob", "50"} {
			require.Contains(t, listed, told)
		}
		for _, secret := range []string{service.Secret, supervisor.Secret, agent.Secret, strings.Fields(printed)[4], dev.Token} {
			require.NotContains(t, listed, secret)
		}
	}

	// A revoked key stops working at once, and the others stay valid.
	u.does(t, "keys", "revoke", agent.SID)
	require.Equal(t, authenticate, asks(t, agent.SID, agent.Secret, workspaces, nil))
	require.Equal(t, http.StatusOK, asks(t, service.SID, service.Secret, workspaces, nil).Status)
	u.does(t, "keys", "revoke", agent.SID) // revoking again does no harm
	var keys []access.Key
	u.reads(t, &keys, "keys", "list")
	require.Len(t, keys, 4, "a revoked key stays on record")
	for _, key := range keys {
		require.Equal(t, key.SID == agent.SID, !key.RevokedAt.IsZero(), "%s", key.SID)
	}

	// The old auth token stops working when it is renewed.
	var renewed struct {
		Account string `json:"account_sid"`
		Token   string `json:"auth_token"`
	}
	u.reads(t, &renewed, "keys", "account", "--renew")
	require.Equal(t, dev.Account, renewed.Account)
	require.NotEqual(t, dev.Token, renewed.Token)
	require.Equal(t, authenticate, asks(t, dev.Account, dev.Token, workspaces, nil))
	require.Equal(t, http.StatusOK, asks(t, renewed.Account, renewed.Token, workspaces, nil).Status)
}

func TestStarterKeysSaysWhatIsWrongWithTheCall(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	u.runsDevAsJSON(t)
	for _, args := range [][]string{
		{"keys", "add"},
		{"keys", "add", "--role"},
		{"keys", "add", "--role", "service", "surplus"},
		{"keys", "add", "--role", "service", "--limit", "many"},
		{"keys", "ad"},
		{"keys", "list", "surplus"},
		{"keys", "revoke"},
		{"keys", "revoke", "SK1", "SK2"},
		{"keys", "account", "--renwe"},
		{"webhooks", "redeliver"},
		{"webhooks", "redeliver", "EV1"},
		{"webhooks", "redeliver", "--all", desk.EventSID(0, 1)},
	} {
		r := u.baton(t, args...)
		require.Equal(t, exitUsage, r.code, "baton %s\n%s%s", strings.Join(args, " "), r.stdout, r.stderr)
		require.Contains(t, r.stderr, "--help", "baton %s", strings.Join(args, " "))
		require.Empty(t, r.stdout, "baton %s", strings.Join(args, " "))
	}
	for _, refused := range []struct {
		code conversation.Code
		args []string
	}{
		{conversation.CodeUnknownAgent, []string{"add", "--role", "agent", "--agent", "nobody"}},
		{conversation.CodeUnknownAgent, []string{"add", "--role", "agent", "--agent", "Alice"}},
		{conversation.CodeInvalidPayload, []string{"add", "--role", "boss"}},
		{conversation.CodeInvalidPayload, []string{"add", "--role", "agent"}},
		{conversation.CodeInvalidPayload, []string{"add", "--role", "service", "--agent", "alice"}},
		{conversation.CodeInvalidPayload, []string{"add", "--role", "service", "--limit", "-1"}},
		{conversation.CodeInvalidPayload, []string{"add", "--role", "service", "--name", " "}},
		{conversation.CodeInvalidPayload, []string{"revoke", "SK0123456789abcdef0123456789abcdef"}},
	} {
		u.isRefused(t, refused.code, append([]string{"keys"}, refused.args...)...)
	}
	var keys []access.Key
	u.reads(t, &keys, "keys", "list")
	require.Empty(t, keys, "nothing was added")
	u.isRefused(t, conversation.CodeInvalidPayload, "webhooks", "redeliver", desk.EventSID(0, 1)) // no callback URL is set
}
