package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twilio/twilio-go"
	twilioclient "github.com/twilio/twilio-go/client"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/testenv"
)

// httpEnvironment is an environment that is reached over HTTP: a worker process and a gateway process.
type httpEnvironment struct {
	*environment

	account  access.Account
	gateway  *gateway
	gateways int
}

// gateway is a running gateway process with its address.
type gateway struct {
	*process

	URL string
}

// openHTTP opens an environment with one worker and one gateway; see [openEnvironment] for the agents.
func openHTTP(t *testing.T) *httpEnvironment {
	t.Helper()
	f := &httpEnvironment{environment: openEnvironment(t, nil)}
	f.startWorker(t)
	_, err := desk.SetSettings(in(t, testenv.Patience), f.Desk, "test", func(s *conversation.Settings) { s.ReservationTimeout, s.ReofferAfter = 3600, 0 })
	require.NoError(t, err) // no offer expires while a test waits for its turn
	f.account, err = access.ReadAccount(in(t, testenv.Patience), f.Desk)
	require.NoError(t, err)
	f.gateway = f.startGateway(t)
	return f
}

// startGateway starts a gateway process, with additional environment variables, and returns once it serves.
func (f *httpEnvironment) startGateway(t *testing.T, more ...string) *gateway {
	t.Helper()
	f.gateways++
	return launchGateway(t, fmt.Sprintf("gateway %d", f.gateways), f.Variables(append([]string{"BATON_HTTP=127.0.0.1:0"}, more...)...))
}

func launchGateway(t *testing.T, name string, variables []string) *gateway {
	t.Helper()
	g := &gateway{process: launch(t, name, have(t, gatewayProgram), variables)}
	g.URL = g.logged(t, "gateway started", "url")
	return g
}

// The hosts that Twilio's library sends its requests to.
const (
	taskRouterHost    = "https://taskrouter.twilio.com"
	flexHost          = "https://flex-api.twilio.com"
	conversationsHost = "https://conversations.twilio.com"
)

// api is a client of the API: Twilio's library, unchanged, and plain HTTP for what the library lacks. [checking]
// checks every answer to either.
type api struct {
	*twilio.RestClient

	t            *testing.T
	http         *http.Client
	user, secret string
	// workspace and instance are the SIDs of the only ones that exist.
	workspace, instance string
}

// as returns a client with those credentials at the gateway.
func (f *httpEnvironment) as(t *testing.T, user, secret string) *api {
	t.Helper()
	return f.at(t, f.gateway, user, secret)
}

// at is [httpEnvironment.as] for one of several gateways.
func (f *httpEnvironment) at(t *testing.T, g *gateway, user, secret string) *api {
	t.Helper()
	network := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(network.CloseIdleConnections)
	a := &api{
		t: t, user: user, secret: secret, http: &http.Client{Transport: checkingOf(t, network, g.URL), Timeout: testenv.Patience},
		workspace: conversation.SameSID(desk.PrefixWorkspace, f.account.SID), instance: conversation.SameSID(desk.PrefixInstance, f.account.SID),
	}
	library := &twilioclient.Client{Credentials: twilioclient.NewCredentials(user, secret), HTTPClient: a.http}
	library.SetAccountSid(f.account.SID)
	a.RestClient = twilio.NewRestClientWithParams(twilio.ClientParams{Client: library})
	return a
}

// admin returns a client with the account's own token.
func (f *httpEnvironment) admin(t *testing.T) *api {
	t.Helper()
	return f.as(t, f.account.SID, f.account.AuthToken)
}

// withKey returns a client with a new API key.
func (f *httpEnvironment) withKey(t *testing.T, key access.Key) *api {
	t.Helper()
	if key.Name == "" {
		key.Name = "a test's " + string(key.Role)
	}
	added, secret, err := access.AddKey(in(t, testenv.Patience), f.Desk, key)
	require.NoError(t, err)
	return f.as(t, added.SID, secret)
}

// agent returns a client with a key that is bound to the agent.
func (f *httpEnvironment) agent(t *testing.T, name string) *api {
	t.Helper()
	return f.withKey(t, access.Key{Role: access.KeyAgent, Agent: name})
}

// unlimited returns a service's client without a rate limit.
func (f *httpEnvironment) unlimited(t *testing.T) *api {
	t.Helper()
	return f.withKey(t, access.Key{Role: access.KeyService, RateLimit: 1_000_000})
}

// reply is the answer to a plain request.
type reply struct {
	testenv.Answer

	body map[string]any
}

// call sends a plain request with an [url.Values], a [testenv.JSON], a [testenv.Text] or no body. Headers follow as
// name and value.
func (a *api) call(method, address string, body any, headers ...string) reply {
	a.t.Helper()
	answer, err := testenv.Call(a.t.Context(), a.http, a.request(method, address, body, headers...))
	require.NoError(a.t, err)
	got := reply{Answer: answer}
	if len(got.Text) > 0 {
		require.NoError(a.t, got.Decode(&got.body), "%s %s", method, address)
	}
	return got
}

func (a *api) request(method, address string, body any, headers ...string) testenv.Request {
	r := testenv.Request{Method: method, URL: address, User: a.user, Secret: a.secret, Body: body, Header: http.Header{}}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// does sends a plain request that must be answered with the status, and returns the body.
func (a *api) does(status int, method, address string, body any, headers ...string) map[string]any {
	a.t.Helper()
	got := a.call(method, address, body, headers...)
	require.Equal(a.t, status, got.Status, "%s %s answered %s", method, address, got.Text)
	return got.body
}

// inWorkspace returns an address in the workspace.
func (a *api) inWorkspace(path string) string {
	return taskRouterHost + "/v1/Workspaces/" + a.workspace + path
}

// refusal is the required answer to a refused call. An empty reason is not checked.
type refusal struct {
	status, code int
	reason       conversation.Code
}

// requireRefused requires that a call of Twilio's library failed with the refusal, and returns the library's error.
func requireRefused(t *testing.T, err error, wanted refusal) twilioclient.TwilioRestError {
	t.Helper()
	var told *twilioclient.TwilioRestError
	require.ErrorAs(t, err, &told)
	require.Equal(t, wanted.status, told.Status, "the status of %v", told)
	require.Equal(t, wanted.code, told.Code, "the code of %v", told)
	if wanted.reason != "" {
		require.Equal(t, string(wanted.reason), told.Details["reason"], "the reason of %v", told)
	}
	return *told
}

// its returns the value of a field of the library's models, all of which are pointers.
func its[T any](field *T) T {
	var none T
	if field == nil {
		return none
	}
	return *field
}

// form makes a form from names and values.
func form(namesAndValues ...string) url.Values {
	values := url.Values{}
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		values.Add(namesAndValues[i], namesAndValues[i+1])
	}
	return values
}
