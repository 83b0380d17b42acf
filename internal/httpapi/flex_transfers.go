package httpapi

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"

	flexmodel "github.com/twilio/twilio-go/rest/flex/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

func transferRoutes() []route {
	return []route{
		post(flex, channelPath+"/Transfers", everyone, http.StatusCreated).says("Transfers the conversation to an agent (`to` is a WK) or to a queue (a WQ).").
			but("`from` is the participant of the agent who has it. Only cold transfers.").asJSON().
			with("from*", "to*", "type", "note_sid").answers(flexmodel.FlexV1InteractionTransfer{}).by((*call).createTransfer),
		get(flex, channelPath+"/Transfers/{transfer}", everyone).says("Fetches a transfer.").
			answers(flexmodel.FlexV1InteractionTransfer{}).by((*call).fetchTransfer),
		post(flex, channelPath+"/Transfers/{transfer}", everyone, http.StatusOK).says("Takes back a transfer that no agent has accepted yet, with `{\"status\":\"failed\"}`.").
			asJSON().with("status*").answers(flexmodel.FlexV1InteractionTransfer{}).by((*call).updateTransfer),
		get(flex, "/v3/Instances/{instance}/TransferSettings", everyone).says("Fetches whether messaging transfers and transfer notes are enabled.").
			answers(transferSettings{}).by((*call).fetchTransferSettings),
		post(flex, "/v3/Instances/{instance}/TransferSettings", services, http.StatusOK).says("Enables or disables messaging transfers and transfer notes.").
			but("`ai_summary_enabled` can only be false.").asJSON().with("enabled", "transfer_notes_enabled", "ai_summary_enabled").
			answers(transferSettings{}).by((*call).updateTransferSettings),
	}
}

// transferBody is the body of a transfer. The note's key has two spellings.
type transferBody struct {
	From      string `json:"from"`
	To        string `json:"to"`
	Type      string `json:"type"`
	NoteSID   string `json:"note_sid"`
	NoteCamel string `json:"noteSid"` //nolint:tagliatelle // the spelling in some of Twilio's examples
}

// cancelBody is the body that cancels a transfer.
type cancelBody struct {
	Status string `json:"status"`
}

// object reads a body that is a JSON object. It refuses keys that are not supported.
func (c *call) object(into any) error {
	if len(c.body) == 0 || c.body[0] != '{' {
		return c.wrong("", "The body has to be a JSON object, sent as application/json")
	}
	if err := json.Unmarshal(c.body, into); err != nil {
		field, sentence := mistake("The body", err)
		return c.wrong(field, "%s", sentence)
	}
	return c.unreadKeys("", c.body, into)
}

// mistake returns the key whose value has the wrong type, "" for the whole document, and a sentence that states the
// right type. The sentence contains no values.
func mistake(document string, err error) (key, sentence string) {
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return "", document + " is not valid JSON"
	}
	given, _, _ := strings.Cut(wrong.Value, " ") // a number is followed by its digits
	switch given {
	case "bool":
		given = "true or false"
	case "array":
		given = "list"
	}
	return wrong.Field, cmp.Or(wrong.Field, document) + " has to be " + wanted(wrong.Type) + ": it is " + withArticle(given)
}

// withArticle returns the JSON type with its article.
func withArticle(given string) string {
	switch given {
	case "true or false", "null":
		return given
	case "object":
		return "an object"
	}
	return "a " + given
}

// wanted returns the JSON type that can be decoded into the Go type.
func wanted(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() { //nolint:exhaustive // the other kinds are objects
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	}
	return "an object"
}

func asRefusal(err error) (*conversation.Refusal, bool) {
	return errors.AsType[*conversation.Refusal](err)
}

func (c *call) createTransfer() (any, error) {
	sid, err := c.interaction()
	if err != nil {
		return nil, err
	}
	var body transferBody
	if err := c.object(&body); err != nil {
		return nil, err
	}
	command, err := c.transferCommand(sid, body)
	if err != nil {
		return nil, err
	}
	if err := c.actAs(command.From); err != nil {
		return nil, err
	}
	outcome, err := c.send(sid, command)
	if err != nil {
		return nil, err
	}
	return c.renderTransfer(sid, *outcome.Transfer), nil
}

func (c *call) transferCommand(sid string, body transferBody) (conversation.TransferCommand, error) {
	command := conversation.TransferCommand{Mode: conversation.Mode(body.Type), Note: body.NoteSID, Meta: c.command("")}
	if command.Note == "" {
		command.Note = body.NoteCamel
	}
	if body.NoteCamel != "" && body.NoteCamel != command.Note {
		return command, c.wrong("noteSid", "note_sid and noteSid name two notes: send one of them")
	}
	if command.Note != "" && !conversation.IsSID(conversation.PrefixNote, command.Note) {
		return command, c.wrong("note_sid", "note_sid has to be the SID of a note (KQ…) that was created before: POST …/Notes")
	}
	switch {
	case body.From == "":
		return command, c.wrong("from", "Missing required parameter from: the participant (UT…) of the agent who has the conversation")
	case body.To == "":
		return command, c.wrong("to", "Missing required parameter to: a worker (WK…) or a queue (WQ…)")
	case !isSID(prefixParticipant, body.From):
		return command, c.wrong("from", "from has to be the SID of a participant: UT and 32 hex digits")
	case body.Type == "external":
		return command, c.wrong("type", "There are no external transfers here: use cold")
	}
	task, err := c.agentTask(conversation.PrefixTask + strings.ToLower(body.From[2:]))
	_, coded := asRefusal(err)
	if own := c.caller.agent(); own != "" && (coded || (err == nil && task.Agent != own)) {
		return command, c.notTheirs()
	}
	if coded || (err == nil && (task.Conversation != sid || !task.Status.Live())) {
		return command, c.lost("agent among the participants with the SID", body.From)
	}
	if err != nil {
		return command, err
	}
	command.From = task.Agent
	switch {
	case isSID(conversation.PrefixAgent, body.To):
		command.To.Agent, err = c.agentOf("to", body.To)
		return command, err
	case isSID(conversation.PrefixQueue, body.To):
		command.To.Queue, err = c.queueOf("to", body.To)
		return command, err
	case isSID(desk.PrefixWorkflow, body.To):
		command.To.Workflow = body.To
		return command, nil
	}
	return command, c.wrong("to", "to has to be the SID of a worker (WK…) or of a queue (WQ…)")
}

// transferNow returns the transfer that the path names, and its conversation.
func (c *call) transferNow() (*view, conversation.Transfer, error) {
	sid, err := c.interaction()
	if err != nil {
		return nil, conversation.Transfer{}, err
	}
	v, err := c.viewFor(sid)
	if err != nil {
		return nil, conversation.Transfer{}, c.notThere(err, "interaction", c.r.PathValue("interaction"))
	}
	digits, err := c.path("transfer", conversation.PrefixTransfer, "transfer")
	if err != nil {
		return nil, conversation.Transfer{}, err
	}
	for _, x := range v.transfers {
		if x.SID[2:] == digits {
			if own := c.caller.agent(); own != "" && own == x.From {
				return v, x, nil // the agent who made it may read it, also after their wrap-up
			}
		}
	}
	if err := c.mayRead(v); err != nil {
		return nil, conversation.Transfer{}, err
	}
	for _, x := range v.transfers {
		if x.SID[2:] == digits {
			return v, x, nil
		}
	}
	return nil, conversation.Transfer{}, c.lost("transfer", c.r.PathValue("transfer"))
}

func (c *call) fetchTransfer() (any, error) {
	v, transfer, err := c.transferNow()
	if err != nil {
		return nil, err
	}
	return c.renderTransfer(v.sid, transfer), nil
}

func (c *call) updateTransfer() (any, error) {
	v, transfer, err := c.transferNow()
	if err != nil {
		return nil, err
	}
	var body cancelBody
	if err := c.object(&body); err != nil {
		return nil, err
	}
	if body.Status != "failed" {
		return nil, c.wrong("status", `A transfer can only be taken back: send {"status":"failed"}`)
	}
	if err := c.actAs(transfer.From); err != nil {
		return nil, err
	}
	outcome, err := c.send(v.sid, conversation.CancelCommand{Agent: transfer.From, Transfer: transfer.SID, Meta: c.command("")})
	if err != nil {
		return nil, err
	}
	return c.renderTransfer(v.sid, *outcome.Transfer), nil
}

func (c *call) renderTransfer(sid string, x conversation.Transfer) whole[flexmodel.FlexV1InteractionTransfer] {
	to := conversation.QueueSID(x.To.Queue)
	if x.To.Agent != "" {
		to = conversation.AgentSID(x.To.Agent)
	}
	updated := x.CreatedAt
	if x.EndedAt.After(updated) {
		updated = x.EndedAt
	}
	return all(flexmodel.FlexV1InteractionTransfer{
		Sid: new(x.SID), InstanceSid: new(c.instanceSID()), AccountSid: new(c.account.SID), InteractionSid: new(interactionSID(sid)),
		ChannelSid: new(channelOf(sid)), Type: new(string(x.Mode)), Status: new(string(x.Status)),
		From: new(conversation.SameSID(prefixParticipant, x.FromTask)), To: new(to), NoteSid: text(x.Note),
		DateCreated: date(x.CreatedAt), DateUpdated: date(updated), Url: new(c.channelURL(sid, "Transfers", x.SID)),
	})
}

// transferSettings are the settings of transfers in the form of Flex.
type transferSettings struct {
	TransferSettings []transferSwitches `json:"transfer_settings"`
}

type transferSwitches struct {
	Enabled              *bool `json:"enabled"`
	TransferNotesEnabled *bool `json:"transfer_notes_enabled"`
	AISummaryEnabled     *bool `json:"ai_summary_enabled"`
}

func (c *call) instance() error {
	if given := c.r.PathValue("instance"); !strings.EqualFold(given, c.instanceSID()) {
		return c.lost("instance", given)
	}
	return nil
}

func renderSettings(s conversation.Settings) transferSettings {
	return transferSettings{[]transferSwitches{{new(s.MessagingTransfers), new(s.TransferNotes), new(false)}}}
}

func (c *call) fetchTransferSettings() (any, error) {
	if err := c.instance(); err != nil {
		return nil, err
	}
	settings, err := c.desk.Settings(c.ctx)
	return renderSettings(settings), err
}

func (c *call) updateTransferSettings() (any, error) {
	if err := c.instance(); err != nil {
		return nil, err
	}
	var body struct { // no embedded structs: decoding errors would contain their names
		TransferSettings     []transferSwitches `json:"transfer_settings"`
		Enabled              *bool              `json:"enabled"`
		TransferNotesEnabled *bool              `json:"transfer_notes_enabled"`
		AISummaryEnabled     *bool              `json:"ai_summary_enabled"`
	}
	if err := c.object(&body); err != nil {
		return nil, err
	}
	wanted := transferSwitches{body.Enabled, body.TransferNotesEnabled, body.AISummaryEnabled}
	switch len(body.TransferSettings) {
	case 0:
	case 1:
		if wanted != (transferSwitches{}) {
			return nil, c.wrong("transfer_settings", "the switches are given in transfer_settings and beside it: send one of them")
		}
		wanted = body.TransferSettings[0]
	default:
		return nil, c.wrong("transfer_settings", "transfer_settings has one entry, for all messaging channels")
	}
	if wanted.AISummaryEnabled != nil && *wanted.AISummaryEnabled {
		return nil, c.wrong("ai_summary_enabled", "There are no summaries here: leave ai_summary_enabled false")
	}
	if wanted.Enabled != nil && !*wanted.Enabled && wanted.TransferNotesEnabled != nil && *wanted.TransferNotesEnabled {
		return nil, c.wrong("transfer_notes_enabled", "transfer_notes_enabled needs enabled: send enabled true, or transfer_notes_enabled false")
	}
	settings, err := c.desk.SetSettings(c.changing, c.caller.by(), func(s *conversation.Settings) {
		if wanted.Enabled != nil {
			s.MessagingTransfers = *wanted.Enabled
		}
		if wanted.TransferNotesEnabled != nil {
			s.TransferNotes = *wanted.TransferNotesEnabled
		}
	})
	return renderSettings(settings), err
}
