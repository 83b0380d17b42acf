package people_test

import (
	"testing"

	"github.com/baton-transfers/baton/internal/desktest"
)

// conformance lists the tests that every database has to pass.
func conformance() []desktest.Test {
	return []desktest.Test{
		{Name: "the directory lists whom it can be passed to", Run: testDirectory},
		{Name: "a search folds case, diacritics and width", Run: testSearch},
		{Name: "names of before can be searched", Run: testFoldedNames},
		{Name: "agents are added, changed and removed", Run: testAgents},
		{Name: "queues are added, filled and removed", Run: testQueues},
		{Name: "names are made of friendly names in any script", Run: testMadeNames},
		{Name: "names made at once are distinct", Run: testMadeNamesAtOnce},
		{Name: "names are kept without characters that reorder or hide text", Run: testCleanNames},
		{Name: "lengths count characters", Run: testLengths},
		{Name: "the demo is seeded once", Run: testSeedDemo},
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
