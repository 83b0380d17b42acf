package desk_test

import (
	"testing"

	"github.com/baton-transfers/baton/internal/desktest"
)

// conformance lists the tests that every database has to pass.
func conformance() []desktest.Test {
	return []desktest.Test{
		{Name: "events carry what programs need in fields", Run: testEventFields},
		{Name: "a read sees one snapshot", Run: testReadsOneSnapshot},
		{Name: "switches and plugins", Run: testSwitches},
		{Name: "settings out of range are refused", Run: testSettingsOutOfRange},
		{Name: "every change is on record", Run: testAudit},
		{Name: "what is refused is not on record", Run: testNotAudited},
		{Name: "the record is read by pages", Run: testAuditPages},
		{Name: "what was written is sealed, sealed anew, and erased", Run: testSealing},
		{Name: "a role that changes no tables runs a desk", Run: testRoleWithoutDDL, Postgres: true},
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
