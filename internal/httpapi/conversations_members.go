package httpapi

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	conversationmodel "github.com/twilio/twilio-go/rest/conversations/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

func memberRoutes() []route {
	const path = conversationPath + "/Participants"
	return []route{
		get(conversations, path, everyone).says("Lists the participants: the customer, the agents who have the conversation or wrap it up, and added participants.").
			lists("participants", conversationmodel.ConversationsV1ConversationParticipant{}).by((*call).listMembers),
		post(conversations, path, services, http.StatusCreated).says("Adds a participant, by Identity or by MessagingBinding.Address.").
			but("Agents join by accepting a task, not by being added.").
			with("Identity", "MessagingBinding.Address", "MessagingBinding.ProxyAddress", "Attributes").
			without("DateCreated", "DateUpdated", "MessagingBinding.ProjectedAddress", "RoleSid").
			answers(conversationmodel.ConversationsV1ConversationParticipant{}).by((*call).createMember),
		get(conversations, path+"/{member}", everyone).says("Fetches a participant, by its SID or its identity.").
			answers(conversationmodel.ConversationsV1ConversationParticipant{}).by((*call).fetchMember),
		post(conversations, path+"/{member}", services, http.StatusOK).says("Changes an added participant.").
			with("Identity", "MessagingBinding.ProxyAddress", "Attributes").
			without("DateCreated", "DateUpdated", "MessagingBinding.ProjectedAddress", "RoleSid", "LastReadMessageIndex", "LastReadTimestamp").
			answers(conversationmodel.ConversationsV1ConversationParticipant{}).by((*call).updateMember),
		remove(conversations, path+"/{member}", services).says("Removes an added participant.").by((*call).removeMember),
	}
}

// member is a participant of a conversation in the form of the Conversations API.
type member struct {
	sid string
	// author is the member's name in the transcript: desk.FromCustomer, or an agent's name.
	author   string
	identity string
	address  string
	proxy    string
	// attributes is JSON. added is set if the API added the member.
	attributes         string
	added              bool
	createdAt, updated time.Time
}

// members returns the participants of the conversation: the customer, the agents and the added members.
func (c *call) members(v *view) ([]member, error) {
	added, err := c.desk.Participants(c.ctx, v.sid)
	if err != nil {
		return nil, err
	}
	found := []member{}
	if !v.draft || v.customer != (conversation.Customer{}) {
		found = append(found, member{
			sid: conversation.SameSID(desk.PrefixMember, v.sid), author: desk.FromCustomer, identity: cmp.Or(v.customer.Name, desk.FromCustomer),
			address: v.customer.Address, createdAt: v.createdAt, updated: v.createdAt,
		})
	}
	for _, task := range v.tasks {
		if s := task.Status; s == conversation.TaskAssigned || s == conversation.TaskWrapping {
			found = append(found, member{
				sid: conversation.SameSID(desk.PrefixMember, task.SID), author: task.Agent, identity: task.Agent,
				createdAt: task.AssignedAt, updated: updatedAt(task),
			})
		}
	}
	for _, p := range added {
		if !v.turn.Includes(p.CreatedAt) {
			continue
		}
		if !v.turn.Includes(p.UpdatedAt) { // it was changed after the agent's turn: only the address is unchanged
			p.Identity, p.ProxyAddress, p.Attributes, p.UpdatedAt = "", "", "", p.CreatedAt
		}
		found = append(found, member{
			sid: p.SID, author: desk.FromCustomer, identity: p.Identity, address: p.Address, proxy: p.ProxyAddress, attributes: p.Attributes,
			added: true, createdAt: p.CreatedAt, updated: p.UpdatedAt,
		})
	}
	return found, nil
}

func (c *call) renderMember(v *view) func(member) whole[conversationmodel.ConversationsV1ConversationParticipant] {
	return func(m member) whole[conversationmodel.ConversationsV1ConversationParticipant] {
		model := conversationmodel.ConversationsV1ConversationParticipant{
			AccountSid: new(c.account.SID), ConversationSid: new(v.sid), Sid: new(m.sid), Identity: text(m.identity),
			Attributes: new(cmp.Or(m.attributes, "{}")), DateCreated: date(m.createdAt), DateUpdated: date(m.updated),
			Url: new(c.url("v1", "Conversations", v.sid, "Participants", m.sid)),
		}
		if m.address != "" {
			model.MessagingBinding = object(map[string]any{"type": bindingType(v.channel, m.address), "address": m.address, "proxy_address": m.proxy})
			if m.added {
				model.Identity = nil
			}
		}
		return all(model)
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
	case phoneNumber.MatchString(address) && (channel == conversation.ChannelWhatsApp || channel == conversation.ChannelMessenger):
		return channel
	case phoneNumber.MatchString(address):
		return conversation.ChannelSMS
	case strings.Contains(address, "@") && channel != conversation.ChannelMessenger:
		return conversation.ChannelEmail
	}
	return channel
}

func (c *call) listMembers() (any, error) {
	v, people, err := c.transcriptAsked()
	if err != nil {
		return nil, err
	}
	return some(c, people, c.renderMember(v))
}

func (c *call) createMember() (any, error) {
	v, err := c.conversationAsked()
	if err != nil {
		return nil, err
	}
	added, err := c.desk.AddParticipant(c.ctx, desk.Participant{
		SID: c.newSID(desk.PrefixMember), Conversation: v.sid, Identity: c.form.Get("Identity"), Address: c.form.Get("MessagingBinding.Address"),
		ProxyAddress: c.form.Get("MessagingBinding.ProxyAddress"), Attributes: c.form.Get("Attributes"),
	})
	refusal, _ := asRefusal(err)
	if _, taken := errors.AsType[*desk.TakenError](err); taken && refusal != nil {
		return nil, told(refusal, answer{http.StatusConflict, 20409, 45007, 50433}, c.route)
	}
	if err != nil {
		return nil, err
	}
	return c.memberAnswer(v, added.SID)
}

// memberAnswer answers with the participant with that SID.
func (c *call) memberAnswer(v *view, sid string) (any, error) {
	people, err := c.members(v)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(people, func(m member) bool { return m.sid == sid })
	if at < 0 {
		return nil, noMember(sid)
	}
	return c.renderMember(v)(people[at]), nil
}

func noMember(given string) *problem {
	return &problem{Status: http.StatusNotFound, Code: 50432, Message: "Not found: there is no participant " + short(given)}
}

// memberAsked returns the participant that the path names, by its SID or its identity.
func (c *call) memberAsked() (*view, member, error) {
	v, people, err := c.transcriptAsked()
	if err != nil {
		return nil, member{}, err
	}
	given := c.r.PathValue("member")
	if at := slices.IndexFunc(people, func(m member) bool { return strings.EqualFold(m.sid, given) }); at >= 0 {
		return v, people[at], nil
	}
	var named []member
	for _, m := range people {
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
	return nil, member{}, &problem{
		Status: conflict.status, Code: conflict.code(conversations),
		Message: "Several participants are called " + short(given) + ": send the participant's SID (MB…) instead",
	}
}

func (c *call) fetchMember() (any, error) {
	v, m, err := c.memberAsked()
	if err != nil {
		return nil, err
	}
	return c.renderMember(v)(m), nil
}

// addedMember returns the participant that the path names. It refuses the customer and agents, whom the API did not
// add.
func (c *call) addedMember() (*view, member, error) {
	v, m, err := c.memberAsked()
	if err == nil && !m.added {
		return nil, m, c.wrong("participant", "The customer and the agents are on the conversation by themselves: only who was added can be changed or removed")
	}
	return v, m, err
}

func (c *call) updateMember() (any, error) {
	v, m, err := c.addedMember()
	if err != nil {
		return nil, err
	}
	_, err = c.desk.UpdateParticipant(c.changing, v.sid, m.sid, func(p *desk.Participant) {
		for field, into := range map[string]*string{
			"Identity": &p.Identity, "MessagingBinding.ProxyAddress": &p.ProxyAddress, "Attributes": &p.Attributes,
		} {
			if given := c.optional(field); given != nil {
				*into = *given
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return c.memberAnswer(v, m.sid)
}

func (c *call) removeMember() (any, error) {
	v, m, err := c.addedMember()
	if err != nil {
		return nil, err
	}
	return nil, c.desk.RemoveParticipant(c.changing, v.sid, m.sid)
}
