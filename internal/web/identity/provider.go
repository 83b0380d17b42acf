// Package identity identifies a person with an OpenID Connect provider: it uses the authorization code flow with
// PKCE, a state and a nonce. It does not know who is an agent or what they may do. Must not import: the desk and
// the pages.
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

// DefaultClaim is the claim that holds a person's name if [Options] name no other.
const DefaultClaim = "preferred_username"

// callTimeout is the timeout of one call to the provider.
const callTimeout = 8 * time.Second

// Options describe the provider and Baton's registration there.
type Options struct {
	// Issuer is the provider's issuer URL, exactly as the provider writes it.
	Issuer string
	// ClientID and ClientSecret are Baton's credentials at the provider; a public client has no secret.
	ClientID, ClientSecret string
	// RedirectURL is where the provider sends a person after sign-in, SignedOutURL where it sends them after
	// sign-out. Both must be registered at the provider.
	RedirectURL, SignedOutURL string
	// Claim holds a person's name; empty means [DefaultClaim]. An email address is accepted only if the provider
	// has verified it.
	Claim string
	// Domain is the required part after the @ of a name. The part before it is then the name: alice for
	// alice@example.com. If Domain is empty, the name is used unchanged.
	Domain string
	// Scopes are the scopes to request; empty means openid, profile and email.
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

// discovered is the provider's discovery document and what is derived from it.
type discovered struct {
	*oidc.Provider

	oauth2     oauth2.Config
	verifier   *oidc.IDTokenVerifier
	endSession string
}

// New returns a provider without calling it. The first sign-in reads its discovery document, and the next one tries
// again if that fails.
func New(o Options) *Provider {
	o.Claim = cmp.Or(o.Claim, DefaultClaim)
	if len(o.Scopes) == 0 {
		o.Scopes = []string{oidc.ScopeOpenID, "profile", "email"}
	}
	return &Provider{options: o, client: &http.Client{Timeout: callTimeout}}
}

// Issuer returns the provider's issuer URL.
func (p *Provider) Issuer() string { return p.options.Issuer }

// discover returns the cached discovery document, or reads it if there is none. Concurrent callers share one
// request.
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
		return answer.Val.(*discovered), nil //nolint:forcetypeassert // DoChan's function returns this type
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

// authStyle returns how the client sends its secret. It never detects the style by trying both, because that would
// send a code twice, which a provider may treat as theft.
func authStyle(secret string, methods []string) oauth2.AuthStyle {
	if secret == "" || (!slices.Contains(methods, "client_secret_basic") && slices.Contains(methods, "client_secret_post")) {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

// calling returns a context with which the libraries use the provider's HTTP client and its timeout.
func (p *Provider) calling(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, p.client)
}
