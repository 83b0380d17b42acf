package httpapi

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"

	conversationmodel "github.com/twilio/twilio-go/rest/conversations/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

func messageRoutes() []route {
	const path = conversationPath + "/Messages"
	return []route{
		get(conversations, path, everyone).says("Lists the messages, oldest first.").with("Order").
			lists("messages", conversationmodel.ConversationsV1ConversationMessage{}).by((*call).listMessages),
		post(conversations, path, everyone, http.StatusCreated).says("Adds a message.").
			but("Author is an agent with a task here, else a participant on the customer's side, else another agent, else the customer under a new name. A name that is both of the first two is answered 409: "+
				"use the participant's SID (MB…). Of the agents only one who has the conversation may write. No media.").
			with("Author", "Body*", "Attributes").
			without("DateCreated", "DateUpdated", "MediaSid", "ContentSid", "ContentVariables", "Subject").
			answers(conversationmodel.ConversationsV1ConversationMessage{}).by((*call).createMessage),
		get(conversations, path+"/{message}", everyone).says("Fetches a message.").
			answers(conversationmodel.ConversationsV1ConversationMessage{}).by((*call).fetchMessage),
		post(conversations, path+"/{message}", services, http.StatusOK).says("Changes a message.").but("The author cannot be changed.").
			with("Body", "Attributes").without("Author", "DateCreated", "DateUpdated", "Subject").
			answers(conversationmodel.ConversationsV1ConversationMessage{}).by((*call).updateMessage),
		remove(conversations, path+"/{message}", services).says("Deletes a message.").by((*call).removeMessage),
	}
}

func (c *call) renderMessage(v *view, people []member) func(desk.Message) whole[conversationmodel.ConversationsV1ConversationMessage] {
	return func(m desk.Message) whole[conversationmodel.ConversationsV1ConversationMessage] {
		author, participant := cmp.Or(m.Identity, m.From), ""
		at := slices.IndexFunc(people, func(p member) bool {
			return p.author == m.From && (m.Identity == "" || m.Identity == p.identity || m.Identity == p.address)
		})
		if at >= 0 {
			author, participant = cmp.Or(m.Identity, people[at].identity, people[at].address), people[at].sid
		}
		updated := m.UpdatedAt
		if updated.IsZero() {
			updated = m.At
		}
		base := c.url("v1", "Conversations", v.sid, "Messages", m.SID)
		return all(conversationmodel.ConversationsV1ConversationMessage{
			AccountSid: new(c.account.SID), ConversationSid: new(v.sid), Sid: new(m.SID), Index: m.Number - 1, Author: new(author), Body: new(m.Text),
			Attributes: new(cmp.Or(m.Attributes, "{}")), ParticipantSid: text(participant), DateCreated: date(m.At), DateUpdated: date(updated),
			Url: new(base), Links: &map[string]any{},
		})
	}
}

// transcriptAsked returns the conversation that the path names, and its participants.
func (c *call) transcriptAsked() (*view, []member, error) {
	v, err := c.conversationAsked()
	if err != nil {
		return nil, nil, err
	}
	people, err := c.members(v)
	return v, people, err
}

func (c *call) listMessages() (any, error) {
	page, err := c.page()
	if err != nil {
		return nil, err
	}
	order := c.form.Get("Order")
	if order != "" && order != "asc" && order != "desc" {
		return nil, c.wrong("Order", "Order has to be asc or desc")
	}
	v, people, err := c.transcriptAsked()
	if err != nil {
		return nil, err
	}
	found, err := c.desk.MessageList(c.ctx, v.sid, v.reader(), order == "desc", page)
	if err != nil {
		return nil, err
	}
	return list(c, page, found, c.renderMessage(v, people)), nil
}

func (c *call) createMessage() (any, error) {
	if c.caller.key.Role == desk.KeySupervisor {
		return nil, c.forbid("A supervisor's key reads and moves conversations: write with a service's key, or the agent's own")
	}
	v, people, err := c.transcriptAsked()
	if err != nil {
		return nil, err
	}
	body, err := c.required("Body")
	if err != nil {
		return nil, err
	}
	from, identity, err := c.from(v, people, c.form.Get("Author"))
	if err != nil {
		return nil, err
	}
	message := desk.NewMessage{Conversation: v.sid, From: from, Text: body, Identity: identity, Attributes: c.form.Get("Attributes")}
	if c.token() != "" {
		message.ProviderSID = "http/" + c.derived(desk.PrefixMessage, "").String()
	}
	if from != desk.FromCustomer || v.status != conversation.ConversationActive { // the desk may not show yet that the agent has it, or that it is closed
		c.settleConversation(v.sid, v.revision)
	}
	said, err := c.desk.Say(c.ctx, message)
	if err != nil {
		return nil, err
	}
	return c.renderMessage(v, people)(said), nil
}

// from returns the author of a message. An author is looked for in this order: an agent with a live task, a
// participant on the customer's side, another agent, else the customer under a new name. A name that belongs to
// both of the first two is refused, because the message could be attributed to the wrong one. A participant's SID
// is unambiguous. An agent's key writes as its agent.
func (c *call) from(v *view, people []member, author string) (from, identity string, err error) {
	own := c.caller.agent()
	switch {
	case own != "" && author != "" && author != own:
		return "", "", c.forbid("This key writes as %s only", own)
	case own != "":
		return own, "", nil
	case author == "" || author == desk.FromCustomer:
		return desk.FromCustomer, author, nil
	}
	if at := slices.IndexFunc(people, func(p member) bool { return sameDigits(author, p.sid) }); at >= 0 {
		p := people[at]
		if p.author != desk.FromCustomer {
			return p.author, "", nil
		}
		return desk.FromCustomer, cmp.Or(p.identity, p.address), nil
	}
	customers := slices.ContainsFunc(people, func(p member) bool {
		return p.author == desk.FromCustomer && (p.identity == author || p.address == author)
	})
	live := slices.ContainsFunc(v.tasks, func(t desk.Task) bool { return t.Agent == author && t.Status.Live() })
	switch {
	case customers && live:
		return "", "", &problem{
			Status: conflict.status, Code: conflict.code(conversations), Details: map[string]any{"reason": conversation.CodeInvalidPayload, "field": "Author"},
			Message: fmt.Sprintf("Author %s is both an agent of this conversation and a participant on the customer's side: send the participant's SID (MB…) instead",
				short(author)),
		}
	case live:
		return author, "", nil
	case customers:
		return desk.FromCustomer, author, nil
	}
	agent, err := c.desk.Agent(c.ctx, author)
	if err := c.ignoreRefusal(err); err != nil {
		return "", "", err
	}
	if agent.Name != "" {
		return agent.Name, "", nil
	}
	return desk.FromCustomer, author, nil
}

// messageAsked returns the message that the path names, with its conversation and participants.
func (c *call) messageAsked() (*view, []member, desk.Message, error) {
	v, people, err := c.transcriptAsked()
	if err != nil {
		return nil, nil, desk.Message{}, err
	}
	given := c.r.PathValue("message")
	digits, err := c.path("message", desk.PrefixMessage, "message")
	if err != nil {
		return nil, nil, desk.Message{}, err
	}
	found, err := c.desk.Message(c.ctx, v.sid, desk.PrefixMessage+digits, v.reader())
	if conversation.CodeOf(err) == conversation.CodeInvalidPayload {
		err = c.lost("message", given)
	}
	return v, people, found, err
}

func (c *call) fetchMessage() (any, error) {
	v, people, found, err := c.messageAsked()
	if err != nil {
		return nil, err
	}
	return c.renderMessage(v, people)(found), nil
}

func (c *call) updateMessage() (any, error) {
	v, people, found, err := c.messageAsked()
	if err != nil {
		return nil, err
	}
	changed, err := c.desk.UpdateMessage(c.changing, v.sid, found.SID, desk.MessageChange{Text: c.optional("Body"), Attributes: c.optional("Attributes")})
	if err != nil {
		return nil, err
	}
	return c.renderMessage(v, people)(changed), nil
}

func (c *call) removeMessage() (any, error) {
	v, _, found, err := c.messageAsked()
	if err != nil {
		return nil, err
	}
	return nil, c.desk.RemoveMessage(c.changing, v.sid, found.SID)
}
