package httpapi

import (
	"net/http"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

func noteRoutes() []route {
	const path = "/v1/Instances/{instance}/Notes"
	return []route{
		post(flex, path, everyone, http.StatusOK).says("Stores a note, whose SID a transfer can name.").
			with("InteractionSid*", "ChannelSid", "Summary*", "Type").answers(noteModel{}).by((*call).createNote),
		get(flex, path+"/{note}", everyone).says("Fetches a note. An agent's key can fetch notes of conversations that its agent has or is offered.").
			answers(noteModel{}).by((*call).fetchNote),
		get(flex, path, everyone).says("Lists the notes of an interaction.").with("InteractionSid*", "ChannelSid").lists("notes", noteModel{}).by((*call).listNotes),
	}
}

// noteModel is a note in the form of Flex. Twilio has published no schema of it.
type noteModel struct {
	SID            string  `json:"sid"`
	AccountSID     string  `json:"account_sid"`
	InstanceSID    string  `json:"instance_sid"`
	InteractionSID string  `json:"interaction_sid"`
	ChannelSID     string  `json:"channel_sid"`
	Type           string  `json:"type"`
	Summary        string  `json:"summary"`
	Author         string  `json:"author"`
	DateCreated    *string `json:"date_created"`
	URL            string  `json:"url"`
}

func (c *call) renderNote(sid string) func(conversation.Note) noteModel {
	return func(n conversation.Note) noteModel {
		created := date(n.CreatedAt).Format("2006-01-02T15:04:05Z")
		return noteModel{
			SID: n.SID, AccountSID: c.account.SID, InstanceSID: c.instanceSID(), InteractionSID: interactionSID(sid), ChannelSID: channelOf(sid),
			Type: string(n.Kind), Summary: n.Text, Author: n.Author, DateCreated: &created,
			URL: c.url("v1", "Instances", c.instanceSID(), "Notes", n.SID),
		}
	}
}

// interactionGiven returns the conversation of the interaction that the form names.
func (c *call) interactionGiven() (string, error) {
	if err := c.instance(); err != nil {
		return "", err
	}
	if _, err := c.required("InteractionSid"); err != nil {
		return "", err
	}
	sid, err := c.sid("InteractionSid", conversation.PrefixInteraction)
	if err != nil {
		return "", err
	}
	channel, err := c.sid("ChannelSid", conversation.PrefixInteractionChannel)
	if err != nil {
		return "", err
	}
	if channel != "" && channel[2:] != sid[2:] {
		return "", c.lost("channel of this interaction", channel)
	}
	return conversation.SameSID(conversation.PrefixConversation, sid), nil
}

// author returns the author of a note: the agent, or the name of the key that acts for them.
func (c *call) author() string {
	if own := c.caller.agent(); own != "" {
		return own
	}
	return c.caller.key.Name
}

func (c *call) createNote() (any, error) {
	sid, err := c.interactionGiven()
	if err != nil {
		return nil, err
	}
	summary, err := c.required("Summary")
	if err != nil {
		return nil, err
	}
	if kind := c.form.Get("Type"); kind != "" && kind != string(conversation.NoteTransfer) {
		return nil, c.wrong("Type", "Type has to be transfer")
	}
	if _, err := c.noteReader(sid); err != nil {
		return nil, c.notThere(err, "interaction", c.form.Get("InteractionSid"))
	}
	note, err := c.desk.KeepNote(c.ctx, sid, conversation.Note{SID: c.newSID(conversation.PrefixNote), Author: c.author(), Text: summary})
	if err != nil {
		return nil, c.notThere(err, "interaction", c.form.Get("InteractionSid"))
	}
	return c.renderNote(sid)(note), nil
}

// noteReader returns the desk's reader for the conversation's notes. It checks an agent against the present state
// of the conversation, because the desk may lag.
func (c *call) noteReader(sid string) (desk.Reader, error) {
	if c.caller.agent() == "" {
		return desk.AsSystem(), nil
	}
	v, err := c.view(sid)
	if err != nil {
		return desk.Reader{}, err
	}
	return v.reader(), nil
}

func (c *call) fetchNote() (any, error) {
	if err := c.instance(); err != nil {
		return nil, err
	}
	given := c.r.PathValue("note")
	digits, err := c.path("note", conversation.PrefixNote, "note")
	if err != nil {
		return nil, err
	}
	_, sid, err := c.desk.Note(c.ctx, conversation.PrefixNote+digits, desk.AsSystem()) // only the conversation determines the reader
	if conversation.CodeOf(err) == conversation.CodeInvalidPayload {
		return nil, c.lost("note", given)
	}
	if err != nil {
		return nil, err
	}
	reader, err := c.noteReader(sid)
	if err != nil {
		return nil, err
	}
	note, _, err := c.desk.Note(c.ctx, conversation.PrefixNote+digits, reader)
	if conversation.CodeOf(err) == conversation.CodeInvalidPayload {
		return nil, c.lost("note", given)
	}
	if err != nil {
		return nil, err
	}
	return c.renderNote(sid)(note), nil
}

func (c *call) listNotes() (any, error) {
	sid, err := c.interactionGiven()
	if err != nil {
		return nil, err
	}
	c.settle()
	reader, err := c.noteReader(sid)
	if err != nil {
		return nil, c.notThere(err, "interaction", c.form.Get("InteractionSid"))
	}
	notes, err := c.desk.Notes(c.ctx, sid, reader)
	if err != nil {
		return nil, c.notThere(err, "interaction", c.form.Get("InteractionSid"))
	}
	return some(c, notes, c.renderNote(sid))
}
