package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/postgres"
	"github.com/baton-transfers/baton/internal/postgres/postgrestest"
)

// parentVariable makes this test binary a parent that starts a server.
const parentVariable = "POSTGRES_TEST_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(parentVariable) != "" {
		beParent()
	}
	os.Exit(m.Run())
}

// A killed server has all committed data after its restart, at the same address, and its databases can be copied.
func TestKilledServerKeepsWhatWasCommitted(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgres.Options{Settings: map[string]string{"work_mem": "3MB"}})
	require.NoError(t, server.CreateDatabase(t.Context(), "first", ""))
	connection := connect(t, server.URL("first"))
	require.Equal(t, "on", query(t, connection, `SHOW fsync`))
	require.Equal(t, "3MB", query(t, connection, `SHOW work_mem`))
	require.Equal(t, "C", query(t, connection, `SELECT datcollate FROM pg_database WHERE datname = 'first'`))
	_, err := connection.Exec(t.Context(), `CREATE TABLE kept AS SELECT 7 AS number`)
	require.NoError(t, err)
	address, before := server.URL("first"), server.PID()

	server.Kill()
	_, err = pgx.Connect(t.Context(), address)
	require.Error(t, err)
	require.NoError(t, server.Restart(t.Context()))
	require.NotEqual(t, before, server.PID())
	require.Equal(t, address, server.URL("first"))
	connection = connect(t, address)
	require.Equal(t, "7", query(t, connection, `SELECT number::text FROM kept`))
	require.NoError(t, connection.Close(t.Context()))
	require.NoError(t, server.CreateDatabase(t.Context(), "second", "first"))
	require.Equal(t, "7", query(t, connect(t, server.URL("second")), `SELECT number::text FROM kept`))
	require.ErrorContains(t, server.CreateDatabase(t.Context(), "second", ""), "create database second")

	require.NoError(t, server.Stop(t.Context()))
	require.ErrorIs(t, syscall.Kill(server.PID(), 0), syscall.ESRCH)
}

func TestServerThatDoesNotStartSaysWhy(t *testing.T) {
	t.Parallel()
	_, err := postgres.Start(t.Context(), postgres.Options{Settings: map[string]string{"no_such_setting": "on"}})
	if postgrestest.MayBeMissing(err) {
		t.Skip(err)
	}
	require.ErrorContains(t, err, "no_such_setting")
}

func TestServerDiesWithItsParent(t *testing.T) {
	t.Parallel()
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"=yes", "TMPDIR="+passable(t))
	parent.Stderr = os.Stderr
	output, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	lines := bufio.NewScanner(output)
	if !lines.Scan() {
		require.Error(t, parent.Wait())
		if postgrestest.MayBeMissing(postgres.ErrMissing) {
			t.Skip(postgres.ErrMissing)
		}
		require.Fail(t, "the parent has ended before it told the server's process")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(lines.Text()))
	require.NoError(t, err)
	require.NoError(t, parent.Process.Kill())
	require.Error(t, parent.Wait())
	require.Eventually(t, func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }, 10*time.Second, 10*time.Millisecond)
}

// beParent starts a server, prints its process ID, and waits to be killed.
func beParent() {
	server, err := postgres.Start(context.Background(), postgres.Options{Careless: true})
	if errors.Is(err, postgres.ErrMissing) {
		os.Exit(1)
	}
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString(strconv.Itoa(server.PID()) + "\n")
	select {}
}

// passable returns a folder that the server's user may enter. The test removes it, because the killed parent does
// not.
func passable(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "baton-left-") //nolint:usetesting // other users may not enter the test's own folder
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	require.NoError(t, os.Chmod(folder, 0o755)) //nolint:gosec // the server runs as another user
	return folder
}

func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close(context.WithoutCancel(t.Context())) })
	return connection
}

func query(t *testing.T, connection *pgx.Conn, sql string) (answer string) {
	t.Helper()
	require.NoError(t, connection.QueryRow(t.Context(), sql).Scan(&answer))
	return answer
}
