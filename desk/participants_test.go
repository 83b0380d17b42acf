package desk_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/desk/desktest"
)

func testDrafts(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	h.Staff("support", "alice")
	sid, err := desk.OpenDraft(ctx, h.Desk, desk.Draft{SID: desktest.NewSID(), Channel: conversation.ChannelChat, Details: desk.Details{UniqueName: "order-17", Attributes: `{"a":1}`}})
	require.NoError(t, err)
	again, err := desk.OpenDraft(ctx, h.Desk, desk.Draft{SID: sid, Channel: conversation.ChannelChat, Details: desk.Details{FriendlyName: "another"}})
	require.NoError(t, err)
	require.Equal(t, sid, again)
	_, err = desk.Say(ctx, h.Desk, desk.NewMessage{Conversation: sid, From: desk.FromCustomer, Text: "hello"})
	require.NoError(t, err, "the customer may write before an agent is there")
	_, err = desk.AddParticipant(ctx, h.Desk, desk.Participant{Conversation: sid, Address: "+15551234567", ProxyAddress: "+15557654321"})
	require.NoError(t, err)

	shown, err := desk.FindConversation(ctx, h.Desk, sid)
	require.NoError(t, err)
	require.True(t, shown.IsDraft())
	found, err := desk.ConversationPage(ctx, h.Desk, desk.Filter{}, "", desk.Page{})
	require.NoError(t, err)
	require.Empty(t, found.Entries, "it is no conversation yet")
	facts, err := desk.ReadFacts(ctx, h.Desk, conversation.FactsQuery{Conversation: sid, Command: conversation.CommandStart, Queue: "support"})
	require.NoError(t, err)
	require.False(t, facts.ConversationKnown, "and may be started under its SID")

	h.Clock.Advance(time.Hour)
	h.Start("support", func(c *conversation.StartCommand) { c.Conversation = sid }).Follow()
	shown, err = desk.FindConversation(ctx, h.Desk, sid)
	require.NoError(t, err)
	require.False(t, shown.IsDraft())
	require.Equal(t, 1, shown.Messages, "what was written before is kept")
	require.NoError(t, desk.CloseDraft(ctx, h.Desk, sid))
	require.Equal(t, conversation.ConversationActive, shown.Status, "a started one isn't closed as a draft")
	named, err := desk.ConversationNamed(ctx, h.Desk, "order-17")
	require.NoError(t, err)
	require.Equal(t, sid, named)

	other, err := desk.OpenDraft(ctx, h.Desk, desk.Draft{Channel: conversation.ChannelChat})
	require.NoError(t, err)
	_, err = desk.SetDetails(ctx, h.Desk, other, func(d *desk.Details) { d.UniqueName = "order-17" })
	refusedWith(t, conversation.CodeInvalidPayload, err, "already")
	err = desk.SetDraft(ctx, h.Desk, other, conversation.ChannelSMS, conversation.Customer{Name: "Crystal"}, func(d *desk.Details) { d.UniqueName = "order-17" })
	refusedWith(t, conversation.CodeInvalidPayload, err, "already")
	shown, err = desk.FindConversation(ctx, h.Desk, other)
	require.NoError(t, err)
	require.Equal(t, conversation.ChannelChat, shown.Channel, "a refused change changes nothing")
	require.Empty(t, shown.Customer.Name)
	require.NoError(t, desk.SetDraft(ctx, h.Desk, other, conversation.ChannelSMS, conversation.Customer{Name: "Crystal"}, func(d *desk.Details) { d.ContextSID = "one" }))
	shown, err = desk.FindConversation(ctx, h.Desk, other)
	require.NoError(t, err)
	require.Equal(t, conversation.ChannelSMS, shown.Channel)
	details, err := desk.ReadDetails(ctx, h.Desk, other)
	require.NoError(t, err)
	require.Equal(t, "one", details.ContextSID)
	require.NoError(t, desk.CloseDraft(ctx, h.Desk, other))
	facts, err = desk.ReadFacts(ctx, h.Desk, conversation.FactsQuery{Conversation: other, Command: conversation.CommandStart, Queue: "support"})
	require.NoError(t, err)
	require.True(t, facts.ConversationKnown, "a closed draft isn't started any more")
}

func testParticipants(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	sid, err := desk.OpenDraft(ctx, h.Desk, desk.Draft{Channel: conversation.ChannelChat})
	require.NoError(t, err)
	added, err := desk.AddParticipant(ctx, h.Desk, desk.Participant{Conversation: sid, Identity: "crystal"})
	require.NoError(t, err)
	same, err := desk.AddParticipant(ctx, h.Desk, added)
	require.NoError(t, err)
	require.Equal(t, added, same, "the same one again")
	_, err = desk.AddParticipant(ctx, h.Desk, desk.Participant{Conversation: sid, Identity: "crystal"})
	refusedWith(t, conversation.CodeInvalidPayload, err, "already")
	_, err = desk.AddParticipant(ctx, h.Desk, desk.Participant{Conversation: sid})
	refusedWith(t, conversation.CodeInvalidPayload, err, "either")
	_, err = desk.AddParticipant(ctx, h.Desk, desk.Participant{Conversation: sid, Identity: "a", Address: "b"})
	refusedWith(t, conversation.CodeInvalidPayload, err, "either")
	changed, err := desk.UpdateParticipant(ctx, h.Desk, sid, added.SID, func(p *desk.Participant) { p.Attributes = `{"vip":true}` })
	require.NoError(t, err)
	require.JSONEq(t, `{"vip":true}`, changed.Attributes)
	require.NoError(t, desk.RemoveParticipant(ctx, h.Desk, sid, added.SID))
	refusedWith(t, conversation.CodeInvalidPayload, desk.RemoveParticipant(ctx, h.Desk, sid, added.SID), "has no participant")
}

func testChangedMessages(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	h.Staff("support", "alice")
	th := h.Start("support").Follow()
	first, err := desk.Say(ctx, h.Desk, desk.NewMessage{Conversation: th.SID, From: desk.FromCustomer, Text: "hello", Attributes: `{"mood":"good"}`})
	require.NoError(t, err)
	second, err := desk.Say(ctx, h.Desk, desk.NewMessage{Conversation: th.SID, From: desk.FromCustomer, Text: "my card is 4111"})
	require.NoError(t, err)
	changed, err := desk.UpdateMessage(ctx, h.Desk, th.SID, second.SID, desk.MessageChange{Text: new("my card is ****")})
	require.NoError(t, err)
	require.Equal(t, "my card is ****", changed.Text)
	require.False(t, changed.UpdatedAt.IsZero())
	_, err = desk.UpdateMessage(ctx, h.Desk, th.SID, second.SID, desk.MessageChange{Text: new(" ")})
	refusedWith(t, conversation.CodeInvalidPayload, err, "empty")
	require.NoError(t, desk.RemoveMessage(ctx, h.Desk, th.SID, first.SID))
	_, err = desk.FindMessage(ctx, h.Desk, th.SID, first.SID, desk.AsSystem())
	refusedWith(t, conversation.CodeInvalidPayload, err, "no message")
	transcript, err := desk.ReadTranscript(ctx, h.Desk, th.SID, desk.AsSystem())
	require.NoError(t, err)
	require.Len(t, transcript, 1)
	require.Equal(t, 2, transcript[0].Number, "the numbers of the others stay")
}
