package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/postgres/postgrestest"
)

// shortFor is how long the faults of the short run last.
const shortFor = 12 * time.Second

// A short version of what `make chaos` does for minutes, with a new plan each time. Without PostgreSQL, the desk is
// in a SQLite file; in CI, PostgreSQL is required. Older copies of databases are tried in e2e.
func TestAShortRunLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	o := options{
		seed: uint64(rand.Uint32()), faultsFor: shortFor, conversations: 30, database: databasePostgres, folder: t.TempDir(), code: "../..",
	}
	t.Logf("The seed is %d.", o.seed)
	r, err := wreak(t.Context(), o, t.Output())
	if postgrestest.MayBeMissing(err) {
		o.database, o.folder = databaseSQLite, t.TempDir()
		r, err = wreak(t.Context(), o, t.Output())
	}
	require.NoError(t, err)
	r.print(t.Output())
	require.NoError(t, r.verdict())
}
