package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/seclog"
)

// visit is one request and the state of its response.
type visit struct {
	*Site

	w      http.ResponseWriter
	r      *http.Request
	ctx    context.Context //nolint:containedctx // a visit is one request and lives as long as it does
	person person
	// said is a confirmation for this page instead of the next one.
	said string
	// noticed caches the notices of the person, nil before they are read. failed is set on an error page, which
	// shows no notices.
	noticed *desk.Notices
	failed  bool
}

// Headers between htmx and the server.
const (
	headerHTMX       = "Hx-Request"
	headerPushURL    = "Hx-Push-Url"
	headerRedirect   = "Hx-Redirect"
	headerReplaceURL = "Hx-Replace-Url"
	// headerReswap says how htmx puts the response into the page.
	headerReswap = "Hx-Reswap"
	// headerTrigger names the element that sent the request: the page itself if it fetches itself again.
	headerTrigger = "Hx-Trigger"
	// headerHidden is set if the browser tab is in the background.
	headerHidden = "X-Hidden"
)

// page is the data of every template.
type page struct {
	Title string
	// Section is the part of the site that the navigation marks.
	Section string
	Person  person
	// Said confirms what was just done. Refused says why something was refused.
	Said, Refused string
	Notices       notices
	// ZoneCookie is the name of the cookie in which the script stores the reader's time zone, "" on pages for
	// customers.
	ZoneCookie string
	Body       any
}

// enter identifies the person and refuses a person whose role may not use the route.
func (v *visit) enter(r route) error {
	if v.r.Method == http.MethodPost {
		if err := v.r.ParseForm(); err != nil {
			return &mistake{http.StatusBadRequest, "The form can't be read: send it from the page, with less text."}
		}
	}
	var err error
	if v.person, err = v.who(); err != nil {
		return err
	}
	seclog.Identify(v.ctx, v.person.Name, string(v.person.Role), "")
	if !r.stream { // a stream cannot save the session
		if err := v.noteActivity(); err != nil {
			return err
		}
	}
	switch {
	case r.access.allows(v.person.Role):
		return nil
	case v.person.In():
		return &mistake{http.StatusForbidden, "This page is not for your role: ask an administrator to give you another one."}
	case r.stream:
		return &mistake{http.StatusUnauthorized, "Sign in first."}
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

// notFound returns the error for an address that names nothing.
func notFound(what string) error { return &mistake{http.StatusNotFound, what} }

// statusOf returns the HTTP status of an error and the sentence for the person.
func statusOf(err error) (int, string) {
	var m *mistake
	var refusal *conversation.Refusal
	switch {
	case errors.As(err, &m):
		return m.status, m.message
	case errors.As(err, &refusal):
		return statusOfRefusal(err, refusal), sentence(withoutCommand(refusal))
	case errors.Is(err, context.DeadlineExceeded), baton.Unavailable(err), desk.Unavailable(err):
		return http.StatusServiceUnavailable, "Baton can't reach its conversations now. Nothing is lost: try again in a moment."
	}
	return http.StatusInternalServerError, "Something went wrong on our side (internal error). Nothing is lost: try again, and tell your administrator if it stays."
}

func statusOfRefusal(err error, refusal *conversation.Refusal) int {
	switch {
	case errors.Is(err, desk.ErrUnknownConversation):
		return http.StatusNotFound
	case refusal.Code == conversation.CodeNotYourTask:
		return http.StatusForbidden
	case refusal.Code == conversation.CodeInvalidPayload:
		return http.StatusUnprocessableEntity
	}
	return http.StatusConflict
}

// sentence makes text begin with a capital letter and end with a full stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(text)
	text = string(unicode.ToUpper(first)) + text[size:]
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

// refusedBy returns the status and the sentence of an error that the person can act on. It returns an internal
// error unchanged as other.
func (v *visit) refusedBy(err error) (status int, message string, other error) {
	status, message = statusOf(err)
	if status == http.StatusInternalServerError {
		return status, message, err
	}
	return status, v.worded(err, message), nil
}

// worded returns the sentence of a refusal with the names of agents and queues as the page shows them. It returns
// message unchanged if no person is signed in or if err is not a refusal with such a name.
func (v *visit) worded(err error, message string) string {
	refusal, refused := errors.AsType[*conversation.Refusal](err)
	if !refused || !v.person.In() || (refusal.Details.Agent == "" && refusal.Details.Queue == "") {
		return message
	}
	known, readErr := v.desk.Choices(v.ctx)
	if readErr != nil {
		v.log.WarnContext(v.ctx, "names for a refusal not read", "error", readErr)
		return message
	}
	return wordedWith(known, refusal)
}

// wordedWith replaces the unique names in the refusal's details with the names that people read: quoted names, and
// an agent's name at the beginning of the sentence.
func wordedWith(known desk.Choices, refusal *conversation.Refusal) string {
	d, text, subject := refusal.Details, withoutCommand(refusal), ""
	if rest, found := strings.CutPrefix(text, d.Agent+" "); found && d.Agent != "" {
		subject, text = isolated(known.Agent(d.Agent)), " "+rest
	}
	for name, shown := range map[string]string{d.Agent: known.Agent(d.Agent), d.Queue: known.Queue(d.Queue)} {
		if name != "" && shown != name {
			text = strings.ReplaceAll(text, strconv.Quote(name), "“"+isolated(shown)+"”")
		}
	}
	if subject != "" { // a name keeps the case of its first letter
		return subject + strings.TrimSuffix(text, ".") + "."
	}
	return sentence(text)
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

// render responds with the page. A refused form sets p.Refused and passes the status of the refusal.
func (v *visit) render(status int, name string, p page) error {
	p.Person = v.person
	if p.Person.In() {
		p.ZoneCookie = v.cookieName(cookieZone, "/")
	}
	if !v.failed {
		var err error
		if p.Notices, err = v.notices(); err != nil {
			return err
		}
	}
	if p.Said == "" {
		p.Said = v.said
	}
	if p.Said == "" {
		var err error
		if p.Said, err = v.confirmed(); err != nil {
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
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	if v.r.Method == http.MethodPost && h.Get(headerReplaceURL) == "" {
		h.Set(headerPushURL, "false") // the form's address is not a page
	}
	if v.r.Method == http.MethodGet && v.r.URL.Query().Has(paramSaid) && h.Get(headerReplaceURL) == "" {
		h.Set(headerPushURL, v.withoutSaid())
	}
	v.w.WriteHeader(status)
	_, err := body.WriteTo(v.w)
	return gone(err)
}

// back redirects the browser to a page after a form was carried out. The page shows said, unless it is "".
func (v *visit) back(path, said string) error {
	if said != "" {
		var err error
		if path, err = v.confirm(path, said); err != nil {
			return err
		}
	}
	http.Redirect(v.w, v.r, path, http.StatusSeeOther)
	return nil
}

// gone discards the error of writing a response: the client has disconnected.
func gone(error) error { return nil }

// fail responds with an error page, or with a redirect to the sign-in page.
func (v *visit) fail(r route, err error) {
	signIn := errors.Is(err, errSignIn)
	if signIn && !v.queued() {
		v.toSignIn(r)
		return
	}
	v.failed = true
	status, message := statusOf(err)
	message = v.worded(err, message)
	if signIn {
		status, message = http.StatusUnauthorized, "You are signed out: sign in again, then send it."
	}
	if status == http.StatusInternalServerError && v.r.Context().Err() == nil {
		v.log.ErrorContext(v.ctx, "A page has failed", "route", r.String(), "error", err)
	}
	if r.part {
		v.w.Header().Set(headerReswap, "none") // htmx keeps the current page
	}
	if r.stream || r.part || v.queued() {
		http.Error(v.w, message, status)
		return
	}
	if err := v.render(status, "sorry", page{Title: "Sorry", Body: message}); err != nil {
		v.log.ErrorContext(v.ctx, "The page of an error has failed", "route", r.String(), "error", err)
		http.Error(v.w, message, status)
	}
}

// toSignIn redirects to the sign-in page. It tells htmx to load the page, because htmx would insert a redirected
// page.
func (v *visit) toSignIn(r route) {
	next := v.r.URL.RequestURI()
	if v.r.Method != http.MethodGet || r.part {
		next = localPath(v.r.Referer())
	}
	to := "/sign-in?" + url.Values{"next": {next}}.Encode()
	if v.r.Header.Get(headerHTMX) == "true" {
		v.w.Header().Set(headerRedirect, to)
		v.w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
}

// localPath returns the path and query of an address for a redirect, "/" if the path is not local.
func localPath(address string) string {
	u, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") || strings.Contains(u.Path, `\`) {
		return "/"
	}
	return (&url.URL{Path: u.Path, RawQuery: u.RawQuery}).RequestURI()
}

// guarded runs the route's handler and turns a panic into an error.
func guarded(v *visit, r route) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			v.log.ErrorContext(v.ctx, "A page has failed by a fault of Baton's", "route", r.String(), "stack", string(debug.Stack()))
			err = errors.New("a fault")
		}
	}()
	if err := v.enter(r); err != nil {
		return err
	}
	return r.handle(v)
}

// text returns a text field of the form. Browsers send its line breaks as CRLF; text returns LF.
func (v *visit) text(field string) string {
	return strings.ReplaceAll(v.r.PostFormValue(field), "\r\n", "\n")
}

// messageID returns the ID under which a message is stored once: the same form with the same text has the same ID.
func messageID(sid, once, text string) string {
	sum := sha256.Sum256([]byte(sid + "\n" + once + "\n" + text))
	return "page-" + hex.EncodeToString(sum[:16])
}

// settling is how long a page waits for the desk to show the effect of a command.
const settling = 3 * time.Second

// send sends a command of the signed-in person to a conversation. A refusal contains only what the person may
// learn.
func (v *visit) send(sid string, command conversation.Command) (conversation.Outcome, error) {
	outcome, err := v.carry(sid, command)
	if err != nil {
		return outcome, v.desk.WithinTurn(v.ctx, v.person.Name, sid, command, err)
	}
	return outcome, nil
}

// carry sends a command to a conversation and waits until the desk shows its effect, at most for settling.
func (v *visit) carry(sid string, command conversation.Command) (conversation.Outcome, error) {
	if err := conversation.Storable(command); err != nil { // before the next call, which encodes the command as JSON
		return conversation.Outcome{}, err
	}
	command, err := conversation.Identified(command, uuid.NewString()) // the desk counts a refusal once for each ID
	if err != nil {
		return conversation.Outcome{}, err
	}
	outcome, err := v.conversations.Send(v.ctx, sid, command)
	if err != nil {
		if noteErr := v.desk.NoteRefused(v.ctx, sid, command, err); noteErr != nil {
			v.log.ErrorContext(v.ctx, "refused accept not counted", "conversation", sid, "error", noteErr)
		}
		return outcome, err
	}
	ctx, cancel := context.WithTimeout(v.ctx, settling)
	defer cancel()
	if err := v.desk.AwaitRevision(ctx, sid, outcome.Revision); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return outcome, err
	}
	return outcome, nil // if the desk is late, the page updates itself later
}
