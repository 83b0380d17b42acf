package access_test

import (
	"testing"

	"github.com/baton-transfers/baton/internal/desktest"
)

// conformance lists the tests that every database has to pass.
func conformance() []desktest.Test {
	return []desktest.Test{
		{Name: "keys open, and are worthless once revoked", Run: testKeys},
		{Name: "secrets are kept as hashes", Run: testSecretsAreHashed},
		{Name: "when a key was last used is known to the minute", Run: testKeyUse},
		{Name: "an agent is bound to one account at the provider", Run: testIdentities},
		{Name: "the webhooks' secret is renewed with an overlap", Run: testWebhookSecret},
		{Name: "who may do what is changed on record", Run: testSecurityLog},
		{Name: "the workspace is checked", Run: testWorkspace, Encrypted: true},
		{Name: "sessions are kept until they expire", Run: testSessions, Encrypted: true},
		{Name: "expired sessions are dropped", Run: testExpiredSessions},
		{Name: "lengths of callback URLs count characters", Run: testCallbackLength},
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

func TestEncrypted(t *testing.T) {
	t.Parallel()
	desktest.Encrypted(t, conformance())
}
