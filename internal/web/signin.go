package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/forwarded"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/web/identity"
)

// Paths of the sign-in page and of the return from the provider. The provider must know both addresses.
const (
	SignInPath   = "/sign-in"
	CallbackPath = "/sign-in/callback"
)

// Session keys for sign-in.
const (
	// keyPending holds the sign-ins that have begun, newest last, as JSON.
	keyPending = "sign_ins"
	// keyIDToken holds the provider's ID token of the signed-in person, which sign-out at the provider requires.
	keyIDToken = "id_token"
	// keyFarewell holds the address where the provider signs out the person who has just signed out here.
	keyFarewell = "farewell"
)

const (
	// signInWithin is how long a sign-in may take, and how long a session lasts before sign-in.
	signInWithin = 10 * time.Minute
	// pendingAtOnce is the maximum number of begun sign-ins in one browser, each in its own tab.
	pendingAtOnce = 5
)

// farewellPatience is how long a sign-out waits for a provider that may be unavailable.
const farewellPatience = 3 * time.Second

// tooManySignIns names what was limited, for the error message.
const tooManySignIns = "sign-ins from your network"

// signInRoutes returns the routes of sign-in and sign-out.
func (s *Site) signInRoutes() []route {
	return []route{
		{method: http.MethodGet, path: SignInPath, access: everybody, handle: (*visit).showSignIn},
		{method: http.MethodPost, path: SignInPath, access: everybody, handle: (*visit).signInToDemo},
		{method: http.MethodGet, path: "/sign-in/oidc", access: everybody, handle: (*visit).beginSignIn},
		{method: http.MethodGet, path: CallbackPath, access: everybody, handle: (*visit).finishSignIn},
		{method: http.MethodPost, path: "/sign-out", access: everybody, handle: (*visit).signOut},
	}
}

// signIn is the data of the sign-in page.
type signIn struct {
	// Next is the path to open after sign-in.
	Next string
	// Provider is the provider's name, "" for no provider.
	Provider string
	// Demo are the people to sign in as, nil if that is not offered. Elsewhere is set if it is offered only on the
	// machine that Baton runs on.
	Demo      []demoChoice
	Elsewhere bool
	// DemoOff is set if the demo's sign-in is off because others may reach the pages; Addressed, if the gateway has
	// BATON_URL.
	DemoOff, Addressed bool
	// Farewell is the address where the provider signs out the person who has just signed out here.
	Farewell string
	// Stranger is a person who has signed in at the provider but is not an agent here, nil for none.
	Stranger *stranger
}

// Impossible reports whether the page offers no way to sign in.
func (s signIn) Impossible() bool { return s.Provider == "" && len(s.Demo) == 0 && !s.Elsewhere }

// stranger is a person whom the desk does not know.
type stranger struct {
	Name string
	// Administrators are the names of the people to ask.
	Administrators []string
	// SignOut is the address to sign out at the provider, to sign in as another person; "" if the provider has
	// none.
	SignOut string
}

func (v *visit) showSignIn() error {
	if farewell := v.people.PopString(v.ctx, keyFarewell); farewell != "" {
		// The page redirects, not the response to the sign-out form: with form-action 'self', browsers follow a
		// form's redirect only to this site.
		v.w.Header().Set("Refresh", "0; url="+farewell)
		return v.render(http.StatusOK, "sign_in", page{Title: "Signing out", Section: "sign-in", Said: "You are signed out of Baton.", Body: signIn{Farewell: farewell, Provider: v.provider()}})
	}
	return v.signIn(http.StatusOK, "", v.r.URL.Query().Get("next"), nil)
}

// signIn responds with the sign-in page. refused is the reason why a sign-in was refused, "" for none.
func (v *visit) signIn(status int, refused, next string, unknown *stranger) error {
	body := signIn{
		Next: afterSignIn(next), Provider: v.provider(), Stranger: unknown, DemoOff: v.options.DemoOff, Addressed: v.options.URL != "",
	}
	if v.options.Demo {
		body.Elsewhere = !onThisMachine(v.r)
	}
	if v.options.Demo && !body.Elsewhere {
		everybody, err := v.desk.Agents(v.ctx)
		if err != nil {
			return err
		}
		known, err := v.desk.Choices(v.ctx)
		if err != nil {
			return err
		}
		body.Demo = demoChoices(v.r, everybody, known, body.Next)
	}
	return v.render(status, "sign_in", page{Title: "Sign in", Section: "sign-in", Refused: refused, Body: body})
}

// provider returns the provider's host name, or its issuer if that has no host; "" for no provider.
func (v *visit) provider() string {
	if v.options.Provider == nil {
		return ""
	}
	issuer, err := url.Parse(v.options.Provider.Issuer())
	if err != nil || issuer.Host == "" {
		return v.options.Provider.Issuer()
	}
	return issuer.Host
}

// signInToDemo signs in a user of this machine as the agent they choose, or as administrator in a supervisor's
// name.
func (v *visit) signInToDemo() error {
	next := v.r.PostForm.Get("next")
	if !v.options.Demo {
		v.signInRefused("", "no demo")
		return v.signIn(http.StatusForbidden, "The demo’s sign-in is off here: sign in with your account.", next, nil)
	}
	if !onThisMachine(v.r) {
		v.signInRefused("", "another machine")
		return v.signIn(http.StatusForbidden, "The people of the demo can sign in only on the machine that Baton runs on.", next, nil)
	}
	name, asAdministrator := v.r.PostForm.Get("agent"), false
	if administrator := v.r.PostForm.Get("administrator"); administrator != "" {
		name, asAdministrator = administrator, true
	}
	agent, err := v.desk.Agent(v.ctx, name)
	switch {
	case conversation.CodeOf(err) == conversation.CodeUnknownAgent:
		v.signInRefused(name, reasonUnknownAgent)
		return v.signIn(http.StatusUnprocessableEntity, "There is no such agent any more: choose another.", next, nil)
	case err != nil:
		return err
	case asAdministrator && agent.Role != desk.RoleSupervisor:
		v.signInRefused(name, "not a supervisor")
		return v.signIn(http.StatusForbidden, "Only a supervisor of the demo can sign in as its administrator: choose another.", next, nil)
	}
	return v.welcome(agent, asAdministrator, "", next)
}

// welcome signs the agent in with a new session token, so that a token that an attacker has planted or seen before
// is worthless.
func (v *visit) welcome(agent desk.Agent, asAdministrator bool, idToken, next string) error {
	others := v.people.GetBytes(v.ctx, keyPending)
	if err := errors.Join(v.people.Clear(v.ctx), v.people.RenewToken(v.ctx)); err != nil {
		return fmt.Errorf("renew a session: %w", err)
	}
	if others != nil { // other tabs may still finish theirs
		v.people.Put(v.ctx, keyPending, others)
	}
	v.people.Put(v.ctx, keyAgent, agent.Name)
	v.people.Put(v.ctx, keySince, agent.CreatedAt.UnixMicro())
	v.people.Put(v.ctx, keyActive, v.now().UnixMicro())
	v.people.Put(v.ctx, keySignedIn, v.now().UnixMicro())
	if asAdministrator {
		v.people.Put(v.ctx, keyAdmin, true)
	}
	role, by := agent.Role, "demo"
	if asAdministrator {
		role = desk.RoleAdmin
	}
	if idToken != "" {
		v.people.Put(v.ctx, keyIDToken, idToken)
		by = "oidc"
	}
	seclog.Identify(v.ctx, agent.Name, string(role), "")
	v.security.Write(v.ctx, seclog.Entry{Event: seclog.SignIn, Reason: by})
	return v.back(afterSignIn(next), "")
}

// reasonUnknownAgent is the reason in the security log for a name that the desk does not know.
const reasonUnknownAgent = "unknown agent"

// signInRefused writes a refused sign-in to the security log. name is "" if it is not known.
func (v *visit) signInRefused(name, reason string) {
	v.security.Write(v.ctx, seclog.Entry{Event: seclog.SignIn, Outcome: seclog.Refused, Who: name, Reason: reason})
}

// pendingSignIn is what the session stores of a begun sign-in.
type pendingSignIn struct {
	Pending identity.Pending `json:"pending"`
	Next    string           `json:"next"`
	Until   time.Time        `json:"until"`
}

// begun returns the begun sign-ins that have not expired.
func (v *visit) begun() (pending []pendingSignIn, err error) {
	kept := v.people.GetBytes(v.ctx, keyPending)
	if kept == nil {
		return nil, nil
	}
	if err := json.Unmarshal(kept, &pending); err != nil {
		return nil, fmt.Errorf("read the sign-ins that were kept: %w", err)
	}
	now := time.Now()
	return slices.DeleteFunc(pending, func(p pendingSignIn) bool { return !p.Until.After(now) }), nil
}

// keep stores the newest of the begun sign-ins.
func (v *visit) keep(pending []pendingSignIn) error {
	if len(pending) == 0 {
		v.people.Remove(v.ctx, keyPending)
		return nil
	}
	kept, err := json.Marshal(pending[max(0, len(pending)-pendingAtOnce):])
	if err != nil {
		return fmt.Errorf("keep a sign-in: %w", err)
	}
	v.people.Put(v.ctx, keyPending, kept)
	return nil
}

// signedIn reports whether the session has a signed-in person.
func (v *visit) signedIn() bool { return v.people.Exists(v.ctx, keyAgent) }

func (v *visit) beginSignIn() error {
	next := v.r.URL.Query().Get("next")
	if v.options.Provider == nil {
		return v.signIn(http.StatusNotFound, "There is no provider to sign in with.", next, nil)
	}
	if !v.signedIn() {
		if wait := v.waits(v.signIns.take(v.r)); wait != 0 {
			v.signInRefused("", "too many sign-ins")
			return v.signIn(http.StatusTooManyRequests, tooMany(tooManySignIns, wait), next, nil)
		}
	}
	address, pending, err := v.options.Provider.Begin(v.ctx)
	if err != nil {
		return v.signInFailed(err, next)
	}
	others, err := v.begun()
	if err != nil {
		return err
	}
	until := time.Now().Add(signInWithin)
	if err := v.keep(append(others, pendingSignIn{pending, afterSignIn(next), until})); err != nil {
		return err
	}
	if !v.signedIn() {
		v.people.SetDeadline(v.ctx, until)
	}
	http.Redirect(v.w, v.r, address, http.StatusSeeOther)
	return nil
}

// takeBegun returns the sign-in with the state and removes it, so that it is used once. It returns the zero value
// for none.
func (v *visit) takeBegun(state string) (pendingSignIn, error) {
	all, err := v.begun()
	if err != nil {
		return pendingSignIn{}, err
	}
	at := slices.IndexFunc(all, func(p pendingSignIn) bool { return p.Pending.State == state })
	if at < 0 {
		return pendingSignIn{}, nil
	}
	found := all[at]
	return found, v.keep(slices.Delete(all, at, at+1))
}

// finishSignIn signs in a person who returns from the provider.
func (v *visit) finishSignIn() error {
	if v.options.Provider == nil {
		return v.signIn(http.StatusNotFound, "There is no provider to sign in with.", "", nil)
	}
	begun, err := v.takeBegun(v.r.URL.Query().Get("state"))
	if err != nil {
		return err
	}
	person, err := v.options.Provider.Finish(v.ctx, begun.Pending, v.r.URL.Query())
	if err != nil {
		return v.signInFailed(err, begun.Next)
	}
	agent, err := v.desk.Agent(v.ctx, person.Name)
	if conversation.CodeOf(err) == conversation.CodeUnknownAgent {
		return v.unknown(person, begun.Next)
	}
	if err != nil {
		return err
	}
	err = v.desk.BindIdentity(v.ctx, agent.Name, person.Issuer, person.Subject)
	switch {
	case desk.IsTaken(err, "identity"):
		v.signInRefused(agent.Name, "bound to another account")
		return v.boundElsewhere(person, begun.Next)
	case err != nil:
		return err
	}
	return v.welcome(agent, false, person.IDToken, begun.Next)
}

// signInFailed responds with the reason of a failed sign-in. It logs a failure that the person cannot fix.
func (v *visit) signInFailed(err error, next string) error {
	failed, ok := errors.AsType[*identity.Error](err)
	if !ok {
		return err
	}
	status, outcome, reason := http.StatusBadRequest, seclog.Refused, "sign-in not begun here, or too old"
	switch failed.Fault {
	case identity.FaultVisitor:
	case identity.FaultDenied:
		status, reason = http.StatusForbidden, "denied"
	case identity.FaultProvider:
		status, outcome, reason = http.StatusServiceUnavailable, seclog.Failed, "provider unavailable"
		v.log.WarnContext(v.ctx, "The OpenID provider can't be reached", "error", err)
	case identity.FaultSetup:
		status, outcome, reason = http.StatusBadGateway, seclog.Failed, "provider's answer not usable"
		v.log.ErrorContext(v.ctx, "The OpenID provider's answer is of no use", "error", err)
	}
	v.security.Write(v.ctx, seclog.Entry{Event: seclog.SignIn, Outcome: outcome, Reason: reason})
	return v.signIn(status, failed.Sentence, next, nil)
}

// unknown tells a person whom the desk does not know which administrators to ask.
func (v *visit) unknown(person identity.Person, next string) error {
	v.signInRefused(person.Name, reasonUnknownAgent)
	return v.askAdministrator(person, "You are signed in at "+v.provider()+", but Baton has no agent for that account.", next)
}

// boundElsewhere responds if the agent is bound to another account, or the account to another agent, with the
// administrators to ask.
func (v *visit) boundElsewhere(person identity.Person, next string) error {
	return v.askAdministrator(person, "Baton knows this name, or your account at "+v.provider()+", from another sign-in. "+
		"An administrator can release the binding on the agent's page, then sign in again.", next)
}

// askAdministrator refuses a sign-in and names the administrators.
func (v *visit) askAdministrator(person identity.Person, refused, next string) error {
	everybody, err := v.desk.Agents(v.ctx)
	if err != nil {
		return err
	}
	known, err := v.desk.Choices(v.ctx)
	if err != nil {
		return err
	}
	who := &stranger{Name: person.Name, SignOut: v.signOutURL(person.IDToken)}
	for _, agent := range everybody {
		if agent.Role == desk.RoleAdmin {
			who.Administrators = append(who.Administrators, known.Agent(agent.Name))
		}
	}
	return v.signIn(http.StatusForbidden, refused, next, who)
}

// signOut ends the session here first and then at the provider.
func (v *visit) signOut() error {
	signedIn := v.signedIn()
	if !signedIn {
		if wait := v.waits(v.signIns.take(v.r)); wait != 0 {
			return v.signIn(http.StatusTooManyRequests, tooMany(tooManySignIns, wait), "", nil)
		}
	}
	if v.people.Token(v.ctx) == "" {
		return v.back(SignInPath, "") // there is no session to end
	}
	idToken := v.people.GetString(v.ctx, keyIDToken)
	if err := v.people.Destroy(v.ctx); err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	v.person = person{}
	if !signedIn {
		return v.back(SignInPath, "")
	}
	v.security.Write(v.ctx, seclog.Entry{Event: seclog.SignOut})
	v.people.SetDeadline(v.ctx, time.Now().Add(signInWithin))
	if farewell := v.signOutURL(idToken); farewell != "" {
		v.people.Put(v.ctx, keyFarewell, farewell)
	}
	if err := v.confirmAt(SignInPath, "You are signed out."); err != nil {
		return err
	}
	return v.back(SignInPath, "")
}

// signOutURL returns the address where the provider signs out the person with the ID token, "" for none.
func (v *visit) signOutURL(idToken string) string {
	if v.options.Provider == nil || idToken == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(v.ctx, farewellPatience)
	defer cancel()
	return v.options.Provider.SignOutURL(ctx, idToken)
}

// afterSignIn returns the path to open after sign-in: a local page other than the sign-in and sign-out pages.
func afterSignIn(next string) string {
	path := localPath(next)
	if strings.HasPrefix(path, "/sign-") {
		return "/"
	}
	return path
}

// onThisMachine reports whether a request comes directly from this machine and is addressed to it. It checks the
// Host, because a page of another site whose name resolves to this machine sends that name.
func onThisMachine(r *http.Request) bool {
	client := forwarded.Of(r)
	return client.Direct() && client.Address.IsLoopback() && isLoopback(r.Host)
}

// isLoopback reports whether an address, with or without a port, belongs to this machine.
func isLoopback(address string) bool {
	host := hostOf(address)
	ip, err := netip.ParseAddr(host)
	named := strings.ToLower(host)
	return named == "localhost" || strings.HasSuffix(named, demoSuffix) || (err == nil && ip.Unmap().IsLoopback())
}
