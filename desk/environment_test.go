package desk_test

import (
	"testing"

	"github.com/baton-transfers/baton/desk/desktest"
)

// environment is a desk with what only the desk's own tests need.
type environment struct{ *desktest.Environment }

func newEnvironment(t testing.TB, database string) *environment {
	t.Helper()
	return &environment{desktest.New(t, database)}
}
