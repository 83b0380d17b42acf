// Package identity finds out who somebody is, by an OpenID Connect provider: the authorization code flow
// with PKCE, a state and a nonce. Whether that somebody works here, and what they may do, isn't known
// here; so neither the desk nor the pages may come in.
package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
)

// DefaultClaim is what tells a person's name where nothing else is asked for.
const DefaultClaim = "preferred_username"

// callTimeout is how long one call to the provider may take.
const callTimeout = 8 * time.Second

// Options say who the provider is, and as whom it knows us.
type Options struct {
	// Issuer is the provider's address, exactly as it calls itself.
	Issuer string
	// ClientID and ClientSecret are what the provider knows us by; a public client has no secret.
	ClientID, ClientSecret string
	// RedirectURL is where the provider sends people back to. SignedOutURL is where it sends them when it
	// has signed them out. It has to know both.
	RedirectURL, SignedOutURL string
	// Claim tells a person's name; DefaultClaim where it is left out. An e-mail address counts only where
	// the provider has verified it.
	Claim string
	// Domain is what has to follow the @ of a name, which is then what stands before it: alice for
	// alice@example.com. Without it a name is taken whole.
	Domain string
	// Scopes are asked for; openid, profile and email where they are left out.
	Scopes []string
}

// Provider signs people in. It is safe for concurrent use.
type Provider struct {
	options Options
	client  *http.Client

	discovering singleflight.Group
	mutex       sync.RWMutex
	known       *discovered
}

// discovered is what the provider tells of itself.
type discovered struct {
	*oidc.Provider

	oauth2     oauth2.Config
	verifier   *oidc.IDTokenVerifier
	endSession string
}

// New returns the provider, which is asked for nothing yet: the first sign-in does, and again whenever
// it was away.
func New(o Options) *Provider {
	o.Claim = cmp.Or(o.Claim, DefaultClaim)
	if len(o.Scopes) == 0 {
		o.Scopes = []string{oidc.ScopeOpenID, "profile", "email"}
	}
	return &Provider{options: o, client: &http.Client{Timeout: callTimeout}}
}

// Issuer returns the provider's address.
func (p *Provider) Issuer() string { return p.options.Issuer }

// discover returns what the provider has told of itself, and asks it where it has told nothing yet.
// Those who come at the same time ask once.
func (p *Provider) discover(ctx context.Context) (*discovered, error) {
	p.mutex.RLock()
	known := p.known
	p.mutex.RUnlock()
	if known != nil {
		return known, nil
	}
	asking := p.discovering.DoChan("", func() (any, error) {
		found, err := p.ask(context.WithoutCancel(ctx))
		if err != nil {
			return nil, err
		}
		p.mutex.Lock()
		defer p.mutex.Unlock()
		p.known = found
		return found, nil
	})
	select {
	case answer := <-asking:
		if mismatch, ok := errors.AsType[*oidc.IssuerMismatchError](answer.Err); ok {
			return nil, setup(mismatch, "The provider calls itself otherwise than Baton does. Tell your administrator: BATON_OIDC_ISSUER has to be exactly its issuer.")
		}
		if answer.Err != nil {
			return nil, away(answer.Err)
		}
		return answer.Val.(*discovered), nil //nolint:forcetypeassert // it is made above
	case <-ctx.Done():
		return nil, away(ctx.Err())
	}
}

func (p *Provider) ask(ctx context.Context) (*discovered, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	provider, err := oidc.NewProvider(p.calling(ctx), p.options.Issuer)
	if err != nil {
		return nil, fmt.Errorf("discover %s: %w", p.options.Issuer, err)
	}
	var metadata struct {
		EndSession  string   `json:"end_session_endpoint"`
		AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := provider.Claims(&metadata); err != nil {
		return nil, fmt.Errorf("read what %s tells of itself: %w", p.options.Issuer, err)
	}
	endpoint := provider.Endpoint()
	endpoint.AuthStyle = authStyle(p.options.ClientSecret, metadata.AuthMethods)
	return &discovered{
		Provider: provider,
		oauth2: oauth2.Config{
			ClientID: p.options.ClientID, ClientSecret: p.options.ClientSecret, Endpoint: endpoint,
			RedirectURL: p.options.RedirectURL, Scopes: p.options.Scopes,
		},
		verifier:   provider.VerifierContext(p.calling(ctx), &oidc.Config{ClientID: p.options.ClientID}),
		endSession: metadata.EndSession,
	}, nil
}

// authStyle is how the client tells its secret. To try both ways, as is done where nothing is said, would
// send a code twice, which a provider may take for theft.
func authStyle(secret string, methods []string) oauth2.AuthStyle {
	if secret == "" || (!slices.Contains(methods, "client_secret_basic") && slices.Contains(methods, "client_secret_post")) {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

// calling has what is called with the context use our client, and so its timeout.
func (p *Provider) calling(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, p.client)
}
