package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"golang.org/x/sync/errgroup"

	"github.com/baton-transfers/baton/activities"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/testenv"
	"github.com/baton-transfers/baton/workflows"
)

// The new build has one more timer at the start of each run. With GetVersion, it can continue the conversations of
// the old build. Without it, it cannot, and the replay check must detect that.
const (
	changedFrom = "\tworkflow.Go(ctx, r.projector.run)\n"
	changedTo   = `	%s{
		_ = workflow.NewTimerWithOptions(ctx, time.Millisecond, workflow.TimerOptions{Summary: "changed"}).Get(ctx, nil)
	}
`
	ifVersioned = `if workflow.GetVersion(ctx, "rehearsed", workflow.DefaultVersion, 1) >= 1 `
	// ranChanged finds the conversations that ran the changed code with GetVersion.
	ranChanged = `TemporalChangeVersion = "rehearsed-1"`
)

// drainsSoon makes the server check every second whether a version is drained.
var drainsSoon = map[string]any{
	"matching.wv.VersionDrainageStatusVisibilityGracePeriod": "1s", "matching.wv.VersionDrainageStatusRefreshInterval": "1s",
}

// A build is upgraded while conversations are in every state. The replay check accepts the new build, it gets half
// of the conversations and then all, and the old build is drained and stopped. A third build, which the check
// rejects, is made current nevertheless, and then replaced. Nothing is lost. Pinned conversations stay with their
// build until they are closed.
func TestUpgradeWithOpenConversations(t *testing.T) {
	t.Parallel()
	second, third := filepath.Join(t.TempDir(), "second"), filepath.Join(t.TempDir(), "third")
	var builds errgroup.Group
	builds.Go(func() error { return buildChanged(second, ifVersioned) })
	builds.Go(func() error { return buildChanged(third, "") })

	c := openEnvironment(t, drainsSoon)
	require.NoError(t, people.AddQueue(t.Context(), c.Desk, "night")) // it has no agents
	old := c.startVersion(t, have(t, workerProgram), "first")
	c.makeCurrent(t, "first")
	open := c.beginInEveryState(t)
	c.found(t, `ExecutionStatus = "Running"`, len(open))
	require.NoError(t, builds.Wait())

	r := c.command(t, filepath.Join(second, "starter"), "replay")
	require.Equal(t, exitDone, r.code, r.stderr)
	require.Contains(t, r.stdout, strconv.Itoa(len(open))+" replayed, 0 failed")
	kept := t.TempDir()
	none := []string{"replay", "--query", `ConversationStatus = "unheard-of"`}
	r = c.command(t, filepath.Join(second, "starter"), none...)
	require.Equal(t, exitRefused, r.code, r.stdout)
	require.Contains(t, r.stderr, "this build is not tested")
	require.Equal(t, exitDone, c.command(t, filepath.Join(second, "starter"), append(none, "--allow-none")...).code)
	r = c.command(t, filepath.Join(third, "starter"), "replay", "--save", kept)
	require.Equal(t, exitRefused, r.code, r.stdout)
	require.Contains(t, r.stdout, open[0])
	require.Contains(t, r.stdout, "TMPRL1100")
	require.Contains(t, r.stderr, "put what changed behind workflow.GetVersion")
	saved, err := filepath.Glob(filepath.Join(kept, "*.json"))
	require.NoError(t, err)
	require.Len(t, saved, len(open))
	require.Equal(t, exitDone, c.command(t, filepath.Join(second, "starter"), append([]string{"replay"}, saved...)...).code)

	const relayed, cycles = 2, 6
	passed := startRelays(t, c, relayed, cycles)
	c.startVersion(t, filepath.Join(second, "worker"), "second")
	require.True(t, passed.after(2))
	c.deploys(t, "ramp", "second", "50")
	for range 4 {
		open = append(open, c.beginWithAlice(t))
	}
	require.True(t, passed.after(2))
	r = c.command(t, have(t, batonProgram), "deployment", "ramp", "first", "0")
	require.Equal(t, exitRefused, r.code, "only the ramp of that build is ended")
	require.Contains(t, r.stderr, "first isn't ramping, second is")
	c.makeCurrent(t, "second")
	c.deploys(t, "drained", "first", "--wait")
	require.Equal(t, exitDone, old.interrupt(t))
	fresh := c.beginWithAlice(t)
	open = append(open, fresh)
	passed.requireNothingLostOrDoubled()

	bad := c.startVersion(t, filepath.Join(third, "worker"), "third")
	bad.provoked = "TMPRL1100"
	c.makeCurrent(t, "third")
	answered := make(chan error, 1)
	ctx := in(t, testenv.Patience)
	go func() { // to a conversation that began without the change
		_, err := c.Baton.Send(ctx, open[0], conversation.TransferCommand{From: "alice", To: to("bob")})
		answered <- err
	}()
	waitFor(t, testenv.Patience, "the third build finds out that it can't", func() bool { return strings.Contains(bad.Stderr.String(), bad.provoked) })
	c.makeCurrent(t, "second")
	require.NoError(t, <-answered, "the command was kept, and the build that is back carries it out")
	bad.Kill()

	for _, sid := range open {
		c.finish(t, sid)
	}
	requireAgreement(t, c, open...)
	c.found(t, `WorkflowId = "`+workflows.ID(fresh)+`" AND `+ranChanged, 1)
	c.found(t, `WorkflowId = "`+workflows.ID(open[0])+`" AND `+ranChanged, 0)
	r = c.command(t, filepath.Join(second, "starter"), "replay", "--query", `ConversationStatus = "closed"`)
	require.Equal(t, exitDone, r.code, r.stdout)

	c.upgradePinned(t, filepath.Join(second, "worker"))
}

// upgradePinned makes one more build current while a conversation is pinned to the previous one.
func (c *environment) upgradePinned(t *testing.T, program string) {
	t.Helper()
	c.makeCurrentWhileItStarts(t, program, "pinned-1", "BATON_VERSIONING=pinned")
	c.deploys(t, "drained", "second", "--wait")
	stays := c.beginWithAlice(t)
	c.startVersion(t, program, "pinned-2", "BATON_VERSIONING=pinned")
	c.makeCurrent(t, "pinned-2")
	goes := c.beginWithAlice(t)
	for _, sid := range []string{stays, goes} {
		c.do(t, sid, conversation.TransferCommand{From: "alice", To: to("bob")})
	}
	for sid, build := range map[string]string{stays: "pinned-1", goes: "pinned-2"} {
		c.found(t, fmt.Sprintf("WorkflowId = %q AND TemporalWorkerDeploymentVersion = %q", workflows.ID(sid), deploymentName+":"+build), 1)
	}
	r := c.command(t, have(t, batonProgram), "deployment", "drained", "pinned-1")
	require.Equal(t, exitRefused, r.code)
	require.Contains(t, r.stderr, "leave its workers running")
	c.finish(t, stays)
	c.deploys(t, "drained", "pinned-1", "--wait")
	c.finish(t, goes)
	requireAgreement(t, c, stays, goes)
}

// beginInEveryState starts conversations: one that waits, one that is offered, one that an agent has, one that is
// being transferred, one in wrap-up, and one with two wrap-ups. An agent has had the first one.
func (c *environment) beginInEveryState(t *testing.T) []string {
	t.Helper()
	assigned, passed, wrapping, twice := c.beginWithAlice(t), c.beginWithAlice(t), c.beginWithAlice(t), c.beginWithAlice(t)
	c.do(t, passed, conversation.TransferCommand{From: "alice", To: toQueue("billing"), Note: "Charged twice."})
	c.offered(t, passed, "bob")
	c.do(t, wrapping, conversation.EndCommand{Agent: "alice"})
	c.do(t, twice, conversation.TransferCommand{From: "alice", To: to("bob")})
	c.do(t, twice, conversation.AcceptCommand{Agent: "bob"})
	c.do(t, twice, conversation.EndCommand{Agent: "bob"})
	offered, waiting := c.begin(t, "support"), c.begin(t, "night")
	c.offered(t, offered, "alice")
	c.await(t, waiting, "it waits", func(r conversation.Record) bool { return r.Tasks[0].Status == conversation.TaskPending })
	open := []string{assigned, passed, wrapping, twice, offered, waiting}
	requireAgreement(t, c, open...)
	return open
}

const deploymentName = "baton"

// startVersion starts a worker of the deployment, and returns when the server knows it.
func (c *environment) startVersion(t *testing.T, program, build string, more ...string) *process {
	t.Helper()
	p := c.watch(t, launch(t, "worker "+build, program, append(c.deployment(), append(more, "BATON_BUILD_ID="+build)...)))
	c.knows(t, build)
	return p
}

// knows waits until the server knows the build.
func (c *environment) knows(t *testing.T, build string) {
	t.Helper()
	waitFor(t, testenv.Patience, "the server knows build "+build, func() bool {
		var versions []struct {
			Build string `json:"build_id"`
		}
		r := c.command(t, have(t, batonProgram), "deployment", "--json")
		if r.code != exitDone {
			return false
		}
		require.NoError(t, json.Unmarshal([]byte(r.stdout), &versions), r.stdout)
		for _, version := range versions {
			if version.Build == build {
				return true
			}
		}
		return false
	})
}

func (c *environment) deployment() []string {
	return c.Variables("BATON_DEPLOYMENT=" + deploymentName)
}

// command runs the command line of a build to its end.
func (c *environment) command(t *testing.T, program string, args ...string) result {
	t.Helper()
	return execute(t, program, c.deployment(), args...)
}

// deploys runs a command of `baton deployment` that must exit with 0.
func (c *environment) deploys(t *testing.T, args ...string) {
	t.Helper()
	r := c.command(t, have(t, batonProgram), append([]string{"deployment"}, args...)...)
	require.Equal(t, exitDone, r.code, "baton deployment %s: %s", strings.Join(args, " "), r.stderr)
}

func (c *environment) makeCurrent(t *testing.T, build string) {
	t.Helper()
	c.deploys(t, "set-current", build)
}

// makeCurrentWhileItStarts makes a build current before the server has seen its workers poll for workflow tasks,
// like a user who starts the workers and continues immediately. The server requires these polls only for task
// queues with recent activity.
func (c *environment) makeCurrentWhileItStarts(t *testing.T, program, build string, more ...string) {
	t.Helper()
	version := worker.WorkerDeploymentVersion{DeploymentName: deploymentName, BuildID: build}
	half := worker.New(c.Temporal, workflows.TaskQueue, worker.Options{DisableWorkflowWorker: true, DeploymentOptions: worker.DeploymentOptions{
		Version: version, UseVersioning: true, DefaultVersioningBehavior: workflow.VersioningBehaviorPinned,
	}})
	activities.Register(half, routing.NewConversationDesk(c.Desk))
	require.NoError(t, half.Start())
	c.knows(t, build)
	c.finish(t, c.beginWithAlice(t))
	current := launch(t, "baton deployment set-current "+build, have(t, batonProgram), c.deployment(), "deployment", "set-current", build)
	waitFor(t, testenv.Patience, "it waits for the rest of the build's workers", func() bool { return strings.Contains(current.Stderr.String(), build+" is not ready") })
	half.Stop()
	c.startVersion(t, program, build, more...)
	require.Equal(t, exitDone, current.ended(t), "set-current: %s", current.Stderr.String())
}

// found waits until the query finds that many conversations.
func (c *environment) found(t *testing.T, query string, wanted int) {
	t.Helper()
	waitFor(t, testenv.Patience, fmt.Sprintf("%d conversations where %s", wanted, query), func() bool {
		counted, err := c.Temporal.CountWorkflow(in(t, testenv.Patience), &workflowservice.CountWorkflowExecutionsRequest{Query: fmt.Sprintf("WorkflowType = %q AND %s", workflows.Type, query)})
		require.NoError(t, err)
		return counted.GetCount() == int64(wanted)
	})
}

// buildChanged builds worker and baton with a changed workflow. The change is in no folder of the repository: the
// compiler reads a changed copy instead of the file. guard is the code before the change.
func buildChanged(folder, guard string) error {
	original, err := filepath.Abs("../workflows/loop.go")
	if err != nil {
		return err
	}
	code, err := os.ReadFile(original)
	if err != nil {
		return err
	}
	if strings.Count(string(code), changedFrom) != 1 {
		return fmt.Errorf("%s has changed: say anew where the rehearsal changes it", original)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	changed, overlay := filepath.Join(folder, "loop.go"), filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(code), changedFrom, fmt.Sprintf(changedTo, guard)+changedFrom, 1)), 0o600); err != nil {
		return err
	}
	replaced, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(overlay, replaced, 0o600); err != nil {
		return err
	}
	return testenv.Build(context.Background(), "..", folder+string(filepath.Separator), append([]string{"-overlay", overlay}, buildFlags...), "./worker", "./starter")
}
