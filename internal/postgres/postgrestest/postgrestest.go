// Package postgrestest starts PostgreSQL for tests, and knows when they may do without it. Only tests import it.
package postgrestest

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/postgres"
)

// MayBeMissing tells whether a test may do without PostgreSQL, which could not be started: on a machine that doesn't
// have it, but not in continuous integration.
func MayBeMissing(err error) bool {
	return errors.Is(err, postgres.ErrMissing) && os.Getenv("CI") == ""
}

// Start starts a server that ends with the test, or skips the test where PostgreSQL may be missing.
func Start(t testing.TB, options postgres.Options) *postgres.Server {
	t.Helper()
	server, err := postgres.Start(t.Context(), options)
	if MayBeMissing(err) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop(context.WithoutCancel(t.Context()))) })
	return server
}
