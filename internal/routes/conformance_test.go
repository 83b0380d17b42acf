package routes_test

import (
	"testing"

	"github.com/baton-transfers/baton/internal/desktest"
)

// conformance lists the tests that every database has to pass.
func conformance() []desktest.Test {
	return []desktest.Test{
		{Name: "workflows choose the queue", Run: testWorkflows},
		{Name: "expensive expressions are refused", Run: testExpensiveExpression},
		{Name: "lengths of configurations count characters", Run: testConfigurationLength},
	}
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	desktest.OnSQLite(t, conformance())
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	desktest.OnPostgres(t, conformance())
}
