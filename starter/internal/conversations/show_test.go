package conversations

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/starter/internal/cli"
)

// TestTablesShowFriendlyNames checks that tables show friendly names and the unique names that commands take.
func TestTablesShowFriendlyNames(t *testing.T) {
	t.Parallel()
	known := cli.Names{Of: desk.Names{Agents: map[string]string{"ivan": "Иван", "bob": "bob"}, Queues: map[string]string{"sales": "מכירות\u202e"}}}
	to := conversation.Target{Queue: "sales"}
	record := conversation.Record{State: conversation.State{
		Status: conversation.ConversationActive,
		Tasks: []*conversation.Task{
			{Status: conversation.TaskAssigned, Agent: "ivan", Queue: "sales"},
			{Status: conversation.TaskPending, Queue: "sales"},
		},
		Transfers: []*conversation.Transfer{{Status: conversation.TransferActive, From: "ivan", To: to, AcceptedBy: "bob"}},
	}}
	outcome := conversation.Outcome{Task: record.Tasks[0], ConversationStatus: conversation.ConversationActive}
	for says, show := range map[string]func(io.Writer){
		"מכירות (sales)  Иван (ivan)  ":                   func(w io.Writer) { ShowRecord(w, record, known) },
		"Иван (ivan)  queue מכירות (sales)  bob":          func(w io.Writer) { ShowRecord(w, record, known) },
		"Иван (ivan) assigned; pending in מכירות (sales)": func(w io.Writer) { showStep(w, record, known) },
		"transfer Иван (ivan) → queue מכירות (sales)":     func(w io.Writer) { showStep(w, record, known) },
		"is assigned (Иван (ivan))":                       func(w io.Writer) { fmt.Fprintln(w, OutcomeSentence(outcome, known)) },
		"Иван (ivan): Привет": func(w io.Writer) {
			showTranscript(w, []records.Message{{From: "ivan", Text: "Привет"}}, nil, known)
		},
		"customer: Hello": func(w io.Writer) { showTranscript(w, []records.Message{{From: "customer", Text: "Hello"}}, nil, known) },
		"note of Иван (ivan) (transfer): Over to you": func(w io.Writer) {
			showTranscript(w, nil, []conversation.Note{{Author: "ivan", Kind: "transfer", Text: "Over to you"}}, known)
		},
		"Иван (ivan),מכירות (sales)": func(w io.Writer) {
			showFound(w, []records.Match{{Conversation: records.Conversation{Live: []conversation.Task{*record.Tasks[0], *record.Tasks[1]}}, Excerpt: &records.Excerpt{}}}, known)
		},
		"gone": func(w io.Writer) { showTranscript(w, []records.Message{{From: "gone", Text: "."}}, nil, known) },
	} {
		var out bytes.Buffer
		c := &cli.Env{Stdout: &out}
		require.NoError(t, c.Print(nil, show))
		require.Contains(t, out.String(), says)
		require.NotContains(t, out.String(), "\u202e")
	}
	require.Equal(t, "bob,Иван (ivan)", known.Agents([]string{"bob", "ivan"}))
}
