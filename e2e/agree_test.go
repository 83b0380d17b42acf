package e2e

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/agree"
	"github.com/baton-transfers/baton/internal/testenv"
)

// requireAgreement requires that the desk shows each conversation exactly as it is: every task with its offer,
// every transfer, every reservation, and all of its events, once each and in order. It waits until every sync is
// done, and returns the conversations' states.
func requireAgreement(t *testing.T, c *environment, sids ...string) map[string]conversation.Record {
	t.Helper()
	records := map[string]conversation.Record{}
	for _, sid := range sids {
		record, err := agree.Quiet(in(t, testenv.Patience), c.Baton, c.Desk, sid)
		require.NoError(t, err, "read %s when it is quiet", sid)
		require.NoError(t, record.Broken(), "%s", sid)
		records[sid] = record
	}
	feed, err := agree.Events(in(t, testenv.Patience), c.Desk)
	require.NoError(t, err)
	for sid, record := range records {
		require.NoError(t, agree.Conversation(in(t, testenv.Patience), c.Desk, record, feed[sid]))
	}
	requireLoadsCounted(t, c)
	return records
}

// requireLoadsCounted requires that the load counted for each agent equals the tasks that the agent has. A waiting
// task may just have been matched, so it waits until no match is under way.
func requireLoadsCounted(t *testing.T, c *environment) {
	t.Helper()
	var has, counted map[string]int
	defer func() {
		if t.Failed() {
			t.Logf("The agents have %v tasks, and %v are counted.", has, counted)
		}
	}()
	waitFor(t, testenv.Patience, "loads equal to what the agents have", func() bool {
		var err error
		has, counted, err = agree.Loads(in(t, testenv.Patience), c.Desk)
		require.NoError(t, err)
		for agent, load := range counted {
			if has[agent] != load {
				return false
			}
		}
		return true
	})
}

// requireSame compares two values as JSON, which shows differences best.
func requireSame(t *testing.T, wanted, got any, what string, args ...any) {
	t.Helper()
	require.Equal(t, pretty(wanted), pretty(got), append([]any{what}, args...)...)
}

func pretty(value any) string {
	encoded, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(encoded)
}
