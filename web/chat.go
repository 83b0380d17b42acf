package web

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

func (s *Site) chatRoutes() []route {
	return []route{
		{method: http.MethodGet, path: "/chat", access: everybody, handle: (*visit).showChat},
		{method: http.MethodGet, path: "/chat/stream", access: everybody, handle: (*visit).streamChat, stream: true},
		{method: http.MethodPost, path: "/chat/start", access: everybody, handle: (*visit).startChat},
		{method: http.MethodPost, path: "/chat/say", access: everybody, handle: (*visit).sayInChat},
		{method: http.MethodPost, path: "/chat/end", access: everybody, handle: (*visit).endChat},
		{method: http.MethodPost, path: "/chat/new", access: everybody, handle: (*visit).newChat},
	}
}

// chat is what the customer's page shows.
type chat struct {
	// Thread is the conversation, nil where none was begun.
	Thread *desk.Thread
	Lines  []line
	// With is whom the customer talks to, empty while they wait.
	With string
	// Passed is whom they are being passed on to, empty where they aren't.
	Passed string
	// Wait is how it stands while they wait for an agent, empty while an agent has it.
	Wait desk.Wait
	// Name and Text are what was typed, shown again where it was refused; Once is the form's ID, which stays
	// until its chat has begun.
	Name, Text, Once string
	// Wrong is the field of the form that was refused, Why the reason; both empty where the form itself was.
	Wrong, Why string
}

// Waiting tells whether nobody is there for the customer yet.
func (c chat) Waiting() bool { return c.Thread != nil && c.Open() && c.With == "" && c.Passed == "" }

// Open tells whether the customer can write.
func (c chat) Open() bool {
	return c.Thread != nil && c.Thread.Conversation.Status == conversation.ConversationActive
}

// Earlier and Conversation are what the thread is drawn with.
func (c chat) Earlier() int                    { return c.Thread.Earlier }
func (c chat) Conversation() desk.Conversation { return c.Thread.Conversation }

func (v *visit) showChat() error { return v.chat(http.StatusOK, "", chat{}) }

// chat answers with the customer's page; where a form was refused, with that and what was typed.
func (v *visit) chat(status int, refused string, body chat) error {
	if sid := v.customers.GetString(v.ctx, keyConversation); sid != "" {
		window, err := v.window(sid)
		if err != nil {
			return err
		}
		thread, err := v.desk.ThreadWindow(v.ctx, sid, desk.AsCustomer(), window)
		if err != nil && !errors.Is(err, desk.ErrUnknownConversation) {
			return err
		}
		if err == nil {
			body.Thread, body.Lines = &thread, forCustomer(thread)
			body.With, body.Passed = whoIsThere(thread)
			waits, err := v.desk.Waits(v.ctx, []string{sid})
			if err != nil {
				return err
			}
			body.Wait = waits[sid]
		} else {
			body.Once = cmp.Or(body.Once, v.unknownChat())
		}
	}
	if body.Thread == nil {
		if _, err := v.formSecret(); err != nil {
			return err
		}
	}
	return v.render(status, "chat", page{Title: "Chat", Section: "chat", Refused: refused, Body: body})
}

// whoIsThere tells whom the customer talks to, and to whom they are being passed on.
func whoIsThere(t desk.Thread) (with, passed string) {
	for _, task := range t.Conversation.Live {
		if task.Status == conversation.TaskAssigned {
			with = t.Names.Agent(task.Agent)
		}
	}
	for _, x := range t.Transfers {
		if x.Status == conversation.TransferActive {
			passed = target(t.Names, x.To)
		}
	}
	return with, passed
}

// beginning is for how long a new conversation may take to come to the desk.
const beginning = 10 * time.Second

// beganWithin is for how long a conversation counts as begun by a form that is sent again because its answer was lost.
const beganWithin = 10 * time.Minute

func (v *visit) startChat() error {
	typed := chat{Name: strings.TrimSpace(v.r.PostFormValue("name")), Text: v.text("text")}
	once, err := uuid.Parse(v.r.PostFormValue("once"))
	if err != nil {
		return v.chat(http.StatusUnprocessableEntity, "Please send that once more.", typed)
	}
	if typed.Wrong, typed.Why = wrongStart(typed); typed.Wrong != "" {
		typed.Once = once.String()
		return v.chat(http.StatusUnprocessableEntity, "", typed)
	}
	secret, err := v.formSecret()
	if err != nil {
		return err
	}
	sid := chatOf(once, secret)
	open, err := v.openChat(sid)
	switch {
	case err != nil:
		return err
	case open: // a form that was left open
		return v.back("/chat", "")
	}
	if wait := v.waits(v.starts.take(v.r)); wait != 0 {
		return v.chat(http.StatusTooManyRequests, tooMany("chats from your network", wait), typed)
	}
	typed.Once = once.String()
	if err := v.begin(sid, typed); err != nil {
		if errors.Is(err, errFormUsed) {
			typed.Once = ""
			return v.chat(http.StatusConflict, "This form has begun another chat: send it again to begin a new one.", typed)
		}
		return v.chatAfter(err, typed)
	}
	v.customers.Put(v.ctx, keyConversation, sid)
	v.customers.Put(v.ctx, keyForm, typed.Once)
	v.customers.Put(v.ctx, keyBegun, time.Now().Unix())
	ctx, cancel := context.WithTimeout(v.ctx, beginning)
	defer cancel()
	if err := v.desk.AwaitRevision(ctx, sid, 1); err != nil {
		return v.chatAfter(err, typed)
	}
	_, err = v.tell(sid, typed.Text, typed.Once)
	return v.chatAfter(err, typed)
}

// wrongStart names the field of the form that no chat can begin with, and says why; "" for none. What is refused later
// would leave a conversation without words.
func wrongStart(typed chat) (field, why string) {
	for _, f := range []struct {
		name, value, label string
		most               int
	}{{"name", typed.Name, "name", conversation.MaxText}, {"text", typed.Text, "message", desk.MaxMessage}} {
		switch length := utf8.RuneCountInString(f.value); {
		case strings.TrimSpace(f.value) == "":
			return f.name, "Tell us your name and what it is about."
		case length > f.most:
			return f.name, fmt.Sprintf("Your %s has %d characters: shorten it to at most %d.", f.label, length, f.most)
		case !utf8.ValidString(f.value) || strings.ContainsRune(f.value, 0):
			return f.name, "Your " + f.label + " has a character that cannot be stored: type it again."
		}
	}
	return "", ""
}

// openChat tells whether the browser has another chat than that one. A chat that the desk does not know is none: it
// never began.
func (v *visit) openChat(sid string) (bool, error) {
	open := v.customers.GetString(v.ctx, keyConversation)
	if open == "" || open == sid {
		return false, nil
	}
	_, err := v.desk.Conversation(v.ctx, open)
	if errors.Is(err, desk.ErrUnknownConversation) {
		v.forgetChat()
		return false, nil
	}
	return err == nil, err
}

// unknownChat is asked where the desk does not know the browser's chat: it returns the ID of the form that began it as
// long as the chat may still come to the desk, so that sending the form again does not begin a second one.
func (v *visit) unknownChat() string {
	if time.Since(time.Unix(v.customers.GetInt64(v.ctx, keyBegun), 0)) < beganWithin {
		return v.customers.GetString(v.ctx, keyForm)
	}
	v.forgetChat()
	return ""
}

func (v *visit) forgetChat() {
	for _, key := range []string{keyConversation, keyForm, keyBegun} {
		v.customers.Remove(v.ctx, key)
	}
}

// chats is the namespace of the SIDs of chats.
var chats = uuid.MustParse("6f9f2a0c-6c5f-4c6e-9a51-0a3a2d1f7f5e")

// chatOf is the SID of the chat that a form begins in the browser with that secret. The form's ID alone names no
// conversation: who learns it, from a log or a cache, has another secret.
func chatOf(once uuid.UUID, secret []byte) string {
	return conversation.SIDOf(conversation.PrefixConversation, uuid.NewSHA1(chats, append(once[:], secret...)))
}

const (
	// cookieForm is the cookie that binds a browser to the chats that its forms begin.
	cookieForm = "baton_chat_form"
	// secretSize is the size of its secret in bytes.
	secretSize = 16
)

// formSecret is the secret of the browser, which gets a new one where it has none.
func (v *visit) formSecret() ([]byte, error) {
	name := v.cookieName(cookieForm, v.customers.Cookie.Path)
	if cookie, err := v.r.Cookie(name); err == nil {
		if secret, err := hex.DecodeString(cookie.Value); err == nil && len(secret) == secretSize {
			return secret, nil
		}
	}
	secret := make([]byte, secretSize)
	if _, err := rand.Read(secret); err != nil {
		return nil, fmt.Errorf("make the secret of a form: %w", err)
	}
	http.SetCookie(v.w, v.formCookie(hex.EncodeToString(secret), 0))
	return secret, nil
}

// formCookie lasts until the browser is closed.
func (v *visit) formCookie(value string, maxAge int) *http.Cookie {
	path := v.customers.Cookie.Path
	return &http.Cookie{ //nolint:gosec // G124: Secure wherever the pages are reached by https
		Name: v.cookieName(cookieForm, path), Value: value, Path: path, MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: v.overTLS(),
	}
}

// errFormUsed is returned for a form whose chat is over or old.
var errFormUsed = errors.New("the form was used")

// begin starts the conversation, where its form hasn't done so before.
func (v *visit) begin(sid string, typed chat) error {
	route, err := v.desk.Route(v.ctx, desk.DefaultWorkflow(), map[string]any{"channel": string(conversation.ChannelWeb)})
	if err != nil {
		return err
	}
	_, err = v.conversations.Start(v.ctx, conversation.StartCommand{
		Conversation: sid, Channel: conversation.ChannelWeb, Customer: conversation.Customer{Name: typed.Name}, Queue: route.Queue, Priority: route.Priority,
	})
	if refusal, ok := errors.AsType[*conversation.Refusal](err); ok && refusal.Details.Field == "conversation" {
		return v.begunByForm(sid)
	}
	return err
}

// begunByForm tells whether an existing conversation is that of the form, whose answer was lost.
func (v *visit) begunByForm(sid string) error {
	found, err := v.desk.Conversation(v.ctx, sid)
	switch {
	case errors.Is(err, desk.ErrUnknownConversation):
		return nil // it is on its way to the desk
	case err != nil:
		return err
	case found.Status != conversation.ConversationActive || time.Since(found.CreatedAt) > beganWithin:
		return errFormUsed
	}
	return nil
}

// tell adds the customer's words to the transcript, once.
func (v *visit) tell(sid, text, once string) (desk.Message, error) {
	return v.desk.Say(v.ctx, desk.NewMessage{Conversation: sid, From: desk.FromCustomer, Text: text, ProviderSID: messageID(sid, once, text)})
}

// chatOver is the answer to a message in a chat that is over.
const chatOver = "This chat is over: begin another one."

// chatAfter answers a form of the customer.
func (v *visit) chatAfter(err error, typed chat) error {
	if err == nil {
		return v.back("/chat", "")
	}
	status, message, other := v.refusedBy(err)
	if other != nil {
		return other
	}
	if conversation.CodeOf(err) == conversation.CodeConversationClosed {
		message = chatOver
	}
	return v.chat(status, message, typed)
}

func (v *visit) sayInChat() error {
	typed := chat{Text: v.text("text")}
	sid, err := v.customersConversation()
	if err != nil {
		return err
	}
	if err := v.sentFor(customersQueue); err != nil {
		return err
	}
	if wait := v.waits(v.says.Take(sid)); wait != 0 {
		refused := tooMany("messages at once", wait)
		if v.queued() {
			return &mistake{http.StatusTooManyRequests, refused}
		}
		return v.chat(http.StatusTooManyRequests, refused, typed)
	}
	said, err := v.tell(sid, typed.Text, v.r.PostFormValue("once"))
	switch {
	case v.queued() && conversation.CodeOf(err) == conversation.CodeConversationClosed:
		return &mistake{http.StatusConflict, chatOver}
	case v.queued() && err != nil:
		return err
	case v.queued():
		return v.delivered(said)
	}
	return v.chatAfter(err, typed)
}

// endChat closes the customer's side.
func (v *visit) endChat() error {
	sid, err := v.customersConversation()
	if err != nil {
		return err
	}
	_, err = v.carry(sid, conversation.CloseCommand{Reason: "customer_left", Meta: v.once()})
	if conversation.CodeOf(err) == conversation.CodeConversationClosed {
		err = nil // it is over, as they wish
	}
	return v.chatAfter(err, chat{})
}

// newChat lets a customer whose conversation is over begin another one.
func (v *visit) newChat() error {
	sid, err := v.customersConversation()
	if err != nil {
		return err
	}
	found, err := v.desk.Conversation(v.ctx, sid)
	switch {
	case err != nil:
		return v.chatAfter(err, chat{})
	case found.Status == conversation.ConversationActive:
		return v.chat(http.StatusConflict, "This chat is still open: end it first.", chat{})
	}
	if err := v.customers.Destroy(v.ctx); err != nil {
		return err //nolint:wrapcheck // the desk's, which says all
	}
	http.SetCookie(v.w, v.formCookie("", -1)) // the next form is another visitor's
	return v.back("/chat", "")
}

// customersConversation is the browser's chat. A form of another one, in a tab that was left open, is refused.
func (v *visit) customersConversation() (string, error) {
	sid := v.customers.GetString(v.ctx, keyConversation)
	if sid == "" {
		return "", &mistake{http.StatusConflict, "This browser has no chat open: begin one."}
	}
	if of := v.r.PostFormValue("conversation"); of != "" && of != sid {
		return "", &mistake{http.StatusConflict, "That chat is over, and this browser has another one: load the page again."}
	}
	return sid, nil
}

func (v *visit) streamChat() error {
	sid := v.customers.GetString(v.ctx, keyConversation)
	if sid == "" {
		return &mistake{http.StatusConflict, "This browser has no chat open."}
	}
	return v.stream(sid, v.live.watchAsCustomer(sid), nil)
}
