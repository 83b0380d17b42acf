package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/deskload"
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

func TestTheDeskAloneIsMeasured(t *testing.T) {
	t.Parallel()
	loads := deskLoads(plan{deskLoad: 300 * time.Millisecond})
	for i := range loads {
		loads[i].Callers = min(loads[i].Callers, 16)
	}
	figures, err := measureDesk(t.Context(), &databases{folder: t.TempDir()}, loads, io.Discard)
	require.NoError(t, err)
	require.Len(t, figures, len(loads))
	for i, f := range figures {
		require.Equal(t, loads[i].Callers, f.Callers)
		require.Positive(t, f.Conversations)
	}
	var out bytes.Buffer
	printDesk(&out, figures)
	require.NotContains(t, out.String(), "fault:")
	require.Regexp(t, `16 +1 +10 +scarce`, out.String())
}

func TestFaultsAndInversionsMissTheirTargets(t *testing.T) {
	t.Parallel()
	require.NoError(t, held(deskTargets([]deskload.Figures{{InversionsPercent: mostInversions}})))
	require.ErrorIs(t, held(deskTargets([]deskload.Figures{{}, {InversionsPercent: 2 * mostInversions}})), errMissed)
	faulty := deskload.Figures{Faults: deskload.Faults{Stranded: 1, Examples: []string{"task WT1 waits"}}}
	require.ErrorIs(t, held(deskTargets([]deskload.Figures{{}, faulty})), errMissed)
	var out bytes.Buffer
	printDesk(&out, []deskload.Figures{faulty})
	require.Contains(t, out.String(), "fault: task WT1 waits")
}
