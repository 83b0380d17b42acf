package web

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/seclog"
)

const (
	// personLifetime is for how long a person is signed in at most: a shift.
	personLifetime = 12 * time.Hour
	// sessionKept is for how long a person's session is kept: longer, so that a request after its end is noticed, and logged.
	sessionKept = 2 * personLifetime
	// DefaultIdle is after how long without a request of their own a person is signed out.
	DefaultIdle = 4 * time.Hour
	// activityNoted is how exactly a session keeps when its person was last active, so that not each request writes it.
	activityNoted = time.Minute
	// customerLifetime is for how long a browser finds its conversation again.
	customerLifetime = 7 * 24 * time.Hour
)

// What sessions hold.
const (
	keyAgent = "agent"
	// keySince is when that agent was added: whoever gets the name later is somebody else.
	keySince = "since"
	// keyAdmin is set where a supervisor of the demo has signed in as its administrator.
	keyAdmin = "admin"
	// keyActive is when the person last made a request of their own, in microseconds.
	keyActive = "active"
	// keySignedIn is when the person signed in, in microseconds.
	keySignedIn = "signed-in"
	// keyConversation is the customer's, keyForm the ID of the form that began it, keyBegun when that was.
	keyConversation = "conversation"
	keyForm         = "form"
	keyBegun        = "begun"
)

// person is who uses a page.
type person struct {
	desk.Agent
	// Role is the desk's; in a demo it may be more.
	Role desk.Role
	// Leave is where to become somebody else, for who is known without having signed in; else empty.
	Leave string
}

// In tells whether somebody is signed in.
func (p person) In() bool { return p.Name != "" }

// Key names the person for what their pages keep in the tab: an agent who gets the name later has another one.
func (p person) Key() string {
	if !p.In() {
		return ""
	}
	return p.Name + "-" + strconv.FormatInt(p.CreatedAt.UnixMicro(), 36)
}

// Supervises tells whether they may read every conversation.
func (p person) Supervises() bool { return supervisors.allows(p.Role) }

// Administers tells whether they may change the settings.
func (p person) Administers() bool { return administrators.allows(p.Role) }

// sessions are sessions under a cookie of that name.
func (s *Site) sessions(name, path string, lifetime time.Duration) *scs.SessionManager {
	m := scs.New()
	m.Store = s.desk.Sessions()
	m.HashTokenInStore = true
	m.Lifetime = lifetime
	m.Cookie.Name, m.Cookie.Path = s.cookieName(name, path), path
	m.Cookie.HttpOnly, m.Cookie.SameSite = true, http.SameSiteLaxMode
	// A browser sends no Secure cookie back over plain HTTP, which serves on this machine only.
	m.Cookie.Secure = s.overTLS()
	m.ErrorFunc = s.sessionFailed
	return m
}

// overTLS reports whether browsers reach the pages by https.
func (s *Site) overTLS() bool { return strings.HasPrefix(s.options.URL, "https://") }

// cookieName is the name of a cookie for that path. Over https it has a prefix with which browsers take the cookie from
// this host over TLS only: another host of the domain, or plain HTTP, cannot set it. __Host- requires the path /.
func (s *Site) cookieName(name, path string) string {
	switch {
	case !s.overTLS():
		return name
	case path == "/":
		return "__Host-" + name
	}
	return "__Secure-" + name
}

// who reads who is signed in, and their role as it is now: somebody who was removed is signed out at once.
func (v *visit) who() (person, error) {
	if p, ok, err := v.demoPerson(); ok || err != nil {
		return p, err
	}
	name := v.people.GetString(v.ctx, keyAgent)
	if name == "" || v.ended() != "" {
		return person{}, nil
	}
	agent, err := v.desk.Agent(v.ctx, name)
	unknown := conversation.CodeOf(err) == conversation.CodeUnknownAgent
	if err != nil && !unknown {
		return person{}, err
	}
	if unknown || agent.CreatedAt.UnixMicro() != v.people.GetInt64(v.ctx, keySince) {
		v.people.Remove(v.ctx, keyAgent)
		return person{}, nil
	}
	p := person{Agent: agent, Role: agent.Role}
	if v.options.Demo && p.Role == desk.RoleSupervisor && v.people.GetBool(v.ctx, keyAdmin) {
		p.Role = desk.RoleAdmin
	}
	return p, nil
}

// ended is why the session's person is signed in no more, empty while they are: they have made no request of their own for the
// idle time, or signed in too long ago.
func (v *visit) ended() string {
	active, signedIn := v.people.GetInt64(v.ctx, keyActive), v.people.GetInt64(v.ctx, keySignedIn)
	switch {
	case signedIn != 0 && v.now().Sub(time.UnixMicro(signedIn)) > personLifetime:
		return "lifetime"
	case active != 0 && v.now().Sub(time.UnixMicro(active)) > v.idle:
		return "idle"
	}
	return ""
}

// noteActivity keeps that the person is active, and ends the session of one who was idle for too long, or signed in too long ago.
func (v *visit) noteActivity() error {
	name := v.people.GetString(v.ctx, keyAgent)
	if name == "" {
		return nil
	}
	if why := v.ended(); why != "" {
		if err := v.people.Destroy(v.ctx); err != nil {
			return fmt.Errorf("end a session: %w", err)
		}
		v.security.Write(v.ctx, seclog.Entry{Event: seclog.SessionExpired, Who: name, Reason: why})
		return nil
	}
	if now := v.now(); byPerson(v.r) && now.Sub(time.UnixMicro(v.people.GetInt64(v.ctx, keyActive))) >= activityNoted {
		v.people.Put(v.ctx, keyActive, now.UnixMicro())
	}
	return nil
}

// byPerson reports whether a person made the request, and not a page that is open and fetches itself anew. Links and forms that htmx
// sends are boosted, and a field that asks while a person types has a name; what a page does by itself has neither.
func byPerson(r *http.Request) bool {
	switch {
	case r.Method == http.MethodPost:
		return true
	case r.Header.Get(headerHTMX) != "":
		return r.Header.Get("Hx-Boosted") != "" || r.Header.Get("Hx-Trigger-Name") != ""
	case r.Header.Get("Sec-Fetch-Mode") != "":
		return r.Header.Get("Sec-Fetch-Mode") == "navigate"
	}
	return true
}
