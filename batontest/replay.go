package batontest

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/baton-transfers/baton/codec"
)

// Replay replays recorded histories of conversations against this build, each in a subtest. The pattern is that of
// [filepath.Glob]; no match fails the test. A file is what `temporal workflow show --output json` prints, and can be
// encrypted. A history is replayed once with each of the rings, or once without keys if there is none. A nil ring has
// no keys.
//
// A replay that fails means that conversations which run on an earlier build could not continue on this one.
func Replay(t *testing.T, pattern string, rings ...*codec.KeyRing) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatalf("the pattern %q of the histories is wrong: %v", pattern, err)
	}
	if len(files) == 0 {
		t.Fatalf("no history matches %q: record one with `temporal workflow show --output json`", pattern)
	}
	if len(rings) == 0 {
		rings = []*codec.KeyRing{nil}
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			for _, ring := range rings {
				if err := replay(file, ring); err != nil {
					t.Errorf("%s does not replay with the keys %v: put the change of the workflow behind workflow.GetVersion: %v", file, ring.IDs(), err)
				}
			}
		})
	}
}

func replay(name string, ring *codec.KeyRing) error {
	file, err := os.Open(name)
	if err != nil {
		return err //nolint:wrapcheck // it names the file
	}
	defer func() { _ = file.Close() }()
	history, err := client.HistoryFromJSON(file, client.HistoryJSONOptions{})
	if err != nil {
		return err //nolint:wrapcheck // the caller names the file
	}
	replayer, err := codec.NewReplayer(ring)
	if err != nil {
		return err
	}
	return replayer.ReplayWorkflowHistoryWithOptions( //nolint:wrapcheck // the caller names the file
		log.NewStructuredLogger(slog.New(slog.DiscardHandler)), history,
		worker.ReplayWorkflowHistoryOptions{OriginalExecution: originalOf(history)})
}

// originalOf returns the workflow of the recording, whose ID a conversation reads. It is empty for histories of servers
// that do not record it; the SDK then gives the replay an ID of its own.
func originalOf(history *historypb.History) workflow.Execution {
	if len(history.GetEvents()) == 0 {
		return workflow.Execution{}
	}
	started := history.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes()
	return workflow.Execution{ID: started.GetWorkflowId(), RunID: started.GetOriginalExecutionRunId()}
}
