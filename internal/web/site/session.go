package site

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/seclog"
)

// Paths of the sign-in page and of the return from the provider. The provider must know both addresses.
const (
	SignInPath   = "/sign-in"
	CallbackPath = "/sign-in/callback"
)

const (
	// personLifetime is the maximum time for which a person is signed in: a shift.
	personLifetime = 12 * time.Hour
	// sessionKept is how long a person's session is stored: longer than it lasts, so that a request after its end
	// is logged.
	sessionKept = 2 * personLifetime
	// DefaultIdle is the time without requests of their own after which a person is signed out.
	DefaultIdle = 4 * time.Hour
	// activityNoted is the precision of the stored time of the last activity, so that not every request writes the
	// session.
	activityNoted = time.Minute
	// customerLifetime is how long a browser keeps its conversation.
	customerLifetime = 7 * 24 * time.Hour
)

// Keys of the sessions.
const (
	keyAgent = "agent"
	// keySince is when that agent was added, in microseconds: a later agent with the same name is another person.
	keySince = "since"
	// keyAdmin is set if a supervisor of the demo has signed in as its administrator.
	keyAdmin = "admin"
	// keyActive is when the person last made a request of their own, in microseconds.
	keyActive = "active"
	// keySignedIn is when the person signed in, in microseconds.
	keySignedIn = "signed-in"
)

// Person is the user of a page.
type Person struct {
	people.Agent
	// Role is the agent's role on the desk; in the demo it may be higher.
	Role desk.Role
	// Leave is the address to become another person of the demo, "" for a person who has signed in.
	Leave string
}

// In reports whether the person is signed in.
func (p Person) In() bool { return p.Name != "" }

// Key identifies the person in data that their pages keep in the tab. A later agent with the same name has another
// key.
func (p Person) Key() string {
	if !p.In() {
		return ""
	}
	return p.Name + "-" + strconv.FormatInt(p.CreatedAt.UnixMicro(), 36)
}

// Supervises reports whether the person may read every conversation.
func (p Person) Supervises() bool { return Supervisors.allows(p.Role) }

// Administers reports whether the person may change the settings.
func (p Person) Administers() bool { return Administrators.allows(p.Role) }

// sessions returns a session manager whose cookie has the name and path.
func (s *Site) sessions(name, path string, lifetime time.Duration) *scs.SessionManager {
	m := scs.New()
	m.Store = access.NewSessions(s.Desk)
	m.HashTokenInStore = true
	m.Lifetime = lifetime
	m.Cookie.Name, m.Cookie.Path = s.CookieName(name, path), path
	m.Cookie.HttpOnly, m.Cookie.SameSite = true, http.SameSiteLaxMode
	// Plain HTTP is for this machine only, and browsers do not send a Secure cookie over it.
	m.Cookie.Secure = s.OverTLS()
	m.ErrorFunc = s.sessionFailed
	return m
}

// OverTLS reports whether browsers reach the pages by https.
func (s *Site) OverTLS() bool { return strings.HasPrefix(s.Options.URL, "https://") }

// CookieName returns the name of a cookie for the path. With https it has a prefix that makes browsers accept the
// cookie only from this host and over TLS: another host of the domain, or plain HTTP, cannot set it. __Host-
// requires the path /.
func (s *Site) CookieName(name, path string) string {
	switch {
	case !s.OverTLS():
		return name
	case path == "/":
		return "__Host-" + name
	}
	return "__Secure-" + name
}

// who returns the signed-in person with their current role. A removed agent is signed out at once.
func (v *Visit) who() (Person, error) {
	if p, ok, err := v.demoPerson(); ok || err != nil {
		return p, err
	}
	name := v.People.GetString(v.Ctx, keyAgent)
	if name == "" || v.ended() != "" {
		return Person{}, nil
	}
	agent, err := people.FindAgent(v.Ctx, v.Desk, name)
	unknown := conversation.CodeOf(err) == conversation.CodeUnknownAgent
	if err != nil && !unknown {
		return Person{}, err
	}
	if unknown || agent.CreatedAt.UnixMicro() != v.People.GetInt64(v.Ctx, keySince) {
		v.People.Remove(v.Ctx, keyAgent)
		return Person{}, nil
	}
	p := Person{Agent: agent, Role: agent.Role}
	if v.Options.Demo && p.Role == desk.RoleSupervisor && v.People.GetBool(v.Ctx, keyAdmin) {
		p.Role = desk.RoleAdmin
	}
	return p, nil
}

// SignInAs signs the agent in with a new, empty session, so that a token that an attacker has planted or seen before is
// worthless. asAdministrator makes a supervisor of the demo its administrator. It returns the role of the session.
func (v *Visit) SignInAs(agent people.Agent, asAdministrator bool) (desk.Role, error) {
	if err := errors.Join(v.People.Clear(v.Ctx), v.People.RenewToken(v.Ctx)); err != nil {
		return "", fmt.Errorf("renew a session: %w", err)
	}
	v.People.Put(v.Ctx, keyAgent, agent.Name)
	v.People.Put(v.Ctx, keySince, agent.CreatedAt.UnixMicro())
	v.People.Put(v.Ctx, keyActive, v.Now().UnixMicro())
	v.People.Put(v.Ctx, keySignedIn, v.Now().UnixMicro())
	if !asAdministrator {
		return agent.Role, nil
	}
	v.People.Put(v.Ctx, keyAdmin, true)
	return desk.RoleAdmin, nil
}

// SignedIn reports whether the session has a signed-in person.
func (v *Visit) SignedIn() bool { return v.People.Exists(v.Ctx, keyAgent) }

// ended returns why the session's person is no longer signed in, "" while they are. The reasons are no request of
// their own for the idle time, and a sign-in that is older than personLifetime.
func (v *Visit) ended() string {
	active, signedIn := v.People.GetInt64(v.Ctx, keyActive), v.People.GetInt64(v.Ctx, keySignedIn)
	switch {
	case signedIn != 0 && v.Now().Sub(time.UnixMicro(signedIn)) > personLifetime:
		return "lifetime"
	case active != 0 && v.Now().Sub(time.UnixMicro(active)) > v.idle:
		return "idle"
	}
	return ""
}

// noteActivity records that the person is active. It ends a session that was idle for too long or is too old.
func (v *Visit) noteActivity() error {
	name := v.People.GetString(v.Ctx, keyAgent)
	if name == "" {
		return nil
	}
	if why := v.ended(); why != "" {
		if err := v.People.Destroy(v.Ctx); err != nil {
			return fmt.Errorf("end a session: %w", err)
		}
		v.Security.Write(v.Ctx, seclog.Entry{Event: seclog.SessionExpired, Who: name, Reason: why})
		return nil
	}
	if now := v.Now(); byPerson(v.R) && now.Sub(time.UnixMicro(v.People.GetInt64(v.Ctx, keyActive))) >= activityNoted {
		v.People.Put(v.Ctx, keyActive, now.UnixMicro())
	}
	return nil
}

// byPerson reports whether a person made the request, and not an open page that fetches itself. Links and forms
// that htmx sends have a header for boosting, and a field that sends requests during typing has a name; an
// automatic request has neither.
func byPerson(r *http.Request) bool {
	switch {
	case r.Method == http.MethodPost:
		return true
	case r.Header.Get(HeaderHTMX) != "":
		return r.Header.Get("Hx-Boosted") != "" || r.Header.Get("Hx-Trigger-Name") != ""
	case r.Header.Get("Sec-Fetch-Mode") != "":
		return r.Header.Get("Sec-Fetch-Mode") == "navigate"
	}
	return true
}
