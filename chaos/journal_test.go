package main

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// The load continues until each row of the result has something to check, however slow the machine is.
func TestALoadIsEnoughWhenEachKindOfThingWasDone(t *testing.T) {
	t.Parallel()
	entries := []*entry{
		{name: nameSay, verdict: done, text: "hello"},
		{name: conversation.CommandTransfer, verdict: done, text: "a note"},
		{name: conversation.CommandAccept, verdict: done},
		{name: conversation.CommandWrapup, verdict: done},
		{name: conversation.CommandMove, verdict: handed},
	}
	require.True(t, (&journal{entries: entries}).enough())
	for i, e := range entries {
		t.Run("without "+string(e.name), func(t *testing.T) {
			t.Parallel()
			j := &journal{entries: slices.Delete(slices.Clone(entries), i, i+1)}
			require.False(t, j.enough())
			refusal := *e
			refusal.verdict = refused
			j.write(&refusal)
			require.False(t, j.enough(), "a refusal shows nothing")
		})
	}
}
