package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/deskload"
	"github.com/baton-transfers/baton/internal/postgres/postgrestest"
)

// TestMain is also the program that a load starts for its callers.
func TestMain(m *testing.M) {
	if deskload.IsCaller(os.Args) {
		if err := deskload.Caller(context.Background(), os.Stdin, os.Stdout); err != nil {
			_, _ = os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// loaded runs a load and returns its figures, which have no faults.
func loaded(t *testing.T, args ...string) (figures deskload.Figures) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), append(args, "--for=1500ms", "--conversations=400"), &stdout, &stderr)
	if postgrestest.MayBeMissing(err) {
		t.Skip(err)
	}
	require.NoError(t, err, "%s%s", stdout.String(), stderr.String())
	require.Equal(t, 1, bytes.Count(stdout.Bytes(), []byte("\n")), "one line")
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &figures))
	require.Zero(t, figures.Faults)
	require.Positive(t, figures.Conversations)
	require.Positive(t, figures.Transferred)
	require.GreaterOrEqual(t, figures.Snapshots, 5*figures.Conversations+4*figures.Transferred, "a match may be delivered twice")
	require.Equal(t, figures.Conversations+figures.Transferred, figures.Matches)
	require.Positive(t, figures.Moments)
	require.Positive(t, figures.ConversationsRate)
	require.Positive(t, figures.SyncP99)
	return figures
}

func TestALoadOnSQLite(t *testing.T) {
	t.Parallel()
	t.Run("plenty of agents", func(t *testing.T) {
		t.Parallel()
		loaded(t, "--callers=8")
	})
	t.Run("scarce agents and two processes", func(t *testing.T) {
		t.Parallel()
		figures := loaded(t, "--callers=32", "--agents=scarce", "--queues=2", "--processes=2")
		require.Equal(t, 2, figures.Processes)
	})
}

func TestALoadOnPostgreSQL(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: no PostgreSQL server is started; make test runs these tests")
	}
	figures := loaded(t, "--database=postgres", "--callers=32", "--agents=scarce", "--queues=2", "--processes=2", "--latency=0.3")
	require.Positive(t, figures.Statements)
	require.Positive(t, figures.Trips)
}

func TestWrongFlagsAreRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--database=oracle"}, {"--callers=-1"}, {"--agents=few"}, {"--latency=1"}, {"--rounds=0"}, {"more"}, {"--against=/nowhere", "--for=1s"},
	} {
		require.Error(t, run(t.Context(), args, &bytes.Buffer{}, &bytes.Buffer{}), "%v", args)
	}
}

func TestAComparisonPrintsMediansAndRatios(t *testing.T) {
	t.Parallel()
	rate := func(rates ...float64) (figures []deskload.Figures) {
		for _, r := range rates {
			figures = append(figures, deskload.Figures{ConversationsRate: r})
		}
		return figures
	}
	var out bytes.Buffer
	require.NoError(t, report(&out, "../other", rate(30, 90, 60), rate(10, 30, 30)))
	require.Regexp(t, `conversations a second +60\.00 +30\.00 +3\.00\n`, out.String())
	require.NotContains(t, out.String(), "CPU", "it was not measured")
	require.Regexp(t, `faults +0\.00 +0\.00`, out.String())

	faulty := rate(30)
	faulty[0].Faults.Overbooked = 1
	require.ErrorIs(t, report(&out, "../other", faulty, rate(10)), errFaults)
	require.NoError(t, report(&out, "../other", rate(10), faulty), "faults of the other are only printed")
}

func TestACheckoutWithoutTheProgramIsBuiltWithThisOne(t *testing.T) {
	t.Chdir(filepath.Join("..", "..", ".."))
	other := t.TempDir()
	overlay, err := overlayFor(other)
	require.NoError(t, err)
	require.FileExists(t, overlay[filepath.Join(other, "lab", "bench", "desk", "main.go")])
	require.FileExists(t, overlay[filepath.Join(other, "internal", "deskload", "run.go")])
	require.NotContains(t, overlay, filepath.Join(other, "lab", "bench", "desk", "main_test.go"))

	overlay, err = overlayFor(".")
	require.NoError(t, err)
	require.Empty(t, overlay)
}
