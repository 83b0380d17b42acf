package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twilio/twilio-go"
	twilioclient "github.com/twilio/twilio-go/client"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// front is a centre that is reached over HTTP: a worker process and a gateway process.
type front struct {
	*centre

	account  desk.Account
	gateway  *gateway
	gateways int
}

// gateway is a running gateway process with its address.
type gateway struct {
	*process

	url string
}

// openFront opens a centre with one worker and one gateway; see [openCentre] for the agents.
func openFront(t *testing.T) *front {
	t.Helper()
	f := &front{centre: openCentre(t, nil)}
	f.startWorker(t)
	_, err := desk.SetSettings(in(t, patience), f.desk, "test", func(s *conversation.Settings) { s.ReservationTimeout, s.ReofferAfter = 3600, 0 })
	require.NoError(t, err) // no offer expires while a test waits for its turn
	f.account, err = desk.ReadAccount(in(t, patience), f.desk)
	require.NoError(t, err)
	f.gateway = f.startGateway(t, "127.0.0.1:0")
	return f
}

// startGateway starts a gateway process at that address, and returns once it prints its address.
func (f *front) startGateway(t *testing.T, address string) *gateway {
	t.Helper()
	f.gateways++
	return launchGateway(t, fmt.Sprintf("gateway %d", f.gateways),
		environment("BATON_DATABASE="+f.url, "TEMPORAL_ADDRESS="+f.server.Address, "BATON_HTTP="+address))
}

func launchGateway(t *testing.T, name string, environment []string) *gateway {
	t.Helper()
	g := &gateway{process: launch(t, name, have(t, gatewayProgram), environment)}
	waitFor(t, patience, "the gateway serves", func() bool {
		require.True(t, g.runs(), "the gateway has ended: %s", g.stderr.tail())
		for line := range strings.Lines(g.stderr.String()) {
			var logged struct {
				Msg string `json:"msg"`
				URL string `json:"url"`
			}
			if json.Unmarshal([]byte(line), &logged) == nil && logged.Msg == "gateway started" {
				g.url = logged.URL
			}
		}
		return g.url != ""
	})
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
func (f *front) as(t *testing.T, user, secret string) *api {
	t.Helper()
	return f.at(t, f.gateway, user, secret)
}

// at is [front.as] for one of several gateways.
func (f *front) at(t *testing.T, g *gateway, user, secret string) *api {
	t.Helper()
	network := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(network.CloseIdleConnections)
	a := &api{
		t: t, user: user, secret: secret, http: &http.Client{Transport: checkingOf(t, network, g.url), Timeout: patience},
		workspace: conversation.SameSID(desk.PrefixWorkspace, f.account.SID), instance: conversation.SameSID(desk.PrefixInstance, f.account.SID),
	}
	library := &twilioclient.Client{Credentials: twilioclient.NewCredentials(user, secret), HTTPClient: a.http}
	library.SetAccountSid(f.account.SID)
	a.RestClient = twilio.NewRestClientWithParams(twilio.ClientParams{Client: library})
	return a
}

// admin returns a client with the account's own token.
func (f *front) admin(t *testing.T) *api {
	t.Helper()
	return f.as(t, f.account.SID, f.account.AuthToken)
}

// withKey returns a client with a new API key.
func (f *front) withKey(t *testing.T, key desk.Key) *api {
	t.Helper()
	if key.Name == "" {
		key.Name = "a test's " + string(key.Role)
	}
	added, secret, err := desk.AddKey(in(t, patience), f.desk, key)
	require.NoError(t, err)
	return f.as(t, added.SID, secret)
}

// agent returns a client with a key that is bound to the agent.
func (f *front) agent(t *testing.T, name string) *api {
	t.Helper()
	return f.withKey(t, desk.Key{Role: desk.KeyAgent, Agent: name})
}

// unlimited returns a service's client without a rate limit.
func (f *front) unlimited(t *testing.T) *api {
	t.Helper()
	return f.withKey(t, desk.Key{Role: desk.KeyService, RateLimit: 1_000_000})
}

// reply is the answer to a plain request.
type reply struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// asJSON is a body that is sent as JSON; other bodies are forms.
type asJSON struct{ value any }

// verbatim is a body that is sent unchanged.
type verbatim struct{ kind, text string }

// call sends a plain request: with an url.Values as its form, an asJSON or a verbatim body, or none. Headers follow
// as name and value.
func (a *api) call(method, address string, body any, headers ...string) reply {
	a.t.Helper()
	r := a.request(method, address, body, headers...)
	answered, err := a.http.Do(r)
	require.NoError(a.t, err, "%s %s", method, address)
	defer func() { require.NoError(a.t, answered.Body.Close()) }()
	text, err := io.ReadAll(answered.Body)
	require.NoError(a.t, err, "%s %s", method, address)
	got := reply{status: answered.StatusCode, header: answered.Header, text: string(text)}
	if len(text) > 0 {
		require.NoError(a.t, json.Unmarshal(text, &got.body), "%s %s answered %s", method, address, text)
	}
	return got
}

func (a *api) request(method, address string, body any, headers ...string) *http.Request {
	a.t.Helper()
	kind := "application/x-www-form-urlencoded"
	var content []byte
	switch b := body.(type) {
	case nil:
	case url.Values:
		content = []byte(b.Encode())
	case verbatim:
		kind, content = b.kind, []byte(b.text)
	case asJSON:
		encoded, err := json.Marshal(b.value)
		require.NoError(a.t, err)
		kind, content = "application/json", encoded
	default:
		require.Fail(a.t, "a body of no known kind", "%T", body)
	}
	r, err := http.NewRequestWithContext(a.t.Context(), method, address, bytes.NewReader(content))
	require.NoError(a.t, err)
	r.Header.Set("Content-Type", kind)
	if a.user != "" {
		r.SetBasicAuth(a.user, a.secret)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// does sends a plain request that must be answered with the status, and returns the body.
func (a *api) does(status int, method, address string, body any, headers ...string) map[string]any {
	a.t.Helper()
	got := a.call(method, address, body, headers...)
	require.Equal(a.t, status, got.status, "%s %s answered %s", method, address, got.text)
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
