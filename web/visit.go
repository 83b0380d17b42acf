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

// visit is one request on its way to its answer.
type visit struct {
	*Site

	w      http.ResponseWriter
	r      *http.Request
	ctx    context.Context //nolint:containedctx // a visit is its request, and lives as long
	person person
	// said is what the page is to say though it isn't the next one.
	said string
	// noticed are the notices of the person, once they were read; failed is set where the page says what went wrong, and shows none.
	noticed *desk.Notices
	failed  bool
}

// What htmx and we tell each other.
const (
	headerHTMX       = "Hx-Request"
	headerPushURL    = "Hx-Push-Url"
	headerRedirect   = "Hx-Redirect"
	headerReplaceURL = "Hx-Replace-Url"
	// headerReswap says how an answer is put into the page.
	headerReswap = "Hx-Reswap"
	// headerTrigger names what has sent a request: the page itself, where it fetches itself anew.
	headerTrigger = "Hx-Trigger"
	// headerHidden says that nobody looks at the page: its tab is in the background.
	headerHidden = "X-Hidden"
)

// page is what every template is given.
type page struct {
	Title string
	// Section is the part of the site that the navigation marks.
	Section string
	Person  person
	// Said is what has just been done, Refused why something was not.
	Said, Refused string
	Notices       notices
	// ZoneCookie is the name of the cookie in which the script keeps the reader's zone, empty on pages for customers.
	ZoneCookie string
	Body       any
}

// enter reads who comes, and refuses whom the route isn't for.
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

// errSignIn sends somebody to sign in, and then back to where they wanted to go.
var errSignIn = errors.New("sign in first")

// mistake is an error for who sees the page: a status and a sentence.
type mistake struct {
	status  int
	message string
}

// Error returns the sentence.
func (m *mistake) Error() string { return m.message }

// notFound is the answer to an address that names nothing.
func notFound(what string) error { return &mistake{http.StatusNotFound, what} }

// statusOf is the HTTP status of an error, and the sentence for who sees the page.
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

// sentence begins with a capital letter and ends with a full stop.
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

// refusedBy returns the sentence where the error is for who sees the page to act on; others are
// returned as they are.
func (v *visit) refusedBy(err error) (status int, message string, other error) {
	status, message = statusOf(err)
	if status == http.StatusInternalServerError {
		return status, message, err
	}
	return status, v.worded(err, message), nil
}

// worded returns the sentence of an error for its page: agents and queues are called as the page calls them. A page without
// a person signed in keeps the sentence.
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

// wordedWith replaces the unique names that the refusal's details hold: quoted ones, and an agent's that the sentence
// begins with.
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
	if subject != "" { // a name keeps its first letter
		return subject + strings.TrimSuffix(text, ".") + "."
	}
	return sentence(text)
}

// withoutCommand returns the sentence of a refusal without the name of the command, which a page calls otherwise.
func withoutCommand(refusal *conversation.Refusal) string {
	if command, rest, found := strings.Cut(refusal.Message, ": "); found && refusal.Details.Field != "" &&
		slices.Contains(conversation.ServiceCommands(), conversation.CommandName(command)) {
		return rest
	}
	return refusal.Message
}

// render answers with a page. A refused form passes what was refused, with its status.
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
		return err //nolint:wrapcheck // it names the template and the line
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	if v.r.Method == http.MethodPost && h.Get(headerReplaceURL) == "" {
		h.Set(headerPushURL, "false") // the form's address is no page
	}
	if v.r.Method == http.MethodGet && v.r.URL.Query().Has(paramSaid) && h.Get(headerReplaceURL) == "" {
		h.Set(headerPushURL, v.withoutSaid())
	}
	v.w.WriteHeader(status)
	_, err := body.WriteTo(v.w)
	return gone(err)
}

// back sends the browser to a page after a form was carried out, and has that page say what was done.
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

// gone drops the error of an answer that nobody waits for any more.
func gone(error) error { return nil }

// fail answers with what went wrong.
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
		v.w.Header().Set(headerReswap, "none") // the page keeps what it has
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

// toSignIn sends to the page to sign in; htmx, which would put it into the page, is told to load it.
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

// localPath is the path of an address, for going back to; "/" where it isn't one of ours.
func localPath(address string) string {
	u, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") || strings.Contains(u.Path, `\`) {
		return "/"
	}
	return (&url.URL{Path: u.Path, RawQuery: u.RawQuery}).RequestURI()
}

// guarded runs a handler, and turns a fault of ours into an error.
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

// text is what was typed into a field of several lines, which browsers send with those of another system.
func (v *visit) text(field string) string {
	return strings.ReplaceAll(v.r.PostFormValue(field), "\r\n", "\n")
}

// messageID is what a message is stored once under: the same form with the same words.
func messageID(sid, once, text string) string {
	sum := sha256.Sum256([]byte(sid + "\n" + once + "\n" + text))
	return "page-" + hex.EncodeToString(sum[:16])
}

// settling is for how long a page waits for the desk to show what a command has just done.
const settling = 3 * time.Second

// send carries a command of the one signed in to a conversation. A refusal is what they may learn of the conversation.
func (v *visit) send(sid string, command conversation.Command) (conversation.Outcome, error) {
	outcome, err := v.carry(sid, command)
	if err != nil {
		return outcome, v.desk.WithinTurn(v.ctx, v.person.Name, sid, command, err)
	}
	return outcome, nil
}

// carry carries a command to a conversation, and waits until the desk shows what it did.
func (v *visit) carry(sid string, command conversation.Command) (conversation.Outcome, error) {
	if err := conversation.Storable(command); err != nil { // here, for the ID makes it JSON
		return conversation.Outcome{}, err
	}
	command, err := conversation.Identified(command, uuid.NewString()) // a refusal is noted under the ID
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
	return outcome, nil // where the desk is behind, the page follows by itself
}
