package sqldb

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/postgres"
	"github.com/baton-transfers/baton/internal/postgres/postgrestest"
)

// onBoth runs a test on SQLite and on PostgreSQL.
func onBoth(t *testing.T, test func(t *testing.T, db *DB)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, openShelf(t, filepath.Join(t.TempDir(), "shelf.db")))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		if testing.Short() {
			t.Skip("a PostgreSQL server takes seconds to start; make test starts one")
		}
		server := postgrestest.Start(t, postgres.Options{Careless: true})
		require.NoError(t, server.CreateDatabase(t.Context(), "shelf", ""))
		test(t, openShelf(t, server.URL("shelf")))
	})
}

// The statements of a pipeline run in order, and each sees what those before it have changed.
func TestAPipelineRunsInOrder(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db *DB) {
		var counts []int
		count := func(p *Pipeline) {
			p.Each(func(r Row) error {
				n, err := Value[int](r)
				counts = append(counts, n)
				return err
			}, `SELECT count(*) FROM books`)
		}
		even := false
		require.NoError(t, db.Write(t.Context(), false, func(tx *Tx) error {
			p := tx.Pipeline()
			count(p)
			p.Exec(`INSERT INTO books (title, number) VALUES ($1, $2)`, "Moby-Dick", 1)
			count(p)
			p.Exec(`UPDATE books SET number = number + $1`, 1)
			p.Each(func(r Row) error { return r.Scan(&even) }, `SELECT 1 - number % 2 FROM books WHERE title = $1`, "Moby-Dick")
			return errors.Join(p.Run(t.Context()), p.Run(t.Context())) // the second time, it is empty
		}))
		require.Equal(t, []int{0, 1}, counts)
		require.True(t, even)
		require.Equal(t, []string{"Moby-Dick"}, titles(t, db))
	})
}

// A statement that fails ends the transaction: nothing of the pipeline stays.
func TestAPipelineThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db *DB) {
		unreadable := errors.New("unreadable")
		for name, add := range map[string]func(p *Pipeline){
			"a statement": func(p *Pipeline) { p.Exec(`INSERT INTO books (title, number) VALUES ($1, $2)`, "Moby-Dick", 2) },
			"a row":       func(p *Pipeline) { p.Each(func(Row) error { return unreadable }, `SELECT title FROM books`) },
		} {
			err := db.Write(t.Context(), false, func(tx *Tx) error {
				p := tx.Pipeline()
				p.Exec(`INSERT INTO books (title, number) VALUES ($1, $2)`, "Moby-Dick", 1)
				add(p)
				return p.Run(t.Context())
			})
			require.Error(t, err, name)
			require.NotContains(t, err.Error(), "Moby-Dick", "no argument is in an error")
			require.Empty(t, titles(t, db), name)
		}
	})
}

// Rows are the same table in a statement, however many they are.
func TestRowsAreATable(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db *DB) {
		for _, count := range []int{1, 2, 3, 200} {
			var want, sums []string
			require.NoError(t, db.Write(t.Context(), true, func(tx *Tx) error {
				want, sums = nil, nil
				if _, err := tx.Exec(t.Context(), `DELETE FROM books`); err != nil {
					return err
				}
				rows := NewRows(Texts("of_title"), Numbers("of_number"))
				for i := range count {
					title := fmt.Sprintf("<%04d> \"quoted\" é 😀", i)
					want = append(want, title)
					if err := rows.Add(title, int64(1)<<53+int64(i)); err != nil {
						return err
					}
				}
				require.Equal(t, count, rows.Len())
				table, args := tx.Table(2, rows)
				p := tx.Pipeline()
				p.Exec(`INSERT INTO books (title, number) SELECT of_title, of_number + CAST($1 AS BIGINT) FROM `+table+` WHERE true
					ON CONFLICT (title) DO NOTHING`, append([]any{int64(1)}, args...)...)
				among, arg := tx.Among("title", 1, want)
				p.Each(func(r Row) error {
					sum, err := Value[string](r)
					sums = append(sums, sum)
					return err
				}, `SELECT CAST(max(number) AS TEXT) FROM books WHERE `+among, arg)
				return p.Run(t.Context())
			}))
			require.Equal(t, want, titles(t, db))
			require.Equal(t, []string{strconv.FormatInt(int64(1)<<53+int64(count), 10)}, sums)
		}
	})
}

// A value of the wrong type, or one too many, is an error, and text that no database stores is replaced.
func TestRowsTakeWhatTheirColumnsHold(t *testing.T) {
	t.Parallel()
	rows := NewRows(Texts("of_title"), Numbers("of_number"))
	require.ErrorContains(t, rows.Add("Moby-Dick"), "1 values for 2 columns")
	require.ErrorContains(t, rows.Add(1, 1), "column of_title")
	require.ErrorContains(t, rows.Add("Moby-Dick", "one"), "column of_number")
	onBoth(t, func(t *testing.T, db *DB) {
		require.NoError(t, db.Write(t.Context(), true, func(tx *Tx) error {
			rows := NewRows(Texts("of_title"), Numbers("of_number"))
			require.NoError(t, rows.Add("Moby\x00-Dick\xff", 1))
			table, args := tx.Table(1, rows)
			_, err := tx.Exec(t.Context(), `INSERT INTO books (title, number) SELECT of_title, of_number FROM `+table, args...)
			return err
		}))
		require.Equal(t, []string{"Moby\uFFFD-Dick\uFFFD"}, titles(t, db))
	})
}
