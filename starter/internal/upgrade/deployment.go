package upgrade

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton/internal/sleep"
	"github.com/baton-transfers/baton/starter/internal/cli"
	"github.com/baton-transfers/baton/workflows"
)

// defaultDeployment is the name of the worker deployment if BATON_DEPLOYMENT is not set.
const defaultDeployment = "baton"

// The states of a version of the deployment.
const (
	versionCurrent  = "current"
	versionRamping  = "ramping"
	versionInactive = "inactive" // it has had no conversation yet
	versionDraining = "draining"
	versionDrained  = "drained"
)

// deployed describes a version of the deployment.
type deployed struct {
	Build  string `json:"build_id"`
	Status string `json:"status"`
	// Percent is the percentage of conversations that go to a ramping version.
	Percent float32 `json:"percent,omitempty"`
	// Open is how many open conversations had their last step on this version.
	Open    int64     `json:"open"`
	Created time.Time `json:"created_at"`
}

// Deployment returns the command `baton deployment`.
func Deployment(c *cli.Env) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "deployment", Short: "Show the versions of the workers, or choose which version runs conversations", Args: cobra.NoArgs,
		Long: "Shows the versions of the worker deployment: which version is current, which is ramping, and which are drained. A\n" +
			"drained version has no conversations left. Workers are versioned if BATON_DEPLOYMENT is set.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ofDeployment(cmd.Context(), c, name, func(ctx context.Context, d deployment) error {
				versions, err := d.versions(ctx)
				if err != nil {
					return err
				}
				return c.Print(versions, func(w io.Writer) { showVersions(w, d.name, versions) })
			})
		},
	}
	cmd.PersistentFlags().StringVar(&name, "deployment", "", "the deployment's `name` (default: BATON_DEPLOYMENT, else \"baton\")")
	cmd.AddCommand(setCurrent(c, &name), rampCommand(c, &name), drainedCommand(c, &name))
	return cmd
}

func setCurrent(c *cli.Env, name *string) *cobra.Command {
	var unversioned bool
	cmd := &cobra.Command{
		Use: "set-current BUILD", Short: "Send new conversations, and open ones that are not pinned, to a version", Args: oneBuild(&unversioned),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ofDeployment(cmd.Context(), c, *name, func(ctx context.Context, d deployment) error {
				options := client.WorkerDeploymentSetCurrentVersionOptions{BuildID: first(args)}
				if err := onceReady(ctx, c, d, first(args), func() error {
					_, err := d.handle.SetCurrentVersion(ctx, options)
					return err //nolint:wrapcheck // onceReady explains it
				}); err != nil {
					return err
				}
				done := map[string]string{"deployment": d.name, "current": first(args)}
				return c.Print(done, func(w io.Writer) { fmt.Fprintf(w, "%s is the current version of %s\n", d.called(first(args)), d.name) })
			})
		},
	}
	cmd.Flags().BoolVar(&unversioned, "unversioned", false, "send them to workers without BATON_DEPLOYMENT")
	return cmd
}

func rampCommand(c *cli.Env, name *string) *cobra.Command {
	return &cobra.Command{
		Use: "ramp BUILD PERCENT", Short: "Send a percentage of the conversations to a version; 0 ends the ramp", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			percent, err := strconv.ParseFloat(args[1], 32)
			if err != nil || percent < 0 || percent > 100 {
				return cli.WrongUsage("PERCENT is %q: use a number from 0 to 100", args[1])
			}
			return ofDeployment(cmd.Context(), c, *name, func(ctx context.Context, d deployment) error {
				options := client.WorkerDeploymentSetRampingVersionOptions{BuildID: args[0], Percentage: float32(percent)}
				if percent == 0 {
					if err := d.ramps(ctx, args[0]); err != nil {
						return err
					}
					options.BuildID = ""
				}
				if err := onceReady(ctx, c, d, args[0], func() error {
					_, err := d.handle.SetRampingVersion(ctx, options)
					return err //nolint:wrapcheck // onceReady explains it
				}); err != nil {
					return err
				}
				done := map[string]any{"deployment": d.name, "ramping": args[0], "percent": percent}
				return c.Print(done, func(w io.Writer) {
					fmt.Fprintf(w, "%s gets %g %% of the conversations of %s\n", args[0], percent, d.name)
				})
			})
		},
	}
}

func drainedCommand(c *cli.Env, name *string) *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use: "drained BUILD", Short: "Check whether the workers of a version can be stopped", Args: cobra.ExactArgs(1),
		Long: "Exit code 0: no conversation is bound to the version, and its workers can be stopped. 1: its workers are still needed,\n" +
			"or the server has not checked yet, which takes some minutes.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if wait && !cmd.Flags().Changed("timeout") {
				c.Timeout = 24 * time.Hour
			}
			return ofDeployment(cmd.Context(), c, *name, func(ctx context.Context, d deployment) error {
				version, err := d.untilDrained(ctx, args[0], wait)
				if err != nil {
					return err
				}
				return c.Print(version, func(w io.Writer) { fmt.Fprintf(w, "%s is drained: its workers may be stopped\n", args[0]) })
			})
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until they can be stopped")
	return cmd
}

// oneBuild returns an argument check that requires a build, or --unversioned instead.
func oneBuild(unversioned *bool) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 1 || (len(args) == 1) == *unversioned {
			return cli.WrongUsage("name one build, as `baton deployment` lists them, or --unversioned")
		}
		return nil
	}
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// deployment gives access to the worker deployment on the server.
type deployment struct {
	name     string
	handle   client.WorkerDeploymentHandle
	temporal client.Client
}

func ofDeployment(ctx context.Context, c *cli.Env, name string, do func(ctx context.Context, d deployment) error) error {
	name = cmp.Or(name, c.Getenv("BATON_DEPLOYMENT"), defaultDeployment)
	return c.Connected(ctx, func(ctx context.Context, temporal client.Client) error {
		return do(ctx, deployment{name, temporal.WorkerDeploymentClient().GetHandle(name), temporal})
	})
}

// readyTries is how often a version is submitted, with pauses, until its workers poll all their task queues.
const readyTries = 20

// onceReady submits a version, and tries again while the server refuses it. The server refuses a version whose
// workers have just started, because it learns of each of their task queues separately.
func onceReady(ctx context.Context, c *cli.Env, d deployment, build string, put func() error) error {
	for try := 1; ; try++ {
		err := put()
		_, refused := errors.AsType[*serviceerror.FailedPrecondition](err)
		switch {
		case err == nil:
			return nil
		case !refused || try == readyTries:
			return d.explain(err, build)
		case try == 1:
			fmt.Fprintf(c.Stderr, "%s is not ready: asking again until its workers are there\n", d.called(build))
		}
		if sleep.For(ctx, pause) != nil {
			return d.explain(err, build)
		}
	}
}

func (d deployment) called(build string) string { return cmp.Or(build, "unversioned") }

// explain returns an error that says what to do about the server's error. An empty build means the whole
// deployment.
func (d deployment) explain(err error, build string) error {
	_, unknown := errors.AsType[*serviceerror.NotFound](err)
	_, refused := errors.AsType[*serviceerror.FailedPrecondition](err)
	switch {
	case unknown && build != "":
		return fmt.Errorf("the server has seen no worker of build %s in the deployment %s: start one with BATON_DEPLOYMENT=%s first: %w", build, d.name, d.name, err)
	case unknown:
		return fmt.Errorf("the server has seen no worker of the deployment %s: start one with BATON_DEPLOYMENT=%s, or name another with --deployment: %w",
			d.name, d.name, err)
	case refused: // not wrapped: its type would be mistaken for a query that no worker answers
		return fmt.Errorf("the server does not let %s get conversations now: %s", d.called(build), err.Error())
	}
	return fmt.Errorf("ask for the deployment %s: %w", d.name, err)
}

// ramps returns an error if the version is not ramping: ending its ramp would end that of another version.
func (d deployment) ramps(ctx context.Context, build string) error {
	described, err := d.handle.Describe(ctx, client.WorkerDeploymentDescribeOptions{})
	if err != nil {
		return d.explain(err, "")
	}
	ramping := described.Info.RoutingConfig.RampingVersion
	if ramping == nil {
		return fmt.Errorf("no build of the deployment %s is ramping: there is nothing to end", d.name)
	}
	if ramping.BuildID != build {
		return fmt.Errorf("%s isn't ramping, %s is: `baton deployment` shows which", build, ramping.BuildID)
	}
	return nil
}

// versions returns the versions that the server knows, the latest first.
func (d deployment) versions(ctx context.Context) ([]deployed, error) {
	described, err := d.handle.Describe(ctx, client.WorkerDeploymentDescribeOptions{})
	if err != nil {
		return nil, d.explain(err, "")
	}
	routing := described.Info.RoutingConfig
	versions := []deployed{}
	if routing.CurrentVersion == nil {
		open, err := d.open(ctx, "TemporalWorkerDeploymentVersion IS NULL")
		if err != nil {
			return nil, err
		}
		versions = append(versions, deployed{Status: versionCurrent, Open: open})
	}
	slices.SortFunc(described.Info.VersionSummaries, func(a, b client.WorkerDeploymentVersionSummary) int {
		return b.CreateTime.Compare(a.CreateTime)
	})
	for _, summary := range described.Info.VersionSummaries {
		version := deployed{Build: summary.Version.BuildID, Created: summary.CreateTime, Status: drainage(summary.DrainageStatus)}
		if routing.CurrentVersion != nil && *routing.CurrentVersion == summary.Version {
			version.Status = versionCurrent
		}
		if routing.RampingVersion != nil && *routing.RampingVersion == summary.Version {
			version.Status, version.Percent = versionRamping, routing.RampingVersionPercentage
		}
		version.Open, err = d.open(ctx, fmt.Sprintf("TemporalWorkerDeploymentVersion = %q", d.name+":"+version.Build))
		if err != nil {
			return nil, err
		}
		versions = append(versions, version)
	}
	return versions, nil
}

// open returns the number of open conversations that match the query.
func (d deployment) open(ctx context.Context, where string) (int64, error) {
	query := fmt.Sprintf(`WorkflowType = %q AND ExecutionStatus = "Running" AND %s`, workflows.Type, where)
	counted, err := d.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: query})
	if err != nil {
		return 0, fmt.Errorf("count conversations where %s: %w", where, err)
	}
	return counted.GetCount(), nil
}

func drainage(status client.WorkerDeploymentVersionDrainageStatus) string {
	switch status {
	case client.WorkerDeploymentVersionDrainageStatusDraining:
		return versionDraining
	case client.WorkerDeploymentVersionDrainageStatusDrained:
		return versionDrained
	}
	return versionInactive
}

func showVersions(w io.Writer, name string, versions []deployed) {
	fmt.Fprintf(w, "deployment %s\n", name)
	var rows [][]string
	for _, v := range versions {
		status := v.Status
		if v.Status == versionRamping {
			status = fmt.Sprintf("ramping, %g %%", v.Percent)
		}
		created := "-"
		if !v.Created.IsZero() {
			created = v.Created.Local().Format("2006-01-02 15:04:05") //nolint:gosmopolitan // tables show local time
		}
		rows = append(rows, []string{cmp.Or(v.Build, "(unversioned)"), status, strconv.FormatInt(v.Open, 10), created})
	}
	cli.Table(w, []string{"BUILD", "STATUS", "OPEN", "CREATED"}, rows)
}

// lookAgain is the pause between two checks of a draining version; the server itself checks every three minutes.
const lookAgain = 2 * time.Second

// untilDrained returns the version when its workers may be stopped.
func (d deployment) untilDrained(ctx context.Context, build string, wait bool) (deployed, error) {
	for {
		versions, err := insist(ctx, func() ([]deployed, error) { return d.versions(ctx) })
		if err != nil {
			return deployed{}, err
		}
		at := slices.IndexFunc(versions, func(v deployed) bool { return v.Build == build })
		switch {
		case at < 0:
			return deployed{}, fmt.Errorf("the deployment %s has no build %s: `baton deployment` lists those it has", d.name, build)
		case versions[at].Status == versionDrained:
			return versions[at], nil
		case versions[at].Status != versionDraining:
			return deployed{}, fmt.Errorf("%s is %s, and not being drained: make another version the current one first", build, versions[at].Status)
		case !wait:
			return deployed{}, fmt.Errorf("%s is draining: conversations may still be bound to it, leave its workers running", build)
		}
		if err := sleep.For(ctx, lookAgain); err != nil {
			return deployed{}, err
		}
	}
}
