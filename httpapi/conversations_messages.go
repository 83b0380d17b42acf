package httpapi

import (
	"cmp"
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
			but("Author is an agent's name, or anything else for the customer. Of agents only the one who has the conversation may write. No media.").
			with("Author", "Body*", "Attributes").answers(conversationmodel.ConversationsV1ConversationMessage{}).by((*call).createMessage),
		get(conversations, path+"/{message}", everyone).says("Fetches a message.").
			answers(conversationmodel.ConversationsV1ConversationMessage{}).by((*call).fetchMessage),
		post(conversations, path+"/{message}", services, http.StatusOK).says("Changes a message.").but("Not its author.").
			with("Body", "Attributes").answers(conversationmodel.ConversationsV1ConversationMessage{}).by((*call).updateMessage),
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

// transcriptAsked returns the conversation that the path names, and who is on it.
func (c *call) transcriptAsked() (*view, []member, error) {
	v, err := c.conversationAsked()
	if err != nil {
		return nil, nil, err
	}
	people, err := c.members(v)
	return v, people, err
}

// messageReader is whom the desk lets read, once the conversation has let the caller: its own record may be behind.
func (c *call) messageReader() desk.Reader { return desk.AsSystem() }

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
	found, err := c.desk.MessageList(c.ctx, v.sid, c.messageReader(), order == "desc", page)
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
	author := c.form.Get("Author")
	from, err := c.from(people, author)
	if err != nil {
		return nil, err
	}
	message := desk.NewMessage{Conversation: v.sid, From: from, Text: body, Attributes: c.form.Get("Attributes")}
	if from == desk.FromCustomer {
		message.Identity = author
	}
	if c.token() != "" {
		message.ProviderSID = "http/" + c.derived(desk.PrefixMessage, "").String()
	}
	if from != desk.FromCustomer || v.status != conversation.ConversationActive { // the desk may not know yet that they have it, or that it is over
		c.settleConversation(v.sid, v.revision)
	}
	said, err := c.desk.Say(c.ctx, message)
	if err != nil {
		return nil, err
	}
	return c.renderMessage(v, people)(said), nil
}

// from finds out who writes: whoever of that name is on the customer's side, else the agent of that
// name, else the customer by a name that nobody has given before. An agent's key writes as its agent.
func (c *call) from(people []member, author string) (string, error) {
	own := c.caller.agent()
	if own != "" {
		if author != "" && author != own {
			return "", c.forbid("This key writes as %s only", own)
		}
		return own, nil
	}
	if author == "" || slices.ContainsFunc(people, func(p member) bool {
		return p.author == desk.FromCustomer && (p.identity == author || p.address == author)
	}) {
		return desk.FromCustomer, nil
	}
	agent, err := c.desk.Agent(c.ctx, author)
	if err := c.ignoreRefusal(err); err != nil {
		return "", err
	}
	return cmp.Or(agent.Name, desk.FromCustomer), nil
}

// messageAsked returns the message that the path names.
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
	found, err := c.desk.Message(c.ctx, v.sid, desk.PrefixMessage+digits, c.messageReader())
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
	changed, err := c.desk.UpdateMessage(c.ctx, v.sid, found.SID, desk.MessageChange{Text: c.optional("Body"), Attributes: c.optional("Attributes")})
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
	return nil, c.desk.RemoveMessage(c.ctx, v.sid, found.SID)
}
