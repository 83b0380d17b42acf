package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

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
	// Name and Text are what was typed, shown again where it was refused; Once is the form's ID, which stays
	// until its chat has begun.
	Name, Text, Once string
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
		thread, err := v.desk.Thread(v.ctx, sid, desk.AsCustomer(), shownMessages)
		if err != nil && !errors.Is(err, desk.ErrUnknownConversation) {
			return err
		}
		if err == nil {
			body.Thread, body.Lines = &thread, forCustomer(thread)
			body.With, body.Passed = whoIsThere(thread)
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

func (v *visit) startChat() error {
	typed := chat{Name: strings.TrimSpace(v.r.PostFormValue("name")), Text: v.text("text")}
	once, err := uuid.Parse(v.r.PostFormValue("once"))
	sid := conversation.SIDOf(conversation.PrefixConversation, uuid.NewSHA1(chats, once[:]))
	open := v.customers.GetString(v.ctx, keyConversation)
	switch {
	case err != nil:
		return v.chat(http.StatusUnprocessableEntity, "Please send that once more.", typed)
	case typed.Name == "" || strings.TrimSpace(typed.Text) == "":
		return v.chat(http.StatusUnprocessableEntity, "Tell us your name and what it is about.", typed)
	case open != "" && open != sid: // a form that was left open
		return v.back("/chat", "")
	case !v.starts.allow(v.r):
		return v.chat(http.StatusTooManyRequests, "That were many chats from where you are. Please try again in a minute.", typed)
	}
	typed.Once = once.String()
	if err := v.begin(sid, typed); err != nil {
		return v.chatAfter(err, typed)
	}
	v.customers.Put(v.ctx, keyConversation, sid) // from here on the browser finds it, whatever comes
	ctx, cancel := context.WithTimeout(v.ctx, beginning)
	defer cancel()
	if err := v.desk.AwaitRevision(ctx, sid, 1); err != nil {
		return v.chatAfter(err, typed)
	}
	return v.chatAfter(v.tell(sid, typed.Text, typed.Once), typed)
}

// chats is the namespace of the SIDs of chats: nobody chooses one, whatever their form's ID is.
var chats = uuid.MustParse("6f9f2a0c-6c5f-4c6e-9a51-0a3a2d1f7f5e")

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
		return nil // by the same form, whose answer was lost
	}
	return err
}

// tell adds the customer's words to the transcript, once.
func (v *visit) tell(sid, text, once string) error {
	_, err := v.desk.Say(v.ctx, desk.NewMessage{Conversation: sid, From: desk.FromCustomer, Text: text, ProviderSID: messageID(sid, once, text)})
	return err
}

// chatAfter answers a form of the customer.
func (v *visit) chatAfter(err error, typed chat) error {
	if err == nil {
		return v.back("/chat", "")
	}
	status, message, other := refusedBy(err)
	if other != nil {
		return other
	}
	if conversation.CodeOf(err) == conversation.CodeConversationClosed {
		message = "This chat is over: begin another one."
	}
	return v.chat(status, message, typed)
}

func (v *visit) sayInChat() error {
	typed := chat{Text: v.text("text")}
	sid, err := v.customersConversation()
	if err != nil {
		return err
	}
	if !v.says.Allow(sid) {
		return v.chat(http.StatusTooManyRequests, "That were many messages at once. Please wait a moment, then send it again.", typed)
	}
	return v.chatAfter(v.tell(sid, typed.Text, v.r.PostFormValue("once")), typed)
}

// endChat closes the customer's side.
func (v *visit) endChat() error {
	sid, err := v.customersConversation()
	if err != nil {
		return err
	}
	err = v.send(sid, conversation.CloseCommand{Reason: "customer_left", Meta: v.once()})
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
	return v.back("/chat", "")
}

func (v *visit) customersConversation() (string, error) {
	sid := v.customers.GetString(v.ctx, keyConversation)
	if sid == "" {
		return "", &mistake{http.StatusConflict, "This browser has no chat open: begin one."}
	}
	return sid, nil
}

func (v *visit) streamChat() error {
	sid := v.customers.GetString(v.ctx, keyConversation)
	if sid == "" {
		return &mistake{http.StatusConflict, "This browser has no chat open."}
	}
	return v.stream(sid, v.live.watch("", false, sid), nil)
}
