package e2e

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/load"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/testenv"
)

// The exit codes of baton, as in its help.
const (
	exitDone    = 0
	exitRefused = 1
	exitUsage   = 2
)

// user is a person at a terminal, with a data folder.
type user struct {
	folder, data string
	// variables are additional environment variables.
	variables []string
}

func newUser(t *testing.T) *user {
	t.Helper()
	folder := t.TempDir()
	return &user{folder: folder, data: filepath.Join(folder, "data")}
}

func (u *user) environment(t *testing.T) []string {
	t.Helper()
	return testenv.Variables(append([]string{"BATON_TEMPORAL=" + have(t, temporalCLI), "XDG_CONFIG_HOME=" + u.folder}, u.variables...)...)
}

// baton runs a command of baton to its end.
func (u *user) baton(t *testing.T, args ...string) result {
	t.Helper()
	return execute(t, have(t, batonProgram), u.environment(t), append(args, "--data", u.data)...)
}

// does runs a command that must exit with 0, and returns its output.
func (u *user) does(t *testing.T, args ...string) string {
	t.Helper()
	r := u.baton(t, args...)
	require.Equal(t, exitDone, r.code, "baton %s\n%s%s", strings.Join(args, " "), r.stdout, r.stderr)
	return r.stdout
}

// reads runs a command with --json, and decodes its output.
func (u *user) reads(t *testing.T, into any, args ...string) {
	t.Helper()
	printed := u.does(t, append(args, "--json")...)
	require.NoError(t, json.Unmarshal([]byte(printed), into), "baton %s printed\n%s", strings.Join(args, " "), printed)
}

// isRefused runs a command that must be refused: exit code 1, and only `code: sentence` on stderr.
func (u *user) isRefused(t *testing.T, code conversation.Code, args ...string) {
	t.Helper()
	r := u.baton(t, args...)
	require.Equal(t, exitRefused, r.code, "baton %s\n%s%s", strings.Join(args, " "), r.stdout, r.stderr)
	require.True(t, strings.HasPrefix(r.stderr, string(code)+": "), "baton %s told: %s", strings.Join(args, " "), r.stderr)
	require.Equal(t, 1, strings.Count(strings.TrimSpace(r.stderr), "\n")+1, "one sentence: %s", r.stderr)
	require.Empty(t, r.stdout)
}

// starts begins a conversation and returns its SID.
func (u *user) starts(t *testing.T, args ...string) string {
	t.Helper()
	sid := strings.TrimSpace(u.does(t, append([]string{"start", "--channel", "web", "--customer", "Crystal Minh"}, args...)...))
	require.True(t, conversation.IsSID(conversation.PrefixConversation, sid), "start printed %q", sid)
	return sid
}

func (u *user) shows(t *testing.T, sid string) conversation.Record {
	t.Helper()
	var record conversation.Record
	u.reads(t, &record, "show", sid)
	return record
}

// offered waits until the conversation is offered to the agent.
func (u *user) offered(t *testing.T, sid, agent string) {
	t.Helper()
	waitFor(t, testenv.Patience, "an offer of "+sid+" to "+agent, func() bool {
		for _, task := range u.shows(t, sid).Tasks {
			if task.OfferedTo(agent) {
				return true
			}
		}
		return false
	})
}

// runsDev starts `baton dev` and returns when it reports that everything runs.
func (u *user) runsDev(t *testing.T) *process {
	t.Helper()
	dev := launch(t, "baton dev", have(t, batonProgram), u.environment(t),
		"dev", "--data", u.data, "--temporal", "127.0.0.1:0", "--ui", "127.0.0.1:0", "--http", "127.0.0.1:0")
	waitFor(t, testenv.Patience, "everything runs", func() bool {
		require.True(t, dev.Runs(), "baton dev has ended: %s%s", dev.Stdout.Tail(), dev.Stderr.Tail())
		return strings.Contains(dev.Stdout.String(), "Everything runs")
	})
	return dev
}

func TestStarterDrivesAConversation(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	dev := u.runsDev(t)

	sid := u.starts(t, "--queue", "support", "--attribute", "order=3348917502", "--attribute", "shop=main street")
	u.does(t, "say", sid, "--as", "customer", "I was charged", "twice.")
	u.offered(t, sid, "alice")
	u.isRefused(t, conversation.CodeTaskNotAssigned, "say", sid, "--as", "alice", "Too early.")
	u.does(t, "accept", sid, "--agent", "alice")
	u.isRefused(t, conversation.CodeMessagingTransfersOff, "transfer", sid, "--from", "alice", "--to", "queue:billing")
	u.isRefused(t, conversation.CodeMessagingTransfersOff, "settings", "--transfer-notes", "on")

	u.does(t, "plugins", "add", "twilio-conversation-transfer-plugin")
	u.isRefused(t, conversation.CodePluginConflict, "settings", "--messaging-transfers", "on")
	u.does(t, "plugins", "set", "twilio-conversation-transfer-plugin", "--enabled", "off")
	u.does(t, "settings", "--messaging-transfers", "on", "--reservation-timeout", "90s")
	u.isRefused(t, conversation.CodeTransferNotesOff, "transfer", sid, "--from", "alice", "--to", "queue:billing", "--note", "Charged twice.")
	var settings conversation.Settings
	u.reads(t, &settings, "settings", "--transfer-notes", "on")
	require.Equal(t, 90, settings.ReservationTimeout)

	// To a queue, with transcript and note; declined, and claimed in the end.
	u.does(t, "transfer", sid, "--from", "alice", "--to", "queue:billing", "--note", "Charged twice.")
	u.offered(t, sid, "bob")
	var offers []routing.Offer
	waitFor(t, soon, "the offer at the desk", func() bool {
		u.reads(t, &offers, "offers", "--agent", "bob")
		return len(offers) == 1
	})
	require.Equal(t, "I was charged twice.", offers[0].Transcript[0].Text)
	require.Equal(t, "Charged twice.", offers[0].Notes[0].Text)
	require.JSONEq(t, `3348917502`, string(offers[0].Task.Attributes["order"]))
	require.JSONEq(t, `"main street"`, string(offers[0].Task.Attributes["shop"]))
	u.does(t, "agents", "set", "bob", "--status", "break")
	waitFor(t, testenv.Patience, "declined for bob, who has gone", func() bool { return u.shows(t, sid).Tasks[1].Status == conversation.TaskPending })
	u.isRefused(t, conversation.CodeAgentUnavailable, "take", sid, "--agent", "bob")
	u.does(t, "agents", "set", "carol", "--status", "available")
	require.Contains(t, u.does(t, "take", sid, "--agent", "carol"), "is reserved for carol")
	u.does(t, "decline", sid, "--agent", "carol", "--reason", "not mine")
	u.does(t, "agents", "set", "bob", "--status", "available")
	u.offered(t, sid, "bob")
	u.isRefused(t, conversation.CodeNoReservation, "accept", sid, "--agent", "carol")
	u.does(t, "accept", sid, "--agent", "bob")

	// Back to alice, who is in wrap-up: canceled once, repeated, refused, wrapped up, accepted.
	u.does(t, "transfer", sid, "--from", "bob", "--to", "agent:alice")
	u.does(t, "cancel", sid, "--agent", "bob")
	u.does(t, "transfer", sid, "--from", "bob", "--to", "agent:alice", "--command-id", "again")
	u.does(t, "transfer", sid, "--from", "bob", "--to", "agent:alice", "--command-id", "again")
	u.isRefused(t, conversation.CodeWrapupPending, "accept", sid, "--agent", "alice")
	u.does(t, "wrapup", sid, "--agent", "alice", "--disposition", "passed_on", "--note", "All set.")
	u.does(t, "accept", sid, "--agent", "alice")
	require.Contains(t, u.does(t, "show", sid), "alice")

	watched := launch(t, "baton watch", have(t, batonProgram), u.environment(t), "watch", sid, "--data", u.data)
	waitFor(t, testenv.Patience, "something to watch", func() bool { return strings.Contains(watched.Stdout.String(), "alice assigned") })
	u.does(t, "end", sid, "--agent", "alice")
	u.does(t, "wrapup", sid, "--agent", "alice")
	u.does(t, "wrapup", sid, "--agent", "bob")
	require.Equal(t, exitDone, watched.ended(t), "watching ends with the conversation")
	require.Contains(t, watched.Stdout.String(), "closed")
	u.isRefused(t, conversation.CodeConversationClosed, "accept", sid, "--agent", "alice")
	u.isRefused(t, conversation.CodeConversationClosed, "say", sid, "--as", "customer", "Hello?")
	require.Contains(t, u.does(t, "transcript", sid), "I was charged twice.")
	require.NotContains(t, u.does(t, "transcript", sid, "--as", "customer"), "All set.", "notes are never the customer's")

	closed := u.starts(t, "--queue", "support")
	u.offered(t, closed, "alice")
	u.does(t, "close", closed, "--reason", "the customer left")
	interrupted := launch(t, "baton watch", have(t, batonProgram), u.environment(t), "watch", u.starts(t, "--queue", "support"), "--data", u.data)
	waitFor(t, testenv.Patience, "something to watch", func() bool { return interrupted.Stdout.String() != "" })
	require.Equal(t, exitDone, interrupted.interrupt(t), "Ctrl-C is how one stops watching")

	rows, err := csv.NewReader(strings.NewReader(u.does(t, "insights", "--since", "1h", "--csv"))).ReadAll()
	require.NoError(t, err)
	require.Greater(t, len(rows), 1)
	var insights struct {
		Total struct {
			Sent           struct{ Initiated, Completed, Canceled int }
			WrapupRefusals int `json:"wrapup_refusals"`
		}
	}
	u.reads(t, &insights, "insights", "--channel", "web")
	require.Equal(t, 3, insights.Total.Sent.Initiated)
	require.Equal(t, 2, insights.Total.Sent.Completed)
	require.Equal(t, 1, insights.Total.Sent.Canceled)
	require.Equal(t, 1, insights.Total.WrapupRefusals)
	require.Contains(t, u.does(t, "insights", "--agent", "alice"), "FROM QUEUE")
	u.does(t, "queues", "add", "returns", "--member", "alice")
	u.does(t, "queues", "remove", "returns")
	u.does(t, "setup")
	var listed []baton.ConversationInfo
	waitFor(t, soon, "the closed conversations are found", func() bool {
		u.reads(t, &listed, "list", "--query", `ConversationStatus = "closed"`)
		return len(listed) == 2
	})
	require.Contains(t, u.does(t, "replay", "--query", `ConversationChannel = "web"`), "3 replayed, 0 failed")
	require.Contains(t, u.does(t, "replay", "--query", `ConversationChannel = "web"`, "--sample", "2"), "2 replayed, 0 failed")

	require.Equal(t, exitDone, dev.interrupt(t), "Ctrl-C is how one ends `baton dev`")
}

func TestStarterDevGoesOnAfterItWasKilled(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	dev := u.runsDev(t)
	u.does(t, "settings", "--messaging-transfers", "on", "--transfer-notes", "on")
	waiting := u.starts(t, "--queue", "support")
	u.offered(t, waiting, "alice")
	assigned := u.starts(t, "--queue", "support")
	u.offered(t, assigned, "alice")
	u.does(t, "accept", assigned, "--agent", "alice")
	passed := u.starts(t, "--queue", "support")
	u.offered(t, passed, "alice")
	u.does(t, "accept", passed, "--agent", "alice")
	u.does(t, "transfer", passed, "--from", "alice", "--to", "agent:bob", "--note", "Before the crash.")
	before := map[string]conversation.Record{}
	for _, sid := range []string{waiting, assigned, passed} {
		before[sid] = u.shows(t, sid)
	}
	dev.Kill()

	// Without a server, the error says what to do.
	r := u.baton(t, "show", passed, "--timeout", "5s")
	require.Equal(t, exitRefused, r.code)
	require.Contains(t, r.stderr, "baton dev")

	dev = u.runsDev(t)
	for sid, record := range before {
		requireSame(t, record, u.shows(t, sid), "conversation %s after the crash", sid)
	}
	u.does(t, "accept", waiting, "--agent", "alice")
	u.does(t, "transfer", assigned, "--from", "alice", "--to", "queue:billing")
	u.does(t, "accept", passed, "--agent", "bob")
	u.does(t, "wrapup", passed, "--agent", "alice")
	u.offered(t, assigned, "bob")
	require.Contains(t, u.does(t, "transcript", passed, "--as", "bob"), "Before the crash.")
	require.Equal(t, exitDone, dev.interrupt(t))

	// Conversations also survive a clean stop.
	dev = u.runsDev(t)
	u.does(t, "accept", assigned, "--agent", "bob")
	measuresADeployment(t, u)
	require.Equal(t, exitDone, dev.interrupt(t))
}

// measuresADeployment runs `baton bench` on the running deployment, and checks that it leaves the deployment
// as it was.
func measuresADeployment(t *testing.T, u *user) {
	t.Helper()
	var found struct {
		Opened, Unpaced load.Rate
		Paced           []load.Latency
	}
	u.reads(t, &found, "bench", "--open", "25", "--clients", "3", "--rate", "20", "--for", "1s", "--unpaced", "500ms")
	require.Equal(t, 25, found.Opened.Count)
	require.Positive(t, found.Unpaced.Count)
	var commands []string
	timed := 0
	for _, latency := range found.Paced {
		commands = append(commands, latency.Command)
		timed += latency.Count
		require.Positive(t, latency.P50)
		require.GreaterOrEqual(t, latency.Longest, latency.P99)
	}
	require.Equal(t, []string{"transfer", "accept", "wrapup"}, commands, "each of them, though more are open than commands are sent")
	require.Equal(t, 20, timed, "one second at twenty a second")
	leavesNothing := func() {
		t.Helper()
		require.NotContains(t, u.does(t, "agents"), load.QueuePrefix)
		require.NotContains(t, u.does(t, "queues"), load.QueuePrefix)
	}
	leavesNothing()

	u.does(t, "settings", "--messaging-transfers", "off")
	u.isRefused(t, conversation.CodeMessagingTransfersOff, "bench")
	leavesNothing()
}

func TestStarterSaysWhatIsWrongWithTheCall(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	sid := baton.NewConversation()
	for _, args := range [][]string{
		{"transfre"},
		{"start"},
		{"start", "--queue"},
		{"start", "--queue", "support", "--attribute", "order"},
		{"start", "--queue", "support", "surplus"},
		{"start", "--queue", "support", "--priority", "high"},
		{"transfer", sid, "--from", "alice"},
		{"transfer", sid, "--from", "alice", "--to", "bob"},
		{"transfer", sid, "--from", "alice", "--to", "agent:"},
		{"transfer", "CH1", "--from", "alice", "--to", "agent:bob"},
		{"transfer", "--from", "alice", "--to", "agent:bob"},
		{"accept", sid},
		{"accept", sid, "--agnet", "bob"},
		{"say", sid, "--as", "customer"},
		{"settings", "--messaging-transfers", "perhaps"},
		{"settings", "--reservation-timeout", "soon"},
		{"settings", "--reservation-timeout", "1500ms"},
		{"agents", "add"},
		{"agents", "set", "alice"},
		{"agents", "set", "alice", "--capacity", "web"},
		{"insights", "--since", "-1h"},
		{"insights", "--channel", "carrier-pigeon"},
		{"bench", "--open", "0"},
		{"replay", "history.json", "--limit", "2"},
		{"replay", "--limit", "2", "--sample", "2"},
		{"deployment", "ramp", "v2", "101"},
		{"deployment", "set-current"},
		{"import"},
		{"import", "x.json", "--queue", "support", "--transfer-to", "queue:billing", "--at", "2"},
	} {
		r := u.baton(t, args...)
		require.Equal(t, exitUsage, r.code, "baton %s\n%s%s", strings.Join(args, " "), r.stdout, r.stderr)
		require.Contains(t, r.stderr, "--help", "baton %s", strings.Join(args, " "))
		require.Empty(t, r.stdout, "baton %s", strings.Join(args, " "))
	}
	help := execute(t, have(t, batonProgram), u.environment(t), "--help")
	require.Equal(t, exitDone, help.code)
	require.Contains(t, help.stdout, "Drive a conversation:")
}

func TestStarterSaysWhatToDoWhereNothingRuns(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	sid := baton.NewConversation()
	for _, args := range [][]string{
		{"settings"}, {"agents"}, {"say", sid, "--as", "customer", "Hello?"}, {"transcript", sid}, {"insights"},
	} {
		r := u.baton(t, args...)
		require.Equal(t, exitRefused, r.code, "baton %s", strings.Join(args, " "))
		require.Contains(t, r.stderr, "there is no desk at", "baton %s", strings.Join(args, " "))
		require.NoFileExists(t, filepath.Join(u.data, "desk.db"))
	}
	for _, args := range [][]string{{"show", sid}, {"start", "--queue", "support"}, {"accept", sid, "--agent", "bob"}, {"setup"}, {"list"}} {
		r := u.baton(t, append(args, "--temporal", "127.0.0.1:1", "--timeout", "3s")...)
		require.Equal(t, exitRefused, r.code, "baton %s", strings.Join(args, " "))
		require.Contains(t, r.stderr, "no Temporal server answers at 127.0.0.1:1: start one with `baton dev`", "baton %s", strings.Join(args, " "))
	}
	r := u.baton(t, "replay", filepath.Join(u.folder, "missing.json"))
	require.Equal(t, exitRefused, r.code)
	r = u.baton(t, "import", filepath.Join(u.folder, "missing.json"), "--queue", "support", "--transfer-to", "queue:billing")
	require.Equal(t, exitRefused, r.code)
	require.Contains(t, r.stderr, "missing.json")
}

func TestStarterLeavesAFileThatIsNoDeskAsItIs(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	require.NoError(t, os.MkdirAll(u.data, 0o700))
	database := filepath.Join(u.data, "desk.db")
	for name, content := range map[string]string{
		"text":                 strings.Repeat("These are my shopping lists.\n", 1000),
		"a damaged database":   "SQLite format 3\x00" + strings.Repeat("\xff\x00damaged", 2000),
		"a database cut short": "SQLite format 3\x00",
	} {
		require.NoError(t, os.WriteFile(database, []byte(content), 0o600))
		for _, args := range [][]string{{"settings"}, {"dev", "--temporal", "127.0.0.1:0", "--ui", "127.0.0.1:0"}} {
			r := u.baton(t, args...)
			require.Equal(t, exitRefused, r.code, "%s: baton %s\n%s", name, args[0], r.stderr)
			require.Contains(t, r.stderr, database, "%s: baton %s", name, args[0])
			require.Contains(t, r.stderr, "left as it is", "%s: baton %s", name, args[0])
			require.Contains(t, r.stderr, "backup", "%s: baton %s", name, args[0])
		}
		after, err := os.ReadFile(database)
		require.NoError(t, err)
		require.Equal(t, content, string(after), "%s was left as it was", name)
	}
}

func TestStarterRefusesBadValues(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	u.runsDev(t)
	u.does(t, "settings", "--messaging-transfers", "on", "--transfer-notes", "on")
	u.isRefused(t, conversation.CodeUnknownQueue, "start", "--queue", "nowhere")
	u.isRefused(t, conversation.CodeInvalidPayload, "start", "--queue", "support", "--channel", "fax")
	u.isRefused(t, conversation.CodeInvalidPayload, "start", "--queue", "support", "--priority", "-1")
	u.isRefused(t, conversation.CodeInvalidPayload, "start", "--queue", "support", "--attribute", "long="+strings.Repeat("x", 5000))
	sid := u.starts(t, "--queue", "support")
	u.isRefused(t, conversation.CodeInvalidPayload, "start", "--queue", "support", "--conversation", sid)
	u.offered(t, sid, "alice")
	u.does(t, "accept", sid, "--agent", "alice")
	revision := u.shows(t, sid).Revision
	for _, refused := range []struct {
		code conversation.Code
		args []string
	}{
		{conversation.CodeUnknownAgent, []string{"--to", "agent:nobody"}},
		{conversation.CodeInvalidPayload, []string{"--to", "agent:Bob"}},
		{conversation.CodeUnknownQueue, []string{"--to", "queue:nowhere"}},
		{conversation.CodeTransferToSelf, []string{"--to", "agent:alice"}},
		{conversation.CodeTargetNotAvailable, []string{"--to", "workflow:routing"}},
		{conversation.CodeModeNotAvailable, []string{"--to", "agent:bob", "--mode", "warm"}},
		{conversation.CodeInvalidPayload, []string{"--to", "agent:bob", "--mode", "lukewarm"}},
		{conversation.CodeInvalidPayload, []string{"--to", "agent:bob", "--note", " \n "}},
		{conversation.CodeInvalidPayload, []string{"--to", "agent:bob", "--note", strings.Repeat("é", conversation.MaxNote+1)}},
		{conversation.CodeInvalidPayload, []string{"--to", "agent:bob", "--note", "KQ0123456789abcdef0123456789abcdef"}},
		{conversation.CodeInvalidPayload, []string{"--to", "agent:" + strings.Repeat("b", 300)}},
	} {
		u.isRefused(t, refused.code, append([]string{"transfer", sid, "--from", "alice"}, refused.args...)...)
	}
	u.isRefused(t, conversation.CodeNoSuchTask, "accept", sid, "--agent", "bob", "--task", "WT1")
	u.isRefused(t, conversation.CodeNotYourTask, "end", sid, "--agent", "bob")
	u.isRefused(t, conversation.CodeNotWrapping, "wrapup", sid, "--agent", "alice")
	u.isRefused(t, conversation.CodeNoActiveTransfer, "cancel", sid, "--agent", "alice")
	u.isRefused(t, conversation.CodeInvalidPayload, "say", sid, "--as", "alice", "  ")
	u.isRefused(t, conversation.CodeInvalidPayload, "say", sid, "--as", "alice", strings.Repeat("x", records.MaxMessage+1))
	u.isRefused(t, conversation.CodeNotYourTask, "say", sid, "--as", "bob", "Hello")
	u.isRefused(t, conversation.CodeInvalidPayload, "agents", "add", "Dave")
	u.isRefused(t, conversation.CodeInvalidPayload, "agents", "add", "alice")
	u.isRefused(t, conversation.CodeUnknownAgent, "agents", "set", "nobody", "--status", "break")
	u.isRefused(t, conversation.CodeInvalidPayload, "agents", "set", "alice", "--status", "asleep")
	u.isRefused(t, conversation.CodeInvalidPayload, "agents", "remove", "alice")
	u.isRefused(t, conversation.CodeInvalidPayload, "queues", "remove", "support")
	u.isRefused(t, conversation.CodeInvalidPayload, "settings", "--reservation-timeout", "0s")
	u.isRefused(t, conversation.CodeInvalidPayload, "settings", "--unanswered", "nobody")
	u.isRefused(t, conversation.CodeInvalidPayload, "plugins", "set", "missing", "--enabled", "off")
	u.isRefused(t, conversation.CodeUnknownConversation, "show", baton.NewConversation())
	u.isRefused(t, conversation.CodeUnknownConversation, "transcript", baton.NewConversation())
	require.Equal(t, revision, u.shows(t, sid).Revision, "nothing was changed")

	// The longest permitted note reaches bob unchanged.
	note := strings.Repeat("é", conversation.MaxNote)
	u.does(t, "transfer", sid, "--from", "alice", "--to", "agent:bob", "--note", note)
	waitFor(t, soon, "the note", func() bool {
		var offers []routing.Offer
		u.reads(t, &offers, "offers", "--agent", "bob")
		return len(offers) == 1 && len(offers[0].Notes) == 1 && offers[0].Notes[0].Text == note
	})

	second := u.baton(t, "dev", "--temporal", "127.0.0.1:0", "--ui", "127.0.0.1:0")
	require.Equal(t, exitRefused, second.code, "two `baton dev` on one folder")
	require.Contains(t, second.stderr, "in use by another dev server")
}

// dialogues is the file with a sample of real dialogues, next to the repository.
const dialogues = "../../shared/data/abcd_sample.json"

func TestStarterImportsRealDialoguesTurnByTurn(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(dialogues)
	if err != nil {
		t.Skipf("There is no sample of dialogues beside the repository: %v", err)
	}
	var source []struct {
		ID       int         `json:"convo_id"`
		Original [][2]string `json:"original"`
	}
	require.NoError(t, json.Unmarshal(content, &source))
	u := newUser(t)
	u.runsDev(t)
	u.isRefused(t, conversation.CodeMessagingTransfersOff, "import", dialogues, "--queue", "support", "--transfer-to", "queue:billing")
	u.does(t, "settings", "--messaging-transfers", "on")
	var results []struct {
		Dialogue     int    `json:"dialogue"`
		Conversation string `json:"conversation"`
		Turns        int    `json:"turns"`
		PassedOnAt   int    `json:"passed_on_at"`
		Identical    bool   `json:"identical"`
	}
	u.reads(t, &results, "import", dialogues, "--queue", "support", "--transfer-to", "queue:billing", "--at", "0.5")
	require.Len(t, results, len(source))
	for i, r := range results {
		require.Equal(t, source[i].ID, r.Dialogue)
		require.True(t, r.Identical)
		require.Equal(t, len(source[i].Original)/2, r.PassedOnAt)
		var read struct{ Messages []records.Message }
		u.reads(t, &read, "transcript", r.Conversation)
		require.Len(t, read.Messages, len(source[i].Original))
		for n, turn := range source[i].Original {
			require.Equal(t, turn[1], read.Messages[n].Text, "turn %d of dialogue %d", n+1, r.Dialogue)
			if turn[0] == "customer" {
				require.Equal(t, records.FromCustomer, read.Messages[n].From)
			} else {
				require.NotEqual(t, records.FromCustomer, read.Messages[n].From)
			}
		}
		require.Equal(t, conversation.ConversationClosed, u.shows(t, r.Conversation).Status)
	}
}

func TestStarterDemoTellsTheStory(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	for range 2 { // the folder of an earlier demo is used again
		story := u.does(t, "demo")
		for _, told := range []string{
			"messaging_transfers_off: ", "turns messaging transfers on", "to the queue billing with a note", "bob is offered the chat",
			"bob accepts", "wrapup_pending: ", "the same accept works", "the conversation is closed", "http://",
		} {
			_, after, found := strings.Cut(story, told)
			require.True(t, found, "%q, in its turn, in the rest of the story\n%s", told, story)
			story = after
		}
	}
	demo := *u
	demo.data = filepath.Join(u.data, "demo")
	var insights struct {
		Total struct {
			WrapupRefusals int `json:"wrapup_refusals"`
		}
	}
	demo.reads(t, &insights, "insights")
	require.Equal(t, 2, insights.Total.WrapupRefusals, "one in each story")
}
