package site

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/web/words"
)

// Visit is one request and the state of its response.
type Visit struct {
	*Site

	W   http.ResponseWriter
	R   *http.Request
	Ctx context.Context //nolint:containedctx // a visit is one request and lives as long as it does
	// Person is the signed-in person, zero for none.
	Person Person
	// Said is a confirmation for this page instead of the next one.
	Said string
	// noticed caches the notices of the person, nil before they are read. failed is set on an error page, which
	// shows no notices.
	noticed *records.Notices
	failed  bool
}

// Headers between htmx and the server.
const (
	HeaderHTMX       = "Hx-Request"
	headerPushURL    = "Hx-Push-Url"
	headerRedirect   = "Hx-Redirect"
	HeaderReplaceURL = "Hx-Replace-Url"
	// headerReswap says how htmx puts the response into the page.
	headerReswap = "Hx-Reswap"
	// headerTrigger names the element that sent the request: the page itself if it fetches itself again.
	headerTrigger = "Hx-Trigger"
	// HeaderHidden is set if the browser tab is in the background.
	HeaderHidden = "X-Hidden"
)

// Page is the data of every template.
type Page struct {
	Title string
	// Section is the part of the site that the navigation marks.
	Section string
	Person  Person
	// Said confirms what was just done. Refused says why something was refused.
	Said, Refused string
	Notices       Notices
	// ZoneCookie is the name of the cookie in which the script stores the reader's time zone, "" on pages for
	// customers.
	ZoneCookie string
	Body       any
}

// enter identifies the person and refuses a person whose role may not use the route.
func (v *Visit) enter(r Route) error {
	if v.R.Method == http.MethodPost {
		if err := v.R.ParseForm(); err != nil {
			return Mistake(http.StatusBadRequest, "The form can't be read: send it from the page, with less text.")
		}
	}
	var err error
	if v.Person, err = v.who(); err != nil {
		return err
	}
	seclog.Identify(v.Ctx, v.Person.Name, string(v.Person.Role), "")
	if !r.Stream { // a stream cannot save the session
		if err := v.noteActivity(); err != nil {
			return err
		}
	}
	switch {
	case r.Access.allows(v.Person.Role):
		return nil
	case v.Person.In():
		return Mistake(http.StatusForbidden, "This page is not for your role: ask an administrator to give you another one.")
	case r.Stream:
		return Mistake(http.StatusUnauthorized, "Sign in first.")
	}
	return errSignIn
}

// errSignIn redirects the visitor to the sign-in page, and after sign-in back to the requested page.
var errSignIn = errors.New("sign in first")

// mistake is an error to show to the person: an HTTP status and a sentence.
type mistake struct {
	status  int
	message string
}

// Error returns the sentence.
func (m *mistake) Error() string { return m.message }

// Mistake returns an error that a page shows to the person: the response's HTTP status and a sentence.
func Mistake(status int, message string) error { return &mistake{status, message} }

// NotFound returns the error for an address that names nothing.
func NotFound(what string) error { return Mistake(http.StatusNotFound, what) }

// StatusOf returns the HTTP status of an error and the sentence for the person.
func StatusOf(err error) (int, string) {
	var m *mistake
	var refusal *conversation.Refusal
	switch {
	case errors.As(err, &m):
		return m.status, m.message
	case errors.As(err, &refusal):
		return statusOfRefusal(err, refusal), words.Sentence(withoutCommand(refusal))
	case errors.Is(err, context.DeadlineExceeded), baton.Unavailable(err), desk.Unavailable(err):
		return http.StatusServiceUnavailable, "Baton can't reach its conversations now. Nothing is lost: try again in a moment."
	}
	return http.StatusInternalServerError, "Something went wrong on our side (internal error). Nothing is lost: try again, and tell your administrator if it stays."
}

func statusOfRefusal(err error, refusal *conversation.Refusal) int {
	switch {
	case errors.Is(err, records.ErrUnknownConversation):
		return http.StatusNotFound
	case refusal.Code == conversation.CodeNotYourTask:
		return http.StatusForbidden
	case refusal.Code == conversation.CodeInvalidPayload:
		return http.StatusUnprocessableEntity
	}
	return http.StatusConflict
}

// RefusedBy returns the status and the sentence of an error that the person can act on. It returns an internal
// error unchanged as other.
func (v *Visit) RefusedBy(err error) (status int, message string, other error) {
	status, message = StatusOf(err)
	if status == http.StatusInternalServerError {
		return status, message, err
	}
	return status, v.worded(err, message), nil
}

// worded returns the sentence of a refusal with the names of agents and queues as the page shows them. It returns
// message unchanged if no person is signed in or if err is not a refusal with such a name.
func (v *Visit) worded(err error, message string) string {
	refusal, refused := errors.AsType[*conversation.Refusal](err)
	if !refused || !v.Person.In() || (refusal.Details.Agent == "" && refusal.Details.Queue == "") {
		return message
	}
	known, readErr := people.ReadChoices(v.Ctx, v.Desk)
	if readErr != nil {
		v.Log.WarnContext(v.Ctx, "names for a refusal not read", "error", readErr)
		return message
	}
	return wordedWith(known, refusal)
}

// wordedWith replaces the unique names in the refusal's details with the names that people read: quoted names, and
// an agent's name at the beginning of the sentence.
func wordedWith(known people.Choices, refusal *conversation.Refusal) string {
	d, text, subject := refusal.Details, withoutCommand(refusal), ""
	if rest, found := strings.CutPrefix(text, d.Agent+" "); found && d.Agent != "" {
		subject, text = words.Isolated(known.Agent(d.Agent)), " "+rest
	}
	for name, shown := range map[string]string{d.Agent: known.Agent(d.Agent), d.Queue: known.Queue(d.Queue)} {
		if name != "" && shown != name {
			text = strings.ReplaceAll(text, strconv.Quote(name), "“"+words.Isolated(shown)+"”")
		}
	}
	if subject != "" { // a name keeps the case of its first letter
		return subject + strings.TrimSuffix(text, ".") + "."
	}
	return words.Sentence(text)
}

// withoutCommand returns the refusal's sentence without the command's name, because pages name commands
// differently.
func withoutCommand(refusal *conversation.Refusal) string {
	if command, rest, found := strings.Cut(refusal.Message, ": "); found && refusal.Details.Field != "" &&
		slices.Contains(conversation.ServiceCommands(), conversation.CommandName(command)) {
		return rest
	}
	return refusal.Message
}

// Render responds with the page. A refused form sets p.Refused and passes the status of the refusal.
func (v *Visit) Render(status int, name string, p Page) error {
	p.Person = v.Person
	if p.Person.In() {
		p.ZoneCookie = v.CookieName(cookieZone, "/")
	}
	if !v.failed {
		var err error
		if p.Notices, err = v.notices(); err != nil {
			return err
		}
	}
	if p.Said == "" {
		p.Said = v.Said
	}
	if p.Said == "" {
		var err error
		if p.Said, err = v.Confirmed(); err != nil {
			return err
		}
	}
	template, ok := v.pages[name]
	if !ok {
		return errors.New("there is no page " + name)
	}
	var body bytes.Buffer
	if err := template.ExecuteTemplate(&body, "layout", p); err != nil {
		return err //nolint:wrapcheck // the error names the template and the line
	}
	h := v.W.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	if v.R.Method == http.MethodPost && h.Get(HeaderReplaceURL) == "" {
		h.Set(headerPushURL, "false") // the form's address is not a page
	}
	if v.R.Method == http.MethodGet && v.R.URL.Query().Has(paramSaid) && h.Get(HeaderReplaceURL) == "" {
		h.Set(headerPushURL, withoutSaid(v.R))
	}
	v.W.WriteHeader(status)
	_, err := body.WriteTo(v.W)
	return Gone(err)
}

// Back redirects the browser to a page after a form was carried out. The page shows said, unless it is "".
func (v *Visit) Back(path, said string) error {
	if said != "" {
		var err error
		if path, err = v.confirm(path, said); err != nil {
			return err
		}
	}
	http.Redirect(v.W, v.R, path, http.StatusSeeOther)
	return nil
}

// Gone discards the error of writing a response: the client has disconnected.
func Gone(error) error { return nil }

// fail responds with an error page, or with a redirect to the sign-in page.
func fail(v *Visit, r Route, err error) {
	signIn := errors.Is(err, errSignIn)
	if signIn && !v.Queued() {
		toSignIn(v, r)
		return
	}
	v.failed = true
	status, message := StatusOf(err)
	message = v.worded(err, message)
	if signIn {
		status, message = http.StatusUnauthorized, "You are signed out: sign in again, then send it."
	}
	if status == http.StatusInternalServerError && v.R.Context().Err() == nil {
		v.Log.ErrorContext(v.Ctx, "page failed", "route", r.String(), "error", err)
	}
	if r.Part {
		v.W.Header().Set(headerReswap, "none") // htmx keeps the current page
	}
	if r.Stream || r.Part || v.Queued() {
		http.Error(v.W, message, status)
		return
	}
	if err := v.Render(status, "sorry", Page{Title: "Sorry", Body: message}); err != nil {
		v.Log.ErrorContext(v.Ctx, "error page failed", "route", r.String(), "error", err)
		http.Error(v.W, message, status)
	}
}

// toSignIn redirects to the sign-in page. It tells htmx to load the page, because htmx would insert a redirected
// page.
func toSignIn(v *Visit, r Route) {
	next := v.R.URL.RequestURI()
	if v.R.Method != http.MethodGet || r.Part {
		next = LocalPath(v.R.Referer())
	}
	to := "/sign-in?" + url.Values{"next": {next}}.Encode()
	if v.R.Header.Get(HeaderHTMX) == "true" {
		v.W.Header().Set(headerRedirect, to)
		v.W.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(v.W, v.R, to, http.StatusSeeOther)
}

// LocalPath returns the path and query of an address for a redirect, "/" if the path is not local.
func LocalPath(address string) string {
	u, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") || strings.Contains(u.Path, `\`) {
		return "/"
	}
	return (&url.URL{Path: u.Path, RawQuery: u.RawQuery}).RequestURI()
}

// guarded runs the route's handler and turns a panic into an error.
func guarded(v *Visit, r Route) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			v.Log.ErrorContext(v.Ctx, "page panicked", "route", r.String(), "stack", string(debug.Stack()))
			err = errors.New("a fault")
		}
	}()
	if err := v.enter(r); err != nil {
		return err
	}
	return r.Handle(v)
}

// settling is how long a page waits for the desk to show the effect of a command.
const settling = 3 * time.Second

// Send sends a command of the signed-in person to a conversation. A refusal contains only what the person may
// learn.
func (v *Visit) Send(sid string, command conversation.Command) (conversation.Outcome, error) {
	outcome, err := v.Carry(sid, command)
	if err != nil {
		return outcome, records.WithinTurn(v.Ctx, v.Desk, v.Person.Name, sid, command, err)
	}
	return outcome, nil
}

// Carry sends a command to a conversation and waits until the desk shows its effect, at most for settling.
func (v *Visit) Carry(sid string, command conversation.Command) (conversation.Outcome, error) {
	outcome, err := v.Conversations.Send(v.Ctx, sid, command)
	if err != nil {
		return outcome, err
	}
	return outcome, commands.Settle(v.Ctx, v.Desk, sid, outcome.Revision, settling) // a page that is late updates itself
}
