package conversation_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// faults break one rule each: the source text of the rule, its replacement, and what the walk then has to report.
var faults = []struct {
	name, file, rule, fault, says string
}{
	{
		"an agent accepts while they still wrap up", "rules.go",
		`if wrapping := s.Wrapping(c.Agent); wrapping != nil {`,
		`if wrapping := s.Wrapping(c.Agent); wrapping != nil && s.Status == "" {`,
		"I1 is broken",
	},
	{
		"an agent accepts what is offered to another agent", "state.go",
		`return t.Status == TaskReserved && t.Reservation.Agent == agent`,
		`return t.Status == TaskReserved`,
		"allowed when is broken",
	},
	{
		"accepting leaves the transfer active", "change.go",
		`if transfer := ch.ActiveTransfer(); transfer != nil && transfer.Task == t.SID {
		advance(`,
		`if transfer := ch.ActiveTransfer(); transfer != nil && transfer.Task == t.Previous {
		advance(`,
		"I4 is broken",
	},
	{
		"a declined direct task goes nowhere", "fallbacks.go",
		`	ch.enter(t, t.Queue, true)
}

// takeBack`,
		`}

// takeBack`,
		"I3 is broken",
	},
	{
		"a declined task of a queue goes nowhere", "fallbacks.go",
		`	if !t.Direct {
		ch.pend(t)
`,
		`	if !t.Direct {
`,
		"I3 is broken",
	},
	{
		"the setting unanswered is not looked at", "fallbacks.go",
		`ch.Settings.Unanswered == UnansweredSender && ch.senderWraps(transfer)`,
		`ch.senderWraps(transfer)`,
		"no agent takes it is broken",
	},
	{
		"the sender gets it back although they no longer wrap", "fallbacks.go",
		`return ch.Task(transfer.FromTask).Status == TaskWrapping`,
		`return true`,
		`may not turn "completed" into "assigned"`,
	},
	{
		"the sender doesn't get back what they take back", "fallbacks.go",
		`	if ch.senderWraps(transfer) {
		ch.returnToSender(transfer, ReasonCanceled)`,
		`	if ch.senderWraps(transfer) && transfer.To.Agent == "" {
		ch.returnToSender(transfer, ReasonCanceled)`,
		"cancel is broken",
	},
	{
		"a task times out for the customer although its sender still wraps", "fallbacks.go",
		`transfer != nil && ch.senderWraps(transfer) {
		ch.returnToSender(transfer, ReasonTaskTimeout)`,
		`transfer != nil && transfer.To.Agent == "" {
		ch.returnToSender(transfer, ReasonTaskTimeout)`,
		"no agent takes it is broken",
	},
	{
		"the sender has it again while the transfer stays active", "fallbacks.go",
		`	ch.failTransfer(transfer, reason)
	sender := ch.Task(transfer.FromTask)`,
		`	sender := ch.Task(transfer.FromTask)`,
		"I4 is broken",
	},
	{
		"a transfer is taken back after the wrapup and no other task waits", "fallbacks.go",
		`	task := ch.newTask(canceled.Queue, canceled)
	ch.tell(EventTaskCreated, task, nil)
	ch.enter(task, canceled.Queue, true)
	ch.task = task
`,
		``,
		"I3 is broken",
	},
	{
		"a task that waited for too long leaves its transfer active", "change.go",
		`	if transfer := ch.ActiveTransfer(); transfer != nil {
		ch.failTransfer(transfer, reason)
	}
	advance(`,
		`	if transfer := ch.ActiveTransfer(); transfer != nil && reason != ReasonTaskTimeout {
		ch.failTransfer(transfer, reason)
	}
	advance(`,
		"I4 is broken",
	},
	{
		"closing leaves a reserved task", "change.go",
		`case t.Status.Waiting():
			ch.cancelTask`,
		`case t.Status == TaskPending:
			ch.cancelTask`,
		"I6 is broken",
	},
	{
		"closing leaves the agent's task assigned", "change.go",
		`		case t.Status == TaskAssigned:
			ch.wrap(t)
`,
		``,
		"I6 is broken",
	},
	{
		"the last wrapup doesn't close the conversation", "change.go",
		`if ch.Status == ConversationWrapping && len(ch.LiveTasks()) == 0 {`,
		`if ch.Status == ConversationWrapping && len(ch.LiveTasks()) == 0 && len(ch.Tasks) == 1 {`,
		"I6 is broken",
	},
	{
		"a transfer loses an attribute", "attributes.go",
		`	a := maps.Clone(from.Attributes)
`,
		`	a := maps.Clone(from.Attributes)
	delete(a, "order")
`,
		"I5 is broken",
	},
	{
		"a transfer loses its place in the line", "change.go",
		`t.Previous, t.Priority, t.QueuedAt, t.Attributes = previous.SID, previous.Priority, previous.QueuedAt, previous.Attributes`,
		`t.Previous, t.Attributes = previous.SID, previous.Attributes`,
		"I5 is broken",
	},
	{
		"a refused transfer changes the settings", "apply.go",
		`		if refusal := asks.judge(s, facts); refusal != nil {
`,
		`		s.Settings = facts.Settings
		if refusal := asks.judge(s, facts); refusal != nil {
`,
		"I7 is broken",
	},
	{
		"a stale match reserves the task", "rules.go",
		`task.Status != TaskPending || task.PendingSeq != c.PendingSeq`,
		`task.Status != TaskPending`,
		"allowed when is broken: reserve",
	},
	{
		"moving leaves the offer standing", "rules.go",
		`			ch.setReservation(task, ReservationRescinded, EventReservationRescinded, "", false)
`,
		``,
		"I3 is broken",
	},
	{
		"the sender's wrapup runs out while their transfer is active", "change.go",
		`transfer != nil && transfer.FromTask == t.SID {
		return`,
		`transfer != nil && transfer.Task == t.SID {
		return`,
		"wrapup_timeout is broken",
	},
	{
		"placement numbers are given twice", "change.go",
		`	ch.PendingCount++
`,
		`	ch.PendingCount = 1
`,
		"placement is broken",
	},
	{
		"the revision isn't raised", "apply.go",
		`	s.Revision++
`,
		``,
		"revision is broken",
	},
}

// TestWalkCatchesFaults introduces known faults one by one, and checks that the walk fails for each.
func TestWalkCatchesFaults(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: one walk for each of a hundred faults takes minutes; make test runs them")
	}
	goCommand, err := exec.LookPath("go")
	require.NoError(t, err, "the faults are built with the go command: put it into PATH")
	room, err := os.Getwd()
	require.NoError(t, err)
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			source, err := os.ReadFile(f.file)
			require.NoError(t, err)
			require.Equal(t, 1, strings.Count(string(source), f.rule), "%s no longer says, once:\n%s", f.file, f.rule)
			folder := t.TempDir()
			patched, overlay := filepath.Join(folder, f.file), filepath.Join(folder, "overlay.json")
			require.NoError(t, os.WriteFile(patched, []byte(strings.Replace(string(source), f.rule, f.fault, 1)), 0o600))
			replacements, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(room, f.file): patched}})
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(overlay, replacements, 0o600))

			walk := exec.CommandContext(t.Context(), goCommand, "test", "-overlay", overlay, "-vet=off", "-ldflags=-w", "-count=1", "-run", "^TestWalk$", ".")
			walk.Env = append(os.Environ(), walkTasksVariable+"=3")
			output, err := walk.CombinedOutput()
			var failed *exec.ExitError
			require.ErrorAs(t, err, &failed, "the walk does not notice")
			require.Contains(t, string(output), "--- FAIL: TestWalk", "it doesn't build:\n%s", output)
			require.Contains(t, string(output), f.says, "%s", output)
		})
	}
}
