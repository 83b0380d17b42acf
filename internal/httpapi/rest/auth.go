package rest

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"math"
	"net/http"
	"time"

	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/forwarded"
	"github.com/baton-transfers/baton/internal/limit"
	"github.com/baton-transfers/baton/internal/seclog"
)

// Access states who may call a route. An agent's key acts for its agent only, on every path: the handlers check
// that with [Call.ActAs] and [Call.MayRead].
type Access int

const (
	// Everyone with valid credentials.
	Everyone Access = iota
	// Staff are supervisors and services.
	Staff
	// Services only, for an administrator's work.
	Services
)

// Caller is the owner of a request's credentials.
type Caller struct {
	// Key is the API key; for the account's own auth token it is a key of the role service.
	Key access.Key
}

// allows reports whether keys of the role may call the route.
func (a Access) allows(role access.KeyRole) bool {
	switch a {
	case Everyone:
		return true
	case Staff:
		return role != access.KeyAgent
	case Services:
		return role == access.KeyService
	}
	return false
}

// Agent is the agent that the caller's key belongs to; "" for staff.
func (c Caller) Agent() string { return c.Key.Agent }

// By is the name that is recorded as acting for an agent; "" if the key is the agent's own.
func (c Caller) By() string {
	if c.Key.Role == access.KeyAgent {
		return ""
	}
	return c.Key.Name
}

// nameOfToken is the name in records for requests with the account's own auth token.
const nameOfToken = "account"

func (s *Server) authenticate(r *http.Request) (Caller, access.Account, error) {
	account, err := access.ReadAccount(r.Context(), s.desk)
	if err != nil {
		return Caller{}, account, err
	}
	user, secret, given := r.BasicAuth()
	identifyRefused(r.Context(), user, given)
	if !same(user, account.SID) {
		key, err := s.keys.Authenticate(r.Context(), user, secret)
		if errors.Is(err, access.ErrCredentials) {
			return Caller{}, account, unauthorized()
		}
		return Caller{key}, account, err
	}
	if !same(secret, account.AuthToken) {
		return Caller{}, account, unauthorized()
	}
	return Caller{access.Key{SID: account.SID, Name: nameOfToken, Role: access.KeyService, RateLimit: access.DefaultRateLimit}}, account, nil
}

// identifyRefused sets, for the security log, the credentials of a request in case they are refused. A user name
// that is not a SID may be a secret in the wrong place, so it is not logged.
func identifyRefused(ctx context.Context, user string, given bool) {
	reason := "wrong credentials"
	if !given {
		reason = "no credentials"
	}
	if !IsSID(desk.PrefixKey, user) && !IsSID(desk.PrefixAccount, user) {
		user = ""
	}
	seclog.Identify(ctx, "", "", user)
	seclog.Because(ctx, reason)
}

// same compares two texts in a time that reveals neither their lengths nor where they differ.
func same(a, b string) bool {
	one, other := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(one[:], other[:]) == 1
}

func unauthorized() *Problem {
	return &Problem{
		Status: http.StatusUnauthorized, Code: 20003,
		Message: "Authenticate with HTTP Basic: the account's SID and auth token, or an API key's SID and secret",
	}
}

// defaultWrongCredentials is how often one address may send wrong credentials by default.
func defaultWrongCredentials() limit.Pace { return limit.Pace{Count: 60, Per: time.Minute} }

// defaultWrongCredentialsTotal is how often all addresses together may send wrong credentials by default.
func defaultWrongCredentialsTotal() limit.Pace { return limit.Pace{Count: 6000, Per: time.Minute} }

// take counts a request of the key. If there are too many, it returns the refusal with the time to wait.
func (s *Server) take(key access.Key) error {
	// The key's requests of two seconds may come at once.
	wait := s.requests.TakeAt(key.SID, limit.Pace{Count: 2 * key.RateLimit, Per: 2 * time.Second})
	if wait == 0 {
		return nil
	}
	return &Problem{
		Status: http.StatusTooManyRequests, Code: 20429, RetryAfter: int(math.Ceil(wait.Seconds())),
		Message: "Too many requests with this key: wait a moment, or raise its limit",
	}
}

// refused counts wrong credentials against the address that sent them, and answers too many with 429. Valid
// credentials are neither counted nor refused: a whole office may share an address, and one program with a revoked
// key must not stop the others. Secrets have 128 random bits or more, so the limit on guesses protects the desk,
// not the secrets.
func (s *Server) refused(c *Call, err error) error {
	p, ok := errors.AsType[*Problem](err)
	if !ok || p.Status != http.StatusUnauthorized {
		return err
	}
	if user, secret, _ := c.Request.BasicAuth(); user == "" && secret == "" {
		return err // there were no credentials
	}
	wait := s.guesses.Take(forwarded.Of(c.Request).Network())
	if wait == 0 {
		return err
	}
	return &Problem{
		Status: http.StatusTooManyRequests, Code: 20429, RetryAfter: int(math.Ceil(wait.Seconds())),
		Message: "too many wrong credentials from your network: check the SID and the secret, then try again later",
	}
}
