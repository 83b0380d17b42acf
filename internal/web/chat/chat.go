// Package chat serves the customer's chat.
package chat

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
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/limit"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routes"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/web/site"
	"github.com/baton-transfers/baton/internal/web/words"
)

// Keys of the customer's session.
const (
	// keyConversation is the customer's conversation, keyForm the ID of the form that began it, keyBegun when (Unix
	// seconds).
	keyConversation = "conversation"
	keyForm         = "form"
	keyBegun        = "begun"
)

// Routes returns the routes of the customer's chat.
func Routes(l site.Limits) []site.Route {
	b := chatBounds{site.NewAddressLimiter(l.Chats, l.ChatsTotal), limit.New(l.Messages, l.MessagesTotal)}
	return []site.Route{
		{Method: http.MethodGet, Path: "/chat", Access: site.Everybody, Handle: showChat},
		{Method: http.MethodGet, Path: "/chat/stream", Access: site.Everybody, Handle: streamChat, Stream: true},
		{Method: http.MethodPost, Path: "/chat/start", Access: site.Everybody, Handle: b.startChat},
		{Method: http.MethodPost, Path: "/chat/say", Access: site.Everybody, Handle: b.sayInChat},
		{Method: http.MethodPost, Path: "/chat/end", Access: site.Everybody, Handle: endChat},
		{Method: http.MethodPost, Path: "/chat/new", Access: site.Everybody, Handle: newChat},
	}
}

// chatBounds bound the chats that begin and the messages in one chat.
type chatBounds struct {
	starts site.AddressLimiter
	says   *limit.Limiter
}

// chat is the data of the customer's page.
type chat struct {
	// Thread is the conversation, nil before it begins.
	Thread *records.Thread
	Lines  []words.Line
	// With is the name of the agent whom the customer talks to, "" while the customer waits.
	With string
	// Passed is the name of the active transfer's target, "" without an active transfer.
	Passed string
	// Wait is the state of the wait for an agent, "" while an agent has the conversation.
	Wait routing.Wait
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
func (c chat) Earlier() int                       { return c.Thread.Earlier }
func (c chat) Conversation() records.Conversation { return c.Thread.Conversation }

func showChat(v *site.Visit) error { return respondChat(v, http.StatusOK, "", chat{}) }

// respondChat responds with the customer's page. refused is the reason why a form was refused, "" for none; body holds
// its values.
func respondChat(v *site.Visit, status int, refused string, body chat) error {
	if sid := v.Customers.GetString(v.Ctx, keyConversation); sid != "" {
		window, err := v.Window(sid)
		if err != nil {
			return err
		}
		thread, err := records.ReadThread(v.Ctx, v.Desk, sid, records.AsCustomer(), window)
		if err != nil && !errors.Is(err, records.ErrUnknownConversation) {
			return err
		}
		if err == nil {
			body.Thread, body.Lines = &thread, words.ForCustomer(thread)
			body.With, body.Passed = whoIsThere(thread)
			waits, err := routing.ReadWaits(v.Ctx, v.Desk, []string{sid})
			if err != nil {
				return err
			}
			body.Wait = waits[sid]
		} else {
			body.Once = cmp.Or(body.Once, unknownChat(v))
		}
	}
	if body.Thread == nil {
		if _, err := formSecret(v); err != nil {
			return err
		}
	}
	return v.Render(status, "chat", site.Page{Title: "Chat", Section: "chat", Refused: refused, Body: body})
}

// whoIsThere returns the name of the customer's agent and the name of the active transfer's target, "" for none.
func whoIsThere(t records.Thread) (with, passed string) {
	for _, task := range t.Conversation.Live {
		if task.Status == conversation.TaskAssigned {
			with = t.Names.Agent(task.Agent)
		}
	}
	for _, x := range t.Transfers {
		if x.Status == conversation.TransferActive {
			passed = words.Target(t.Names, x.To)
		}
	}
	return with, passed
}

// beginning is how long a page waits for the desk to record a new conversation.
const beginning = 10 * time.Second

// beganWithin is how long after its beginning a chat can be found again by its form, sent again because the
// response was lost.
const beganWithin = 10 * time.Minute

func (b chatBounds) startChat(v *site.Visit) error {
	typed := chat{Name: strings.TrimSpace(v.R.PostFormValue("name")), Text: v.Text("text")}
	once, err := uuid.Parse(v.R.PostFormValue("once"))
	if err != nil {
		return respondChat(v, http.StatusUnprocessableEntity, "Please send that once more.", typed)
	}
	if typed.Wrong, typed.Why = wrongStart(typed); typed.Wrong != "" {
		typed.Once = once.String()
		return respondChat(v, http.StatusUnprocessableEntity, "", typed)
	}
	secret, err := formSecret(v)
	if err != nil {
		return err
	}
	sid := chatOf(once, secret)
	open, err := openChat(v, sid)
	switch {
	case err != nil:
		return err
	case open: // sent from a stale tab
		return v.Back("/chat", "")
	}
	if wait := site.RetryAfter(v.W, b.starts.Take(v.R)); wait != 0 {
		return respondChat(v, http.StatusTooManyRequests, site.TooMany("chats from your network", wait), typed)
	}
	typed.Once = once.String()
	if err := begin(v, sid, typed); err != nil {
		if errors.Is(err, errFormUsed) {
			typed.Once = ""
			return respondChat(v, http.StatusConflict, "This form has begun another chat: send it again to begin a new one.", typed)
		}
		return chatAfter(v, err, typed)
	}
	v.Customers.Put(v.Ctx, keyConversation, sid)
	v.Customers.Put(v.Ctx, keyForm, typed.Once)
	v.Customers.Put(v.Ctx, keyBegun, time.Now().Unix())
	ctx, cancel := context.WithTimeout(v.Ctx, beginning)
	defer cancel()
	if err := routing.AwaitRevision(ctx, v.Desk, sid, 1); err != nil {
		return chatAfter(v, err, typed)
	}
	_, err = tell(v, sid, typed.Text, typed.Once)
	return chatAfter(v, err, typed)
}

// wrongStart returns the first invalid field of the form and the reason, "" for none. It checks before the
// conversation begins, because a later refusal of the message would leave an empty conversation.
func wrongStart(typed chat) (field, why string) {
	for _, f := range []struct {
		name, value, label string
		most               int
	}{{"name", typed.Name, "name", conversation.MaxText}, {"text", typed.Text, "message", records.MaxMessage}} {
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
func openChat(v *site.Visit, sid string) (bool, error) {
	open := v.Customers.GetString(v.Ctx, keyConversation)
	if open == "" || open == sid {
		return false, nil
	}
	_, err := records.FindConversation(v.Ctx, v.Desk, open)
	if errors.Is(err, records.ErrUnknownConversation) {
		forgetChat(v)
		return false, nil
	}
	return err == nil, err
}

// unknownChat is called if the desk does not know the browser's chat. While the desk may still record the chat, it
// returns the ID of the form that began it, so that sending the form again does not begin a second chat.
func unknownChat(v *site.Visit) string {
	if time.Since(time.Unix(v.Customers.GetInt64(v.Ctx, keyBegun), 0)) < beganWithin {
		return v.Customers.GetString(v.Ctx, keyForm)
	}
	forgetChat(v)
	return ""
}

func forgetChat(v *site.Visit) {
	for _, key := range []string{keyConversation, keyForm, keyBegun} {
		v.Customers.Remove(v.Ctx, key)
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
func formSecret(v *site.Visit) ([]byte, error) {
	name := v.CookieName(cookieForm, v.Customers.Cookie.Path)
	if cookie, err := v.R.Cookie(name); err == nil {
		if secret, err := hex.DecodeString(cookie.Value); err == nil && len(secret) == secretSize {
			return secret, nil
		}
	}
	secret := make([]byte, secretSize)
	if _, err := rand.Read(secret); err != nil {
		return nil, fmt.Errorf("make the secret of a form: %w", err)
	}
	http.SetCookie(v.W, formCookie(v, hex.EncodeToString(secret), 0))
	return secret, nil
}

// formCookie returns the cookie with the form secret. With maxAge 0 it lasts until the browser is closed.
func formCookie(v *site.Visit, value string, maxAge int) *http.Cookie {
	path := v.Customers.Cookie.Path
	return &http.Cookie{ //nolint:gosec // G124: Secure if the pages are reached by https
		Name: v.CookieName(cookieForm, path), Value: value, Path: path, MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: v.OverTLS(),
	}
}

// errFormUsed is returned for a form whose chat is over, or older than beganWithin.
var errFormUsed = errors.New("the form was used")

// begin starts the conversation, unless its form has started it before.
func begin(v *site.Visit, sid string, typed chat) error {
	route, err := routes.FindRoute(v.Ctx, v.Desk, desk.DefaultWorkflow(), map[string]any{"channel": string(conversation.ChannelWeb)})
	if err != nil {
		return err
	}
	_, err = v.Conversations.Start(v.Ctx, conversation.StartCommand{
		Conversation: sid, Channel: conversation.ChannelWeb, Customer: conversation.Customer{Name: typed.Name}, Queue: route.Queue, Priority: route.Priority,
	})
	if refusal, ok := errors.AsType[*conversation.Refusal](err); ok && refusal.Details.Field == "conversation" {
		return begunByForm(v, sid)
	}
	return err
}

// begunByForm returns nil if the existing conversation can be the one that the form began before its response was
// lost, errFormUsed otherwise.
func begunByForm(v *site.Visit, sid string) error {
	found, err := records.FindConversation(v.Ctx, v.Desk, sid)
	switch {
	case errors.Is(err, records.ErrUnknownConversation):
		return nil // the desk has not recorded it yet
	case err != nil:
		return err
	case found.Status != conversation.ConversationActive || time.Since(found.CreatedAt) > beganWithin:
		return errFormUsed
	}
	return nil
}

// tell adds the customer's message to the transcript, once for each form and text.
func tell(v *site.Visit, sid, text, once string) (records.Message, error) {
	return records.Say(v.Ctx, v.Desk, records.NewMessage{Conversation: sid, From: records.FromCustomer, Text: text, ProviderSID: site.MessageID(sid, once, text)})
}

// chatOver is the answer to a message in a chat that is over.
const chatOver = "This chat is over: begin another one."

// chatAfter responds to a form of the customer: with a redirect to the chat, or with the refusal and the typed
// values.
func chatAfter(v *site.Visit, err error, typed chat) error {
	if err == nil {
		return v.Back("/chat", "")
	}
	status, message, other := v.RefusedBy(err)
	if other != nil {
		return other
	}
	if conversation.CodeOf(err) == conversation.CodeConversationClosed {
		message = chatOver
	}
	return respondChat(v, status, message, typed)
}

func (b chatBounds) sayInChat(v *site.Visit) error {
	typed := chat{Text: v.Text("text")}
	sid, err := customersConversation(v)
	if err != nil {
		return err
	}
	if err := v.SentFor(site.CustomersQueue); err != nil {
		return err
	}
	if wait := site.RetryAfter(v.W, b.says.Take(sid)); wait != 0 {
		refused := site.TooMany("messages at once", wait)
		if v.Queued() {
			return site.Mistake(http.StatusTooManyRequests, refused)
		}
		return respondChat(v, http.StatusTooManyRequests, refused, typed)
	}
	said, err := tell(v, sid, typed.Text, v.R.PostFormValue("once"))
	switch {
	case v.Queued() && conversation.CodeOf(err) == conversation.CodeConversationClosed:
		return site.Mistake(http.StatusConflict, chatOver)
	case v.Queued() && err != nil:
		return err
	case v.Queued():
		return site.Delivered(v, said)
	}
	return chatAfter(v, err, typed)
}

// endChat closes the conversation for the customer.
func endChat(v *site.Visit) error {
	sid, err := customersConversation(v)
	if err != nil {
		return err
	}
	_, err = v.Carry(sid, conversation.CloseCommand{Reason: "customer_left", Meta: v.Once()})
	if conversation.CodeOf(err) == conversation.CodeConversationClosed {
		err = nil // it is closed already, as the customer wants
	}
	return chatAfter(v, err, chat{})
}

// newChat lets a customer whose conversation is over begin another one.
func newChat(v *site.Visit) error {
	sid, err := customersConversation(v)
	if err != nil {
		return err
	}
	found, err := records.FindConversation(v.Ctx, v.Desk, sid)
	switch {
	case err != nil:
		return chatAfter(v, err, chat{})
	case found.Status == conversation.ConversationActive:
		return respondChat(v, http.StatusConflict, "This chat is still open: end it first.", chat{})
	}
	if err := v.Customers.Destroy(v.Ctx); err != nil {
		return err //nolint:wrapcheck // the desk's error is complete
	}
	http.SetCookie(v.W, formCookie(v, "", -1)) // the next form may be another visitor's
	return v.Back("/chat", "")
}

// customersConversation returns the SID of the browser's chat. It refuses a form of another chat, sent from a stale
// tab.
func customersConversation(v *site.Visit) (string, error) {
	sid := v.Customers.GetString(v.Ctx, keyConversation)
	if sid == "" {
		return "", site.Mistake(http.StatusConflict, "This browser has no chat open: begin one.")
	}
	if of := v.R.PostFormValue("conversation"); of != "" && of != sid {
		return "", site.Mistake(http.StatusConflict, "That chat is over, and this browser has another one: load the page again.")
	}
	return sid, nil
}

func streamChat(v *site.Visit) error {
	sid := v.Customers.GetString(v.Ctx, keyConversation)
	if sid == "" {
		return site.Mistake(http.StatusConflict, "This browser has no chat open.")
	}
	return v.Stream(sid, v.Live.WatchAsCustomer(sid), nil)
}

// Page and First are used by the link to earlier messages: the page's path and the number of its oldest message.
func (c chat) Page() string { return "/chat" }

// First is described at Page.
func (c chat) First() int { return site.First(*c.Thread) }
