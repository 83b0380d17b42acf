package conversations

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	conversationmodel "github.com/twilio/twilio-go/rest/conversations/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/httpapi/tasks"
	"github.com/baton-transfers/baton/internal/records"
)

func memberRoutes() []rest.Route {
	const path = conversationPath + "/Participants"
	return []rest.Route{
		rest.Get(path, rest.Everyone).Says("Lists the participants: the customer, the agents who have the conversation or wrap it up, and added participants.").
			Lists("participants", conversationmodel.ConversationsV1ConversationParticipant{}).By(listMembers),
		rest.Post(path, rest.Services, http.StatusCreated).Says("Adds a participant, by Identity or by MessagingBinding.Address.").
			But("Agents join by accepting a task, not by being added.").
			With("Identity", "MessagingBinding.Address", "MessagingBinding.ProxyAddress", "Attributes").
			Without("DateCreated", "DateUpdated", "MessagingBinding.ProjectedAddress", "RoleSid").
			Answers(conversationmodel.ConversationsV1ConversationParticipant{}).By(createMember),
		rest.Get(path+"/{member}", rest.Everyone).Says("Fetches a participant, by its SID or its identity.").
			Answers(conversationmodel.ConversationsV1ConversationParticipant{}).By(fetchMember),
		rest.Post(path+"/{member}", rest.Services, http.StatusOK).Says("Changes an added participant.").
			With("Identity", "MessagingBinding.ProxyAddress", "Attributes").
			Without("DateCreated", "DateUpdated", "MessagingBinding.ProjectedAddress", "RoleSid", "LastReadMessageIndex", "LastReadTimestamp").
			Answers(conversationmodel.ConversationsV1ConversationParticipant{}).By(updateMember),
		rest.Delete(path+"/{member}", rest.Services).Says("Removes an added participant.").By(removeMember),
	}
}

// member is a participant of a conversation in the form of the Conversations API.
type member struct {
	sid string
	// author is the member's name in the transcript: records.FromCustomer, or an agent's name.
	author   string
	identity string
	address  string
	proxy    string
	// attributes is JSON. added is set if the API added the member.
	attributes         string
	added              bool
	createdAt, updated time.Time
}

// membersOf returns the participants of the conversation: the customer, the agents and the added members.
func membersOf(c *rest.Call, v *rest.View) ([]member, error) {
	added, err := records.ListParticipants(c.Ctx, c.Desk, v.SID)
	if err != nil {
		return nil, err
	}
	found := []member{}
	if !v.Draft || v.Customer != (conversation.Customer{}) {
		found = append(found, member{
			sid: conversation.SameSID(desk.PrefixMember, v.SID), author: records.FromCustomer, identity: cmp.Or(v.Customer.Name, records.FromCustomer),
			address: v.Customer.Address, createdAt: v.CreatedAt, updated: v.CreatedAt,
		})
	}
	for _, task := range v.Tasks {
		if s := task.Status; s == conversation.TaskAssigned || s == conversation.TaskWrapping {
			found = append(found, member{
				sid: conversation.SameSID(desk.PrefixMember, task.SID), author: task.Agent, identity: task.Agent,
				createdAt: task.AssignedAt, updated: tasks.UpdatedAt(task),
			})
		}
	}
	for _, p := range added {
		if !v.Turn.Includes(p.CreatedAt) {
			continue
		}
		if !v.Turn.Includes(p.UpdatedAt) { // it was changed after the agent's turn: only the address is unchanged
			p.Identity, p.ProxyAddress, p.Attributes, p.UpdatedAt = "", "", "", p.CreatedAt
		}
		found = append(found, member{
			sid: p.SID, author: records.FromCustomer, identity: p.Identity, address: p.Address, proxy: p.ProxyAddress, attributes: p.Attributes,
			added: true, createdAt: p.CreatedAt, updated: p.UpdatedAt,
		})
	}
	return found, nil
}

func renderMember(c *rest.Call, v *rest.View) func(member) rest.Whole[conversationmodel.ConversationsV1ConversationParticipant] {
	return func(m member) rest.Whole[conversationmodel.ConversationsV1ConversationParticipant] {
		model := conversationmodel.ConversationsV1ConversationParticipant{
			AccountSid: new(c.Account.SID), ConversationSid: new(v.SID), Sid: new(m.sid), Identity: rest.Text(m.identity),
			Attributes: new(cmp.Or(m.attributes, "{}")), DateCreated: rest.Date(m.createdAt), DateUpdated: rest.Date(m.updated),
			Url: new(c.URL("v1", "Conversations", v.SID, "Participants", m.sid)),
		}
		if m.address != "" {
			model.MessagingBinding = rest.Object(map[string]any{"type": bindingType(v.Channel, m.address), "address": m.address, "proxy_address": m.proxy})
			if m.added {
				model.Identity = nil
			}
		}
		return rest.All(model)
	}
}

// addressPrefixes maps the schemes of messaging addresses to their channels.
var addressPrefixes = map[string]conversation.Channel{
	"whatsapp:": conversation.ChannelWhatsApp, "messenger:": conversation.ChannelMessenger, "sms:": conversation.ChannelSMS, "mailto:": conversation.ChannelEmail,
}

// bindingType returns the channel that reaches an address. It looks at the address first, because a conversation
// has a channel only after it is started, and its participants may use several.
func bindingType(channel conversation.Channel, address string) conversation.Channel {
	for prefix, of := range addressPrefixes {
		if strings.HasPrefix(strings.ToLower(address), prefix) {
			return of
		}
	}
	switch {
	case rest.PhoneOf(address) != nil && (channel == conversation.ChannelWhatsApp || channel == conversation.ChannelMessenger):
		return channel
	case rest.PhoneOf(address) != nil:
		return conversation.ChannelSMS
	case strings.Contains(address, "@") && channel != conversation.ChannelMessenger:
		return conversation.ChannelEmail
	}
	return channel
}

func listMembers(c *rest.Call) (any, error) {
	v, members, err := transcriptAsked(c)
	if err != nil {
		return nil, err
	}
	return rest.Some(c, members, renderMember(c, v))
}

func createMember(c *rest.Call) (any, error) {
	v, err := conversationAsked(c)
	if err != nil {
		return nil, err
	}
	added, err := records.AddParticipant(c.Ctx, c.Desk, records.Participant{
		SID: c.NewSID(desk.PrefixMember), Conversation: v.SID, Identity: c.Form.Get("Identity"), Address: c.Form.Get("MessagingBinding.Address"),
		ProxyAddress: c.Form.Get("MessagingBinding.ProxyAddress"), Attributes: c.Form.Get("Attributes"),
	})
	refusal, _ := rest.AsRefusal(err)
	if _, taken := errors.AsType[*desk.TakenError](err); taken && refusal != nil {
		p := c.Conflict(refusal)
		p.Code = 50433
		return nil, p
	}
	if err != nil {
		return nil, err
	}
	return memberAnswer(c, v, added.SID)
}

// memberAnswer answers with the participant with that SID.
func memberAnswer(c *rest.Call, v *rest.View, sid string) (any, error) {
	members, err := membersOf(c, v)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(members, func(m member) bool { return m.sid == sid })
	if at < 0 {
		return nil, noMember(sid)
	}
	return renderMember(c, v)(members[at]), nil
}

func noMember(given string) *rest.Problem {
	return &rest.Problem{Status: http.StatusNotFound, Code: 50432, Message: "Not found: there is no participant " + rest.Quoted(given)}
}

// memberAsked returns the participant that the path names, by its SID or its identity.
func memberAsked(c *rest.Call) (*rest.View, member, error) {
	v, members, err := transcriptAsked(c)
	if err != nil {
		return nil, member{}, err
	}
	given := c.Request.PathValue("member")
	if at := slices.IndexFunc(members, func(m member) bool { return strings.EqualFold(m.sid, given) }); at >= 0 {
		return v, members[at], nil
	}
	var named []member
	for _, m := range members {
		if m.identity != "" && m.identity == given {
			named = append(named, m)
		}
	}
	switch len(named) {
	case 0:
		return nil, member{}, noMember(given)
	case 1:
		return v, named[0], nil
	}
	return nil, member{}, &rest.Problem{
		Status: http.StatusConflict, Code: 20409,
		Message: "Several participants are called " + rest.Quoted(given) + ": send the participant's SID (MB…) instead",
	}
}

func fetchMember(c *rest.Call) (any, error) {
	v, m, err := memberAsked(c)
	if err != nil {
		return nil, err
	}
	return renderMember(c, v)(m), nil
}

// addedMember returns the participant that the path names. It refuses the customer and agents, whom the API did not
// add.
func addedMember(c *rest.Call) (*rest.View, member, error) {
	v, m, err := memberAsked(c)
	if err == nil && !m.added {
		return nil, m, c.Wrong("participant", "The customer and the agents are on the conversation by themselves: only who was added can be changed or removed")
	}
	return v, m, err
}

func updateMember(c *rest.Call) (any, error) {
	v, m, err := addedMember(c)
	if err != nil {
		return nil, err
	}
	_, err = records.UpdateParticipant(c.Changing, c.Desk, v.SID, m.sid, func(p *records.Participant) {
		for field, into := range map[string]*string{
			"Identity": &p.Identity, "MessagingBinding.ProxyAddress": &p.ProxyAddress, "Attributes": &p.Attributes,
		} {
			if given := c.Optional(field); given != nil {
				*into = *given
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return memberAnswer(c, v, m.sid)
}

func removeMember(c *rest.Call) (any, error) {
	v, m, err := addedMember(c)
	if err != nil {
		return nil, err
	}
	return nil, records.RemoveParticipant(c.Changing, c.Desk, v.SID, m.sid)
}
