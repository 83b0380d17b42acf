package conversation_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

func TestPayloadsThatAreNone(t *testing.T) {
	t.Parallel()
	names := append(conversation.ServiceCommands(), conversation.CommandStart, conversation.CommandReserve)
	for _, name := range names {
		for what, payload := range map[string]string{
			"absent": "", "blank": "  \n", "null": "null", "an array": `[{"agent":"bob"}]`, "a string": `"bob"`, "a number": "17", "true": "true",
			"cut off": `{"agent":`, "two": `{"agent":"bob"}{"agent":"bob"}`, "followed by words": `{} please`,
		} {
			command, err := conversation.Decode(name, []byte(payload), "u1")
			require.Nil(t, command, "%s, %s", name, what)
			require.Equal(t, conversation.CodeInvalidPayload, codeOf(err), "%s, %s", name, what)
			require.Contains(t, err.Error(), string(name), "it says which command")
			require.Contains(t, err.Error(), "docs/messages.md", "and where to read on")
		}
	}
}

func TestNamesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, name := range []conversation.CommandName{"", "Accept", "acept", "expire"} {
		_, err := conversation.Decode(name, []byte(`{}`), "")
		require.Equal(t, conversation.CodeInvalidPayload, codeOf(err))
		require.Contains(t, err.Error(), "transfer, accept, decline, wrapup, end, cancel, move, close", "it lists the valid ones")
	}
}

func TestFieldsOfAWrongType(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, payload, field string }{
		{"accept", `{"agent":17}`, "agent"},
		{"accept", `{"agent":{"name":"bob"}}`, "agent"},
		{"accept", `{"agent":"bob","task":["WT1"]}`, "task"},
		{"accept", `{"agent":"bob","command_id":17}`, "command_id"},
		{"close", `{"by":true}`, "by"},
		{"transfer", `{"from":"alice","to":"bob"}`, "to"},
		{"transfer", `{"from":"alice","to":{"agent":17}}`, "to.agent"},
		{"reserve", `{"placement":"1"}`, "placement"},
		{"reserve", `{"placement":1.5}`, "placement"},
		{"start", `{"customer":"Crystal"}`, "customer"},
		{"start", `{"attributes":"none"}`, "attributes"},
	} {
		_, err := conversation.Decode(conversation.CommandName(test.name), []byte(test.payload), "")
		var refusal *conversation.Refusal
		require.ErrorAs(t, err, &refusal, test.payload)
		require.Equal(t, conversation.CodeInvalidPayload, refusal.Code)
		require.Equal(t, test.field, refusal.Details.Field)
		require.Contains(t, refusal.Message, `"`+test.field+`"`)
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	t.Parallel()
	command, err := conversation.Decode(conversation.CommandAccept, []byte(` {"agent":"bob","mood":"sunny","task":null} `), "")
	require.NoError(t, err)
	require.Equal(t, conversation.AcceptCommand{Agent: "bob"}, command)
}

func TestDecodedCommands(t *testing.T) {
	t.Parallel()
	meta := conversation.Meta{CommandID: "c1", By: "carol"}
	for _, want := range []conversation.Command{
		conversation.TransferCommand{From: "alice", To: conversation.Target{Agent: "bob"}, Mode: conversation.ModeCold, Note: "Hi", Meta: meta},
		conversation.TransferCommand{From: "alice", To: conversation.Target{Queue: "billing"}},
		conversation.AcceptCommand{Agent: "bob", Task: "WT1", Meta: meta},
		conversation.DeclineCommand{Agent: "bob", Task: "WT1", Reason: "lunch", Meta: meta},
		conversation.WrapupCommand{Agent: "bob", Task: "WT1", Disposition: "sold", Note: "Hi", Meta: meta},
		conversation.EndCommand{Agent: "bob", Task: "WT1", Meta: meta},
		conversation.CancelCommand{Agent: "alice", Transfer: "UX1", Meta: meta},
		conversation.MoveCommand{Task: "WT1", To: conversation.Target{Queue: "billing"}, Meta: meta},
		conversation.CloseCommand{Reason: "bye", Meta: meta},
		conversation.ReserveCommand{Task: "WT1", Agent: "bob", PendingSeq: 3, Reservation: "WR1", Meta: meta},
		conversation.StartCommand{Conversation: storyConversation, Channel: "web", Queue: "support", Attributes: conversation.Attributes{"a": json.RawMessage("1")}},
	} {
		payload, err := json.Marshal(want)
		require.NoError(t, err)
		got, err := conversation.Decode(want.Name(), payload, "")
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.NotEmpty(t, want.Name().Description())
	}
}

func TestAnUpdatesIDServesWhereTheCommandHasNone(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]string{`{"agent":"bob"}`: "u1", `{"agent":"bob","command_id":"c1"}`: "c1"} {
		command, err := conversation.Decode(conversation.CommandAccept, []byte(payload), "u1")
		require.NoError(t, err)
		require.Equal(t, conversation.AcceptCommand{Agent: "bob", Meta: conversation.Meta{CommandID: want}}, command)
	}
}

// TestFieldsOutOfBounds checks fields that are refused in every state.
func TestFieldsOutOfBounds(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 256)
	target := conversation.Target{Agent: "bob"}
	start := func(change func(*conversation.StartCommand)) conversation.StartCommand {
		c := conversation.StartCommand{Conversation: storyConversation, Channel: "web", Queue: "support"}
		change(&c)
		return c
	}
	for _, test := range []struct {
		command     conversation.Command
		field, says string
	}{
		{conversation.TransferCommand{To: target}, "from", "missing"},
		{conversation.TransferCommand{From: "alice"}, "to", "either an agent or a queue"},
		{conversation.TransferCommand{From: "alice", To: conversation.Target{Agent: "bob", Queue: "billing"}}, "to", "either an agent or a queue"},
		{conversation.TransferCommand{From: "alice", To: conversation.Target{Agent: long}}, "to.agent", "at most 255"},
		{conversation.TransferCommand{From: "alice", To: target, Mode: "tepid"}, "mode", "use cold"},
		{conversation.TransferCommand{From: "alice", To: target, Note: " \n"}, "note", "leave it out"},
		{conversation.TransferCommand{From: "alice", To: target, Note: strings.Repeat("é", 2001)}, "note", "at most 2000"},
		{conversation.TransferCommand{From: "alice", To: target, Meta: conversation.Meta{By: long}}, "by", "at most 255"},
		{conversation.AcceptCommand{}, "agent", "missing"},
		{conversation.AcceptCommand{Agent: "bob", Meta: conversation.Meta{CommandID: strings.Repeat("c", 1001)}}, "command_id", "at most 1000"},
		{conversation.DeclineCommand{}, "agent", "missing"},
		{conversation.DeclineCommand{Agent: "bob", Reason: long}, "reason", "at most 255"},
		{conversation.WrapupCommand{}, "agent", "missing"},
		{conversation.WrapupCommand{Agent: "bob", Disposition: long}, "disposition", "at most 255"},
		{conversation.WrapupCommand{Agent: "bob", Note: strings.Repeat("n", 2001)}, "note", "at most 2000"},
		{conversation.EndCommand{}, "agent", "missing"},
		{conversation.CancelCommand{}, "agent", "missing"},
		{conversation.MoveCommand{}, "to", "either an agent or a queue"},
		{conversation.CloseCommand{Reason: long}, "reason", "at most 255"},
		{conversation.ReserveCommand{Agent: "bob"}, "task", "missing"},
		{conversation.ReserveCommand{Task: "WT1"}, "agent", "missing"},
		{conversation.ReserveCommand{Task: "WT1", Agent: "bob", Reservation: "WR1"}, "reservation", "32 lower-case hex digits"},
		{start(func(c *conversation.StartCommand) { c.Conversation = "CH1" }), "conversation", "32 lower-case hex digits"},
		{start(func(c *conversation.StartCommand) { c.Channel = "fax" }), "channel", "use one of web, sms, whatsapp, messenger, chat, email"},
		{start(func(c *conversation.StartCommand) { c.Queue = "" }), "queue", "missing"},
		{start(func(c *conversation.StartCommand) { c.Priority = -1 }), "priority", "negative"},
		{start(func(c *conversation.StartCommand) { c.Customer.Name = long }), "customer.name", "at most 255"},
		{start(func(c *conversation.StartCommand) { c.Customer.Address = long }), "customer.address", "at most 255"},
		{start(func(c *conversation.StartCommand) { c.Attributes = attributesOf(4097) }), "attributes", "4096"},
	} {
		var refusal *conversation.Refusal
		require.ErrorAs(t, (&conversation.State{Status: conversation.ConversationClosed}).Check(test.command, monday), &refusal,
			"the payload is checked before the conversation: %v", test.command)
		require.Equal(t, conversation.CodeInvalidPayload, refusal.Code)
		require.Equal(t, test.field, refusal.Details.Field)
		require.Contains(t, refusal.Message, test.says)
	}
}

func TestFieldsJustWithinBounds(t *testing.T) {
	t.Parallel()
	s := tell(t, aliceHasIt)
	require.NoError(t, s.send(conversation.TransferCommand{
		From: "alice", To: conversation.Target{Agent: "bob"}, Note: strings.Repeat("é", conversation.MaxNote),
		Meta: conversation.Meta{CommandID: strings.Repeat("c", 1000), By: strings.Repeat("é", conversation.MaxText)},
	}))
	s = tell(t, "later 1s")
	require.NoError(t, s.send(conversation.StartCommand{
		Conversation: storyConversation, Channel: "web", Queue: "support", Attributes: attributesOf(conversation.MaxAttributes),
	}))
}

// attributesOf returns attributes of that many characters. They take more bytes, and more still when the JSON is
// escaped for HTML.
func attributesOf(characters int) conversation.Attributes {
	value := `"<é>` + strings.Repeat("é", characters-len(`{"a":""}`)-3) + `"`
	return conversation.Attributes{"a": json.RawMessage(value)}
}

func TestEnormousInputIsRefusedInFewWords(t *testing.T) {
	t.Parallel()
	enormous := strings.Repeat("x", 100_000)
	for name, payload := range map[conversation.CommandName]string{
		conversation.CommandAccept:   `{"agent":"alice","task":"` + enormous + `"}`,
		conversation.CommandDecline:  `{"agent":"alice","task":"` + enormous + `"}`,
		conversation.CommandWrapup:   `{"agent":"alice","task":"` + enormous + `"}`,
		conversation.CommandEnd:      `{"agent":"alice","task":"` + enormous + `"}`,
		conversation.CommandCancel:   `{"agent":"alice","transfer":"` + enormous + `"}`,
		conversation.CommandMove:     `{"task":"` + enormous + `","to":{"queue":"billing"}}`,
		conversation.CommandTransfer: `{"from":"alice","to":{"queue":"billing"},"mode":"` + enormous + `"}`,
		conversation.CommandReserve:  `{"task":"` + enormous + `","agent":"alice"}`,
		conversation.CommandClose:    `{"by":"` + enormous + `"}`,
	} {
		command, err := conversation.Decode(name, []byte(payload), "")
		require.NoError(t, err)
		refusal := tell(t, aliceHasIt).state.Check(command, monday)
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(refusal), name)
		require.Less(t, len(refusal.Error()), 300, name)
	}
	_, err := conversation.Decode(conversation.CommandName(enormous), []byte(`{}`), "")
	require.Less(t, len(err.Error()), 300)
}

func TestWhatNoDatabaseKeepsIsRefused(t *testing.T) {
	t.Parallel()
	for name, payload := range map[conversation.CommandName]string{
		conversation.CommandTransfer: `{"from":"alice","to":{"queue":"billing"},"note":"a\u0000b"}`,
		conversation.CommandWrapup:   `{"agent":"alice","disposition":"a\u0000b"}`,
		conversation.CommandStart:    `{"conversation":"` + storyConversation + `","channel":"web","queue":"support","attributes":{"k":"a\u0000b"}}`,
	} {
		command, err := conversation.Decode(name, []byte(payload), "")
		require.NoError(t, err)
		refusal := tell(t, aliceHasIt).state.Check(command, monday)
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(refusal), name)
		require.ErrorContains(t, refusal, "U+0000")
	}
}

func TestAConversationTheDeskKnowsIsNotStartedAnew(t *testing.T) {
	t.Parallel()
	command, err := conversation.Decode(conversation.CommandStart,
		[]byte(`{"conversation":"`+storyConversation+`","channel":"web","queue":"support"}`), "")
	require.NoError(t, err)
	state := &conversation.State{}
	_, err = state.Apply(command, &conversation.Facts{QueueKnown: true, QueueMembers: 1, ConversationKnown: true}, monday)
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err))
	require.ErrorContains(t, err, "was started before")
}

func TestIdentifiedKeepsAnIDOfItsOwn(t *testing.T) {
	t.Parallel()
	named, err := conversation.Identified(conversation.AcceptCommand{Agent: "alice", Meta: conversation.Meta{CommandID: "mine"}}, "other")
	require.NoError(t, err)
	require.Equal(t, "mine", named.(conversation.AcceptCommand).CommandID)
	given, err := conversation.Identified(conversation.AcceptCommand{Agent: "alice"}, "other")
	require.NoError(t, err)
	require.Equal(t, conversation.AcceptCommand{Agent: "alice", Meta: conversation.Meta{CommandID: "other"}}, given)
}

func TestNamesOfAgentsAndQueues(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{"zoe x", " zoe", "zoe ", "Zoe", "zoë", "-zoe", ".zoe", "zoe\n", "zoe\u202e", "zoe~", strings.Repeat("z", 65)} {
		for field, payload := range map[string]map[string]any{
			"transfer from": {"from": wrong, "to": map[string]string{"queue": "billing"}},
			"accept agent":  {"agent": wrong}, "decline agent": {"agent": wrong}, "wrapup agent": {"agent": wrong},
			"end agent": {"agent": wrong}, "cancel agent": {"agent": wrong},
			"reserve agent":     {"agent": wrong, "task": "T", "placement": 1},
			"transfer to.agent": {"from": "alice", "to": map[string]string{"agent": wrong}},
			"transfer to.queue": {"from": "alice", "to": map[string]string{"queue": wrong}},
			"move to.agent":     {"to": map[string]string{"agent": wrong}},
			"move to.queue":     {"to": map[string]string{"queue": wrong}},
		} {
			command, field, _ := strings.Cut(field, " ")
			s := tell(t, aliceHasIt)
			if command == "reserve" || command == "move" {
				s = tell(t, "start")
			}
			encoded, err := json.Marshal(payload)
			require.NoError(t, err)
			decoded, err := conversation.Decode(conversation.CommandName(command), encoded, "")
			require.NoError(t, err)
			before := s.state.Revision
			_, err = s.state.Apply(decoded, factsOf(bothSwitchesOn(), true), s.now)
			refusal, ok := errors.AsType[*conversation.Refusal](err)
			require.True(t, ok, "%s %q: %v", command, wrong, err)
			require.Equal(t, conversation.CodeInvalidPayload, refusal.Code, "%s %q", command, wrong)
			require.Equal(t, field, refusal.Details.Field)
			require.Contains(t, refusal.Message, "is not a name")
			require.Equal(t, before, s.state.Revision)
		}
		for _, start := range []conversation.StartCommand{{Queue: wrong}, {Queue: "support", Agent: wrong}} {
			start.Conversation, start.Channel = conversation.SIDOf(conversation.PrefixConversation, uuid.Nil), conversation.ChannelWeb
			var state conversation.State
			query, err := state.Ask(start, monday)
			require.NoError(t, err, "the desk is asked first, so that recorded histories replay")
			require.NotNil(t, query)
			_, err = state.Apply(start, factsOf(bothSwitchesOn(), true), monday)
			require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err), wrong)
		}
	}
}
