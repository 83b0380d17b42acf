// Package postgrestest starts PostgreSQL for tests, and decides when a test may be skipped without it. Only tests
// import it.
package postgrestest

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/postgres"
)

// MayBeMissing reports whether err means that PostgreSQL is not installed and a test may be skipped: on other
// machines than those of continuous integration.
func MayBeMissing(err error) bool {
	return errors.Is(err, postgres.ErrMissing) && os.Getenv("CI") == ""
}

// Start starts a server that is stopped with the test. It skips the test if PostgreSQL may be missing, and in the fast
// lane (go test -short).
func Start(t testing.TB, options postgres.Options) *postgres.Server {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no PostgreSQL server is started; make test runs these tests")
	}
	server, err := postgres.Start(t.Context(), options)
	if MayBeMissing(err) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop(context.WithoutCancel(t.Context()))) })
	return server
}
