package httpapi

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	conversationmodel "github.com/twilio/twilio-go/rest/conversations/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

const conversationPath = "/v1/Conversations/{conversation}"

func conversationRoutes() []route {
	unsupported := []string{
		"DateCreated", "DateUpdated", "MessagingServiceSid", "Timers.Inactive", "Timers.Closed", "Bindings.Email.Address", "Bindings.Email.Name",
	}
	return []route{
		get(conversations, "/v1/Conversations", everyone).says("Lists conversations, newest first. An agent's key lists those of its agent.").
			with("StartDate", "EndDate", "State").lists("conversations", conversationmodel.ConversationsV1Conversation{}).by((*call).listConversations),
		post(conversations, "/v1/Conversations", services, http.StatusCreated).says("Creates a conversation. An interaction that names it as its media channel starts it.").
			but("No timers, no bindings.").
			with("FriendlyName", "UniqueName", "Attributes", "State").without(unsupported...).answers(conversationmodel.ConversationsV1Conversation{}).by((*call).createConversation),
		get(conversations, conversationPath, everyone).says("Fetches a conversation, by its SID or its unique name.").
			answers(conversationmodel.ConversationsV1Conversation{}).by((*call).fetchConversation),
		post(conversations, conversationPath, everyone, http.StatusOK).says("Changes a conversation's names and attributes, or closes it.").
			but("State `closed` ends the customer's side. `active` changes nothing, and is refused after the conversation is closed.").
			with("FriendlyName", "UniqueName", "Attributes", "State").without(unsupported...).answers(conversationmodel.ConversationsV1Conversation{}).by((*call).updateConversation),
		remove(conversations, conversationPath, services).says("Closes a conversation.").but("It stays on record: nothing is deleted.").by((*call).removeConversation),
	}
}

// conversationSID returns the SID of the conversation that the path names, by its SID or its unique name.
func (c *call) conversationSID() (string, error) {
	given := c.r.PathValue("conversation")
	if isSID(conversation.PrefixConversation, given) {
		return conversation.PrefixConversation + strings.ToLower(given[2:]), nil
	}
	sid, err := c.desk.ConversationNamed(c.ctx, given)
	if _, unknown := asRefusal(err); unknown && c.caller.agent() != "" { // a unique name may be a guessable number
		return "", c.notTheirs()
	}
	return sid, err
}

// conversationAsked returns the present state of the conversation that the path names.
func (c *call) conversationAsked() (*view, error) {
	sid, err := c.conversationSID()
	if err != nil {
		return nil, err
	}
	return c.view(sid)
}

func (c *call) renderConversation(v *view) (any, error) {
	details, err := c.details(v)
	if err != nil {
		return nil, err
	}
	state := "active"
	if v.status != conversation.ConversationActive {
		state = "closed"
	}
	updated := latest(v.createdAt, details.UpdatedAt)
	for _, task := range v.tasks {
		updated = latest(updated, updatedAt(task))
	}
	created := v.createdAt
	if !details.CreatedAt.IsZero() && details.CreatedAt.Before(created) {
		created = details.CreatedAt // it was opened as a draft before it was started
	}
	base := c.url("v1", "Conversations", v.sid)
	return all(conversationmodel.ConversationsV1Conversation{
		AccountSid: new(c.account.SID), ChatServiceSid: new(c.serviceSID()), Sid: new(v.sid), FriendlyName: text(details.FriendlyName),
		UniqueName: text(details.UniqueName), Attributes: new(details.Attributes), State: new(state), DateCreated: date(created), DateUpdated: date(updated),
		Timers: object(map[string]any{}), Bindings: object(map[string]any{}), Url: new(base), Links: links(base, "participants", "messages"),
	}), nil
}

// serviceSID returns the SID (IS…) of the only conversation service.
func (c *call) serviceSID() string { return conversation.SameSID("IS", c.account.SID) }

func (c *call) listConversations() (any, error) {
	page, err := c.page()
	if err != nil {
		return nil, err
	}
	filter := desk.ConversationFilter{Agent: c.caller.agent()}
	switch state := c.form.Get("State"); state {
	case "":
	case "active":
		filter.Statuses = []conversation.ConversationStatus{conversation.ConversationActive}
	case "closed":
		filter.Statuses = []conversation.ConversationStatus{conversation.ConversationWrapping, conversation.ConversationClosed}
	case "inactive", "initializing":
		filter.Statuses = []conversation.ConversationStatus{conversation.ConversationStatus(state)} // no conversation has these
	default:
		return nil, c.wrong("State", "State has to be active or closed")
	}
	if filter.From, err = c.instant("StartDate"); err != nil {
		return nil, err
	}
	if filter.To, err = c.instant("EndDate"); err != nil {
		return nil, err
	}
	c.settle()
	found, err := c.desk.ConversationList(c.ctx, filter, page)
	if err != nil {
		return nil, err
	}
	var failed error
	answer := list(c, page, found, func(shown desk.Conversation) any {
		v := &view{sid: shown.SID, status: shown.Status, draft: shown.IsDraft(), channel: shown.Channel, customer: shown.Customer, createdAt: shown.CreatedAt, turn: shown.Turn}
		rendered, err := c.renderConversation(v)
		if err != nil {
			failed = err
		}
		return rendered
	})
	return answer, failed
}

// stateGiven reads State. It refuses a value that is not allowed.
func (c *call) stateGiven(allowed ...string) (string, error) {
	state := c.form.Get("State")
	if state != "" && !slices.Contains(allowed, state) {
		return "", c.wrong("State", "State can be set to %s here", strings.Join(allowed, " or "))
	}
	return state, nil
}

func (c *call) createConversation() (any, error) {
	if _, err := c.stateGiven("active"); err != nil {
		return nil, err
	}
	sid, err := c.desk.OpenDraft(c.ctx, desk.Draft{
		SID: c.newSID(conversation.PrefixConversation), Channel: conversation.ChannelChat,
		Details: desk.Details{FriendlyName: c.form.Get("FriendlyName"), UniqueName: c.form.Get("UniqueName"), Attributes: c.form.Get("Attributes")},
	})
	if err != nil {
		return nil, err
	}
	v, err := c.viewFor(sid)
	if err != nil {
		return nil, err
	}
	return c.renderConversation(v)
}

func (c *call) fetchConversation() (any, error) {
	v, err := c.conversationAsked()
	if err != nil {
		return nil, err
	}
	return c.renderConversation(v)
}

func (c *call) updateConversation() (any, error) {
	v, err := c.conversationAsked()
	if err != nil {
		return nil, err
	}
	if err := c.mayChange(v); err != nil {
		return nil, err
	}
	state, err := c.stateGiven("closed", "active")
	if err != nil {
		return nil, err
	}
	if state == "active" && v.status != conversation.ConversationActive {
		return nil, c.wrong("State", "The conversation is %s and can't become active again: leave State out", v.status)
	}
	if state == "closed" {
		if err := c.mayClose(v, false); err != nil {
			return nil, err
		}
	}
	_, err = c.desk.SetDetails(c.changing, v.sid, func(d *desk.Details) {
		for field, into := range map[string]*string{"FriendlyName": &d.FriendlyName, "UniqueName": &d.UniqueName, "Attributes": &d.Attributes} {
			if given := c.optional(field); given != nil {
				*into = *given
			}
		}
	})
	if err != nil && !errors.Is(err, desk.ErrDoneBefore) {
		return nil, err
	}
	if state == "closed" {
		if err := c.closeConversation(v, false); err != nil {
			return nil, err
		}
	}
	if v, err = c.viewFor(v.sid); err != nil {
		return nil, err
	}
	return c.renderConversation(v)
}

func (c *call) removeConversation() (any, error) {
	v, err := c.conversationAsked()
	if err != nil {
		return nil, err
	}
	return nil, c.closeConversation(v, false)
}
