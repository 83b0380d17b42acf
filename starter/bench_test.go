package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/deskload"
	"github.com/baton-transfers/baton/internal/people"
)

// TestMain is also the program that `baton bench desk` starts.
func TestMain(m *testing.M) {
	if deskload.IsCaller(os.Args) {
		os.Exit(call(context.Background()))
	}
	os.Exit(m.Run())
}

func TestADeskAloneIsMeasured(t *testing.T) {
	t.Parallel()
	baton := starting(t, func(*desk.Desk) {})
	load := []string{"--callers", "4", "--processes", "2", "--for", "500ms"}
	database := "sqlite:" + filepath.Join(t.TempDir(), "bench.db")
	code, out, said := baton(append([]string{"bench", "desk", database, "--json"}, load...)...)
	require.Equal(t, exitDone, code, said)
	var found deskload.Figures
	require.NoError(t, json.Unmarshal([]byte(out), &found))
	require.Positive(t, found.Conversations)
	require.Zero(t, found.Faults)

	code, _, said = baton(append([]string{"bench", "desk", database}, load...)...)
	require.Equal(t, exitRefused, code)
	require.Contains(t, said, "name an empty one", "it would change a desk in use")

	code, out, said = baton(append([]string{"bench", "desk", filepath.Join(t.TempDir(), "bench.db")}, load...)...)
	require.Equal(t, exitDone, code, said)
	require.Regexp(t, `\d+ conversations in [\d.]+ s`, out)
	require.Regexp(t, `faults +0`, out)

	code, _, said = baton("bench", "desk", database, "--agents", "few")
	require.Equal(t, exitUsage, code, said)
}

// TestADeskInUseIsLeftAlone checks that the load refuses a desk with agents.
func TestADeskInUseIsLeftAlone(t *testing.T) {
	t.Parallel()
	database := filepath.Join(t.TempDir(), "desk.db")
	d, err := desk.Open(t.Context(), database, desk.Options{})
	require.NoError(t, err)
	require.NoError(t, people.AddAgent(t.Context(), d, people.NewAgent{Name: "alice"}))
	baton := starting(t, func(*desk.Desk) {})
	code, _, said := baton("bench", "desk", database)
	require.Equal(t, exitRefused, code)
	require.Contains(t, said, "was left as it is")
	queues, err := people.ListQueues(t.Context(), d)
	require.NoError(t, err)
	require.Empty(t, queues)
	require.NoError(t, d.Close())
}
