package flex

import (
	"net/http"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/records"
)

func noteRoutes() []rest.Route {
	const path = "/v1/Instances/{instance}/Notes"
	return []rest.Route{
		rest.Post(path, rest.Everyone, http.StatusOK).Says("Stores a note, whose SID a transfer can name.").
			With("InteractionSid*", "ChannelSid", "Summary*", "Type").Answers(noteModel{}).By(createNote),
		rest.Get(path+"/{note}", rest.Everyone).Says("Fetches a note. An agent's key can fetch notes of conversations that its agent has or is offered.").
			Answers(noteModel{}).By(fetchNote),
		rest.Get(path, rest.Everyone).Says("Lists the notes of an interaction.").With("InteractionSid*", "ChannelSid").Lists("notes", noteModel{}).By(listNotes),
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

func renderNote(c *rest.Call, sid string) func(conversation.Note) noteModel {
	return func(n conversation.Note) noteModel {
		created := rest.Date(n.CreatedAt).Format("2006-01-02T15:04:05Z")
		return noteModel{
			SID: n.SID, AccountSID: c.Account.SID, InstanceSID: instanceSID(c), InteractionSID: interactionSID(sid), ChannelSID: channelOf(sid),
			Type: string(n.Kind), Summary: n.Text, Author: n.Author, DateCreated: &created,
			URL: c.URL("v1", "Instances", instanceSID(c), "Notes", n.SID),
		}
	}
}

// interactionGiven returns the conversation of the interaction that the form names.
func interactionGiven(c *rest.Call) (string, error) {
	if err := checkInstance(c); err != nil {
		return "", err
	}
	if _, err := c.Required("InteractionSid"); err != nil {
		return "", err
	}
	sid, err := c.SID("InteractionSid", conversation.PrefixInteraction)
	if err != nil {
		return "", err
	}
	channel, err := c.SID("ChannelSid", conversation.PrefixInteractionChannel)
	if err != nil {
		return "", err
	}
	if channel != "" && channel[2:] != sid[2:] {
		return "", c.Lost("channel of this interaction", channel)
	}
	return conversation.SameSID(conversation.PrefixConversation, sid), nil
}

// noteAuthor returns the author of a note: the agent, or the name of the key that acts for them.
func noteAuthor(c *rest.Call) string {
	if own := c.Caller.Agent(); own != "" {
		return own
	}
	return c.Caller.Key.Name
}

func createNote(c *rest.Call) (any, error) {
	sid, err := interactionGiven(c)
	if err != nil {
		return nil, err
	}
	summary, err := c.Required("Summary")
	if err != nil {
		return nil, err
	}
	if kind := c.Form.Get("Type"); kind != "" && kind != string(conversation.NoteTransfer) {
		return nil, c.Wrong("Type", "Type has to be transfer")
	}
	if _, err := noteReader(c, sid); err != nil {
		return nil, c.NotThere(err, "interaction", c.Form.Get("InteractionSid"))
	}
	note, err := records.KeepNote(c.Ctx, c.Desk, sid, conversation.Note{SID: c.NewSID(conversation.PrefixNote), Author: noteAuthor(c), Text: summary})
	if err != nil {
		return nil, c.NotThere(err, "interaction", c.Form.Get("InteractionSid"))
	}
	return renderNote(c, sid)(note), nil
}

// noteReader returns the desk's reader for the conversation's notes. It checks an agent against the present state
// of the conversation, because the desk may lag.
func noteReader(c *rest.Call, sid string) (records.Reader, error) {
	if c.Caller.Agent() == "" {
		return records.AsSystem(), nil
	}
	v, err := c.View(sid)
	if err != nil {
		return records.Reader{}, err
	}
	return v.Reader(), nil
}

func fetchNote(c *rest.Call) (any, error) {
	if err := checkInstance(c); err != nil {
		return nil, err
	}
	given := c.Request.PathValue("note")
	digits, err := c.Path("note", conversation.PrefixNote, "note")
	if err != nil {
		return nil, err
	}
	_, sid, err := records.FindNote(c.Ctx, c.Desk, conversation.PrefixNote+digits, records.AsSystem()) // only the conversation determines the reader
	if conversation.CodeOf(err) == conversation.CodeInvalidPayload {
		return nil, c.Lost("note", given)
	}
	if err != nil {
		return nil, err
	}
	reader, err := noteReader(c, sid)
	if err != nil {
		return nil, err
	}
	note, _, err := records.FindNote(c.Ctx, c.Desk, conversation.PrefixNote+digits, reader)
	if conversation.CodeOf(err) == conversation.CodeInvalidPayload {
		return nil, c.Lost("note", given)
	}
	if err != nil {
		return nil, err
	}
	return renderNote(c, sid)(note), nil
}

func listNotes(c *rest.Call) (any, error) {
	sid, err := interactionGiven(c)
	if err != nil {
		return nil, err
	}
	c.Settle()
	reader, err := noteReader(c, sid)
	if err != nil {
		return nil, c.NotThere(err, "interaction", c.Form.Get("InteractionSid"))
	}
	notes, err := records.ListNotes(c.Ctx, c.Desk, sid, reader)
	if err != nil {
		return nil, c.NotThere(err, "interaction", c.Form.Get("InteractionSid"))
	}
	return rest.Some(c, notes, renderNote(c, sid))
}

func instanceSID(c *rest.Call) string {
	return conversation.SameSID(desk.PrefixInstance, c.Account.SID)
}
