package identity

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/baton-transfers/baton/internal/web/identity/identitytest"
)

const (
	redirect  = "http://127.0.0.1:1/sign-in/callback"
	signedOut = "http://127.0.0.1:1/sign-in"
)

// The provider that most tests share, and its program.
var (
	issuer  string
	program identitytest.Program
)

func TestMain(m *testing.M) {
	code, err := withProvider(m.Run)
	if err != nil {
		panic(err)
	}
	os.Exit(code)
}

func withProvider(run func() int) (code int, err error) {
	folder, err := os.MkdirTemp("", "provider")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if program, err = identitytest.Build(context.Background(), folder); err != nil {
		return 0, err
	}
	shared, err := program.Start(context.Background(), identitytest.Options{Redirect: redirect, SignedOutURL: signedOut})
	if err != nil {
		return 0, err
	}
	issuer = shared.Issuer
	return run(), shared.Stop()
}

func newProvider(change func(*Options)) *Provider {
	o := Options{Issuer: issuer, ClientID: "baton", ClientSecret: identitytest.Secret, RedirectURL: redirect, SignedOutURL: signedOut}
	if change != nil {
		change(&o)
	}
	return New(o)
}

// begin begins a sign-in and opens the provider's page.
func begin(t *testing.T, p *Provider) (identitytest.Browser, identitytest.Page, Pending) {
	t.Helper()
	address, pending, err := p.Begin(t.Context())
	require.NoError(t, err)
	kept, err := json.Marshal(pending)
	require.NoError(t, err)
	pending = Pending{}
	require.NoError(t, json.Unmarshal(kept, &pending))
	browser := identitytest.NewBrowser(redirect, signedOut)
	page, err := browser.Open(t.Context(), address)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, page.Status, page.Body)
	return browser, page, pending
}

// come signs in at the provider and returns the query with which the browser comes back.
func come(t *testing.T, p *Provider, name string) (Pending, url.Values) {
	t.Helper()
	browser, page, pending := begin(t, p)
	page, err := browser.SignIn(t.Context(), page, name, identitytest.Password)
	require.NoError(t, err)
	require.NotNil(t, page.Location, page.Body)
	require.True(t, strings.HasPrefix(page.Location.String(), redirect+"?"))
	return pending, page.Location.Query()
}

func requireFault(t *testing.T, err error, fault Fault, sentence string) {
	t.Helper()
	var failed *Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, fault, failed.Fault, err.Error())
	require.Contains(t, failed.Sentence, sentence)
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, person, told string
		change             func(*Options)
	}{
		{"the name is asked for", "alice", "alice", nil},
		{"the name is in the ID token", "alice", "alice", func(o *Options) { o.ClientID = "asserting" }},
		{"an e-mail address", "alice", "alice@example.com", func(o *Options) { o.Claim = "email" }},
		{"an e-mail address in the ID token", "alice", "alice@example.com", func(o *Options) { o.Claim, o.ClientID = "email", "asserting" }},
		{"an e-mail address of the one domain", "alice", "alice", func(o *Options) { o.Claim, o.Domain = "email", "Example.Com" }},
		{"the subject", "alice", "id-alice", func(o *Options) { o.Claim = "sub" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(test.change)
			pending, query := come(t, p, test.person)
			person, err := p.Finish(t.Context(), pending, query)
			require.NoError(t, err)
			require.Equal(t, test.told, person.Name)
			require.NotEmpty(t, person.IDToken)
		})
	}
}

func TestSignInIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, person string
		change       func(*Options)
		tamper       func(*Pending, url.Values)
		fault        Fault
		sentence     string
	}{
		{"another state comes back", "alice", nil, func(_ *Pending, q url.Values) { q.Set("state", q.Get("state")+"x") }, FaultVisitor, "not the sign-in that you began"},
		{"no state comes back", "alice", nil, func(_ *Pending, q url.Values) { q.Del("state") }, FaultVisitor, "not the sign-in that you began"},
		{"nothing was begun", "alice", nil, func(p *Pending, q url.Values) { *p = Pending{}; q.Del("state") }, FaultVisitor, "not the sign-in that you began"},
		{"another provider answers", "alice", nil, func(_ *Pending, q url.Values) { q.Set("iss", "https://evil.example") }, FaultSetup, "another provider"},
		{"a code that was never given", "alice", nil, func(_ *Pending, q url.Values) { q.Set("code", "made-up") }, FaultVisitor, "Begin again"},
		{"a person who has only the code", "alice", nil, func(p *Pending, _ url.Values) { p.Verifier = oauth2.GenerateVerifier() }, FaultVisitor, "Begin again"},
		{"another sign-in's answer", "alice", nil, func(p *Pending, _ url.Values) { p.Nonce = "another" }, FaultVisitor, "another sign-in"},
		{"an ID token that has expired", "alice", func(o *Options) { o.ClientID = "expired" }, nil, FaultVisitor, "expired"},
		{"a wrong client secret", "alice", func(o *Options) { o.ClientSecret = "wrong" }, nil, FaultSetup, "BATON_OIDC_CLIENT_SECRET"},
		{"a claim that isn't sent", "alice", func(o *Options) { o.Claim = "nickname" }, nil, FaultSetup, "claim nickname is missing"},
		{"an e-mail address that isn't verified", "mallory", func(o *Options) { o.Claim = "email" }, nil, FaultDenied, "not verified"},
		{"no e-mail address", "nobody", func(o *Options) { o.Claim = "email" }, nil, FaultSetup, "claim email is missing"},
		{"another domain", "bob", func(o *Options) { o.Claim, o.Domain = "email", "example.com" }, nil, FaultDenied, "Only people of example.com"},
		{"a name without the domain", "alice", func(o *Options) { o.Domain = "example.com" }, nil, FaultDenied, "Only people of example.com"},
		{"an error of an unknown form", "alice", nil, func(_ *Pending, q url.Values) { q.Set("error", "Call +1 555") }, FaultSetup, "(an unknown error)"},
		{"an error of the provider's", "alice", nil, func(_ *Pending, q url.Values) { q.Set("error", "server_error") }, FaultProvider, "Try again"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(test.change)
			pending, query := come(t, p, test.person)
			if test.tamper != nil {
				test.tamper(&pending, query)
			}
			person, err := p.Finish(t.Context(), pending, query)
			requireFault(t, err, test.fault, test.sentence)
			require.Empty(t, person)
		})
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	p := newProvider(nil)
	browser, page, pending := begin(t, p)
	refused, err := browser.SignIn(t.Context(), page, "alice", "wrong")
	require.NoError(t, err)
	require.Nil(t, refused.Location)
	require.Contains(t, refused.Body, "username or password wrong")
	page, err = browser.SignIn(t.Context(), page, "alice", identitytest.Password)
	require.NoError(t, err)
	person, err := p.Finish(t.Context(), pending, page.Location.Query())
	require.NoError(t, err)
	require.Equal(t, "alice", person.Name)
}

func TestAccessDenied(t *testing.T) {
	t.Parallel()
	p := newProvider(nil)
	browser, page, pending := begin(t, p)
	page, err := browser.Deny(t.Context(), page)
	require.NoError(t, err)
	require.Equal(t, "access_denied", page.Location.Query().Get("error"))
	_, err = p.Finish(t.Context(), pending, page.Location.Query())
	requireFault(t, err, FaultDenied, "did not let you sign in")
}

func TestCodeIsGoodOnce(t *testing.T) {
	t.Parallel()
	p := newProvider(nil)
	pending, query := come(t, p, "alice")
	_, err := p.Finish(t.Context(), pending, query)
	require.NoError(t, err)
	_, err = p.Finish(t.Context(), pending, query)
	requireFault(t, err, FaultVisitor, "used already")
}

// swapped replaces the provider's response at a path.
type swapped struct {
	path   string
	change func(answer map[string]any)
}

func (s swapped) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || r.URL.Path != s.path {
		return answer, err
	}
	var body map[string]any
	if err := errors.Join(json.NewDecoder(answer.Body).Decode(&body), answer.Body.Close()); err != nil {
		return nil, err
	}
	s.change(body)
	content, err := json.Marshal(body)
	answer.Body, answer.ContentLength = io.NopCloser(strings.NewReader(string(content))), int64(len(content))
	answer.Header.Del("Content-Length")
	return answer, err
}

func TestAnswersOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	otherToken := func(t *testing.T, nonce string) string { // another client's, from the same provider
		t.Helper()
		other := newProvider(func(o *Options) { o.ClientID = "other" })
		known, err := other.discover(t.Context())
		require.NoError(t, err)
		verifier := oauth2.GenerateVerifier()
		browser := identitytest.NewBrowser(redirect)
		page, err := browser.Open(t.Context(), known.oauth2.AuthCodeURL("state", oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)))
		require.NoError(t, err)
		page, err = browser.SignIn(t.Context(), page, "alice", identitytest.Password)
		require.NoError(t, err)
		tokens, err := known.oauth2.Exchange(t.Context(), page.Location.Query().Get("code"), oauth2.VerifierOption(verifier))
		require.NoError(t, err)
		return tokens.Extra("id_token").(string)
	}
	for _, test := range []struct {
		name, path string
		change     func(t *testing.T, pending Pending, answer map[string]any)
		fault      Fault
		sentence   string
	}{
		{"an ID token for another client", "/oauth/token", func(t *testing.T, pending Pending, answer map[string]any) {
			t.Helper()
			answer["id_token"] = otherToken(t, pending.Nonce)
		}, FaultSetup, "can't trust"},
		{"an ID token that was changed", "/oauth/token", func(_ *testing.T, _ Pending, answer map[string]any) {
			parts := strings.Split(answer["id_token"].(string), ".")
			answer["id_token"] = parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2]))
		}, FaultSetup, "can't trust"},
		{"no ID token", "/oauth/token", func(_ *testing.T, _ Pending, answer map[string]any) { delete(answer, "id_token") }, FaultSetup, "scope openid"},
		{"another access token", "/oauth/token", func(_ *testing.T, _ Pending, answer map[string]any) { answer["access_token"] = "another" }, FaultSetup, "don't belong together"},
		{"another person's claims", "/userinfo", func(_ *testing.T, _ Pending, answer map[string]any) { answer["sub"] = "id-bob" }, FaultSetup, "different people"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(nil)
			pending, query := come(t, p, "alice")
			asked := false
			p.client.Transport = swapped{test.path, func(answer map[string]any) {
				asked = true
				test.change(t, pending, answer)
			}}
			_, err := p.Finish(t.Context(), pending, query)
			requireFault(t, err, test.fault, test.sentence)
			require.True(t, asked)
		})
	}
}

func TestSignOut(t *testing.T) {
	t.Parallel()
	p := newProvider(nil)
	pending, query := come(t, p, "carol") // no other test signs carol in: sign-out revokes all of a person's tokens
	person, err := p.Finish(t.Context(), pending, query)
	require.NoError(t, err)
	address := p.SignOutURL(t.Context(), person.IDToken)
	require.True(t, strings.HasPrefix(address, issuer+"/"))
	page, err := identitytest.NewBrowser(signedOut).Open(t.Context(), address)
	require.NoError(t, err)
	require.NotNil(t, page.Location, page.Body)
	require.Equal(t, signedOut, page.Location.String())
}

func TestProviderIsAwayAndComesBack(t *testing.T) {
	t.Parallel()
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	o := identitytest.Options{Address: free.Addr().String(), Redirect: redirect, SignedOutURL: signedOut}
	p := newProvider(func(options *Options) { options.Issuer = "http://" + o.Address })
	require.NoError(t, free.Close())

	_, _, err = p.Begin(t.Context())
	requireFault(t, err, FaultProvider, "can't be reached")
	require.Empty(t, p.SignOutURL(t.Context(), "token"))

	process, err := program.Start(t.Context(), o)
	require.NoError(t, err)
	pending, query := come(t, p, "alice")
	require.NoError(t, process.Stop())
	_, err = p.Finish(t.Context(), pending, query)
	requireFault(t, err, FaultProvider, "can't be reached")

	process, err = program.Start(t.Context(), o)
	require.NoError(t, err)
	pending, query = come(t, p, "bob")
	person, err := p.Finish(t.Context(), pending, query)
	require.NoError(t, err, "it signs with another key now")
	require.Equal(t, "bob", person.Name)
	require.NoError(t, process.Stop())
}

func TestProviderHangs(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	over := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		select {
		case <-r.Context().Done():
		case <-over:
		}
	}))
	defer hanging.Close()
	defer close(over)
	p := newProvider(func(o *Options) { o.Issuer = hanging.URL })
	p.client.Timeout = time.Second

	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := p.Begin(impatient)
	requireFault(t, err, FaultProvider, "can't be reached")

	var together sync.WaitGroup
	for range 20 {
		together.Go(func() {
			_, _, err := p.Begin(t.Context())
			var failed *Error
			if !errors.As(err, &failed) || failed.Fault != FaultProvider {
				t.Errorf("the provider hangs, and the answer is %v", err)
			}
		})
	}
	together.Wait()
	require.Less(t, asked.Load(), int64(5), "who comes together asks once")
}

func TestProviderOfAnotherName(t *testing.T) {
	t.Parallel()
	another := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": "https://another.example"})
	}))
	defer another.Close()
	_, _, err := newProvider(func(o *Options) { o.Issuer = another.URL }).Begin(t.Context())
	requireFault(t, err, FaultSetup, "BATON_OIDC_ISSUER")
}

func TestNamesAreLoweredInASCIIOnly(t *testing.T) {
	t.Parallel()
	require.Equal(t, "alice.o-k", lower("Alice.O-K"))
	require.Equal(t, "\u212aen", lower("\u212aEN"), "the Kelvin sign stays one")
	require.Equal(t, "\u0130", lower("\u0130"))
}

func TestVerified(t *testing.T) {
	t.Parallel()
	for claim, want := range map[string]bool{`true`: true, `"true"`: true, `false`: false, `"false"`: false, ``: false, `1`: false, `null`: false} {
		require.Equal(t, want, verified(json.RawMessage(claim)), claim)
	}
}

func TestHowTheSecretIsTold(t *testing.T) {
	t.Parallel()
	require.Equal(t, oauth2.AuthStyleInHeader, authStyle("s", nil), "what the standard takes for granted")
	require.Equal(t, oauth2.AuthStyleInHeader, authStyle("s", []string{"client_secret_post", "client_secret_basic"}))
	require.Equal(t, oauth2.AuthStyleInParams, authStyle("s", []string{"client_secret_post"}))
	require.Equal(t, oauth2.AuthStyleInParams, authStyle("", []string{"client_secret_basic"}))
}
