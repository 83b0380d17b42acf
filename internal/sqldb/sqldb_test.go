package sqldb

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/postgres"
	"github.com/baton-transfers/baton/internal/postgres/postgrestest"
)

// shelf is a schema with one table.
var shelf = Schema{
	Migrations:   fstest.MapFS{"001_books.sql": {Data: []byte("-- +goose Up\nCREATE TABLE books (title TEXT PRIMARY KEY, number BIGINT NOT NULL);\n")}},
	VersionTable: "versions",
}

func openShelf(t *testing.T, database string) *DB {
	t.Helper()
	db, err := Open(t.Context(), database, shelf, Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func addBook(ctx context.Context, t *Tx, title string, number int) error {
	_, err := t.Exec(ctx, `INSERT INTO books (title, number) VALUES ($1, $2)`, title, number)
	return err
}

func titles(t *testing.T, db *DB) (found []string) {
	t.Helper()
	require.NoError(t, db.Read(t.Context(), func(tx *Tx) (err error) {
		found, err = All(t.Context(), tx, Value[string], `SELECT title FROM books ORDER BY number`)
		return err
	}))
	return found
}

// A transaction that only others delay is run again, and leaves nothing of the tries that failed.
func TestABusyDatabaseIsTriedAgain(t *testing.T) {
	t.Parallel()
	db := openShelf(t, filepath.Join(t.TempDir(), "shelf.db"))
	busy := errors.New("the database is locked")
	db.busy = func(err error) bool { return errors.Is(err, busy) }
	calls := 0
	failing := func(times int) func(*Tx) error {
		calls = 0
		return func(tx *Tx) error {
			if err := addBook(t.Context(), tx, "Moby-Dick", 1); err != nil {
				return err
			}
			if calls++; calls <= times {
				return busy
			}
			return nil
		}
	}
	require.ErrorIs(t, db.Write(t.Context(), true, failing(sqliteTries)), busy)
	require.Equal(t, sqliteTries, calls, "not for ever")
	require.NoError(t, db.Write(t.Context(), true, failing(sqliteTries-1)))
	require.Equal(t, []string{"Moby-Dick"}, titles(t, db))

	other := errors.New("something else")
	require.ErrorIs(t, db.Write(t.Context(), true, func(*Tx) error { calls++; return other }), other)
	require.Equal(t, sqliteTries+1, calls, "nothing else is tried again")
}

// QueryOne reads one moment because it is one query. Two queries would read two moments.
func TestQueryOneRunsOneQuery(t *testing.T) {
	t.Parallel()
	db := openShelf(t, filepath.Join(t.TempDir(), "shelf.db"))
	one := func(tx *Tx) error {
		_, _, err := First(t.Context(), tx, Value[int], `SELECT count(*) FROM books`)
		return err
	}
	two := func(tx *Tx) error { return errors.Join(one(tx), one(tx)) }
	require.NoError(t, db.QueryOne(t.Context(), one))
	require.ErrorContains(t, db.QueryOne(t.Context(), two), "use Read for more")
	require.NoError(t, db.Read(t.Context(), two))
}

// First and While read no further than they need: the next row would fail.
func TestNoRowIsReadInVain(t *testing.T) {
	t.Parallel()
	db := openShelf(t, filepath.Join(t.TempDir(), "shelf.db"))
	require.NoError(t, db.Read(t.Context(), func(tx *Tx) error {
		const query = `SELECT 1 UNION ALL SELECT abs(-9223372036854775808)`
		first, found, err := First(t.Context(), tx, Value[int], query)
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, 1, first)
		read := 0
		require.NoError(t, While(t.Context(), tx, func(Row) (bool, error) { read++; return false, nil }, query))
		require.Equal(t, 1, read)
		_, err = All(t.Context(), tx, Value[int], query)
		require.ErrorContains(t, err, "overflow")
		return nil
	}))
}

// A page leaves its list as it was: a transaction that is tried again reads the same page.
func TestAPageIsReadTwice(t *testing.T) {
	t.Parallel()
	db := openShelf(t, filepath.Join(t.TempDir(), "shelf.db"))
	require.NoError(t, db.Write(t.Context(), true, func(tx *Tx) error {
		return errors.Join(addBook(t.Context(), tx, "Emma", 1), addBook(t.Context(), tx, "Dracula", 2), addBook(t.Context(), tx, "Ulysses", 3))
	}))
	list := Listing[string]{
		Columns: "title, number", From: "books", Key: "number",
		Scan: func(r Row) (title string, err error) {
			var number int
			err = r.Scan(&title, &number)
			return title, err
		},
		KeyOf: func(title string) (int64, string) {
			return map[string]int64{"Emma": 1, "Dracula": 2, "Ulysses": 3}[title], ""
		},
	}
	list.Where(`number > $%d`, 0)
	for range 2 {
		require.NoError(t, db.Read(t.Context(), func(tx *Tx) error {
			page, err := list.Page(t.Context(), tx, Page{Limit: 1, After: &Cursor{Key: 1}})
			require.NoError(t, err)
			require.Equal(t, []string{"Dracula"}, page.Entries)
			require.True(t, page.More)
			before, err := list.Page(t.Context(), tx, Page{Limit: 5, Before: &Cursor{Key: 3}})
			require.NoError(t, err)
			require.Equal(t, []string{"Emma", "Dracula"}, before.Entries)
			require.False(t, before.Earlier)
			return nil
		}))
	}
}

// Connections to another machine are encrypted: the address may come from the URL or from the environment.
func TestPlainConnectionsAreForThisMachine(t *testing.T) {
	for _, test := range []struct {
		name, address string
		environment   map[string]string
		refused       bool
	}{
		{"another machine without sslmode", "postgres://baton@db.example.com/desk", nil, true},
		{"an address without sslmode", "postgres://baton@192.0.2.7/desk", nil, true},
		{"disable", "postgres://baton@db.example.com/desk?sslmode=disable", nil, true},
		{"allow", "postgres://baton@db.example.com/desk?sslmode=allow", nil, true},
		{"prefer", "postgres://baton@db.example.com/desk?sslmode=prefer", nil, true},
		{"require", "postgres://baton@db.example.com/desk?sslmode=require", nil, false},
		{"verify-full", "postgres://baton@db.example.com/desk?sslmode=verify-full", nil, false},
		{"one of several hosts", "postgres://baton@127.0.0.1,db.example.com/desk", nil, true},
		{"a host in a parameter", "postgres://baton@/desk?host=db.example.com", nil, true},
		{"a host of the environment", "postgres://baton@/desk", map[string]string{"PGHOST": "db.example.com"}, true},
		{"a mode of the environment", "postgres://baton@db.example.com/desk", map[string]string{"PGSSLMODE": "verify-full"}, false},
		{"a weak mode of the environment", "postgres://baton@db.example.com/desk", map[string]string{"PGSSLMODE": "prefer"}, true},
		{"loopback", "postgres://baton@127.0.0.1/desk", nil, false},
		{"loopback by the new protocol", "postgres://baton@[::1]/desk", nil, false},
		{"loopback by name", "postgres://baton@localhost/desk", nil, false},
		{"a name that only begins like it", "postgres://baton@localhost.example.com/desk", nil, true},
		{"a Unix socket", "postgres://baton@/desk?host=/var/run/postgresql", nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name, value := range test.environment {
				t.Setenv(name, value)
			}
			_, _, err := postgresConfig(test.address)
			if !test.refused {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, "add sslmode=verify-full to the URL")
			_, err = Open(t.Context(), test.address, shelf, Options{})
			require.ErrorContains(t, err, "add sslmode=verify-full to the URL")
		})
	}
}

// A process that is frozen while it holds a lock and waits for it in another transaction loses both at the same time.
// Losing one after the other would keep everybody waiting twice as long.
func TestAFrozenProcessGetsNoMoreLocks(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgres.Options{Careless: true})
	require.NoError(t, server.CreateDatabase(t.Context(), "shelf", ""))
	address := server.URL("shelf")
	db := openShelf(t, address)
	config, _, err := postgresConfig(address)
	require.NoError(t, err)
	begin := func() *pgx.Conn {
		connection, err := pgx.ConnectConfig(t.Context(), config)
		require.NoError(t, err)
		t.Cleanup(func() { _ = connection.Close(context.WithoutCancel(t.Context())) })
		_, err = connection.Exec(t.Context(), `BEGIN`)
		require.NoError(t, err)
		return connection
	}
	const lock = `LOCK TABLE books IN EXCLUSIVE MODE`
	holder, waiter := begin(), begin()
	_, err = holder.Exec(t.Context(), lock)
	require.NoError(t, err)
	waits := make(chan error, 1)
	go func() {
		_, err := waiter.Exec(t.Context(), lock)
		waits <- err
	}()
	require.NoError(t, db.Write(t.Context(), false, func(tx *Tx) error { return addBook(t.Context(), tx, "Emma", 1) }))
	refused, ok := errors.AsType[*pgconn.PgError](<-waits)
	require.True(t, ok)
	require.Equal(t, "55P03", refused.Code)
	require.Equal(t, []string{"Emma"}, titles(t, db))
}
