package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/testenv"
)

// away is how long the desk's file is unavailable.
const away = 10 * time.Second

// atOnceWithoutDesk is how long a decision may take on a busy machine if it does not need the desk: less than a
// failed request to the desk would take.
const atOnceWithoutDesk = 2 * time.Second

// The desk's file cannot be read or written for ten seconds. Commands that need no facts still succeed, transfers
// are refused with desk_unavailable, waiting customers are admitted afterwards, and the desk receives every sync.
func TestDeskAwayForTenSeconds(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	c.startWorker(t)
	const conversations = 3
	var offered []string
	for range conversations {
		sid := c.beginWithAlice(t)
		c.do(t, sid, conversation.TransferCommand{From: "alice", To: to("bob"), Note: "Before the desk was away."})
		offered = append(offered, sid)
	}
	waiting := c.beginWithAlice(t)
	requireAgreement(t, c, append(offered, waiting)...)

	release := c.holdDesk(t)
	since := time.Now()
	started := c.begin(t, "support")
	for _, sid := range offered {
		for _, command := range []conversation.Command{
			conversation.AcceptCommand{Agent: "bob"},
			conversation.WrapupCommand{Agent: "alice", Note: "While the desk was away."},
			conversation.EndCommand{Agent: "bob"},
			conversation.WrapupCommand{Agent: "bob", Disposition: "resolved"},
		} {
			c.doAtOnce(t, sid, command)
		}
	}
	transfer := conversation.TransferCommand{From: "alice", To: to("bob"), Note: "Sent again and again."}
	transfer.CommandID = "the same each time"
	for time.Since(since) < away {
		asked := time.Now()
		c.refused(t, waiting, transfer, conversation.CodeDeskUnavailable)
		require.Less(t, time.Since(asked), 5*time.Second, "until a desk that is away refuses")
	}
	record, err := c.Baton.State(in(t, testenv.Patience), waiting)
	require.NoError(t, err)
	require.Equal(t, commandsToBegin, record.Revision, "a refused transfer changes nothing")
	release()

	// It takes a moment until the desk's locks are seen as released.
	c.insistOn(t, waiting, transfer)
	c.offered(t, started, "alice")
	for _, sid := range offered {
		c.closed(t, sid)
	}
	records := requireAgreement(t, c, append(offered, waiting, started)...)
	for _, sid := range offered {
		require.Equal(t, commandsToBegin+5, records[sid].Revision)
	}
	require.Equal(t, commandsToBegin+1, records[waiting].Revision)
}

// Another program writes to the desk's file for ten seconds. All commands still succeed, also transfers, and the
// desk is synced afterwards. If callers that never pause send more than one payload can hold, transfers wait for
// the desk, and are refused if it stays unavailable. The conversation survives.
func TestDeskHeldByAWriterForTenSeconds(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	c.startWorker(t)
	sid := c.beginWithAlice(t)
	requireAgreement(t, c, sid)

	release := c.holdDeskForWriting(t)
	since := time.Now()
	commands := toAndFro(10_000)
	done := 0
	for ; time.Since(since) < away; done++ {
		require.Less(t, done, len(commands), "more commands are needed for so long a time")
		asked := time.Now()
		_, err := c.Baton.Send(in(t, testenv.Patience), sid, commands[done])
		if conversation.CodeOf(err) == conversation.CodeDeskUnavailable {
			require.Greater(t, done, 500, "that many commands the desk may be behind")
			break
		}
		require.NoError(t, err)
		mayWait := done > 500 && commands[done].Name() == conversation.CommandTransfer
		require.True(t, mayWait || time.Since(asked) < atOnceWithoutDesk, "%s after %d others", commands[done].Name(), done)
	}
	release()
	c.insistOn(t, sid, commands[done])
	record := requireAgreement(t, c, sid)[sid]
	require.Equal(t, commandsToBegin+done+1, record.Revision, "nothing was lost")
	t.Logf("%d commands were carried out while the desk was held.", done)
}

// doAtOnce sends a command that must succeed without a failed request to the desk.
func (c *environment) doAtOnce(t *testing.T, sid string, command conversation.Command) {
	t.Helper()
	asked := time.Now()
	c.do(t, sid, command)
	require.Less(t, time.Since(asked), atOnceWithoutDesk, "%s of %s", command.Name(), sid)
}

// insistOn retries the command until the desk is available again.
func (c *environment) insistOn(t *testing.T, sid string, command conversation.Command) {
	t.Helper()
	waitFor(t, testenv.Patience, "the desk is there again", func() bool {
		_, err := c.Baton.Send(in(t, testenv.Patience), sid, command)
		if conversation.CodeOf(err) == conversation.CodeDeskUnavailable {
			return false
		}
		require.NoError(t, err)
		return true
	})
}
