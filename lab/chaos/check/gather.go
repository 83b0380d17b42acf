package check

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/agree"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/insights"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/testenv"
	"github.com/baton-transfers/baton/lab/chaos/journal"
	"github.com/baton-transfers/baton/lab/chaos/plan"
	"github.com/baton-transfers/baton/workflows"
)

// Sources are what the evidence is read from.
type Sources struct {
	Baton    *baton.Client
	Desk     *desk.Desk
	Temporal client.Client
	Journal  *journal.Journal
	Plan     plan.Plan
	// Began is when the load began.
	Began time.Time
	// Trials holds the SIDs of the trials' conversations.
	Trials map[string]bool
	// Told are the positions of the webhooks that the receiver accepted, in order of arrival.
	Told []int64
}

// Gather reads everything that the checks need, after all is quiet.
func Gather(ctx context.Context, s Sources) (*Evidence, error) {
	v := &Evidence{
		plan: s.Plan, records: map[string]conversation.Record{}, transcripts: map[string][]records.Message{}, notes: map[string][]conversation.Note{},
		tasks: map[string][]records.Task{}, signals: map[string]map[string]int{}, trials: s.Trials, Told: s.Told,
	}
	for _, step := range []func(context.Context, Sources) error{v.readRecords, v.readFeed, v.readDesk, v.readHistories} {
		if err := step(ctx, s); err != nil {
			return nil, err
		}
	}
	v.entries, v.seen = s.Journal.All(), s.Journal.Seen()
	return v, nil
}

// readAtOnce is how many conversations are read at a time.
const readAtOnce = 8

// readRecords reads the state of each conversation that was started.
func (v *Evidence) readRecords(ctx context.Context, s Sources) error {
	var sids []string
	for _, e := range s.Journal.All() {
		if e.Name == conversation.CommandStart && e.Verdict == journal.Done {
			sids = append(sids, e.Conversation)
		}
	}
	var mutex sync.Mutex
	return testenv.Each(sids, readAtOnce, func(sid string) error {
		record, err := agree.Quiet(ctx, s.Baton, s.Desk, sid)
		if err != nil {
			return err
		}
		mutex.Lock()
		defer mutex.Unlock()
		v.records[sid] = record
		return nil
	})
}

func (v *Evidence) sids() []string {
	var sids []string
	for sid := range v.records {
		sids = append(sids, sid)
	}
	slices.Sort(sids)
	return sids
}

// Open returns the SIDs of the conversations that are still open.
func (v *Evidence) Open() []string {
	return slices.DeleteFunc(v.sids(), func(sid string) bool { return v.records[sid].Status == conversation.ConversationClosed })
}

// readFeed reads all events, those of conversations and those of the desk itself.
func (v *Evidence) readFeed(ctx context.Context, s Sources) (err error) {
	if v.feed, err = agree.Events(ctx, s.Desk); err != nil {
		return err
	}
	maps.DeleteFunc(v.feed, func(sid string, _ []desk.LoggedEvent) bool { return v.trials[sid] })
	if v.position, err = desk.LastPosition(ctx, s.Desk); err != nil {
		return err
	}
	for after := int64(0); ; {
		page, err := outbox.EventsAfter(ctx, s.Desk, after, desk.MaxPage)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		v.Happened = append(v.Happened, page...)
		after = page[len(page)-1].Position
	}
}

// readDesk reads what the desk shows, and records where it differs from the conversations.
func (v *Evidence) readDesk(ctx context.Context, s Sources) (err error) {
	for after := (*desk.Cursor)(nil); ; {
		page, err := records.ConversationListPage(ctx, s.Desk, records.ConversationFilter{}, desk.Page{Limit: desk.MaxPage, After: after})
		if err != nil {
			return err
		}
		for _, c := range page.Entries {
			if !v.trials[c.SID] {
				v.shown = append(v.shown, c.SID)
			}
		}
		if !page.More {
			break
		}
		after = &page.Last
	}
	var mutex sync.Mutex
	err = testenv.Each(v.sids(), readAtOnce, func(sid string) error {
		differ := agree.Conversation(ctx, s.Desk, v.records[sid], v.feed[sid])
		transcript, err := records.ReadTranscript(ctx, s.Desk, sid, records.AsSystem())
		if err != nil {
			return err
		}
		notes, err := records.ListNotes(ctx, s.Desk, sid, records.AsSystem())
		if err != nil {
			return err
		}
		tasks, err := records.ListTasks(ctx, s.Desk, sid)
		mutex.Lock()
		defer mutex.Unlock()
		if differ != nil {
			v.differ = append(v.differ, differ)
		}
		v.transcripts[sid], v.notes[sid], v.tasks[sid] = transcript, notes, tasks
		return err
	})
	if err != nil {
		return err
	}
	if v.agents, err = people.ListAgents(ctx, s.Desk); err != nil {
		return err
	}
	if v.has, v.counted, err = agree.Loads(ctx, s.Desk); err != nil {
		return err
	}
	figures, err := insights.Read(ctx, s.Desk, insights.Filter{From: s.Began.Add(-time.Hour), To: time.Now().Add(time.Hour)})
	if err != nil {
		return err
	}
	for _, group := range figures.Channels {
		if group.Name != string(plan.TrialChannel) {
			v.figures.Conversations += group.Conversations
			add(&v.figures.Sent, group.Sent)
		}
	}
	if v.pendingWebhooks, _, err = outbox.PendingWebhooks(ctx, s.Desk); err != nil {
		return err
	}
	dead, err := outbox.DeadWebhooks(ctx, s.Desk, desk.Page{})
	v.deadWebhooks = len(dead.Entries)
	return err
}

// replayedAtMost is how many histories are replayed. All of them are read.
const replayedAtMost = 400

// readHistories reads the histories of all runs, counts the signals in them, looks for failed workflow tasks, and
// replays the runs.
func (v *Evidence) readHistories(ctx context.Context, s Sources) error {
	replayer, err := codec.NewReplayer(nil)
	if err != nil {
		return err
	}
	silent := log.NewStructuredLogger(slog.New(slog.DiscardHandler))
	var mutex sync.Mutex
	return testenv.Each(v.sids(), readAtOnce, func(sid string) error {
		counted := map[string]int{}
		for run := ""; ; {
			history, err := testenv.History(ctx, s.Temporal, workflows.ID(sid), run)
			if err != nil {
				return err
			}
			if err := countSignals(counted, history); err != nil {
				return fmt.Errorf("read the signals of %s: %w", sid, err)
			}
			failed := notDeterministic(sid, history)
			mutex.Lock()
			v.histories++
			if failed != nil {
				v.differing = append(v.differing, failed)
			}
			replay := v.replayed < replayedAtMost
			if replay {
				v.replayed++
			}
			mutex.Unlock()
			if replay {
				if err := replayer.ReplayWorkflowHistory(silent, history); err != nil {
					mutex.Lock()
					v.differing = append(v.differing, fmt.Errorf("replay %s: %w", sid, err))
					mutex.Unlock()
				}
			}
			if run = history.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes().GetContinuedExecutionRunId(); run == "" {
				mutex.Lock()
				defer mutex.Unlock()
				v.signals[sid] = counted
				return nil
			}
		}
	})
}

// notDeterministic returns an error if a workflow task failed because the worker decided otherwise than the history.
func notDeterministic(sid string, history *historypb.History) error {
	for _, event := range history.GetEvents() {
		failed := event.GetWorkflowTaskFailedEventAttributes()
		if failed.GetCause() == enumspb.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR {
			return fmt.Errorf("event %d of %s: %s", event.GetEventId(), sid, failed.GetFailure().GetMessage())
		}
	}
	return nil
}

// countSignals counts the signals by command ID.
func countSignals(counted map[string]int, history *historypb.History) error {
	for _, event := range history.GetEvents() {
		signaled := event.GetWorkflowExecutionSignaledEventAttributes()
		if signaled == nil || signaled.GetSignalName() == workflows.Resync {
			continue
		}
		var raw json.RawMessage
		if err := codec.DataConverter(nil).FromPayloads(signaled.GetInput(), &raw); err != nil {
			return fmt.Errorf("read a signal: %w", err)
		}
		var meta conversation.Meta
		if err := json.Unmarshal(raw, &meta); err != nil {
			return fmt.Errorf("read a signal's ID: %w", err)
		}
		counted[meta.CommandID]++
	}
	return nil
}

// sameJSON reports whether two JSON texts have equal values.
func sameJSON(one, other json.RawMessage) bool {
	if bytes.Equal(one, other) {
		return true
	}
	var a, b any
	return json.Unmarshal(one, &a) == nil && json.Unmarshal(other, &b) == nil && reflect.DeepEqual(a, b)
}
