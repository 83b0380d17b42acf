package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/insights"
)

// TestNamesControlNoTerminal prints names with control characters.
func TestNamesControlNoTerminal(t *testing.T) {
	t.Parallel()
	const name = "Éric \u202egnp\u001b[31m \u009b31m 👩\u200d💻 張偉"
	var out bytes.Buffer
	c := &cli{stdout: &out}
	require.NoError(t, c.print(nil, func(w io.Writer) {
		fmt.Fprintln(w, name)
		table(w, []string{"NAME"}, [][]string{{oneLine(name + "\nnext")}})
	}))
	require.Equal(t, "Éric gnp[31m 31m 👩\u200d💻 張偉\nNAME\nÉric gnp[31m 31m 👩\u200d💻 張偉 next\n", out.String())

	out.Reset()
	c.json = true
	require.NoError(t, c.print(map[string]string{"name": name}, nil))
	require.NotContains(t, out.String(), "\u202e")
	require.NotContains(t, out.String(), "\u009b")
	var read map[string]string
	require.NoError(t, json.Unmarshal(out.Bytes(), &read))
	require.Equal(t, name, read["name"], "programs read what is there")
}

// TestTablesShowFriendlyNames checks that tables show friendly names and the unique names that commands take.
func TestTablesShowFriendlyNames(t *testing.T) {
	t.Parallel()
	known := names{desk.Names{Agents: map[string]string{"ivan": "Иван", "bob": "bob"}, Queues: map[string]string{"sales": "מכירות\u202e"}}}
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
		"מכירות (sales)  Иван (ivan)  ":                   func(w io.Writer) { showRecord(w, record, known) },
		"Иван (ivan)  queue מכירות (sales)  bob":          func(w io.Writer) { showRecord(w, record, known) },
		"Иван (ivan) assigned; pending in מכירות (sales)": func(w io.Writer) { showStep(w, record, known) },
		"transfer Иван (ivan) → queue מכירות (sales)":     func(w io.Writer) { showStep(w, record, known) },
		"is assigned (Иван (ivan))":                       func(w io.Writer) { fmt.Fprintln(w, outcomeSentence(outcome, known)) },
		"Иван (ivan): Привет":                             func(w io.Writer) { showTranscript(w, []desk.Message{{From: "ivan", Text: "Привет"}}, nil, known) },
		"customer: Hello":                                 func(w io.Writer) { showTranscript(w, []desk.Message{{From: "customer", Text: "Hello"}}, nil, known) },
		"note of Иван (ivan) (transfer): Over to you": func(w io.Writer) {
			showTranscript(w, nil, []conversation.Note{{Author: "ivan", Kind: "transfer", Text: "Over to you"}}, known)
		},
		"Иван (ivan),מכירות (sales)": func(w io.Writer) {
			showFound(w, []desk.Match{{Conversation: desk.Conversation{Live: []conversation.Task{*record.Tasks[0], *record.Tasks[1]}}, Excerpt: &desk.Excerpt{}}}, known)
		},
		"gone": func(w io.Writer) { showTranscript(w, []desk.Message{{From: "gone", Text: "."}}, nil, known) },
	} {
		var out bytes.Buffer
		c := &cli{stdout: &out}
		require.NoError(t, c.print(nil, show))
		require.Contains(t, out.String(), says)
		require.NotContains(t, out.String(), "\u202e")
	}
	require.Equal(t, "bob,Иван (ivan)", known.agents([]string{"bob", "ivan"}))
}

// TestCSVControlsNoTerminal prints, as CSV, names that an earlier build accepted. A terminal gets no control
// characters, a program gets the unchanged text.
func TestCSVControlsNoTerminal(t *testing.T) {
	t.Parallel()
	report := insights.Report{Agents: []insights.Group{{Name: "eve\u001b[31m\u202e", FriendlyName: "\u200b=cmd|' /C calc'!A0"}}}
	var terminal, program bytes.Buffer
	require.NoError(t, writeCSV(&terminal, report, true))
	require.Contains(t, terminal.String(), "agent,eve[31m,")
	require.Contains(t, terminal.String(), ",'=cmd|' /C calc'!A0\n")
	require.NoError(t, writeCSV(&program, report, false))
	require.Contains(t, program.String(), "agent,eve\u001b[31m\u202e,")
	require.Contains(t, program.String(), ",'\u200b=cmd")
}

func TestNamesToBeAdded(t *testing.T) {
	t.Parallel()
	for given, want := range map[string][2]string{
		"alice": {"alice", ""}, "Dave": {"Dave", ""}, "Иван": {"", "Иван"}, "Billing Team": {"", "Billing Team"},
	} {
		unique, shown := namesOf(given, "")
		require.Equal(t, want, [2]string{unique, shown})
	}
	unique, shown := namesOf("ivan", "Иван")
	require.Equal(t, []string{"ivan", "Иван"}, []string{unique, shown})
}
