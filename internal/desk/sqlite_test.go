package desk_test

import (
	"bytes"
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	foreign := filepath.Join(folder, "foreign.db")
	runSQL(t, foreign, `CREATE TABLE recipes (name TEXT)`)
	newer := filepath.Join(folder, "newer.db")
	openAndClose(t, newer)
	runSQL(t, newer, `INSERT INTO schema_versions (version_id, is_applied) VALUES (999, 1)`)
	damaged := filepath.Join(folder, "damaged.db")
	openAndClose(t, damaged)
	content, err := os.ReadFile(damaged)
	require.NoError(t, err)
	damaged = write("damaged.db", string(content[:100])+strings.Repeat("x", len(content)-100))

	for _, test := range []struct{ name, database, sentence string }{
		{"nothing", "sqlite:", "no database is named"},
		{"a folder", folder, "is a folder: name the database file in it"},
		{"a missing folder", filepath.Join(folder, "missing", "desk.db"), "create it, or name another place"},
		{"a file as a folder", filepath.Join(write("file", "text"), "desk.db"), "name another place"},
		{"a text", write("notes.txt", "remember the milk, and much more than that"), "is not a SQLite database, and was left as it is"},
		{"something else's database", foreign, "is a database of something else, and was left as it is"},
		{"a newer desk", newer, "was written by a newer build (its tables are version 999, this build knows "},
		{"a damaged desk", damaged, "is damaged, and was left as it is: restore it from a backup"},
		{"an unwritable place", "/proc/desk.db", "name another place"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			before, _ := os.ReadFile(test.database)
			_, err := desk.Open(t.Context(), test.database, desk.Options{})
			require.ErrorContains(t, err, test.sentence)
			after, _ := os.ReadFile(test.database)
			require.True(t, bytes.Equal(before, after), "nothing was overwritten")
		})
	}
}

// TestOpenTogether lets several processes create the same new desk.
func TestOpenTogether(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "with ?, # and %.db")
	openTogether(t, "sqlite:"+path)
	require.FileExists(t, path)
}

func openTogether(t *testing.T, database string) {
	t.Helper()
	var opening sync.WaitGroup
	failures := make(chan error, 8)
	for range cap(failures) {
		opening.Go(func() {
			d, err := desk.Open(t.Context(), database, desk.Options{})
			if err == nil {
				err = d.Close()
			}
			failures <- err
		})
	}
	opening.Wait()
	for range cap(failures) {
		require.NoError(t, <-failures)
	}
}

// TestEveryConnection checks the pragmas of each pooled connection.
func TestEveryConnection(t *testing.T) {
	t.Parallel()
	d, err := desk.Open(t.Context(), filepath.Join(t.TempDir(), "desk.db"), desk.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	for _, p := range []*sql.DB{d.DB().Reader(), d.DB().Reader(), d.DB().Writer()} {
		connection, err := p.Conn(t.Context()) // kept, so that the next is another
		require.NoError(t, err)
		defer func() { require.NoError(t, connection.Close()) }()
		for pragma, want := range map[string]string{"journal_mode": "wal", "foreign_keys": "1", "busy_timeout": "10000", "synchronous": "1"} {
			var got string
			require.NoError(t, connection.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
			require.Equal(t, want, got, pragma)
		}
	}
	_, err = d.DB().Reader().ExecContext(t.Context(), `DELETE FROM agents`)
	require.ErrorContains(t, err, "readonly")
}

func openAndClose(t *testing.T, path string) {
	t.Helper()
	d, err := desk.Open(t.Context(), path, desk.Options{})
	require.NoError(t, err)
	require.NoError(t, d.Close())
}

func runSQL(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), statement)
	require.NoError(t, err)
	require.NoError(t, db.Close())
}

func TestTheFilesAreForTheirUserAlone(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no file modes: access is controlled by the folder's ACL")
	}
	path := filepath.Join(t.TempDir(), "desk.db")
	require.NoError(t, os.WriteFile(path, nil, 0o644)) //nolint:gosec // the case
	require.NoError(t, os.Chmod(path, 0o644))          //nolint:gosec // the case
	var log strings.Builder
	d, err := desk.Open(t.Context(), "sqlite:"+path, desk.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	require.NoError(t, people.AddQueue(t.Context(), d, "support"))
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), suffix)
	}
	require.Contains(t, log.String(), "level=WARN")
	require.Contains(t, log.String(), "file="+path)

	require.NoError(t, os.Chmod(filepath.Dir(path), 0o775)) //nolint:gosec // the case
	_, err = desk.Open(t.Context(), "sqlite:"+path, desk.Options{})
	require.ErrorContains(t, err, "run `chmod go-w ")
}

// A connection string that is not a PostgreSQL URL is not taken for the path of a file, which would be created with
// the password in its name. No message contains its password.
func TestAConnectionStringIsNoPath(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, database := range []string{
		"host=db.example.com user=baton password=hunter2 dbname=baton", "POSTGRES://baton:hunter2@db.example.com/baton", "mysql://baton:hunter2@db.example.com/baton",
		`"postgres://baton:hunter2@db.example.com/baton"`, " postgres://baton:hunter2@db.example.com/baton", "postgres:/baton:hunter2@db.example.com/baton", "password=hunter2",
	} {
		_, err := desk.Open(t.Context(), database, desk.Options{})
		require.ErrorContains(t, err, "neither sqlite:PATH nor postgres://")
		require.NotContains(t, err.Error(), "hunter2")
	}
	left, err := os.ReadDir(".")
	require.NoError(t, err)
	require.Empty(t, left)
}
