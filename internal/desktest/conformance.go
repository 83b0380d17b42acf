package desktest

import (
	"testing"

	"github.com/baton-transfers/baton/internal/postgres"
)

// Test is a test that every database has to pass.
type Test struct {
	Name string
	Run  func(*testing.T, *Environment)
	// Encrypted is set if the test touches columns that are encrypted: it is repeated with a cipher.
	Encrypted bool
	// Postgres is set for a test of PostgreSQL only.
	Postgres bool
}

// OnSQLite runs the tests, each with a desk of its own in a file.
func OnSQLite(t *testing.T, tests []Test) {
	t.Helper()
	for _, test := range tests {
		if test.Postgres {
			continue
		}
		t.Run(test.Name, func(t *testing.T) {
			t.Parallel()
			test.Run(t, New(t, SQLite(t)))
		})
	}
}

// OnPostgres runs the tests, each with a desk of its own, on a private server.
func OnPostgres(t *testing.T, tests []Test) {
	t.Helper()
	server := StartPostgres(t, postgres.Options{Careless: true, Settings: map[string]string{"deadlock_timeout": "50ms"}})
	for _, test := range tests {
		t.Run(test.Name, func(t *testing.T) {
			t.Parallel()
			test.Run(t, New(t, server.Database(t)))
		})
	}
}

// Encrypted runs the tests that touch encrypted columns with a cipher: a desk with one must work as a desk without.
func Encrypted(t *testing.T, tests []Test) {
	t.Helper()
	for _, test := range tests {
		if !test.Encrypted {
			continue
		}
		t.Run(test.Name, func(t *testing.T) {
			t.Parallel()
			h := &Environment{T: t, Database: SQLite(t), Clock: NewClock(), Cipher: KeyRing(t, Key(t, "k"))}
			h.Desk = h.Reopen()
			test.Run(t, h)
		})
	}
}
