package e2e

import (
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	historypb "go.temporal.io/api/history/v1"
	_ "modernc.org/sqlite" // to lock the desk's file

	"github.com/baton-transfers/baton/internal/testenv"
	"github.com/baton-transfers/baton/workflows"
)

// holdVariable turns this test binary into a program that locks the named database until it is killed.
const holdVariable = "E2E_HOLD"

// hold takes every lock of the database in a separate process, because SQLite's locks belong to processes.
func hold(database string) {
	if err := lockAll(database); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stdout, "held")
	select {}
}

// holdDesk makes the desk's file unavailable for reading and writing, to all processes including this one.
func (c *environment) holdDesk(t *testing.T) (release func()) {
	t.Helper()
	itself, err := os.Executable()
	require.NoError(t, err)
	holder := launch(t, "holder of the desk", itself, testenv.Variables(holdVariable+"="+c.DeskFile()))
	waitFor(t, testenv.Patience, "the desk is held", func() bool {
		require.True(t, holder.Runs(), "%s", holder.Stderr.Tail())
		return strings.Contains(holder.Stdout.String(), "held")
	})
	return holder.Kill
}

// holdDeskForWriting blocks all other writers of the desk's file, like a program with an open transaction. Reading
// still works.
func (c *environment) holdDeskForWriting(t *testing.T) (release func()) {
	t.Helper()
	database, err := sql.Open("sqlite", "file:"+c.DeskFile()+"?_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, database.Close()) })
	connection, err := database.Conn(t.Context())
	require.NoError(t, err)
	_, err = connection.ExecContext(t.Context(), `BEGIN EXCLUSIVE`)
	require.NoError(t, err)
	return func() {
		_, err := connection.ExecContext(t.Context(), `ROLLBACK`)
		require.NoError(t, err)
		require.NoError(t, connection.Close())
	}
}

// history returns the events of the conversation's current run.
func (c *environment) history(t *testing.T, sid string) []*historypb.HistoryEvent {
	t.Helper()
	history, err := testenv.History(in(t, testenv.Patience), c.Temporal, workflows.ID(sid), "")
	require.NoError(t, err)
	return history.GetEvents()
}
