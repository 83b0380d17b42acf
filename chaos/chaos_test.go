package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/postgres/postgrestest"
)

// shortFor is how long the faults of the short run go on.
const shortFor = 12 * time.Second

// A short run of what `make chaos` does for minutes, with a plan of its own each time. Where PostgreSQL isn't
// installed, the desk is in a file; in CI it has to be.
func TestAShortRunLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	o := options{
		seed: uint64(rand.Uint32()), faultsFor: shortFor, conversations: 30, database: databasePostgres, folder: t.TempDir(), code: "..",
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
