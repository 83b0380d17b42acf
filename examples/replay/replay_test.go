// Package replay shows a test that a user of Baton runs before an upgrade: conversations that were recorded with the
// version in production must replay with the version in go.mod.
package replay

import (
	"os"
	"testing"

	"github.com/baton-transfers/baton/batontest"
	"github.com/baton-transfers/baton/codec"
)

// TestRecordedConversationsReplay replays the files in testdata. This command records one:
//
//	temporal workflow show --workflow-id conversation/CH… --output json >testdata/NAME.json
func TestRecordedConversationsReplay(t *testing.T) {
	t.Parallel()
	keys, err := codec.ParseKeyRing(os.Getenv("BATON_ENCRYPTION_KEYS"))
	if err != nil {
		t.Fatal(err)
	}
	batontest.Replay(t, "testdata/*.json", keys)
}
