package conversations

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"

	conversationmodel "github.com/twilio/twilio-go/rest/conversations/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
)

func messageRoutes() []rest.Route {
	const path = conversationPath + "/Messages"
	return []rest.Route{
		rest.Get(path, rest.Everyone).Says("Lists the messages, oldest first.").With("Order").
			Lists("messages", conversationmodel.ConversationsV1ConversationMessage{}).By(listMessages),
		rest.Post(path, rest.Everyone, http.StatusCreated).Says("Adds a message.").
			But("Author is an agent with a task here, else a participant on the customer's side, else another agent, else the customer under a new name. A name that is both of the first two is answered 409: "+
				"use the participant's SID (MB…). Of the agents only one who has the conversation may write. No media.").
			With("Author", "Body*", "Attributes").
			Without("DateCreated", "DateUpdated", "MediaSid", "ContentSid", "ContentVariables", "Subject").
			Answers(conversationmodel.ConversationsV1ConversationMessage{}).By(createMessage),
		rest.Get(path+"/{message}", rest.Everyone).Says("Fetches a message.").
			Answers(conversationmodel.ConversationsV1ConversationMessage{}).By(fetchMessage),
		rest.Post(path+"/{message}", rest.Services, http.StatusOK).Says("Changes a message.").But("The author cannot be changed.").
			With("Body", "Attributes").Without("Author", "DateCreated", "DateUpdated", "Subject").
			Answers(conversationmodel.ConversationsV1ConversationMessage{}).By(updateMessage),
		rest.Delete(path+"/{message}", rest.Services).Says("Deletes a message.").By(removeMessage),
	}
}

func renderMessage(c *rest.Call, v *rest.View, members []member) func(records.Message) rest.Whole[conversationmodel.ConversationsV1ConversationMessage] {
	return func(m records.Message) rest.Whole[conversationmodel.ConversationsV1ConversationMessage] {
		author, participant := cmp.Or(m.Identity, m.From), ""
		at := slices.IndexFunc(members, func(p member) bool {
			return p.author == m.From && (m.Identity == "" || m.Identity == p.identity || m.Identity == p.address)
		})
		if at >= 0 {
			author, participant = cmp.Or(m.Identity, members[at].identity, members[at].address), members[at].sid
		}
		updated := m.UpdatedAt
		if updated.IsZero() {
			updated = m.At
		}
		base := c.URL("v1", "Conversations", v.SID, "Messages", m.SID)
		return rest.All(conversationmodel.ConversationsV1ConversationMessage{
			AccountSid: new(c.Account.SID), ConversationSid: new(v.SID), Sid: new(m.SID), Index: m.Number - 1, Author: new(author), Body: new(m.Text),
			Attributes: new(cmp.Or(m.Attributes, "{}")), ParticipantSid: rest.Text(participant), DateCreated: rest.Date(m.At), DateUpdated: rest.Date(updated),
			Url: new(base), Links: &map[string]any{},
		})
	}
}

// transcriptAsked returns the conversation that the path names, and its participants.
func transcriptAsked(c *rest.Call) (*rest.View, []member, error) {
	v, err := conversationAsked(c)
	if err != nil {
		return nil, nil, err
	}
	members, err := membersOf(c, v)
	return v, members, err
}

func listMessages(c *rest.Call) (any, error) {
	page, err := c.Page()
	if err != nil {
		return nil, err
	}
	order := c.Form.Get("Order")
	if order != "" && order != "asc" && order != "desc" {
		return nil, c.Wrong("Order", "Order has to be asc or desc")
	}
	v, members, err := transcriptAsked(c)
	if err != nil {
		return nil, err
	}
	found, err := records.MessagePage(c.Ctx, c.Desk, v.SID, v.Reader(), order == "desc", page)
	if err != nil {
		return nil, err
	}
	return rest.List(c, page, found, renderMessage(c, v, members)), nil
}

func createMessage(c *rest.Call) (any, error) {
	if c.Caller.Key.Role == access.KeySupervisor {
		return nil, rest.Forbid("A supervisor's key reads and moves conversations: write with a service's key, or the agent's own")
	}
	v, members, err := transcriptAsked(c)
	if err != nil {
		return nil, err
	}
	body, err := c.Required("Body")
	if err != nil {
		return nil, err
	}
	from, identity, err := authorOf(c, v, members, c.Form.Get("Author"))
	if err != nil {
		return nil, err
	}
	message := records.NewMessage{Conversation: v.SID, From: from, Text: body, Identity: identity, Attributes: c.Form.Get("Attributes")}
	if c.Token() != "" {
		message.ProviderSID = "http/" + c.Derived(desk.PrefixMessage, "").String()
	}
	if from != records.FromCustomer || v.Status != conversation.ConversationActive { // the desk may not show yet that the agent has it, or that it is closed
		c.SettleConversation(v.SID, v.Revision)
	}
	said, err := records.Say(c.Ctx, c.Desk, message)
	if err != nil {
		return nil, err
	}
	return renderMessage(c, v, members)(said), nil
}

// authorOf returns the author of a message. An author is looked for in this order: an agent with a live task, a
// participant on the customer's side, another agent, else the customer under a new name. A name that belongs to
// both of the first two is refused, because the message could be attributed to the wrong one. A participant's SID
// is unambiguous. An agent's key writes as its agent.
func authorOf(c *rest.Call, v *rest.View, members []member, author string) (from, identity string, err error) {
	own := c.Caller.Agent()
	switch {
	case own != "" && author != "" && author != own:
		return "", "", rest.Forbid("This key writes as %s only", own)
	case own != "":
		return own, "", nil
	case author == "" || author == records.FromCustomer:
		return records.FromCustomer, author, nil
	}
	if at := slices.IndexFunc(members, func(p member) bool { return rest.SameDigits(author, p.sid) }); at >= 0 {
		p := members[at]
		if p.author != records.FromCustomer {
			return p.author, "", nil
		}
		return records.FromCustomer, cmp.Or(p.identity, p.address), nil
	}
	customers := slices.ContainsFunc(members, func(p member) bool {
		return p.author == records.FromCustomer && (p.identity == author || p.address == author)
	})
	live := slices.ContainsFunc(v.Tasks, func(t records.Task) bool { return t.Agent == author && t.Status.Live() })
	switch {
	case customers && live:
		return "", "", &rest.Problem{
			Status: http.StatusConflict, Code: 20409, Details: map[string]any{"reason": conversation.CodeInvalidPayload, "field": "Author"},
			Message: fmt.Sprintf("Author %s is both an agent of this conversation and a participant on the customer's side: send the participant's SID (MB…) instead",
				rest.Quoted(author)),
		}
	case live:
		return author, "", nil
	case customers:
		return records.FromCustomer, author, nil
	}
	agent, err := people.FindAgent(c.Ctx, c.Desk, author)
	if err := rest.IgnoreRefusal(err); err != nil {
		return "", "", err
	}
	if agent.Name != "" {
		return agent.Name, "", nil
	}
	return records.FromCustomer, author, nil
}

// messageAsked returns the message that the path names, with its conversation and participants.
func messageAsked(c *rest.Call) (*rest.View, []member, records.Message, error) {
	v, members, err := transcriptAsked(c)
	if err != nil {
		return nil, nil, records.Message{}, err
	}
	given := c.Request.PathValue("message")
	digits, err := c.Path("message", desk.PrefixMessage, "message")
	if err != nil {
		return nil, nil, records.Message{}, err
	}
	found, err := records.FindMessage(c.Ctx, c.Desk, v.SID, desk.PrefixMessage+digits, v.Reader())
	if conversation.CodeOf(err) == conversation.CodeInvalidPayload {
		err = c.Lost("message", given)
	}
	return v, members, found, err
}

func fetchMessage(c *rest.Call) (any, error) {
	v, members, found, err := messageAsked(c)
	if err != nil {
		return nil, err
	}
	return renderMessage(c, v, members)(found), nil
}

func updateMessage(c *rest.Call) (any, error) {
	v, members, found, err := messageAsked(c)
	if err != nil {
		return nil, err
	}
	changed, err := records.UpdateMessage(c.Changing, c.Desk, v.SID, found.SID, records.MessageChange{Text: c.Optional("Body"), Attributes: c.Optional("Attributes")})
	if err != nil {
		return nil, err
	}
	return renderMessage(c, v, members)(changed), nil
}

func removeMessage(c *rest.Call) (any, error) {
	v, _, found, err := messageAsked(c)
	if err != nil {
		return nil, err
	}
	return nil, records.RemoveMessage(c.Changing, c.Desk, v.SID, found.SID)
}
