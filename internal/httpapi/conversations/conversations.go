package conversations

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	conversationmodel "github.com/twilio/twilio-go/rest/conversations/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/httpapi/tasks"
	"github.com/baton-transfers/baton/internal/records"
)

const conversationPath = "/v1/Conversations/{conversation}"

// Routes returns the calls of the Conversations API.
func Routes() []rest.Route {
	return rest.Of(rest.ProductConversations, conversationRoutes(), messageRoutes(), memberRoutes())
}

func conversationRoutes() []rest.Route {
	unsupported := []string{
		"DateCreated", "DateUpdated", "MessagingServiceSid", "Timers.Inactive", "Timers.Closed", "Bindings.Email.Address", "Bindings.Email.Name",
	}
	return []rest.Route{
		rest.Get("/v1/Conversations", rest.Everyone).Says("Lists conversations, newest first. An agent's key lists those of its agent.").
			With("StartDate", "EndDate", "State").Lists("conversations", conversationmodel.ConversationsV1Conversation{}).By(listConversations),
		rest.Post("/v1/Conversations", rest.Services, http.StatusCreated).Says("Creates a conversation. An interaction that names it as its media channel starts it.").
			But("No timers, no bindings.").
			With("FriendlyName", "UniqueName", "Attributes", "State").Without(unsupported...).Answers(conversationmodel.ConversationsV1Conversation{}).By(createConversation),
		rest.Get(conversationPath, rest.Everyone).Says("Fetches a conversation, by its SID or its unique name.").
			Answers(conversationmodel.ConversationsV1Conversation{}).By(fetchConversation),
		rest.Post(conversationPath, rest.Everyone, http.StatusOK).Says("Changes a conversation's names and attributes, or closes it.").
			But("State `closed` ends the customer's side. `active` changes nothing, and is refused after the conversation is closed.").
			With("FriendlyName", "UniqueName", "Attributes", "State").Without(unsupported...).Answers(conversationmodel.ConversationsV1Conversation{}).By(updateConversation),
		rest.Delete(conversationPath, rest.Services).Says("Closes a conversation.").But("It stays on record: nothing is deleted.").By(removeConversation),
	}
}

// conversationSID returns the SID of the conversation that the path names, by its SID or its unique name.
func conversationSID(c *rest.Call) (string, error) {
	given := c.Request.PathValue("conversation")
	if rest.IsSID(conversation.PrefixConversation, given) {
		return conversation.PrefixConversation + strings.ToLower(given[2:]), nil
	}
	sid, err := records.ConversationNamed(c.Ctx, c.Desk, given)
	if _, unknown := rest.AsRefusal(err); unknown && c.Caller.Agent() != "" { // a unique name may be a guessable number
		return "", c.NotTheirs()
	}
	return sid, err
}

// conversationAsked returns the present state of the conversation that the path names.
func conversationAsked(c *rest.Call) (*rest.View, error) {
	sid, err := conversationSID(c)
	if err != nil {
		return nil, err
	}
	return c.View(sid)
}

func renderConversation(c *rest.Call, v *rest.View) (any, error) {
	details, err := c.Details(v)
	if err != nil {
		return nil, err
	}
	state := "active"
	if v.Status != conversation.ConversationActive {
		state = "closed"
	}
	updated := rest.Latest(v.CreatedAt, details.UpdatedAt)
	for _, task := range v.Tasks {
		updated = rest.Latest(updated, tasks.UpdatedAt(task))
	}
	created := v.CreatedAt
	if !details.CreatedAt.IsZero() && details.CreatedAt.Before(created) {
		created = details.CreatedAt // it was opened as a draft before it was started
	}
	base := c.URL("v1", "Conversations", v.SID)
	return rest.All(conversationmodel.ConversationsV1Conversation{
		AccountSid: new(c.Account.SID), ChatServiceSid: new(serviceSID(c)), Sid: new(v.SID), FriendlyName: rest.Text(details.FriendlyName),
		UniqueName: rest.Text(details.UniqueName), Attributes: new(details.Attributes), State: new(state), DateCreated: rest.Date(created), DateUpdated: rest.Date(updated),
		Timers: rest.Object(map[string]any{}), Bindings: rest.Object(map[string]any{}), Url: new(base), Links: rest.Links(base, "participants", "messages"),
	}), nil
}

// serviceSID returns the SID (IS…) of the only conversation service.
func serviceSID(c *rest.Call) string { return conversation.SameSID("IS", c.Account.SID) }

func listConversations(c *rest.Call) (any, error) {
	page, err := c.Page()
	if err != nil {
		return nil, err
	}
	filter := records.ConversationFilter{Agent: c.Caller.Agent()}
	switch state := c.Form.Get("State"); state {
	case "":
	case "active":
		filter.Statuses = []conversation.ConversationStatus{conversation.ConversationActive}
	case "closed":
		filter.Statuses = []conversation.ConversationStatus{conversation.ConversationWrapping, conversation.ConversationClosed}
	case "inactive", "initializing":
		filter.Statuses = []conversation.ConversationStatus{conversation.ConversationStatus(state)} // no conversation has these
	default:
		return nil, c.Wrong("State", "State has to be active or closed")
	}
	if filter.From, err = c.Instant("StartDate"); err != nil {
		return nil, err
	}
	if filter.To, err = c.Instant("EndDate"); err != nil {
		return nil, err
	}
	c.Settle()
	found, err := records.ConversationListPage(c.Ctx, c.Desk, filter, page)
	if err != nil {
		return nil, err
	}
	var failed error
	answer := rest.List(c, page, found, func(shown records.Conversation) any {
		v := &rest.View{SID: shown.SID, Status: shown.Status, Draft: shown.IsDraft(), Channel: shown.Channel, Customer: shown.Customer, CreatedAt: shown.CreatedAt, Turn: shown.Turn}
		rendered, err := renderConversation(c, v)
		if err != nil {
			failed = err
		}
		return rendered
	})
	return answer, failed
}

// stateGiven reads State. It refuses a value that is not allowed.
func stateGiven(c *rest.Call, allowed ...string) (string, error) {
	state := c.Form.Get("State")
	if state != "" && !slices.Contains(allowed, state) {
		return "", c.Wrong("State", "State can be set to %s here", strings.Join(allowed, " or "))
	}
	return state, nil
}

func createConversation(c *rest.Call) (any, error) {
	if _, err := stateGiven(c, "active"); err != nil {
		return nil, err
	}
	sid, err := records.OpenDraft(c.Ctx, c.Desk, records.Draft{
		SID: c.NewSID(conversation.PrefixConversation), Channel: conversation.ChannelChat,
		Details: records.Details{FriendlyName: c.Form.Get("FriendlyName"), UniqueName: c.Form.Get("UniqueName"), Attributes: c.Form.Get("Attributes")},
	})
	if err != nil {
		return nil, err
	}
	v, err := c.ViewFor(sid)
	if err != nil {
		return nil, err
	}
	return renderConversation(c, v)
}

func fetchConversation(c *rest.Call) (any, error) {
	v, err := conversationAsked(c)
	if err != nil {
		return nil, err
	}
	return renderConversation(c, v)
}

func updateConversation(c *rest.Call) (any, error) {
	v, err := conversationAsked(c)
	if err != nil {
		return nil, err
	}
	if err := tasks.MayChange(c, v); err != nil {
		return nil, err
	}
	state, err := stateGiven(c, "closed", "active")
	if err != nil {
		return nil, err
	}
	if state == "active" && v.Status != conversation.ConversationActive {
		return nil, c.Wrong("State", "The conversation is %s and can't become active again: leave State out", v.Status)
	}
	if state == "closed" {
		if err := mayClose(c, v, false); err != nil {
			return nil, err
		}
	}
	_, err = records.SetDetails(c.Changing, c.Desk, v.SID, func(d *records.Details) {
		for field, into := range map[string]*string{"FriendlyName": &d.FriendlyName, "UniqueName": &d.UniqueName, "Attributes": &d.Attributes} {
			if given := c.Optional(field); given != nil {
				*into = *given
			}
		}
	})
	if err != nil && !errors.Is(err, desk.ErrDoneBefore) {
		return nil, err
	}
	if state == "closed" {
		if err := tasks.Close(c, v, false); err != nil {
			return nil, err
		}
	}
	if v, err = c.ViewFor(v.SID); err != nil {
		return nil, err
	}
	return renderConversation(c, v)
}

func removeConversation(c *rest.Call) (any, error) {
	v, err := conversationAsked(c)
	if err != nil {
		return nil, err
	}
	return nil, tasks.Close(c, v, false)
}

// mayClose refuses an agent who does not have the conversation, or who would complete the wrap-ups of others.
func mayClose(c *rest.Call, v *rest.View, wrapups bool) error {
	own := c.Caller.Agent()
	if own == "" {
		return nil
	}
	if !slices.ContainsFunc(v.Tasks, func(t records.Task) bool { return t.Agent == own && t.Status == conversation.TaskAssigned }) {
		return rest.Forbid("%s doesn't have this conversation, so this key may not end it", own)
	}
	for _, task := range v.Tasks {
		if wrapups && task.Status == conversation.TaskWrapping {
			if err := c.ActAs(task.Agent); err != nil {
				return err
			}
		}
	}
	return nil
}
