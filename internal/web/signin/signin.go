// Package signin serves the pages of sign-in and sign-out, with an OpenID Connect provider or as a person of the demo.
package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/web/identity"
	"github.com/baton-transfers/baton/internal/web/site"
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

// Routes returns the routes of sign-in and sign-out.
func Routes(l site.Limits) []site.Route {
	b := signInBounds{site.NewAddressLimiter(l.SignIns, l.SignInsTotal)}
	return []site.Route{
		{Method: http.MethodGet, Path: site.SignInPath, Access: site.Everybody, Handle: showSignIn},
		{Method: http.MethodPost, Path: site.SignInPath, Access: site.Everybody, Handle: signInToDemo},
		{Method: http.MethodGet, Path: "/sign-in/oidc", Access: site.Everybody, Handle: b.beginSignIn},
		{Method: http.MethodGet, Path: site.CallbackPath, Access: site.Everybody, Handle: finishSignIn},
		{Method: http.MethodPost, Path: "/sign-out", Access: site.Everybody, Handle: b.signOut},
	}
}

// signInBounds bound the sign-ins that begin and the sign-outs without a session.
type signInBounds struct{ addresses site.AddressLimiter }

// signIn is the data of the sign-in page.
type signIn struct {
	// Next is the path to open after sign-in.
	Next string
	// Provider is the provider's name, "" for no provider.
	Provider string
	// Demo are the people to sign in as, nil if that is not offered. Elsewhere is set if it is offered only on the
	// machine that Baton runs on.
	Demo      []site.DemoChoice
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

func showSignIn(v *site.Visit) error {
	if farewell := v.People.PopString(v.Ctx, keyFarewell); farewell != "" {
		// The page redirects, not the response to the sign-out form: with form-action 'self', browsers follow a
		// form's redirect only to this site.
		v.W.Header().Set("Refresh", "0; url="+farewell)
		return v.Render(http.StatusOK, "sign_in", site.Page{Title: "Signing out", Section: "sign-in", Said: "You are signed out of Baton.", Body: signIn{Farewell: farewell, Provider: providerName(v)}})
	}
	return signInPage(v, http.StatusOK, "", v.R.URL.Query().Get("next"), nil)
}

// signInPage responds with the sign-in page. refused is the reason why a sign-in was refused, "" for none.
func signInPage(v *site.Visit, status int, refused, next string, unknown *stranger) error {
	body := signIn{
		Next: afterSignIn(next), Provider: providerName(v), Stranger: unknown, DemoOff: v.Options.DemoOff, Addressed: v.Options.URL != "",
	}
	if v.Options.Demo {
		body.Elsewhere = !site.OnThisMachine(v.R)
	}
	if v.Options.Demo && !body.Elsewhere {
		everybody, err := people.ListAgents(v.Ctx, v.Desk)
		if err != nil {
			return err
		}
		known, err := people.ReadChoices(v.Ctx, v.Desk)
		if err != nil {
			return err
		}
		body.Demo = site.DemoChoices(v.R, everybody, known, body.Next)
	}
	return v.Render(status, "sign_in", site.Page{Title: "Sign in", Section: "sign-in", Refused: refused, Body: body})
}

// providerName returns the provider's host name, or its issuer if that has no host; "" for no provider.
func providerName(v *site.Visit) string {
	if v.Options.Provider == nil {
		return ""
	}
	issuer, err := url.Parse(v.Options.Provider.Issuer())
	if err != nil || issuer.Host == "" {
		return v.Options.Provider.Issuer()
	}
	return issuer.Host
}

// signInToDemo signs in a user of this machine as the agent they choose, or as administrator in a supervisor's
// name.
func signInToDemo(v *site.Visit) error {
	next := v.R.PostForm.Get("next")
	if !v.Options.Demo {
		refusedSignIn(v, "", "no demo")
		return signInPage(v, http.StatusForbidden, "The demo’s sign-in is off here: sign in with your account.", next, nil)
	}
	if !site.OnThisMachine(v.R) {
		refusedSignIn(v, "", "another machine")
		return signInPage(v, http.StatusForbidden, "The people of the demo can sign in only on the machine that Baton runs on.", next, nil)
	}
	name, asAdministrator := v.R.PostForm.Get("agent"), false
	if administrator := v.R.PostForm.Get("administrator"); administrator != "" {
		name, asAdministrator = administrator, true
	}
	agent, err := people.FindAgent(v.Ctx, v.Desk, name)
	switch {
	case conversation.CodeOf(err) == conversation.CodeUnknownAgent:
		refusedSignIn(v, name, reasonUnknownAgent)
		return signInPage(v, http.StatusUnprocessableEntity, "There is no such agent any more: choose another.", next, nil)
	case err != nil:
		return err
	case asAdministrator && agent.Role != desk.RoleSupervisor:
		refusedSignIn(v, name, "not a supervisor")
		return signInPage(v, http.StatusForbidden, "Only a supervisor of the demo can sign in as its administrator: choose another.", next, nil)
	}
	return welcome(v, agent, asAdministrator, "", next)
}

// welcome signs the agent in and redirects to the page that they wanted.
func welcome(v *site.Visit, agent people.Agent, asAdministrator bool, idToken, next string) error {
	others := v.People.GetBytes(v.Ctx, keyPending)
	role, err := v.SignInAs(agent, asAdministrator)
	if err != nil {
		return err
	}
	if others != nil { // other tabs may still finish theirs
		v.People.Put(v.Ctx, keyPending, others)
	}
	by := "demo"
	if idToken != "" {
		v.People.Put(v.Ctx, keyIDToken, idToken)
		by = "oidc"
	}
	seclog.Identify(v.Ctx, agent.Name, string(role), "")
	v.Security.Write(v.Ctx, seclog.Entry{Event: seclog.SignIn, Reason: by})
	return v.Back(afterSignIn(next), "")
}

// reasonUnknownAgent is the reason in the security log for a name that the desk does not know.
const reasonUnknownAgent = "unknown agent"

// refusedSignIn writes a refused sign-in to the security log. name is "" if it is not known.
func refusedSignIn(v *site.Visit, name, reason string) {
	v.Security.Write(v.Ctx, seclog.Entry{Event: seclog.SignIn, Outcome: seclog.Refused, Who: name, Reason: reason})
}

// pendingSignIn is what the session stores of a begun sign-in.
type pendingSignIn struct {
	Pending identity.Pending `json:"pending"`
	Next    string           `json:"next"`
	Until   time.Time        `json:"until"`
}

// begunSignIns returns the begun sign-ins that have not expired.
func begunSignIns(v *site.Visit) (pending []pendingSignIn, err error) {
	kept := v.People.GetBytes(v.Ctx, keyPending)
	if kept == nil {
		return nil, nil
	}
	if err := json.Unmarshal(kept, &pending); err != nil {
		return nil, fmt.Errorf("read the sign-ins that were kept: %w", err)
	}
	now := time.Now()
	return slices.DeleteFunc(pending, func(p pendingSignIn) bool { return !p.Until.After(now) }), nil
}

// keepSignIns stores the newest of the begun sign-ins.
func keepSignIns(v *site.Visit, pending []pendingSignIn) error {
	if len(pending) == 0 {
		v.People.Remove(v.Ctx, keyPending)
		return nil
	}
	kept, err := json.Marshal(pending[max(0, len(pending)-pendingAtOnce):])
	if err != nil {
		return fmt.Errorf("keep a sign-in: %w", err)
	}
	v.People.Put(v.Ctx, keyPending, kept)
	return nil
}

func (b signInBounds) beginSignIn(v *site.Visit) error {
	next := v.R.URL.Query().Get("next")
	if v.Options.Provider == nil {
		return signInPage(v, http.StatusNotFound, "There is no provider to sign in with.", next, nil)
	}
	if !v.SignedIn() {
		if wait := site.RetryAfter(v.W, b.addresses.Take(v.R)); wait != 0 {
			refusedSignIn(v, "", "too many sign-ins")
			return signInPage(v, http.StatusTooManyRequests, site.TooMany(tooManySignIns, wait), next, nil)
		}
	}
	address, pending, err := v.Options.Provider.Begin(v.Ctx)
	if err != nil {
		return signInFailed(v, err, next)
	}
	others, err := begunSignIns(v)
	if err != nil {
		return err
	}
	until := time.Now().Add(signInWithin)
	if err := keepSignIns(v, append(others, pendingSignIn{pending, afterSignIn(next), until})); err != nil {
		return err
	}
	if !v.SignedIn() {
		v.People.SetDeadline(v.Ctx, until)
	}
	http.Redirect(v.W, v.R, address, http.StatusSeeOther)
	return nil
}

// takeBegun returns the sign-in with the state and removes it, so that it is used once. It returns the zero value
// for none.
func takeBegun(v *site.Visit, state string) (pendingSignIn, error) {
	all, err := begunSignIns(v)
	if err != nil {
		return pendingSignIn{}, err
	}
	at := slices.IndexFunc(all, func(p pendingSignIn) bool { return p.Pending.State == state })
	if at < 0 {
		return pendingSignIn{}, nil
	}
	found := all[at]
	return found, keepSignIns(v, slices.Delete(all, at, at+1))
}

// finishSignIn signs in a person who returns from the provider.
func finishSignIn(v *site.Visit) error {
	if v.Options.Provider == nil {
		return signInPage(v, http.StatusNotFound, "There is no provider to sign in with.", "", nil)
	}
	begun, err := takeBegun(v, v.R.URL.Query().Get("state"))
	if err != nil {
		return err
	}
	person, err := v.Options.Provider.Finish(v.Ctx, begun.Pending, v.R.URL.Query())
	if err != nil {
		return signInFailed(v, err, begun.Next)
	}
	agent, err := people.FindAgent(v.Ctx, v.Desk, person.Name)
	if conversation.CodeOf(err) == conversation.CodeUnknownAgent {
		return unknownPerson(v, person, begun.Next)
	}
	if err != nil {
		return err
	}
	err = access.BindIdentity(v.Ctx, v.Desk, agent.Name, person.Issuer, person.Subject)
	switch {
	case access.IsTaken(err, "identity"):
		refusedSignIn(v, agent.Name, "bound to another account")
		return boundElsewhere(v, person, begun.Next)
	case err != nil:
		return err
	}
	return welcome(v, agent, false, person.IDToken, begun.Next)
}

// signInFailed responds with the reason of a failed sign-in. It logs a failure that the person cannot fix.
func signInFailed(v *site.Visit, err error, next string) error {
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
		v.Log.WarnContext(v.Ctx, "OpenID provider unreachable", "error", err)
	case identity.FaultSetup:
		status, outcome, reason = http.StatusBadGateway, seclog.Failed, "provider's answer not usable"
		v.Log.ErrorContext(v.Ctx, "OpenID provider's response unusable", "error", err)
	}
	v.Security.Write(v.Ctx, seclog.Entry{Event: seclog.SignIn, Outcome: outcome, Reason: reason})
	return signInPage(v, status, failed.Sentence, next, nil)
}

// unknownPerson tells a person whom the desk does not know which administrators to ask.
func unknownPerson(v *site.Visit, person identity.Person, next string) error {
	refusedSignIn(v, person.Name, reasonUnknownAgent)
	return askAdministrator(v, person, "You are signed in at "+providerName(v)+", but Baton has no agent for that account.", next)
}

// boundElsewhere responds if the agent is bound to another account, or the account to another agent, with the
// administrators to ask.
func boundElsewhere(v *site.Visit, person identity.Person, next string) error {
	return askAdministrator(v, person, "Baton knows this name, or your account at "+providerName(v)+", from another sign-in. "+
		"An administrator can release the binding on the agent's page, then sign in again.", next)
}

// askAdministrator refuses a sign-in and names the administrators.
func askAdministrator(v *site.Visit, person identity.Person, refused, next string) error {
	everybody, err := people.ListAgents(v.Ctx, v.Desk)
	if err != nil {
		return err
	}
	known, err := people.ReadChoices(v.Ctx, v.Desk)
	if err != nil {
		return err
	}
	who := &stranger{Name: person.Name, SignOut: signOutURL(v, person.IDToken)}
	for _, agent := range everybody {
		if agent.Role == desk.RoleAdmin {
			who.Administrators = append(who.Administrators, known.Agent(agent.Name))
		}
	}
	return signInPage(v, http.StatusForbidden, refused, next, who)
}

// signOut ends the session here first and then at the provider.
func (b signInBounds) signOut(v *site.Visit) error {
	signedIn := v.SignedIn()
	if !signedIn {
		if wait := site.RetryAfter(v.W, b.addresses.Take(v.R)); wait != 0 {
			return signInPage(v, http.StatusTooManyRequests, site.TooMany(tooManySignIns, wait), "", nil)
		}
	}
	if v.People.Token(v.Ctx) == "" {
		return v.Back(site.SignInPath, "") // there is no session to end
	}
	idToken := v.People.GetString(v.Ctx, keyIDToken)
	if err := v.People.Destroy(v.Ctx); err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	v.Person = site.Person{}
	if !signedIn {
		return v.Back(site.SignInPath, "")
	}
	v.Security.Write(v.Ctx, seclog.Entry{Event: seclog.SignOut})
	v.People.SetDeadline(v.Ctx, time.Now().Add(signInWithin))
	if farewell := signOutURL(v, idToken); farewell != "" {
		v.People.Put(v.Ctx, keyFarewell, farewell)
	}
	if err := v.ConfirmAt(site.SignInPath, "You are signed out."); err != nil {
		return err
	}
	return v.Back(site.SignInPath, "")
}

// signOutURL returns the address where the provider signs out the person with the ID token, "" for none.
func signOutURL(v *site.Visit, idToken string) string {
	if v.Options.Provider == nil || idToken == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(v.Ctx, farewellPatience)
	defer cancel()
	return v.Options.Provider.SignOutURL(ctx, idToken)
}

// afterSignIn returns the path to open after sign-in: a local page other than the sign-in and sign-out pages.
func afterSignIn(next string) string {
	path := site.LocalPath(next)
	if strings.HasPrefix(path, "/sign-") {
		return "/"
	}
	return path
}
