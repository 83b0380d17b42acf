package flex

import (
	"net/http"
	"strings"

	flexmodel "github.com/twilio/twilio-go/rest/flex/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/httpapi/tasks"
)

func transferRoutes() []rest.Route {
	return []rest.Route{
		rest.Post(channelPath+"/Transfers", rest.Everyone, http.StatusCreated).Says("Transfers the conversation to an agent (`to` is a WK) or to a queue (a WQ).").
			But("`from` is the participant of the agent who has it. Only cold transfers.").AsJSON().
			With("from*", "to*", "type", "note_sid").Answers(flexmodel.FlexV1InteractionTransfer{}).By(createTransfer),
		rest.Get(channelPath+"/Transfers/{transfer}", rest.Everyone).Says("Fetches a transfer.").
			Answers(flexmodel.FlexV1InteractionTransfer{}).By(fetchTransfer),
		rest.Post(channelPath+"/Transfers/{transfer}", rest.Everyone, http.StatusOK).Says("Takes back a transfer that no agent has accepted yet, with `{\"status\":\"failed\"}`.").
			AsJSON().With("status*").Answers(flexmodel.FlexV1InteractionTransfer{}).By(updateTransfer),
		rest.Get("/v3/Instances/{instance}/TransferSettings", rest.Everyone).Says("Fetches whether messaging transfers and transfer notes are enabled.").
			Answers(transferSettings{}).By(fetchTransferSettings),
		rest.Post("/v3/Instances/{instance}/TransferSettings", rest.Services, http.StatusOK).Says("Enables or disables messaging transfers and transfer notes.").
			But("`ai_summary_enabled` can only be false.").AsJSON().With("enabled", "transfer_notes_enabled", "ai_summary_enabled").
			Answers(transferSettings{}).By(updateTransferSettings),
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

func createTransfer(c *rest.Call) (any, error) {
	sid, err := interactionAsked(c)
	if err != nil {
		return nil, err
	}
	var body transferBody
	if err := c.DecodeBody(&body); err != nil {
		return nil, err
	}
	command, err := transferCommand(c, sid, body)
	if err != nil {
		return nil, err
	}
	if err := c.ActAs(command.From); err != nil {
		return nil, err
	}
	outcome, err := c.Send(sid, command)
	if err != nil {
		return nil, err
	}
	return renderTransfer(c, sid, *outcome.Transfer), nil
}

func transferCommand(c *rest.Call, sid string, body transferBody) (conversation.TransferCommand, error) {
	command := conversation.TransferCommand{Mode: conversation.Mode(body.Type), Note: body.NoteSID, Meta: c.Command("")}
	if command.Note == "" {
		command.Note = body.NoteCamel
	}
	if body.NoteCamel != "" && body.NoteCamel != command.Note {
		return command, c.Wrong("noteSid", "note_sid and noteSid name two notes: send one of them")
	}
	if command.Note != "" && !conversation.IsSID(conversation.PrefixNote, command.Note) {
		return command, c.Wrong("note_sid", "note_sid has to be the SID of a note (KQ…) that was created before: POST …/Notes")
	}
	switch {
	case body.From == "":
		return command, c.Wrong("from", "Missing required parameter from: the participant (UT…) of the agent who has the conversation")
	case body.To == "":
		return command, c.Wrong("to", "Missing required parameter to: a worker (WK…) or a queue (WQ…)")
	case !rest.IsSID(prefixParticipant, body.From):
		return command, c.Wrong("from", "from has to be the SID of a participant: UT and 32 hex digits")
	case body.Type == "external":
		return command, c.Wrong("type", "There are no external transfers here: use cold")
	}
	task, err := tasks.OfAgent(c, conversation.PrefixTask+strings.ToLower(body.From[2:]))
	_, coded := rest.AsRefusal(err)
	if own := c.Caller.Agent(); own != "" && (coded || (err == nil && task.Agent != own)) {
		return command, c.NotTheirs()
	}
	if coded || (err == nil && (task.Conversation != sid || !task.Status.Live())) {
		return command, c.Lost("agent among the participants with the SID", body.From)
	}
	if err != nil {
		return command, err
	}
	command.From = task.Agent
	switch {
	case rest.IsSID(conversation.PrefixAgent, body.To):
		command.To.Agent, err = tasks.AgentOf(c, "to", body.To)
		return command, err
	case rest.IsSID(conversation.PrefixQueue, body.To):
		command.To.Queue, err = tasks.QueueOf(c, "to", body.To)
		return command, err
	case rest.IsSID(desk.PrefixWorkflow, body.To):
		command.To.Workflow = body.To
		return command, nil
	}
	return command, c.Wrong("to", "to has to be the SID of a worker (WK…) or of a queue (WQ…)")
}

// transferNow returns the transfer that the path names, and its conversation.
func transferNow(c *rest.Call) (*rest.View, conversation.Transfer, error) {
	sid, err := interactionAsked(c)
	if err != nil {
		return nil, conversation.Transfer{}, err
	}
	v, err := c.ViewFor(sid)
	if err != nil {
		return nil, conversation.Transfer{}, c.NotThere(err, "interaction", c.Request.PathValue("interaction"))
	}
	digits, err := c.Path("transfer", conversation.PrefixTransfer, "transfer")
	if err != nil {
		return nil, conversation.Transfer{}, err
	}
	for _, x := range v.Transfers {
		if x.SID[2:] == digits {
			if own := c.Caller.Agent(); own != "" && own == x.From {
				return v, x, nil // the agent who made it may read it, also after their wrap-up
			}
		}
	}
	if err := c.MayRead(v); err != nil {
		return nil, conversation.Transfer{}, err
	}
	for _, x := range v.Transfers {
		if x.SID[2:] == digits {
			return v, x, nil
		}
	}
	return nil, conversation.Transfer{}, c.Lost("transfer", c.Request.PathValue("transfer"))
}

func fetchTransfer(c *rest.Call) (any, error) {
	v, transfer, err := transferNow(c)
	if err != nil {
		return nil, err
	}
	return renderTransfer(c, v.SID, transfer), nil
}

func updateTransfer(c *rest.Call) (any, error) {
	v, transfer, err := transferNow(c)
	if err != nil {
		return nil, err
	}
	var body cancelBody
	if err := c.DecodeBody(&body); err != nil {
		return nil, err
	}
	if body.Status != "failed" {
		return nil, c.Wrong("status", `A transfer can only be taken back: send {"status":"failed"}`)
	}
	if err := c.ActAs(transfer.From); err != nil {
		return nil, err
	}
	outcome, err := c.Send(v.SID, conversation.CancelCommand{Agent: transfer.From, Transfer: transfer.SID, Meta: c.Command("")})
	if err != nil {
		return nil, err
	}
	return renderTransfer(c, v.SID, *outcome.Transfer), nil
}

func renderTransfer(c *rest.Call, sid string, x conversation.Transfer) rest.Whole[flexmodel.FlexV1InteractionTransfer] {
	to := conversation.QueueSID(x.To.Queue)
	if x.To.Agent != "" {
		to = conversation.AgentSID(x.To.Agent)
	}
	updated := x.CreatedAt
	if x.EndedAt.After(updated) {
		updated = x.EndedAt
	}
	return rest.All(flexmodel.FlexV1InteractionTransfer{
		Sid: new(x.SID), InstanceSid: new(instanceSID(c)), AccountSid: new(c.Account.SID), InteractionSid: new(interactionSID(sid)),
		ChannelSid: new(channelOf(sid)), Type: new(string(x.Mode)), Status: new(string(x.Status)),
		From: new(conversation.SameSID(prefixParticipant, x.FromTask)), To: new(to), NoteSid: rest.Text(x.Note),
		DateCreated: rest.Date(x.CreatedAt), DateUpdated: rest.Date(updated), Url: new(channelURL(c, sid, "Transfers", x.SID)),
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

func checkInstance(c *rest.Call) error {
	if given := c.Request.PathValue("instance"); !strings.EqualFold(given, instanceSID(c)) {
		return c.Lost("instance", given)
	}
	return nil
}

func renderSettings(s conversation.Settings) transferSettings {
	return transferSettings{[]transferSwitches{{new(s.MessagingTransfers), new(s.TransferNotes), new(false)}}}
}

func fetchTransferSettings(c *rest.Call) (any, error) {
	if err := checkInstance(c); err != nil {
		return nil, err
	}
	settings, err := desk.ReadSettings(c.Ctx, c.Desk)
	return renderSettings(settings), err
}

func updateTransferSettings(c *rest.Call) (any, error) {
	if err := checkInstance(c); err != nil {
		return nil, err
	}
	var body struct { // no embedded structs: decoding errors would contain their names
		TransferSettings     []transferSwitches `json:"transfer_settings"`
		Enabled              *bool              `json:"enabled"`
		TransferNotesEnabled *bool              `json:"transfer_notes_enabled"`
		AISummaryEnabled     *bool              `json:"ai_summary_enabled"`
	}
	if err := c.DecodeBody(&body); err != nil {
		return nil, err
	}
	wanted := transferSwitches{body.Enabled, body.TransferNotesEnabled, body.AISummaryEnabled}
	switch len(body.TransferSettings) {
	case 0:
	case 1:
		if wanted != (transferSwitches{}) {
			return nil, c.Wrong("transfer_settings", "the switches are given in transfer_settings and beside it: send one of them")
		}
		wanted = body.TransferSettings[0]
	default:
		return nil, c.Wrong("transfer_settings", "transfer_settings has one entry, for all messaging channels")
	}
	if wanted.AISummaryEnabled != nil && *wanted.AISummaryEnabled {
		return nil, c.Wrong("ai_summary_enabled", "There are no summaries here: leave ai_summary_enabled false")
	}
	if wanted.Enabled != nil && !*wanted.Enabled && wanted.TransferNotesEnabled != nil && *wanted.TransferNotesEnabled {
		return nil, c.Wrong("transfer_notes_enabled", "transfer_notes_enabled needs enabled: send enabled true, or transfer_notes_enabled false")
	}
	settings, err := desk.SetSettings(c.Changing, c.Desk, c.Caller.By(), func(s *conversation.Settings) {
		if wanted.Enabled != nil {
			s.MessagingTransfers = *wanted.Enabled
		}
		if wanted.TransferNotesEnabled != nil {
			s.TransferNotes = *wanted.TransferNotesEnabled
		}
	})
	return renderSettings(settings), err
}
