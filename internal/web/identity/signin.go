package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Pending is a sign-in that has begun. Store it in the session of the browser that began it; it is secret.
type Pending struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`
}

// Person is a person who has signed in.
type Person struct {
	// Name is the value of the claim, with the letters A to Z in lower case.
	Name string
	// Issuer and Subject are the claims iss and sub. They identify the same account at every sign-in, even if its
	// name changes.
	Issuer, Subject string
	// IDToken is the provider's ID token, which [Provider.SignOutURL] takes.
	IDToken string
}

// Begin begins a sign-in. It returns the address to send the browser to, and the state to keep until the browser
// returns. Every error is an [*Error].
func (p *Provider) Begin(ctx context.Context) (address string, pending Pending, err error) {
	known, err := p.discover(ctx)
	if err != nil {
		return "", Pending{}, err
	}
	pending = Pending{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
	address = known.oauth2.AuthCodeURL(pending.State, oidc.Nonce(pending.Nonce), oauth2.S256ChallengeOption(pending.Verifier))
	return address, pending, nil
}

// Finish finishes a sign-in with the query of the browser's return. Every error is an [*Error].
func (p *Provider) Finish(ctx context.Context, pending Pending, query url.Values) (Person, error) {
	if pending.State == "" || !equal(query.Get("state"), pending.State) {
		return Person{}, visitors(errors.New("the state is another's"), "This is not the sign-in that you began here, or it was finished already. Begin again.")
	}
	if issuer := query.Get("iss"); issuer != "" && issuer != p.options.Issuer { // RFC 9207
		return Person{}, setup(fmt.Errorf("the answer is from %q", issuer), "The answer came from another provider than the one Baton trusts. Tell your administrator.")
	}
	if code := query.Get("error"); code != "" {
		return Person{}, declined(code, query.Get("error_description"))
	}
	known, err := p.discover(ctx)
	if err != nil {
		return Person{}, err
	}
	ctx = p.calling(ctx)
	tokens, err := known.oauth2.Exchange(ctx, query.Get("code"), oauth2.VerifierOption(pending.Verifier))
	if err != nil {
		return Person{}, exchangeFailed(err)
	}
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return Person{}, setup(errors.New("there is no ID token"), "The provider has not said who you are. Tell your administrator: Baton's client has to be allowed the scope openid.")
	}
	token, err := p.verify(ctx, known, raw, pending.Nonce)
	if err != nil {
		return Person{}, err
	}
	name, err := p.name(ctx, known, token, tokens)
	if err != nil {
		return Person{}, err
	}
	return Person{Name: name, Issuer: token.Issuer, Subject: token.Subject, IDToken: raw}, nil
}

func (p *Provider) verify(ctx context.Context, known *discovered, raw, nonce string) (*oidc.IDToken, error) {
	token, err := known.verifier.Verify(ctx, raw)
	var expired *oidc.TokenExpiredError
	switch {
	case errors.As(err, &expired):
		return nil, visitors(err, "What the provider said of you has expired. Begin again; if it stays, the clock of Baton or of the provider is wrong: tell your administrator.")
	case err != nil:
		return nil, setup(err, "Baton can't trust what the provider said of you. Tell your administrator, who finds the reason in the gateway's log.")
	case !equal(token.Nonce, nonce):
		return nil, visitors(errors.New("the nonce is another's"), "The provider's answer belongs to another sign-in. Begin again.")
	}
	var claims struct {
		Party string `json:"azp"`
	}
	if err := token.Claims(&claims); err != nil {
		return nil, setup(err, "Baton can't read what the provider said of you. Tell your administrator.")
	}
	if claims.Party != "" && claims.Party != p.options.ClientID {
		return nil, setup(fmt.Errorf("the ID token was issued to %q", claims.Party), "The provider's answer is meant for another application. Tell your administrator.")
	}
	return token, nil
}

// name returns the name from the ID token, or requests the person's claims: providers may leave them out of the
// token (OpenID Connect Core, 5.4).
func (p *Provider) name(ctx context.Context, known *discovered, token *oidc.IDToken, tokens *oauth2.Token) (string, error) {
	claims := map[string]json.RawMessage{}
	if err := token.Claims(&claims); err != nil {
		return "", setup(err, "Baton can't read what the provider said of you. Tell your administrator.")
	}
	if claims[p.options.Claim] != nil || known.UserInfoEndpoint() == "" {
		return p.named(claims)
	}
	if token.AccessTokenHash != "" {
		if err := token.VerifyAccessToken(tokens.AccessToken); err != nil {
			return "", setup(err, "The provider's two answers don't belong together. Tell your administrator.")
		}
	}
	info, err := known.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	switch {
	case err != nil:
		return "", away(fmt.Errorf("ask for the person's claims: %w", err))
	case info.Subject != token.Subject:
		return "", setup(errors.New("the claims are of another subject"), "The provider's two answers are about different people. Tell your administrator.")
	}
	clear(claims)
	if err := info.Claims(&claims); err != nil {
		return "", setup(err, "Baton can't read what the provider said of you. Tell your administrator.")
	}
	return p.named(claims)
}

// named returns the name in the claims.
func (p *Provider) named(claims map[string]json.RawMessage) (string, error) {
	var name string
	if told := claims[p.options.Claim]; told == nil || json.Unmarshal(told, &name) != nil || name == "" {
		return "", setup(fmt.Errorf("there is no claim %s", p.options.Claim),
			"The provider did not send your name: the claim "+p.options.Claim+" is missing. Tell your administrator, who can let Baton have it, or choose another with BATON_OIDC_CLAIM.")
	}
	if p.options.Claim == "email" && !verified(claims["email_verified"]) {
		return "", denied(errors.New("the e-mail address isn't verified"), "The provider has not verified your e-mail address. Have it verified there, then sign in again.")
	}
	name = lower(name)
	if p.options.Domain == "" {
		return name, nil
	}
	local, domain, _ := strings.Cut(name, "@")
	if domain != lower(p.options.Domain) || local == "" {
		return "", denied(errors.New("the name is of another domain"), "Only people of "+p.options.Domain+" may sign in here. Sign out at the provider, and in again with your address there.")
	}
	return local, nil
}

// verified parses email_verified, which some providers send as a string.
func verified(claim json.RawMessage) bool {
	return string(claim) == "true" || string(claim) == `"true"`
}

// lower changes only A to Z. Some other letters also have a lower case from a to z, which could turn one person's
// name into another's.
func lower(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

func equal(given, kept string) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(kept)) == 1
}

// SignOutURL returns the address at which the provider signs out the person with the ID token. It returns "" if the
// provider has no such address or is unavailable; the sign-out from Baton does not depend on it.
func (p *Provider) SignOutURL(ctx context.Context, idToken string) string {
	known, err := p.discover(ctx)
	if err != nil || known.endSession == "" {
		return ""
	}
	address, err := url.Parse(known.endSession)
	if err != nil {
		return ""
	}
	query := address.Query()
	query.Set("client_id", p.options.ClientID)
	query.Set("id_token_hint", idToken)
	if p.options.SignedOutURL != "" {
		query.Set("post_logout_redirect_uri", p.options.SignedOutURL)
	}
	address.RawQuery = query.Encode()
	return address.String()
}
