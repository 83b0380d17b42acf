package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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

	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/agree"
	"github.com/baton-transfers/baton/internal/insights"
	"github.com/baton-transfers/baton/workflows"
)

// gather reads everything that the checks need, after all is quiet.
func gather(ctx context.Context, s *environment, d *driver, p plan, trials map[string]bool) (*evidence, error) {
	v := &evidence{
		plan: p, records: map[string]conversation.Record{}, transcripts: map[string][]desk.Message{}, notes: map[string][]conversation.Note{},
		tasks: map[string][]desk.Task{}, signals: map[string]map[string]int{}, trials: trials,
	}
	for _, step := range []func(context.Context, *environment, *driver) error{
		v.readRecords, v.readFeed, v.readDesk, v.readHistories,
	} {
		if err := step(ctx, s, d); err != nil {
			return nil, err
		}
	}
	d.journal.mutex.Lock()
	defer d.journal.mutex.Unlock()
	v.entries, v.looked, v.broken, v.stranded = d.journal.entries, d.journal.looked, d.journal.broken, d.journal.stranded
	v.told = s.receiver.positions()
	return v, nil
}

// readAtOnce is how many conversations are read at a time.
const readAtOnce = 8

// eachOf calls call for every element, atOnce at a time, and returns all errors joined.
func eachOf[T any](all []T, atOnce int, call func(T) error) error {
	next := make(chan T)
	errs := make(chan error, len(all))
	var working sync.WaitGroup
	for range atOnce {
		working.Go(func() {
			for one := range next {
				errs <- call(one)
			}
		})
	}
	for _, one := range all {
		next <- one
	}
	close(next)
	working.Wait()
	close(errs)
	var failures []error
	for err := range errs {
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

// readRecords reads the state of each conversation that was started.
func (v *evidence) readRecords(ctx context.Context, s *environment, d *driver) error {
	var sids []string
	for _, e := range d.journal.all() {
		if e.name == conversation.CommandStart && e.verdict == done {
			sids = append(sids, e.conversation)
		}
	}
	var mutex sync.Mutex
	return eachOf(sids, readAtOnce, func(sid string) error {
		record, err := agree.Quiet(ctx, s.baton, s.desk, sid)
		if err != nil {
			return err
		}
		mutex.Lock()
		defer mutex.Unlock()
		v.records[sid] = record
		return nil
	})
}

func (v *evidence) sids() []string {
	var sids []string
	for sid := range v.records {
		sids = append(sids, sid)
	}
	slices.Sort(sids)
	return sids
}

// open returns the SIDs of the conversations that are still open.
func (v *evidence) open() []string {
	return slices.DeleteFunc(v.sids(), func(sid string) bool { return v.records[sid].Status == conversation.ConversationClosed })
}

// readFeed reads all events, those of conversations and those of the desk itself.
func (v *evidence) readFeed(ctx context.Context, s *environment, _ *driver) (err error) {
	if v.feed, err = agree.Events(ctx, s.desk); err != nil {
		return err
	}
	maps.DeleteFunc(v.feed, func(sid string, _ []desk.LoggedEvent) bool { return v.trials[sid] })
	if v.position, err = desk.LastPosition(ctx, s.desk); err != nil {
		return err
	}
	for after := int64(0); ; {
		page, err := desk.EventsAfter(ctx, s.desk, after, desk.MaxPage)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		v.happened = append(v.happened, page...)
		after = page[len(page)-1].Position
	}
}

// readDesk reads what the desk shows, and records where it differs from the conversations.
func (v *evidence) readDesk(ctx context.Context, s *environment, d *driver) (err error) {
	for after := (*desk.Cursor)(nil); ; {
		page, err := desk.ConversationListPage(ctx, s.desk, desk.ConversationFilter{}, desk.Page{Limit: desk.MaxPage, After: after})
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
	err = eachOf(v.sids(), readAtOnce, func(sid string) error {
		differ := agree.Conversation(ctx, s.desk, v.records[sid], v.feed[sid])
		transcript, err := desk.ReadTranscript(ctx, s.desk, sid, desk.AsSystem())
		if err != nil {
			return err
		}
		notes, err := desk.ListNotes(ctx, s.desk, sid, desk.AsSystem())
		if err != nil {
			return err
		}
		tasks, err := desk.ListTasks(ctx, s.desk, sid)
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
	if v.agents, err = desk.ListAgents(ctx, s.desk); err != nil {
		return err
	}
	if v.has, v.counted, err = agree.Loads(ctx, s.desk); err != nil {
		return err
	}
	figures, err := insights.Read(ctx, s.desk, insights.Filter{From: d.began.Add(-time.Hour), To: time.Now().Add(time.Hour)})
	if err != nil {
		return err
	}
	for _, group := range figures.Channels {
		if group.Name != string(trialChannel) {
			v.figures.Conversations += group.Conversations
			add(&v.figures.Sent, group.Sent)
		}
	}
	if v.pendingWebhooks, _, err = desk.PendingWebhooks(ctx, s.desk); err != nil {
		return err
	}
	dead, err := desk.DeadWebhooks(ctx, s.desk, desk.Page{})
	v.deadWebhooks = len(dead.Entries)
	return err
}

// replayedAtMost is how many histories are replayed. All of them are read.
const replayedAtMost = 400

// readHistories reads the histories of all runs, counts the signals in them, looks for failed workflow tasks, and
// replays the runs.
func (v *evidence) readHistories(ctx context.Context, s *environment, _ *driver) error {
	replayer, err := codec.NewReplayer(nil)
	if err != nil {
		return err
	}
	silent := log.NewStructuredLogger(slog.New(slog.DiscardHandler))
	var mutex sync.Mutex
	return eachOf(v.sids(), readAtOnce, func(sid string) error {
		counted := map[string]int{}
		for run := ""; ; {
			history, err := historyOf(ctx, s.temporal, sid, run)
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

// historyOf reads the history of a run, or of the latest run if run is empty.
func historyOf(ctx context.Context, temporal client.Client, sid, run string) (*historypb.History, error) {
	history := &historypb.History{}
	events := temporal.GetWorkflowHistory(ctx, workflows.ID(sid), run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return nil, fmt.Errorf("read the history of %s: %w", sid, err)
		}
		history.Events = append(history.Events, event)
	}
	return history, nil
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
