package journal

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/lab/chaos/plan"
)

// The load continues until each row of the result has something to check, however slow the machine is.
func TestALoadIsEnoughWhenEachKindOfThingWasDone(t *testing.T) {
	t.Parallel()
	entries := []*Entry{
		{Name: plan.NameSay, Verdict: Done, Text: "hello"},
		{Name: conversation.CommandTransfer, Verdict: Done, Text: "a note"},
		{Name: conversation.CommandAccept, Verdict: Done},
		{Name: conversation.CommandWrapup, Verdict: Done},
		{Name: conversation.CommandMove, Verdict: Handed},
	}
	require.True(t, (&Journal{entries: entries}).Enough())
	for i, e := range entries {
		t.Run("without "+string(e.Name), func(t *testing.T) {
			t.Parallel()
			j := &Journal{entries: slices.Delete(slices.Clone(entries), i, i+1)}
			require.False(t, j.Enough())
			refusal := *e
			refusal.Verdict = Refused
			j.Write(&refusal)
			require.False(t, j.Enough(), "a refusal shows nothing")
		})
	}
}
