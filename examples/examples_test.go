// Package examples has tests that run the examples as users do: in a module of their own, and with the libraries that
// their lockfiles pin.
package examples

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/devserver"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/temporalenv"
	"github.com/baton-transfers/baton/workflows"
)

// patience is how long a test waits for a condition or a command.
const patience = 3 * time.Minute

// TestAModuleOutsideRunsEncryptsAndReplays builds the examples embed and replay in a module outside of this one,
// which can import public packages only.
func TestAModuleOutsideRunsEncryptsAndReplays(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	key, err := codec.FreshKey("2026-12")
	require.NoError(t, err)
	keys, err := codec.ParseKeyRing(key)
	require.NoError(t, err)
	module := newModule(t)

	database := filepath.Join(t.TempDir(), "desk.db")
	staff(t, database, keys)
	server := startServer(t)
	variables := []string{"TEMPORAL_ADDRESS=" + server.Address, "BATON_DATABASE=" + database, "BATON_ENCRYPTION_KEYS=" + key}
	run(t, module, nil, "go", "build", "-o", "embedded", "./embed")
	stdout := launch(t, module, variables, filepath.Join(module, "embedded"))
	line := make([]byte, len("Conversations run here."))
	_, err = io.ReadFull(stdout, line)
	require.NoError(t, err)

	temporal, err := temporalenv.Dial(ctx, temporalenv.Options{Address: server.Address, Own: true, Keys: keys})
	require.NoError(t, err)
	defer temporal.Close()
	b := baton.NewClient(temporal)
	sid, err := b.Start(ctx, conversation.StartCommand{
		Channel: conversation.ChannelWeb, Queue: "support", Customer: conversation.Customer{Name: "Crystal Minh"},
	})
	require.NoError(t, err)
	_, err = b.Await(ctx, sid, func(r conversation.Record) bool { return r.Tasks[0].Status == conversation.TaskReserved })
	require.NoError(t, err)
	_, err = b.Accept(ctx, sid, conversation.AcceptCommand{Agent: "alice"})
	require.NoError(t, err)
	_, err = b.Close(ctx, sid, conversation.CloseCommand{})
	require.NoError(t, err)
	_, err = b.Wrapup(ctx, sid, conversation.WrapupCommand{Agent: "alice"})
	require.NoError(t, err)
	require.NoError(t, temporal.GetWorkflow(ctx, workflows.ID(sid), "").Get(ctx, nil))

	history := &historypb.History{}
	for events := temporal.GetWorkflowHistory(ctx, workflows.ID(sid), "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
		event, err := events.Next()
		require.NoError(t, err)
		history.Events = append(history.Events, event)
	}
	recorded, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(history)
	require.NoError(t, err)
	require.NotContains(t, string(recorded), "anNvbi9wbGFpbg==\"},\"data\":\"eyJj", "the start is not in clear")
	require.Contains(t, string(recorded), "encryption-key-id")
	require.NoError(t, os.WriteFile(filepath.Join(module, "replay", "testdata", "encrypted.json"), recorded, 0o600))

	printed := run(t, module, variables, "go", "test", "-v", "-count=1", "./replay")
	require.Contains(t, printed, "--- PASS: TestRecordedConversationsReplay/encrypted")
	require.Contains(t, printed, "--- PASS: TestRecordedConversationsReplay/transfer")
	failed, err := command(ctx, module, nil, "go", "test", "-count=1", "./replay").CombinedOutput()
	require.Error(t, err, "without the keys")
	require.Contains(t, string(failed), "encrypted.json does not replay")
}

// newModule copies the Go examples to a new module that requires this one from its folder.
func newModule(t *testing.T) string {
	t.Helper()
	checkout, err := filepath.Abs("..")
	require.NoError(t, err)
	module := t.TempDir()
	for _, example := range []string{"embed", "replay"} {
		require.NoError(t, os.CopyFS(filepath.Join(module, example), os.DirFS(example)))
	}
	sums, err := os.ReadFile(filepath.Join(checkout, "go.sum"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(module, "go.sum"), sums, 0o600))
	required, err := os.ReadFile(filepath.Join(checkout, "go.mod"))
	require.NoError(t, err)
	// The versions of this module, because a tidy module would have to ask for others.
	_, requirements, found := strings.Cut(string(required), "require (")
	require.True(t, found)
	require.NoError(t, os.WriteFile(filepath.Join(module, "go.mod"), []byte("module example.com/user\n\ngo 1.26\n\n"+
		"require github.com/baton-transfers/baton v0.0.0\n\nreplace github.com/baton-transfers/baton => "+checkout+"\n\nrequire ("+requirements), 0o600))
	return module
}

// staff adds alice to the queue support of a new desk.
func staff(t *testing.T, database string, keys *codec.KeyRing) {
	t.Helper()
	d, err := desk.Open(t.Context(), database, desk.Options{Cipher: keys})
	require.NoError(t, err)
	require.NoError(t, people.AddQueue(t.Context(), d, "support"))
	require.NoError(t, people.AddAgent(t.Context(), d, people.NewAgent{Name: "alice", Presence: desk.PresenceAvailable}))
	require.NoError(t, people.AddMember(t.Context(), d, "support", "alice"))
	require.NoError(t, d.Close())
}

func startServer(t *testing.T) *devserver.Server {
	t.Helper()
	binary, err := devserver.Binary(t.Context(), os.Stderr)
	require.NoError(t, err)
	server, err := devserver.Start(t.Context(), devserver.Options{Binary: binary, SearchAttributes: workflows.SearchAttributes()})
	require.NoError(t, err)
	t.Cleanup(server.Kill)
	return server
}

// story is what the HTTP examples print.
const story = `transfer: completed
alice's task: completed
bob's task: completed
`

func TestTheHTTPExampleInNode(t *testing.T) {
	t.Parallel()
	need(t, "node", "npm")
	folder := copied(t, "http-node")
	install(t, folder, "npm", "ci", "--no-audit", "--no-fund")
	require.Equal(t, story, run(t, folder, startDev(t), "node", "transfer.js"))
}

func TestTheHTTPExampleInPython(t *testing.T) {
	t.Parallel()
	need(t, "python3")
	folder := copied(t, "http-python")
	python := filepath.Join(folder, ".venv", "bin", "python")
	for _, install := range [][]string{{"python3", "-m", "venv", ".venv"}, {python, "-m", "pip", "install", "--quiet", "--retries", "0", "-r", "requirements.txt"}} {
		if printed, err := command(within(t), folder, nil, install[0], install[1:]...).CombinedOutput(); err != nil {
			// Nothing else of the project needs Python, so that continuous integration may be without its registry.
			t.Skipf("the libraries cannot be installed: %v\n%s", err, printed)
		}
	}
	require.Equal(t, story, run(t, folder, startDev(t), python, "transfer.py"))
}

// need skips the test if a program is missing, and fails it in CI.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			skip(t, program+" is needed and is not installed")
		}
	}
}

// install runs a command that installs libraries. It skips the test if it fails, for example because the registry
// cannot be reached, and fails it in CI: `make drift` needs npm there too.
func install(t *testing.T, folder, program string, args ...string) {
	t.Helper()
	if printed, err := command(within(t), folder, nil, program, args...).CombinedOutput(); err != nil {
		skip(t, "the libraries cannot be installed: "+err.Error()+"\n"+string(printed))
	}
}

func skip(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		require.Fail(t, reason)
	}
	t.Skip(reason)
}

func copied(t *testing.T, example string) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), example)
	require.NoError(t, os.CopyFS(folder, os.DirFS(example)))
	return folder
}

// startDev runs `baton dev`, and returns the variables that the HTTP examples need.
func startDev(t *testing.T) []string {
	t.Helper()
	binary, err := devserver.Binary(t.Context(), os.Stderr) // built before the command's time counts
	require.NoError(t, err)
	folder := t.TempDir()
	run(t, "..", []string{"GOFLAGS="}, "go", "build", "-o", filepath.Join(folder, "baton"), "./starter")
	stdout := launch(t, folder, []string{"BATON_TEMPORAL=" + binary}, filepath.Join(folder, "baton"), "dev", "--json", "--data", folder,
		"--temporal", "127.0.0.1:0", "--ui", "127.0.0.1:0", "--http", "127.0.0.1:0")
	var running map[string]string
	require.NoError(t, json.NewDecoder(stdout).Decode(&running))
	return []string{
		"BATON=" + running["http"], "TWILIO_ACCOUNT_SID=" + running["account_sid"], "TWILIO_AUTH_TOKEN=" + running["auth_token"],
		"WORKSPACE=" + running["workspace_sid"], "INSTANCE=" + running["instance_sid"],
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// command returns a command in the folder, which is interrupted when ctx ends.
func command(ctx context.Context, folder string, variables []string, program string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, program, args...)
	c.Dir, c.Env = folder, append(append(os.Environ(), "GOFLAGS=-mod=mod"), variables...)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 20 * time.Second
	return c
}

// run runs a command that must succeed, and returns its output.
func run(t *testing.T, folder string, variables []string, program string, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	c := command(within(t), folder, variables, program, args...)
	c.Stderr = &stderr
	printed, err := c.Output()
	require.NoError(t, err, "%s %s\n%s%s", program, strings.Join(args, " "), printed, stderr.String())
	return string(printed)
}

// launch starts a command that runs until the end of the test, and returns its output.
func launch(t *testing.T, folder string, variables []string, program string, args ...string) io.Reader {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*patience)
	c := command(ctx, folder, variables, program, args...)
	c.Stderr = os.Stderr
	stdout, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		cancel()
		_ = c.Wait() // it was interrupted
	})
	return stdout
}
