package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/reconcile"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/sleep"
	"github.com/baton-transfers/baton/internal/testenv"
	"github.com/baton-transfers/baton/lab/chaos/journal"
	"github.com/baton-transfers/baton/lab/chaos/plan"
	"github.com/baton-transfers/baton/workflows"
)

const (
	trialQueue = "trials"
	// trialCapacity exceeds the number of trials.
	trialCapacity = 500
	// trialWithin is how long the desk may take to agree after the last fault has ended.
	trialWithin = time.Minute
	// mostTrial bounds it while other faults go on.
	mostTrial = 3 * time.Minute
	// Poison is signals that no worker can decrypt, and signals near the server's size limit.
	unreadableSignals, largeSignals, largeBytes = 100, 5, 1_900_000
	// laterRounds is how many times a transfer, its accept and its wrap-up make the 100 commands.
	laterRounds = 34
)

// trialAgents are the two agents who transfer a trial's conversation to each other.
func trialAgents() []string { return []string{"trial-1", "trial-2"} }

// trial is the result of one trial.
type trial struct {
	kind plan.Kind
	sid  string
	// from is when the fault was complete; agreed is when the desk agreed with the conversation again.
	from, agreed time.Time
	err          error
}

// trials makes the faults of the trials' conversations. It is safe for concurrent use.
type trials struct {
	driver *driver
	// forget makes the database lose the stored answer that contains a SID.
	forget func(ctx context.Context, sid string) error

	mutex sync.Mutex
	all   []*trial
}

// run makes one fault and brings the conversation to its end. An error is stored in the trial.
func (ts *trials) run(ctx context.Context, f plan.Fault) {
	t := &trial{kind: f.Kind, sid: baton.NewConversation()}
	ts.mutex.Lock()
	ts.all = append(ts.all, t)
	ts.mutex.Unlock()
	ctx, cancel := context.WithTimeout(ctx, insistFor)
	defer cancel()
	t.err = ts.see(ctx, t, f.Which)
}

func (ts *trials) see(ctx context.Context, t *trial, which int) (err error) {
	c := &trialTalk{ts.driver, t.sid}
	if err := c.begin(ctx); err != nil {
		return err
	}
	switch t.kind { //nolint:exhaustive // the others do not hit a conversation
	case plan.ResetWorkflow:
		err = c.reset(ctx, which == 0)
	case plan.TerminateWorkflow:
		err = again(ctx, 0, func() error {
			err := c.temporal.TerminateWorkflow(ctx, workflows.ID(c.sid), "", "chaos")
			if _, ended := errors.AsType[*serviceerror.NotFound](err); ended { // the answer to the attempt before was lost
				return nil
			}
			return err //nolint:wrapcheck // wrapped below
		})
	case plan.PoisonWorkflow:
		err = c.poison(ctx)
	case plan.LoseAnswer:
		err = c.loseAnswer(ctx, ts.forget)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", t.kind, err)
	}
	t.from = time.Now()
	if err := c.agree(ctx, t.kind != plan.TerminateWorkflow); err != nil {
		return err
	}
	t.agreed = time.Now()
	if t.kind == plan.TerminateWorkflow {
		return nil
	}
	if err := c.finish(ctx); err != nil {
		return err
	}
	return c.agree(ctx, false)
}

// sids returns the SIDs of all trials' conversations.
func (ts *trials) sids() map[string]bool {
	ts.mutex.Lock()
	defer ts.mutex.Unlock()
	sids := map[string]bool{}
	for _, t := range ts.all {
		sids[t.sid] = true
	}
	return sids
}

// reset resets the workflow to its first workflow task, or to before a transfer that was accepted.
func (c *trialTalk) reset(ctx context.Context, toFirst bool) error {
	before, err := c.baton.Standing(ctx, c.sid)
	if err != nil {
		return fmt.Errorf("read how far the history is: %w", err)
	}
	if err := c.transfer(ctx); err != nil {
		return err
	}
	request := uuid.NewString()
	return again(ctx, 0, func() error {
		history, err := testenv.History(ctx, c.temporal, workflows.ID(c.sid), "")
		if err != nil {
			return err
		}
		var target int64
		for _, event := range history.GetEvents() {
			if event.GetEventType() != enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
				continue
			}
			if target == 0 || (!toFirst && event.GetEventId() < before.Events) { // target == 0: a new run may have no earlier one
				target = event.GetEventId()
			}
		}
		return testenv.Reset(ctx, c.temporal, workflows.ID(c.sid), target, request)
	})
}

// poison sends signals that must not block the conversation, and requires that the next command succeeds.
func (c *trialTalk) poison(ctx context.Context) error {
	unreadable := &commonpb.Payload{
		Metadata: map[string][]byte{converter.MetadataEncoding: []byte("binary/encrypted"), "encryption-key-id": []byte("chaos")},
		Data:     []byte("not for any worker"),
	}
	signal := func(payload *commonpb.Payload) error {
		return again(ctx, 0, func() error {
			_, err := c.temporal.WorkflowService().SignalWorkflowExecution(ctx, &workflowservice.SignalWorkflowExecutionRequest{
				Namespace: client.DefaultNamespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: workflows.ID(c.sid)},
				SignalName: string(conversation.CommandTransfer), RequestId: uuid.NewString(),
				Input: &commonpb.Payloads{Payloads: []*commonpb.Payload{payload}},
			})
			return err //nolint:wrapcheck // run wraps it
		})
	}
	for range unreadableSignals {
		if err := signal(unreadable); err != nil {
			return err
		}
	}
	large, err := converter.GetDefaultDataConverter().ToPayload(map[string]string{"from": "trial-1", "note": strings.Repeat("x", largeBytes)})
	if err != nil {
		return fmt.Errorf("make a large signal: %w", err)
	}
	for range largeSignals {
		if err := signal(large); err != nil {
			return err
		}
		if _, err := c.state(ctx, c.sid); err != nil { // one at a time: the server ends a workflow that gets many at once
			return err
		}
	}
	return c.transfer(ctx)
}

// loseAnswer sends a transfer whose answer is not stored, and sends the same request again after 100 other
// commands. The transfer must have exactly one effect.
func (c *trialTalk) loseAnswer(ctx context.Context, forget func(context.Context, string) error) error {
	record, err := c.state(ctx, c.sid)
	if err != nil {
		return err
	}
	holder := plan.With(&record, conversation.TaskAssigned)
	e := &journal.Entry{ID: "lost", Conversation: c.sid, Name: conversation.CommandTransfer, Way: plan.ByHTTP}
	e.Command = conversation.TransferCommand{From: holder.Agent, To: conversation.Target{Agent: other(holder.Agent)}}
	r := c.gateways.transferRequest(e, holder.SID, "")
	r.key = c.keys[0]
	made, err := c.request(ctx, r)
	if err != nil {
		return err
	}
	if err := c.takeOver(ctx); err != nil {
		return err
	}
	if err := forget(ctx, made.SID); err != nil {
		return err
	}
	for range laterRounds {
		if err := c.transfer(ctx); err != nil {
			return err
		}
	}
	repeated, err := c.request(ctx, r)
	switch code := conversation.CodeOf(err); {
	case err != nil && code == "":
		return err
	case err == nil && repeated.SID != made.SID:
		return fmt.Errorf("the repeated request was answered with %s, and had made %s", repeated.SID, made.SID)
	}
	record, err = c.state(ctx, c.sid)
	if err == nil && record.HadTransfers() != laterRounds+1 {
		err = fmt.Errorf("%s has had %d transfers, and %d were asked for", c.sid, record.HadTransfers(), laterRounds+1)
	}
	return err
}

// trialTalk is a trial's conversation.
type trialTalk struct {
	*driver

	sid string
}

func other(agent string) string {
	agents := trialAgents()
	if agent == agents[0] {
		return agents[1]
	}
	return agents[0]
}

// send retries a command until it is answered.
func (c *trialTalk) send(ctx context.Context, command conversation.Command) error {
	command = journal.Under(uuid.NewString(), command)
	return untilAnswered(ctx, func(ctx context.Context) error {
		_, err := c.baton.Send(ctx, c.sid, command)
		return err
	})
}

// request retries an HTTP request until it is answered.
func (c *trialTalk) request(ctx context.Context, r request) (a answered, err error) {
	err = untilAnswered(ctx, func(ctx context.Context) error {
		a, err = c.gateways.ask(ctx, r)
		return err
	})
	return a, err
}

// untilAnswered retries a call until it returns nil or a refusal other than desk_unavailable.
func untilAnswered(ctx context.Context, call func(context.Context) error) error {
	for {
		trying, cancel := context.WithTimeout(ctx, tryFor)
		err := call(trying)
		cancel()
		if code := conversation.CodeOf(err); err == nil || (code != "" && code != conversation.CodeDeskUnavailable) {
			return err
		}
		if paused := sleep.For(ctx, anew); paused != nil {
			return errors.Join(err, paused)
		}
	}
}

// begin starts the conversation and has an agent accept it.
func (c *trialTalk) begin(ctx context.Context) error {
	start := conversation.StartCommand{
		Conversation: c.sid, Channel: plan.TrialChannel, Customer: conversation.Customer{Name: "Customer of a trial"}, Queue: trialQueue,
	}
	err := untilAnswered(ctx, func(ctx context.Context) error {
		_, err := c.baton.Start(ctx, start)
		return err
	})
	if err != nil && conversation.CodeOf(err) != conversation.CodeInvalidPayload { // already started: the answer was lost
		return err
	}
	return c.takeOver(ctx)
}

// takeOver waits for an offer, accepts it, and finishes the wrap-up of the previous agent.
func (c *trialTalk) takeOver(ctx context.Context) error {
	for since := time.Now(); ; {
		if time.Since(since) > offerWithin { // an agent whose offer expired is offline
			since = time.Now()
			if err := c.comeBack(ctx); err != nil {
				return err
			}
		}
		record, err := c.state(ctx, c.sid)
		if err != nil {
			return err
		}
		offered := plan.With(&record, conversation.TaskReserved)
		if offered == nil {
			if plan.With(&record, conversation.TaskAssigned) != nil {
				break
			}
			if err := sleep.For(ctx, lookEvery/10); err != nil {
				return fmt.Errorf("no agent is offered %s: %w", c.sid, err)
			}
			continue
		}
		err = c.send(ctx, conversation.AcceptCommand{Agent: offered.Agent, Task: offered.SID})
		if err == nil {
			break
		}
		if !tooLate(err) {
			return err
		}
	}
	return c.wrapUp(ctx)
}

// comeBack makes the trials' agents available: an expired offer sets its agent offline.
func (c *trialTalk) comeBack(ctx context.Context) error {
	for _, agent := range trialAgents() {
		err := untilAnswered(ctx, func(ctx context.Context) error {
			return routing.SetPresence(ctx, c.desk, agent, desk.PresenceAvailable)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tooLate reports whether the offer or the wrap-up had expired before the command arrived.
func tooLate(err error) bool {
	code := conversation.CodeOf(err)
	return code == conversation.CodeNoReservation || code == conversation.CodeNotYourTask
}

func (c *trialTalk) wrapUp(ctx context.Context) error {
	record, err := c.state(ctx, c.sid)
	if err != nil {
		return err
	}
	for _, task := range record.LiveTasks() {
		if task.Status == conversation.TaskWrapping {
			if err := c.send(ctx, conversation.WrapupCommand{Agent: task.Agent, Task: task.SID}); err != nil && !tooLate(err) {
				return err
			}
		}
	}
	return nil
}

// transfer transfers the conversation from the agent who has it to the other one, who accepts.
func (c *trialTalk) transfer(ctx context.Context) error {
	record, err := c.state(ctx, c.sid)
	if err != nil {
		return err
	}
	holder := plan.With(&record, conversation.TaskAssigned)
	if holder == nil {
		return fmt.Errorf("no agent has %s", c.sid)
	}
	transfer := conversation.TransferCommand{From: holder.Agent, To: conversation.Target{Agent: other(holder.Agent)}}
	if err = c.send(ctx, transfer); conversation.CodeOf(err) == conversation.CodeAgentUnavailable {
		if err := c.comeBack(ctx); err != nil {
			return err
		}
		err = c.send(ctx, transfer)
	}
	if err != nil {
		return err
	}
	return c.takeOver(ctx)
}

// finish closes the conversation and finishes the wrap-ups.
func (c *trialTalk) finish(ctx context.Context) error {
	if err := c.send(ctx, conversation.CloseCommand{Reason: "enough"}); err != nil {
		return err
	}
	return c.wrapUp(ctx)
}

// agree waits until the desk shows the conversation as it is, or as closed when it is not to be open: a terminated
// workflow does not say that it is closed.
func (c *trialTalk) agree(ctx context.Context, open bool) error {
	if open {
		return c.shownAsIs(ctx)
	}
	return c.until(ctx, func(shown routing.Shown) (bool, error) { return !shown.Open, nil })
}

// shownAsIs waits until the desk shows the conversation as its workflow has it.
func (c *trialTalk) shownAsIs(ctx context.Context) error {
	return c.until(ctx, func(shown routing.Shown) (bool, error) {
		record, err := c.state(ctx, c.sid)
		if err != nil || !reconcile.Agree(&record.State, shown) {
			return false, err
		}
		lost, err := c.answersFromLost(ctx)
		return !lost, err
	})
}

// until waits until what the desk shows is right.
func (c *trialTalk) until(ctx context.Context, right func(routing.Shown) (bool, error)) error {
	for {
		shown, err := c.shown(ctx)
		if err != nil {
			return err
		}
		if done, err := right(shown); done || err != nil {
			return err
		}
		if err := sleep.For(ctx, lookEvery); err != nil {
			return fmt.Errorf("the desk does not show %s as it is (it shows revision %d, open: %t): %w", c.sid, shown.Revision, shown.Open, err)
		}
	}
}

// answersFromLost reports whether a worker answers from a state that the history does not have any more.
func (c *trialTalk) answersFromLost(ctx context.Context) (lost bool, err error) {
	err = untilAnswered(ctx, func(ctx context.Context) error {
		lost, err = reconcile.AnswersFromLost(ctx, c.baton, c.sid)
		return err
	})
	return lost, err
}

// shown reads what the desk shows. It retries while the database is unavailable.
func (c *trialTalk) shown(ctx context.Context) (shown routing.Shown, err error) {
	err = untilAnswered(ctx, func(ctx context.Context) error {
		shown, err = routing.ReadShown(ctx, c.desk, c.sid)
		return err
	})
	return shown, err
}
