package web_test

import (
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/batontest"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
)

var _ commands.Conversations = (*batontest.Engine)(nil)

// enableTransfers enables transfers and notes.
func (p *pages) enableTransfers() {
	p.t.Helper()
	_, err := desk.SetSettings(p.t.Context(), p.desk, "carol", func(s *conversation.Settings) { s.MessagingTransfers, s.TransferNotes = true, true })
	require.NoError(p.t, err)
}

// offered starts a conversation that is offered to alice; accepted starts one that she has.
func (p *pages) offered(customer string) string {
	p.t.Helper()
	sid, err := p.engine.Start(p.t.Context(), conversation.StartCommand{
		Channel: conversation.ChannelWeb, Queue: "support", Customer: conversation.Customer{Name: customer},
	})
	require.NoError(p.t, err)
	require.True(p.t, p.state(sid).Tasks[0].OfferedTo("alice"))
	return sid
}

func (p *pages) accepted(customer string) string {
	p.t.Helper()
	sid := p.offered(customer)
	p.do(sid, conversation.AcceptCommand{Agent: "alice"})
	return sid
}

// do sends a command to a conversation, and requires that it succeeds.
func (p *pages) do(sid string, command conversation.Command) {
	p.t.Helper()
	_, err := p.engine.Send(p.t.Context(), sid, command)
	require.NoError(p.t, err)
}

func (p *pages) state(sid string) conversation.Record {
	p.t.Helper()
	record, err := p.engine.State(p.t.Context(), sid)
	require.NoError(p.t, err)
	return record
}

// conversations returns all conversations of the desk, the newest first.
func (p *pages) conversations() []records.Match {
	p.t.Helper()
	found, err := records.ConversationPage(p.t.Context(), p.desk, records.Filter{}, "", desk.Page{Limit: 100})
	require.NoError(p.t, err)
	return found.Entries
}

// texts returns the messages of a conversation.
func (p *pages) texts(sid string) (texts []string) {
	p.t.Helper()
	thread, err := records.ReadThread(p.t.Context(), p.desk, sid, records.AsSystem(), records.Window{Limit: 1000})
	require.NoError(p.t, err)
	for _, m := range thread.Messages {
		texts = append(texts, m.Text)
	}
	return texts
}
