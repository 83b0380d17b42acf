// Package baton is the Go client for services. It starts conversations, sends them commands and reads their state
// over a Temporal client.
//
// [Client.Transfer], [Client.Accept] and so on send a Temporal update and wait for its outcome. [Client.SendAsync]
// sends any command as a signal and returns when the server has taken it. A refused command returns a
// [*conversation.Refusal]; [conversation.CodeOf] returns its code. The client retries calls that are safe to repeat,
// such as those after a lost connection or a race on the server, until the context's deadline.
//
// If the conversations are encrypted, make the Temporal client with the options of package codec.
package baton

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/sleep"
	"github.com/baton-transfers/baton/workflows"
)

// Client talks to the conversations of one Temporal namespace. It is safe for concurrent use.
type Client struct{ temporal client.Client }

// NewClient returns a client that uses a connected Temporal client. The caller remains responsible for closing it.
func NewClient(temporal client.Client) *Client { return &Client{temporal: temporal} }

// NewConversation returns a new conversation SID (CH…).
func NewConversation() string { return conversation.SIDOf(conversation.PrefixConversation, uuid.New()) }

// Start starts a conversation and returns its SID. If the command has no SID, Start makes a new one. Start returns
// as soon as the conversation exists. The start can still be refused later, for example for an unknown queue;
// [Client.State] then returns that refusal.
func (c *Client) Start(ctx context.Context, start conversation.StartCommand) (string, error) {
	if err := conversation.Storable(start); err != nil {
		return "", err
	}
	start.Customer = start.Customer.Clean()
	ours := start.Conversation == ""
	if ours {
		start.Conversation = NewConversation()
	}
	attempts := 0
	err := repeat(ctx, func() error {
		attempts++
		_, err := c.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
			ID:                                       workflows.ID(start.Conversation),
			TaskQueue:                                workflows.TaskQueue,
			WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
			WorkflowExecutionErrorWhenAlreadyStarted: true,
			StaticSummary:                            workflows.StartSummary(start),
		}, workflows.Type, start)
		return err //nolint:wrapcheck // wrapped below
	})
	if _, ok := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); ok {
		if ours && attempts > 1 { // an earlier attempt whose answer was lost has started it
			return start.Conversation, nil
		}
		return "", conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Field: "conversation"},
			"the conversation %s was started before: carry on with it, or start another", start.Conversation)
	}
	if err != nil {
		return "", fmt.Errorf("start conversation %s: %w", start.Conversation, err)
	}
	return start.Conversation, nil
}

// Send sends any command as an update and waits for its outcome. A command ID makes it safe to send the command
// again.
func (c *Client) Send(ctx context.Context, sid string, command conversation.Command) (conversation.Outcome, error) {
	var outcome conversation.Outcome
	if err := conversation.Storable(command); err != nil {
		return outcome, err
	}
	// All attempts have one update ID: a retry after a lost answer does not carry the command out twice.
	id := uuid.NewString()
	err := repeat(ctx, func() error {
		handle, err := c.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
			UpdateID: id, WorkflowID: workflows.ID(sid), UpdateName: string(command.Name()),
			Args: []any{command}, WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		if err != nil {
			return err //nolint:wrapcheck // refusalOf wraps it
		}
		return handle.Get(ctx, &outcome)
	})
	if _, over := errors.AsType[*serviceerror.NotFound](err); over {
		return c.afterTheEnd(ctx, sid, command)
	}
	return outcome, c.refusalOf(err, command.Name(), sid)
}

// afterTheEnd answers a command to a conversation whose workflow no longer runs. If the closed conversation already
// has the effect of the command, the outcome is unchanged. Otherwise the command is refused.
func (c *Client) afterTheEnd(ctx context.Context, sid string, command conversation.Command) (conversation.Outcome, error) {
	over := notRunning(conversation.CodeConversationClosed, "the conversation %s is closed: start another", sid)
	if !slices.Contains(conversation.ServiceCommands(), command.Name()) {
		return conversation.Outcome{}, over
	}
	ctx, cancel := context.WithTimeout(ctx, firstAnswer)
	defer cancel()
	var record conversation.Record
	err := c.query(ctx, sid, workflows.Query, &record)
	if _, unknown := errors.AsType[*serviceerror.NotFound](err); unknown {
		return conversation.Outcome{}, unknownTo(sid)
	}
	if err != nil || record.Status != conversation.ConversationClosed {
		return conversation.Outcome{}, over // the state is no longer available, or it ended without a close
	}
	result, err := record.Apply(command, nil, time.Now())
	if refusal, refused := errors.AsType[*conversation.Refusal](err); refused && refusal.Code == conversation.CodeConversationClosed {
		return conversation.Outcome{}, notRunningError{refusal}
	}
	if err != nil {
		return conversation.Outcome{}, err
	}
	return result.Outcome, nil
}

// SendAsync sends any command as a signal. If the conversation refuses it, the refusal is added to the Refusals of
// [Client.State].
func (c *Client) SendAsync(ctx context.Context, sid string, command conversation.Command) error {
	if err := conversation.Storable(command); err != nil {
		return err
	}
	// All attempts have one command ID: a signal that was received although its answer was lost has one effect.
	command, err := conversation.Identified(command, uuid.NewString())
	if err != nil {
		return err
	}
	err = repeat(ctx, func() error {
		return c.temporal.SignalWorkflow(ctx, workflows.ID(sid), "", string(command.Name()), command)
	})
	if _, over := errors.AsType[*serviceerror.NotFound](err); over {
		_, err = c.afterTheEnd(ctx, sid, command)
		return err
	}
	return c.refusalOf(err, command.Name(), sid)
}

// Transfer transfers the conversation to another agent or to a queue.
func (c *Client) Transfer(ctx context.Context, sid string, command conversation.TransferCommand) (conversation.Outcome, error) {
	return c.Send(ctx, sid, command)
}

// Accept accepts a task that is reserved for the agent. It is refused with wrapup_pending while the agent wraps up
// another task of this conversation.
func (c *Client) Accept(ctx context.Context, sid string, command conversation.AcceptCommand) (conversation.Outcome, error) {
	return c.Send(ctx, sid, command)
}

// Decline declines a task that is reserved for the agent.
func (c *Client) Decline(ctx context.Context, sid string, command conversation.DeclineCommand) (conversation.Outcome, error) {
	return c.Send(ctx, sid, command)
}

// Wrapup completes the agent's wrapup.
func (c *Client) Wrapup(ctx context.Context, sid string, command conversation.WrapupCommand) (conversation.Outcome, error) {
	return c.Send(ctx, sid, command)
}

// End ends the agent's turn: their task goes to wrapup.
func (c *Client) End(ctx context.Context, sid string, command conversation.EndCommand) (conversation.Outcome, error) {
	return c.Send(ctx, sid, command)
}

// Cancel cancels a transfer that no agent has accepted yet.
func (c *Client) Cancel(ctx context.Context, sid string, command conversation.CancelCommand) (conversation.Outcome, error) {
	return c.Send(ctx, sid, command)
}

// Move sends a waiting task to another queue or agent.
func (c *Client) Move(ctx context.Context, sid string, command conversation.MoveCommand) (conversation.Outcome, error) {
	return c.Send(ctx, sid, command)
}

// Close closes the customer's side of the conversation.
func (c *Client) Close(ctx context.Context, sid string, command conversation.CloseCommand) (conversation.Outcome, error) {
	return c.Send(ctx, sid, command)
}

// State returns the current state of the conversation, or its last state if it has ended. If its start was refused,
// State returns that refusal.
func (c *Client) State(ctx context.Context, sid string) (conversation.Record, error) {
	var record conversation.Record
	if err := c.query(ctx, sid, workflows.Query, &record); err != nil {
		return record, c.notFound(err, "read", sid)
	}
	if record.Status == "" {
		return record, c.failure(ctx, sid)
	}
	return record, nil
}

// query asks a worker about the conversation and stores the answer in the value that result points to. It repeats
// a query that the conversation has overtaken.
func (c *Client) query(ctx context.Context, sid, name string, result any) error {
	within, tries := firstAnswer, 0
	return repeat(ctx, func() error {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		within *= 2
		for {
			value, err := c.temporal.QueryWorkflow(ctx, workflows.ID(sid), "", name)
			if overtaken(err) {
				if tries++; tries < queriesAtMost {
					continue
				}
			}
			if err != nil {
				return err //nolint:wrapcheck // the caller wraps it
			}
			return value.Get(result)
		}
	})
}

// overtaken reports whether a query may have failed because the conversation has a new event since the query was
// sent: a worker that must read the history for it then takes decided events for new ones
// (https://github.com/temporalio/sdk-go/issues/755). A workflow that is not deterministic fails in the same way, but
// every time.
func overtaken(err error) bool {
	failed, is := errors.AsType[*serviceerror.QueryFailed](err)
	return is && strings.Contains(failed.Error(), notDeterministic)
}

// failure returns why the start of a conversation was refused, nil if it was not or is still being decided.
func (c *Client) failure(ctx context.Context, sid string) error {
	described, err := c.temporal.DescribeWorkflowExecution(ctx, workflows.ID(sid), "")
	if err != nil {
		return c.notFound(err, "read", sid)
	}
	if described.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_FAILED {
		return nil
	}
	return c.refusalOf(c.temporal.GetWorkflow(ctx, workflows.ID(sid), "").Get(ctx, nil), conversation.CommandStart, sid)
}

// Await polls the conversation until wanted reports true for it, and returns it. It returns an error when the
// context ends.
func (c *Client) Await(ctx context.Context, sid string, wanted func(conversation.Record) bool) (conversation.Record, error) {
	pause := 5 * time.Millisecond
	for {
		record, err := c.State(ctx, sid)
		if err != nil || (record.Status != "" && wanted(record)) {
			return record, err
		}
		if err := sleep.For(ctx, pause); err != nil {
			return record, fmt.Errorf("conversation %s did not become what was waited for: %w", sid, err)
		}
		pause = min(2*pause, 200*time.Millisecond)
	}
}

// ConversationInfo is a conversation found by [Client.List]. Its fields come from the search attributes. Queue and the
// agents are unique names.
type ConversationInfo struct {
	Conversation string    `json:"conversation"`
	Status       string    `json:"status"`
	Channel      string    `json:"channel"`
	Queue        string    `json:"queue,omitempty"`
	Agents       []string  `json:"agents,omitempty"`
	Wrapping     []string  `json:"wrapping,omitempty"`
	Transfers    int       `json:"transfers"`
	StartedAt    time.Time `json:"started_at"`
}

// List returns the conversations that match the query. The query is a Temporal query on the search attributes, such as
// `ConversationStatus = "active"` or `ConversationWrapping = "alice"`. An empty query matches all conversations. Recent
// changes appear after a short delay. The sequence requests one page after the other, and ends after an error.
func (c *Client) List(ctx context.Context, query string) iter.Seq2[ConversationInfo, error] {
	return func(yield func(ConversationInfo, error) bool) {
		request := &workflowservice.ListWorkflowExecutionsRequest{Query: fmt.Sprintf("WorkflowType = %q", workflows.Type)}
		if query != "" {
			request.Query += " AND (" + query + ")"
		}
		for {
			response, err := c.page(ctx, request, query)
			if err != nil {
				yield(ConversationInfo{}, err)
				return
			}
			for _, execution := range response.GetExecutions() {
				info, listed, err := infoOf(execution)
				if err != nil {
					yield(info, err)
					return
				}
				if listed && !yield(info, nil) {
					return
				}
			}
			if request.NextPageToken = response.GetNextPageToken(); len(request.GetNextPageToken()) == 0 {
				return
			}
		}
	}
}

func (c *Client) page(ctx context.Context, request *workflowservice.ListWorkflowExecutionsRequest, query string) (response *workflowservice.ListWorkflowExecutionsResponse, err error) {
	err = repeat(ctx, func() (err error) {
		response, err = c.temporal.ListWorkflow(ctx, request)
		return err //nolint:wrapcheck // wrapped below
	})
	if wrong, ok := errors.AsType[*serviceerror.InvalidArgument](err); ok && query != "" {
		return nil, conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Field: "query"},
			"query is not a query of Temporal's on search attributes: correct it, as in 'ConversationStatus = \"active\"': %s", wrong.Message)
	}
	if err != nil {
		return nil, fmt.Errorf("list conversations where %s: %w", request.GetQuery(), err)
	}
	return response, nil
}

// infoOf returns the conversation of a workflow execution, and whether it is listed. It is not listed while its start
// is being decided or sent to the desk, or if the start was refused. A run that was continued as new belongs to the
// same conversation as the next run.
func infoOf(execution *workflowpb.WorkflowExecutionInfo) (info ConversationInfo, listed bool, err error) {
	if execution.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW {
		return info, false, nil
	}
	info.Conversation, info.StartedAt = workflows.SID(execution.GetExecution().GetWorkflowId()), execution.GetStartTime().AsTime()
	fields := execution.GetSearchAttributes().GetIndexedFields()
	for name, into := range map[string]any{
		workflows.SearchStatus.GetName(): &info.Status, workflows.SearchChannel.GetName(): &info.Channel,
		workflows.SearchQueue.GetName(): &info.Queue, workflows.SearchAgents.GetName(): &info.Agents,
		workflows.SearchWrapping.GetName(): &info.Wrapping, workflows.SearchTransfers.GetName(): &info.Transfers,
	} {
		if field, ok := fields[name]; ok {
			if err := converter.GetDefaultDataConverter().FromPayload(field, into); err != nil {
				return info, false, fmt.Errorf("read the search attribute %s of %s: %w", name, info.Conversation, err)
			}
		}
	}
	return info, info.Status != "", nil
}

// refusalOf converts an error of Temporal into the conversation's refusal.
func (c *Client) refusalOf(err error, name conversation.CommandName, sid string) error {
	if err == nil {
		return nil
	}
	application, ok := errors.AsType[*temporal.ApplicationError](err)
	if ok && slices.Contains(conversation.Codes(), conversation.Code(application.Type())) {
		refusal := &conversation.Refusal{Code: conversation.Code(application.Type()), Message: application.Message()}
		if application.HasDetails() {
			if err := application.Details(&refusal.Details); err != nil {
				return errors.Join(refusal, fmt.Errorf("read the refusal's details: %w", err))
			}
		}
		return refusal
	}
	return c.notFound(err, string(name), sid)
}

// notFound converts the server's "not found" into the refusal of an unknown conversation, and wraps other errors.
func (c *Client) notFound(err error, doing, sid string) error {
	if _, ok := errors.AsType[*serviceerror.NotFound](err); ok {
		return unknownTo(sid)
	}
	return fmt.Errorf("%s conversation %s: %w", doing, sid, err)
}

func unknownTo(sid string) error {
	return notRunning(conversation.CodeUnknownConversation,
		"there is no conversation %s: it was never started, or ended so long ago that Temporal has dropped it: check its SID", sid)
}

// ErrNotRunning is in the error chain of refusals caused by a conversation without a running workflow: it was never
// started, or it has ended, normally or by an operator.
var ErrNotRunning = errors.New("no workflow of the conversation runs")

func notRunning(code conversation.Code, format, sid string) error {
	return notRunningError{conversation.Refuse(code, conversation.Details{}, format, sid)}
}

// notRunningError has the text of its refusal alone.
type notRunningError struct{ *conversation.Refusal }

func (e notRunningError) Unwrap() []error { return []error{e.Refusal, ErrNotRunning} }

// Standing describes the workflow of a conversation.
type Standing struct {
	// Running reports whether the workflow runs, Completed whether it ended normally, and Ended whether it ended
	// otherwise: it was terminated or canceled, has failed or timed out. All are false for a workflow that an
	// operator has paused.
	Running, Completed, Ended bool
	// Chain is the ID of the workflow's first run, Run the ID of its last. Events is the number of events in the
	// history of the last run.
	Chain, Run string
	Events     int64
}

// Standing describes the conversation's workflow without asking a worker. It is refused with unknown_conversation
// if there is no such workflow.
func (c *Client) Standing(ctx context.Context, sid string) (Standing, error) {
	var described *workflowservice.DescribeWorkflowExecutionResponse
	err := repeat(ctx, func() (err error) {
		described, err = c.temporal.DescribeWorkflowExecution(ctx, workflows.ID(sid), "")
		return err //nolint:wrapcheck // notFound wraps it
	})
	if err != nil {
		return Standing{}, c.notFound(err, "look for", sid)
	}
	info := described.GetWorkflowExecutionInfo()
	ended := []enumspb.WorkflowExecutionStatus{
		enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED,
		enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT,
	}
	return Standing{
		Running:   info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING,
		Completed: info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED,
		Ended:     slices.Contains(ended, info.GetStatus()),
		Chain:     info.GetFirstRunId(), Run: info.GetExecution().GetRunId(), Events: info.GetHistoryLength(),
	}, nil
}

// HistoryLength returns how many events of the conversation's history the worker that answers has processed. More than
// [Standing] has: the worker keeps a state that was lost when an older copy of Temporal's database was restored. It is
// 0 if the worker's build does not tell.
func (c *Client) HistoryLength(ctx context.Context, sid string) (length int64, err error) {
	err = c.query(ctx, sid, workflows.QueryHistoryLength, &length)
	if _, unknown := errors.AsType[*serviceerror.QueryFailed](err); unknown {
		return 0, nil
	}
	if err != nil {
		return 0, c.notFound(err, "read the history length of", sid)
	}
	return length, nil
}

// Resync makes the conversation send its whole state to the desk again.
func (c *Client) Resync(ctx context.Context, sid string) error {
	err := repeat(ctx, func() error { return c.temporal.SignalWorkflow(ctx, workflows.ID(sid), "", workflows.Resync, nil) })
	if err != nil {
		return c.notFound(err, "resync", sid)
	}
	return nil
}

const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
	// firstAnswer is the timeout of the first attempt at a query. Temporal server 1.29 loses the answer of a worker
	// that answers faster than the server's bookkeeping, and then waits until the timeout. A shorter timeout would
	// be too short: the server reserves one second of it to report that no worker is there.
	firstAnswer = 2 * time.Second
	// queriesAtMost is how often a query may fail as one does that the conversation has overtaken.
	queriesAtMost = 5
	// notDeterministic begins the SDK's errors of a history that the workflow's code does not fit.
	notDeterministic = "[TMPRL1100]"
	// patience is how long a call without a deadline is retried.
	patience = 30 * time.Second
)

// repeat retries the call, with growing pauses, while its error is repeatable.
func repeat(ctx context.Context, call func() error) error {
	until := time.Now().Add(patience)
	if deadline, ok := ctx.Deadline(); ok {
		until = deadline
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := call()
		if err == nil || ctx.Err() != nil || !repeatable(err) || time.Now().Add(pause).After(until) {
			return err
		}
		if waitErr := sleep.For(ctx, pause); waitErr != nil {
			return errors.Join(err, waitErr)
		}
	}
}

// Unavailable reports whether the error means that the server or the workers are not available at the moment. The
// same call may be retried.
func Unavailable(err error) bool { return err != nil && repeatable(err) }

// repeatable reports whether an error is temporary. The SDK retries most of these itself, with these exceptions: an
// update that races with the end of a workflow task (WorkflowNotReady), a server that restarts, a call that reached
// the SDK's own time limit because no worker was there, and a query for which the server has seen no worker lately
// (FailedPrecondition).
func repeatable(err error) bool {
	var (
		notReady    *serviceerror.WorkflowNotReady
		unavailable *serviceerror.Unavailable
		exhausted   *serviceerror.ResourceExhausted
		aborted     *serviceerror.Aborted
		late        *serviceerror.DeadlineExceeded
		noWorker    *serviceerror.FailedPrecondition
	)
	return errors.As(err, &notReady) || errors.As(err, &unavailable) || errors.As(err, &exhausted) || errors.As(err, &aborted) ||
		errors.As(err, &late) || errors.As(err, &noWorker) || errors.Is(err, context.DeadlineExceeded)
}

// Attribute encodes a text as the JSON value of an attribute.
func Attribute(text string) json.RawMessage {
	encoded, err := json.Marshal(text)
	if err != nil {
		return json.RawMessage(`""`) // not reached: every string can be encoded
	}
	return encoded
}
