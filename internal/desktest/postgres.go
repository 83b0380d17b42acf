package desktest

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/postgres"
	"github.com/baton-transfers/baton/internal/postgres/postgrestest"
)

// Databases are a server, and an empty desk that other databases are copied from.
type Databases struct {
	*postgres.Server

	made atomic.Int32
}

// EmptyDesk is the name of a database with an empty desk.
const EmptyDesk = "empty_desk"

// StartPostgres starts a server that ends with the test. Without PostgreSQL the test is skipped, except in
// continuous integration.
func StartPostgres(t *testing.T, options postgres.Options) *Databases {
	t.Helper()
	server := postgrestest.Start(t, options)
	require.NoError(t, server.CreateDatabase(t.Context(), EmptyDesk, ""))
	d, err := desk.Open(t.Context(), server.URL(EmptyDesk), desk.Options{})
	require.NoError(t, err)
	require.NoError(t, d.Close())
	return &Databases{Server: server}
}

// Database creates an empty desk, and returns its URL.
func (s *Databases) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("desk_%d", s.made.Add(1))
	require.NoError(t, s.CreateDatabase(t.Context(), name, EmptyDesk))
	return s.URL(name)
}
