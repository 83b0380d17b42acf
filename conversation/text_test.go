package conversation_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

func TestWhatTheDeskCannotStoreIsRefused(t *testing.T) {
	t.Parallel()
	start := conversation.StartCommand{Conversation: "CH0123456789abcdef0123456789abcdef", Channel: conversation.ChannelWeb, Queue: "support"}
	with := func(change func(*conversation.StartCommand)) conversation.StartCommand {
		changed := start
		change(&changed)
		return changed
	}
	for _, test := range []struct {
		field   string
		command conversation.Command
	}{
		{"queue", with(func(c *conversation.StartCommand) { c.Queue = "\xff" })},
		{"customer.name", with(func(c *conversation.StartCommand) { c.Customer.Name = "M\xfcller" })},
		{"attributes", with(func(c *conversation.StartCommand) {
			c.Attributes = conversation.Attributes{"a": json.RawMessage("\"\xed\xa0\x80\"")}
		})},
		{"attributes", with(func(c *conversation.StartCommand) {
			c.Attributes = conversation.Attributes{"\xff": json.RawMessage(`1`)}
		})},
		{"priority", with(func(c *conversation.StartCommand) { c.Priority = conversation.MaxPriority + 1 })},
		{"to.agent", conversation.TransferCommand{From: "alice", To: conversation.Target{Agent: "\xff\xfe"}}},
		{"note", conversation.TransferCommand{From: "alice", To: conversation.Target{Agent: "bob"}, Note: "caf\xe9"}},
		{"command_id", conversation.AcceptCommand{Agent: "bob", Meta: conversation.Meta{CommandID: "\xff"}}},
		{"reason", conversation.DeclineCommand{Agent: "bob", Reason: "\xff"}},
		{"reason", conversation.CloseCommand{Reason: "\xc0\x80"}},
		{"disposition", conversation.WrapupCommand{Agent: "bob", Disposition: "\xff"}},
	} {
		refusal, ok := errors.AsType[*conversation.Refusal](conversation.Storable(test.command))
		require.True(t, ok, "%v", test.command)
		require.Equal(t, conversation.CodeInvalidPayload, refusal.Code)
		require.Equal(t, test.field, refusal.Details.Field)
	}
	require.NoError(t, conversation.Storable(start))
	require.ErrorContains(t, conversation.Storable(with(func(c *conversation.StartCommand) { c.Priority = conversation.MaxPriority + 1 })), "at most 1073741824")
}

func TestInvalidTextIsFoundInJSON(t *testing.T) {
	t.Parallel()
	for document, field := range map[string]string{
		"{\"agent\":\"\xff\"}":                          "agent",
		"{\"agent\":\"a\",\"to\":{\"queue\":\"\xe4\"}}": "to.queue",
		"{\"attributes\":{\"a\":{\"b\":\"\xfc\"}}}":     "attributes",
		"{\"a\":{\"b\":{\"c\":\"\xfc\"}}}":              "a.b",
		"{\"list\":[\"\xfc\"]}":                         "list",
		"{\"\xfc\":1}":                                  "",
		"\"\xfc\"":                                      "",
		"{\"a\":1,\xff":                                 "",
	} {
		found, invalid := conversation.InvalidText([]byte(document))
		require.True(t, invalid, "%q", document)
		require.Equal(t, field, found, "%q", document)
	}
	deep := strings.Repeat(`{"a":`, 9_000) + "\"\xfc\"" + strings.Repeat("}", 9_000) // it would take seconds if each level were read again
	found, invalid := conversation.InvalidText([]byte(deep))
	require.True(t, invalid)
	require.Equal(t, "a.a", found)
	for _, document := range []string{`{"name":"Müller 張偉","a":"\ud800"}`, `{}`, ``, `[1]`} {
		_, invalid := conversation.InvalidText([]byte(document))
		require.False(t, invalid, "%q", document)
	}
}
