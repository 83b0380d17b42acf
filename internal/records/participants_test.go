package records_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
)

func testDrafts(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	h.Staff("support", "alice")
	sid, err := records.OpenDraft(ctx, h.Desk, records.Draft{SID: desktest.NewSID(), Channel: conversation.ChannelChat, Details: records.Details{UniqueName: "order-17", Attributes: `{"a":1}`}})
	require.NoError(t, err)
	again, err := records.OpenDraft(ctx, h.Desk, records.Draft{SID: sid, Channel: conversation.ChannelChat, Details: records.Details{FriendlyName: "another"}})
	require.NoError(t, err)
	require.Equal(t, sid, again)
	_, err = records.Say(ctx, h.Desk, records.NewMessage{Conversation: sid, From: records.FromCustomer, Text: "hello"})
	require.NoError(t, err, "the customer may write before an agent is there")
	_, err = records.AddParticipant(ctx, h.Desk, records.Participant{Conversation: sid, Address: "+15551234567", ProxyAddress: "+15557654321"})
	require.NoError(t, err)

	shown, err := records.FindConversation(ctx, h.Desk, sid)
	require.NoError(t, err)
	require.True(t, shown.IsDraft())
	found, err := records.ConversationPage(ctx, h.Desk, records.Filter{}, "", desk.Page{})
	require.NoError(t, err)
	require.Empty(t, found.Entries, "it is not a conversation yet")
	facts, err := routing.ReadFacts(ctx, h.Desk, conversation.FactsQuery{Conversation: sid, Command: conversation.CommandStart, Queue: "support"})
	require.NoError(t, err)
	require.False(t, facts.ConversationKnown, "and may be started under its SID")

	h.Clock.Advance(time.Hour)
	h.Start("support", func(c *conversation.StartCommand) { c.Conversation = sid }).Follow()
	shown, err = records.FindConversation(ctx, h.Desk, sid)
	require.NoError(t, err)
	require.False(t, shown.IsDraft())
	require.Equal(t, 1, shown.Messages, "what was written before is kept")
	require.NoError(t, records.CloseDraft(ctx, h.Desk, sid))
	require.Equal(t, conversation.ConversationActive, shown.Status, "a started one isn't closed as a draft")
	named, err := records.ConversationNamed(ctx, h.Desk, "order-17")
	require.NoError(t, err)
	require.Equal(t, sid, named)

	other, err := records.OpenDraft(ctx, h.Desk, records.Draft{Channel: conversation.ChannelChat})
	require.NoError(t, err)
	_, err = records.SetDetails(ctx, h.Desk, other, func(d *records.Details) { d.UniqueName = "order-17" })
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, err, "already")
	err = records.SetDraft(ctx, h.Desk, other, conversation.ChannelSMS, conversation.Customer{Name: "Crystal"}, func(d *records.Details) { d.UniqueName = "order-17" })
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, err, "already")
	shown, err = records.FindConversation(ctx, h.Desk, other)
	require.NoError(t, err)
	require.Equal(t, conversation.ChannelChat, shown.Channel, "a refused change changes nothing")
	require.Empty(t, shown.Customer.Name)
	require.NoError(t, records.SetDraft(ctx, h.Desk, other, conversation.ChannelSMS, conversation.Customer{Name: "Crystal"}, func(d *records.Details) { d.ContextSID = "one" }))
	shown, err = records.FindConversation(ctx, h.Desk, other)
	require.NoError(t, err)
	require.Equal(t, conversation.ChannelSMS, shown.Channel)
	details, err := records.ReadDetails(ctx, h.Desk, other)
	require.NoError(t, err)
	require.Equal(t, "one", details.ContextSID)
	require.NoError(t, records.CloseDraft(ctx, h.Desk, other))
	facts, err = routing.ReadFacts(ctx, h.Desk, conversation.FactsQuery{Conversation: other, Command: conversation.CommandStart, Queue: "support"})
	require.NoError(t, err)
	require.True(t, facts.ConversationKnown, "a closed draft isn't started any more")
}

func testParticipants(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	sid, err := records.OpenDraft(ctx, h.Desk, records.Draft{Channel: conversation.ChannelChat})
	require.NoError(t, err)
	added, err := records.AddParticipant(ctx, h.Desk, records.Participant{Conversation: sid, Identity: "crystal"})
	require.NoError(t, err)
	same, err := records.AddParticipant(ctx, h.Desk, added)
	require.NoError(t, err)
	require.Equal(t, added, same, "the same one again")
	_, err = records.AddParticipant(ctx, h.Desk, records.Participant{Conversation: sid, Identity: "crystal"})
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, err, "already")
	_, err = records.AddParticipant(ctx, h.Desk, records.Participant{Conversation: sid})
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, err, "either")
	_, err = records.AddParticipant(ctx, h.Desk, records.Participant{Conversation: sid, Identity: "a", Address: "b"})
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, err, "either")
	changed, err := records.UpdateParticipant(ctx, h.Desk, sid, added.SID, func(p *records.Participant) { p.Attributes = `{"vip":true}` })
	require.NoError(t, err)
	require.JSONEq(t, `{"vip":true}`, changed.Attributes)
	require.NoError(t, records.RemoveParticipant(ctx, h.Desk, sid, added.SID))
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, records.RemoveParticipant(ctx, h.Desk, sid, added.SID), "has no participant")
}

func testChangedMessages(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	h.Staff("support", "alice")
	th := h.Start("support").Follow()
	first, err := records.Say(ctx, h.Desk, records.NewMessage{Conversation: th.SID, From: records.FromCustomer, Text: "hello", Attributes: `{"mood":"good"}`})
	require.NoError(t, err)
	second, err := records.Say(ctx, h.Desk, records.NewMessage{Conversation: th.SID, From: records.FromCustomer, Text: "my card is 4111"})
	require.NoError(t, err)
	changed, err := records.UpdateMessage(ctx, h.Desk, th.SID, second.SID, records.MessageChange{Text: new("my card is ****")})
	require.NoError(t, err)
	require.Equal(t, "my card is ****", changed.Text)
	require.False(t, changed.UpdatedAt.IsZero())
	_, err = records.UpdateMessage(ctx, h.Desk, th.SID, second.SID, records.MessageChange{Text: new(" ")})
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, err, "empty")
	require.NoError(t, records.RemoveMessage(ctx, h.Desk, th.SID, first.SID))
	_, err = records.FindMessage(ctx, h.Desk, th.SID, first.SID, records.AsSystem())
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, err, "no message")
	transcript, err := records.ReadTranscript(ctx, h.Desk, th.SID, records.AsSystem())
	require.NoError(t, err)
	require.Len(t, transcript, 1)
	require.Equal(t, 2, transcript[0].Number, "the numbers of the others stay")
}
