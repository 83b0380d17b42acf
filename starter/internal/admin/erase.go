package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/sleep"
	"github.com/baton-transfers/baton/internal/temporalenv"
	"github.com/baton-transfers/baton/starter/internal/cli"
	"github.com/baton-transfers/baton/workflows"
)

// eraseOptions select what is erased.
type eraseOptions struct {
	customer, conversation string
	dry, histories         bool
}

func eraseCommand(c *cli.Env) *cobra.Command {
	o := eraseOptions{}
	cmd := &cobra.Command{
		Use: "erase --customer ADDRESS | --conversation CH…", Short: "Erase the personal data of a customer or a conversation", Args: cobra.NoArgs,
		Long: "Overwrites names, addresses, messages, notes, attributes and reasons of a customer's conversations, or of one\n" +
			"conversation. Counts stay. If one of the conversations is not over, the command erases nothing and names it.\n" +
			"--dry-run names it too. The command prints what remains in other places, and until when.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (o.customer == "") == (o.conversation == "") {
				return cli.WrongUsage("name either a --customer by their address or a --conversation by its SID")
			}
			if o.conversation != "" {
				if err := cli.CheckConversation(o.conversation); err != nil {
					return err
				}
			}
			if !cmd.Flags().Changed("timeout") {
				c.Timeout = 24 * time.Hour // there may be much to erase
			}
			return c.OnDesk(func(ctx context.Context, d *desk.Desk, _ []string) error { return runErase(ctx, c, d, o) })(cmd, nil)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.customer, "customer", "", "the `address` of the customer or of another participant; case and how a number is written make no difference")
	flags.StringVar(&o.conversation, "conversation", "", "the `SID` of one conversation")
	flags.BoolVar(&o.dry, "dry-run", false, "print what would be erased, and erase nothing")
	flags.BoolVar(&o.histories, "histories", false, "also delete the workflow histories, before their retention ends")
	return cmd
}

// erasure is the result of an erasure or of its dry run, and what remains.
type erasure struct {
	records.Erased

	DryRun bool `json:"dry_run,omitempty"`
	// Histories is how many workflow runs were deleted or, in a dry run, would be.
	Histories int      `json:"histories"`
	Remains   []string `json:"remains"`
}

func runErase(ctx context.Context, c *cli.Env, d *desk.Desk, o eraseOptions) error {
	sids := []string{o.conversation}
	if o.customer != "" {
		var err error
		if sids, err = records.ConversationsOf(ctx, d, o.customer); err != nil {
			return err
		}
		if len(sids) == 0 {
			return conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Field: "customer"},
				"the desk has no conversation with that address: check the address, and set the keys if the desk is encrypted; "+
					"an erased address is not found again, use --conversation with the SID")
		}
	}
	return c.Connected(ctx, func(ctx context.Context, temporal client.Client) error {
		kept, err := historiesOf(ctx, temporal, sids, o.dry)
		if err != nil {
			return err
		}
		done := erasure{DryRun: o.dry}
		if o.histories {
			// The desk comes first, after all checks: it can find a customer's conversations only until it has
			// erased them.
			planned, err := records.Erase(ctx, d, sids, true)
			if err != nil {
				return err
			}
			if !o.dry {
				if err := planned.RefuseOpen(); err != nil {
					return err
				}
			}
			done.Histories = len(kept)
			if !o.dry {
				if err := deleteHistories(ctx, c, temporal, kept); err != nil {
					return err
				}
				for _, sid := range sids {
					c.Security().Write(ctx, seclog.Entry{Event: seclog.Erasure, Subject: sid, Reason: "histories"})
				}
			}
			kept = nil
		}
		if done.Erased, err = records.Erase(ctx, d, sids, o.dry); err != nil {
			if conversation.CodeOf(err) != "" {
				return err // nothing was erased
			}
			return fmt.Errorf("erase %s: run this again with --conversation for each that --customer doesn't find any more: %w", strings.Join(sids, ", "), err)
		}
		if done.Remains, err = remains(ctx, c, temporal, kept, done.Left); err != nil {
			return err
		}
		return c.Print(done, func(w io.Writer) { showErasure(w, done) })
	})
}

// historyRun is one closed run of a conversation's workflow.
type historyRun struct {
	execution *commonpb.WorkflowExecution
	closed    time.Time
}

// historiesOf returns the runs of these conversations that the server still has. A conversation whose workflow
// still runs is an error, or left out of a dry run.
func historiesOf(ctx context.Context, temporal client.Client, sids []string, dry bool) ([]historyRun, error) {
	patience := endingTime
	if dry {
		patience = 0
	}
	var found []historyRun
	for _, sid := range sids {
		// The list may be behind, so the latest run is read from its history.
		latest, running, err := ended(ctx, temporal, sid, patience)
		switch {
		case err != nil:
			return nil, fmt.Errorf("nothing is erased: read the workflow of %s: %w", sid, err)
		case running && !dry:
			return nil, stillRuns(ctx, temporal, sid)
		case running:
			continue
		case latest != nil:
			found = append(found, *latest)
		}
		request := &workflowservice.ListWorkflowExecutionsRequest{Query: fmt.Sprintf("WorkflowId = %q", workflows.ID(sid))}
		for {
			page, err := temporal.ListWorkflow(ctx, request)
			if err != nil {
				return nil, fmt.Errorf("nothing is erased: look for the histories of %s: %w", sid, err)
			}
			for _, execution := range page.GetExecutions() {
				switch run := execution.GetExecution(); {
				case slices.ContainsFunc(found, func(f historyRun) bool { return f.execution.GetRunId() == run.GetRunId() }):
				case isDeleted(ctx, temporal, run): // the list is behind
				default:
					found = append(found, historyRun{run, execution.GetCloseTime().AsTime()})
				}
			}
			if request.NextPageToken = page.GetNextPageToken(); len(request.GetNextPageToken()) == 0 {
				break
			}
		}
	}
	return found, nil
}

// endingTime is how long a workflow that has just closed its conversation may take to end: it waits until the desk
// knows.
const endingTime = 5 * time.Second

// ended waits until the workflow of the conversation has ended, for at most the patience. It returns the latest
// run; nil if the server has none.
func ended(ctx context.Context, temporal client.Client, sid string, patience time.Duration) (run *historyRun, running bool, err error) {
	until := time.Now().Add(patience)
	for {
		latest, err := temporal.DescribeWorkflowExecution(ctx, workflows.ID(sid), "")
		if _, gone := errors.AsType[*serviceerror.NotFound](err); gone {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, err //nolint:wrapcheck // the caller wraps it
		}
		info := latest.GetWorkflowExecutionInfo()
		if info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
			return &historyRun{info.GetExecution(), info.GetCloseTime().AsTime()}, false, nil
		}
		if time.Now().After(until) || !isClosed(ctx, temporal, sid) {
			return nil, true, nil
		}
		if err := sleep.For(ctx, deletionLooks); err != nil {
			return nil, true, err
		}
	}
}

// isClosed reports whether the conversation's workflow answers that the conversation is closed.
func isClosed(ctx context.Context, temporal client.Client, sid string) bool {
	ctx, cancel := context.WithTimeout(ctx, endingTime)
	defer cancel()
	record, err := baton.NewClient(temporal).State(ctx, sid)
	return err == nil && record.Status == conversation.ConversationClosed
}

// stillRuns returns the error for a conversation whose workflow runs.
func stillRuns(ctx context.Context, temporal client.Client, sid string) error {
	first := fmt.Sprintf("close the conversation (`baton close %s`) and complete its wrapups first", sid)
	if isClosed(ctx, temporal, sid) {
		first = "the conversation is closed, and its workflow is about to end: try again in a moment"
	}
	return conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Field: "conversation"},
		"nothing is erased, because the workflow of %s still runs: %s", sid, first)
}

// The time that the server may take to delete a history, and the pause between two checks. A server with default
// settings needs up to a minute for a workflow that has just closed: it records the progress of its queue every 30
// s (history.transferProcessorUpdateAckInterval), and tries again after increasing pauses.
const (
	deletionTime  = 3 * time.Minute
	deletionLooks = 100 * time.Millisecond
)

// deleteHistories deletes the runs, and waits until the server has none of them. Its error says how many remain.
func deleteHistories(ctx context.Context, c *cli.Env, temporal client.Client, runs []historyRun) error {
	var failures []error
	var left []historyRun
	for _, run := range runs {
		_, err := temporal.WorkflowService().DeleteWorkflowExecution(ctx, &workflowservice.DeleteWorkflowExecutionRequest{
			Namespace: temporalenv.Namespace(c.Namespace), WorkflowExecution: run.execution,
		})
		if _, gone := errors.AsType[*serviceerror.NotFound](err); err != nil && !gone {
			failures = append(failures, fmt.Errorf("delete the history of %s: %w", workflows.SID(run.execution.GetWorkflowId()), err))
			left = append(left, run)
		}
	}
	if len(failures) == 0 {
		left = awaitDeletion(ctx, c, temporal, runs)
	}
	if len(left) == 0 {
		return nil
	}
	var sids []string
	for _, run := range left {
		sids = append(sids, workflows.SID(run.execution.GetWorkflowId()))
	}
	slices.Sort(sids)
	return errors.Join(append([]error{fmt.Errorf("%d of %d workflow histories are not deleted, those of %s, and nothing is erased at the desk yet: run this again",
		len(left), len(runs), strings.Join(slices.Compact(sids), ", "))}, failures...)...)
}

// awaitDeletion waits until the server has none of the runs, because it deletes them after its answer. It returns
// the runs that remain after the time limit.
func awaitDeletion(ctx context.Context, c *cli.Env, temporal client.Client, runs []historyRun) []historyRun {
	ctx, cancel := context.WithTimeout(ctx, deletionTime)
	defer cancel()
	fmt.Fprintf(c.Stderr, "waiting for the server to delete the workflow histories (%d): a minute or more if they have just closed\n", len(runs))
	left := runs
	for {
		left = slices.DeleteFunc(slices.Clone(left), func(run historyRun) bool { return isDeleted(ctx, temporal, run.execution) })
		if len(left) == 0 {
			return nil
		}
		if sleep.For(ctx, deletionLooks) != nil {
			return left
		}
	}
}

// isDeleted reports whether the server answers that it does not have the run.
func isDeleted(ctx context.Context, temporal client.Client, run *commonpb.WorkflowExecution) bool {
	_, err := temporal.DescribeWorkflowExecution(ctx, run.GetWorkflowId(), run.GetRunId())
	_, gone := errors.AsType[*serviceerror.NotFound](err)
	return gone
}

// remains returns what is left in other places.
func remains(ctx context.Context, c *cli.Env, temporal client.Client, kept []historyRun, left string) ([]string, error) {
	remains := []string{}
	if left != "" {
		remains = append(remains, left)
	}
	if len(kept) > 0 {
		namespace, err := temporal.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: temporalenv.Namespace(c.Namespace)})
		if err != nil {
			return nil, fmt.Errorf("read the namespace's retention: %w", err)
		}
		last := time.Time{}
		for _, run := range kept {
			if run.closed.After(last) {
				last = run.closed
			}
		}
		until := last.Add(namespace.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration())
		remains = append(remains, fmt.Sprintf("%s, which Temporal deletes by %s (or now, with --histories)", counted(len(kept), "workflow history", "workflow histories"), cli.Moment(until)))
	}
	return append(remains, "backups of the desk and of Temporal, and Temporal's archive where one is set up, until you delete them",
		"what webhooks have sent to their receivers"), nil
}

func showErasure(w io.Writer, done erasure) {
	verb := "erased"
	if done.DryRun {
		verb = "would be erased"
	}
	var rows [][]string
	var open []string
	again := 0
	for _, e := range done.Conversations {
		counts := make([]string, 0, 4)
		for _, count := range []int64{e.Messages, e.Notes, e.Tasks, e.Participants} {
			counts = append(counts, strconv.FormatInt(count, 10))
		}
		closed := cli.Moment(e.ClosedAt)
		if e.Open {
			closed, open = "open", append(open, e.SID)
		}
		if !e.ErasedAt.IsZero() {
			again++
		}
		rows = append(rows, slices.Concat([]string{e.SID}, counts, []string{closed, cli.Moment(e.ErasedAt)}))
	}
	cli.Table(w, []string{"CONVERSATION", "MESSAGES", "NOTES", "TASKS", "PARTICIPANTS", "CLOSED", "ERASED BEFORE"}, rows)
	fmt.Fprintf(w, "%s, %s and %s %s\n", counted(len(done.Conversations), "conversation", "conversations"),
		counted(done.Answers, "answer to a repeated request", "answers to repeated requests"),
		counted(done.Histories, "workflow history", "workflow histories"), verb)
	if again > 0 {
		fmt.Fprintf(w, "Erased before, and counted with what was added since: %d\n", again)
	}
	if len(open) > 0 {
		fmt.Fprintf(w, "Nothing is erased until these are closed and their wrapups completed: %s\n", strings.Join(open, ", "))
	}
	fmt.Fprintln(w, "What remains:")
	for _, what := range done.Remains {
		fmt.Fprintf(w, "- %s\n", what)
	}
}

// counted formats a number of things, as in "1 conversation".
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
