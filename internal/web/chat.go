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

// chat is the data of the customer's page.
type chat struct {
	// Thread is the conversation, nil before it begins.
	Thread *desk.Thread
	Lines  []line
	// With is the name of the agent whom the customer talks to, "" while the customer waits.
	With string
	// Passed is the name of the active transfer's target, "" without an active transfer.
	Passed string
	// Wait is the state of the wait for an agent, "" while an agent has the conversation.
	Wait desk.Wait
	// Name and Text are the typed values of a refused form. Once is the ID of the form; it stays the same until the
	// form's chat has begun.
	Name, Text, Once string
	// Wrong is the field that was refused, Why the reason. Both are "" if the form as a whole was refused.
	Wrong, Why string
}

// Waiting reports whether the customer waits for the first agent.
func (c chat) Waiting() bool { return c.Thread != nil && c.Open() && c.With == "" && c.Passed == "" }

// Open reports whether the customer can write.
func (c chat) Open() bool {
	return c.Thread != nil && c.Thread.Conversation.Status == conversation.ConversationActive
}

// Earlier and Conversation are used by the thread's template.
func (c chat) Earlier() int                    { return c.Thread.Earlier }
func (c chat) Conversation() desk.Conversation { return c.Thread.Conversation }

func (v *visit) showChat() error { return v.chat(http.StatusOK, "", chat{}) }

// chat responds with the customer's page. refused is the reason why a form was refused, "" for none; body holds its
// values.
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

// whoIsThere returns the name of the customer's agent and the name of the active transfer's target, "" for none.
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

// beginning is how long a page waits for the desk to record a new conversation.
const beginning = 10 * time.Second

// beganWithin is how long after its beginning a chat can be found again by its form, sent again because the
// response was lost.
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
	case open: // sent from a stale tab
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

// wrongStart returns the first invalid field of the form and the reason, "" for none. It checks before the
// conversation begins, because a later refusal of the message would leave an empty conversation.
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

// openChat reports whether the browser has a chat other than sid. It ignores and forgets a chat that the desk does
// not know, because that chat never began.
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

// unknownChat is called if the desk does not know the browser's chat. While the desk may still record the chat, it
// returns the ID of the form that began it, so that sending the form again does not begin a second chat.
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

// chats is the UUID namespace of chat SIDs.
var chats = uuid.MustParse("6f9f2a0c-6c5f-4c6e-9a51-0a3a2d1f7f5e")

// chatOf returns the SID of the chat that the form begins in the browser with the secret. The form's ID alone does
// not identify a conversation: a person who finds the ID in a log or a cache has another secret.
func chatOf(once uuid.UUID, secret []byte) string {
	return conversation.SIDOf(conversation.PrefixConversation, uuid.NewSHA1(chats, append(once[:], secret...)))
}

const (
	// cookieForm is the cookie that binds a browser to the chats that its forms begin.
	cookieForm = "baton_chat_form"
	// secretSize is the size of its secret in bytes.
	secretSize = 16
)

// formSecret returns the secret of the browser, and sets a new one if the browser has none.
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

// formCookie returns the cookie with the form secret. With maxAge 0 it lasts until the browser is closed.
func (v *visit) formCookie(value string, maxAge int) *http.Cookie {
	path := v.customers.Cookie.Path
	return &http.Cookie{ //nolint:gosec // G124: Secure if the pages are reached by https
		Name: v.cookieName(cookieForm, path), Value: value, Path: path, MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: v.overTLS(),
	}
}

// errFormUsed is returned for a form whose chat is over, or older than beganWithin.
var errFormUsed = errors.New("the form was used")

// begin starts the conversation, unless its form has started it before.
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

// begunByForm returns nil if the existing conversation can be the one that the form began before its response was
// lost, errFormUsed otherwise.
func (v *visit) begunByForm(sid string) error {
	found, err := v.desk.Conversation(v.ctx, sid)
	switch {
	case errors.Is(err, desk.ErrUnknownConversation):
		return nil // the desk has not recorded it yet
	case err != nil:
		return err
	case found.Status != conversation.ConversationActive || time.Since(found.CreatedAt) > beganWithin:
		return errFormUsed
	}
	return nil
}

// tell adds the customer's message to the transcript, once for each form and text.
func (v *visit) tell(sid, text, once string) (desk.Message, error) {
	return v.desk.Say(v.ctx, desk.NewMessage{Conversation: sid, From: desk.FromCustomer, Text: text, ProviderSID: messageID(sid, once, text)})
}

// chatOver is the answer to a message in a chat that is over.
const chatOver = "This chat is over: begin another one."

// chatAfter responds to a form of the customer: with a redirect to the chat, or with the refusal and the typed
// values.
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

// endChat closes the conversation for the customer.
func (v *visit) endChat() error {
	sid, err := v.customersConversation()
	if err != nil {
		return err
	}
	_, err = v.carry(sid, conversation.CloseCommand{Reason: "customer_left", Meta: v.once()})
	if conversation.CodeOf(err) == conversation.CodeConversationClosed {
		err = nil // it is closed already, as the customer wants
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
		return err //nolint:wrapcheck // the desk's error is complete
	}
	http.SetCookie(v.w, v.formCookie("", -1)) // the next form may be another visitor's
	return v.back("/chat", "")
}

// customersConversation returns the SID of the browser's chat. It refuses a form of another chat, sent from a stale
// tab.
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
