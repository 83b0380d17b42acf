package records

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Thread is a conversation with its messages, tasks, transfers, events and notes.
type Thread struct {
	Conversation Conversation
	// Messages are the newest of its transcript, in order. Earlier is how many came before them.
	Messages []Message
	Earlier  int
	// Tasks, Transfers and Events are complete, oldest first.
	Tasks     []conversation.Task
	Transfers []conversation.Transfer
	Events    []conversation.Event
	// Notes are the notes of its agents. Refused are the refusals that the desk recorded, see [NoteRefused]. Both are
	// empty for the customer.
	Notes   []conversation.Note
	Refused []Refused
	// Names are the friendly names of the agents and queues in the thread.
	Names desk.Names
}

// Refused is a recorded refusal.
type Refused struct {
	Agent string
	Code  conversation.Code
	At    time.Time
}

// Window selects the messages of a transcript to read: the newest Limit, and optionally older ones with everything
// after them.
type Window struct {
	// Limit is how many messages are read at least, if the transcript has as many.
	Limit int
	// Before is the number of a message: the Limit messages before it are read too. Zero for none.
	Before int
	// From is the number of the oldest message to read. It takes precedence over Before. Zero for none.
	From int
}

// first returns the number of the oldest message in the window. newest is the number of the transcript's newest
// message.
func (w Window) first(newest int) int {
	first := max(newest-w.Limit, 0) + 1
	switch {
	case w.From > 0:
		return min(first, w.From)
	case w.Before > 0:
		return min(first, max(w.Before-w.Limit, 1))
	}
	return first
}

// ReadThread returns the conversation with the messages of the window, all of the same moment. Refusals: not_your_task,
// unknown_agent, and conversation_closed when the desk has no record of it.
func ReadThread(ctx context.Context, d *desk.Desk, sid string, reader Reader, window Window) (thread Thread, err error) {
	err = d.ReadTx(ctx, "read conversation "+sid, func(tx *desk.Tx) error {
		may, err := ReaderExtent(ctx, tx, reader, sid)
		if err != nil {
			return err
		}
		thread, err = readThread(ctx, tx, sid, reader, may, window)
		return err
	})
	return thread, err
}

func readThread(ctx context.Context, tx *desk.Tx, sid string, reader Reader, may Extent, window Window) (thread Thread, err error) {
	if thread.Conversation, err = ReadConversation(ctx, tx, sid); err != nil {
		return thread, err
	}
	within, bounds := may.chooses(2)
	newest, _, err := sqldb.First(ctx, tx, sqldb.Value[int], `SELECT COALESCE(MAX(number), 0) FROM messages WHERE conversation = $1 AND `+within, append([]any{sid}, bounds...)...)
	if err != nil {
		return thread, err
	}
	condition, args := may.chooses(3)
	if thread.Messages, err = sqldb.All(ctx, tx, scanMessage, selectMessages+` WHERE conversation = $1 AND number >= $2 AND `+condition+` ORDER BY number`,
		append([]any{sid, window.first(newest)}, args...)...); err != nil {
		return thread, err
	}
	if len(thread.Messages) > 0 {
		thread.Earlier, _, err = sqldb.First(ctx, tx, sqldb.Value[int], `SELECT count(*) FROM messages WHERE conversation = $1 AND number < $2 AND `+condition,
			append([]any{sid, thread.Messages[0].Number}, args...)...)
		if err != nil {
			return thread, err
		}
	}
	if err := sqldb.Each(ctx, tx, func(r sqldb.Row) error {
		task, err := ScanTask(r)
		thread.Tasks = append(thread.Tasks, task.Task)
		return err
	}, SelectTasks+` WHERE t.conversation = $1 ORDER BY t.placement`, sid); err != nil {
		return thread, err
	}
	if err := sqldb.Each(ctx, tx, func(r sqldb.Row) error {
		transfer, err := ScanTransfer(r)
		thread.Transfers = append(thread.Transfers, transfer.Transfer)
		return err
	}, SelectTransfers+` WHERE x.conversation = $1`, sid); err != nil {
		return thread, err
	}
	// Each transfer made a task, and the tasks are ordered by placement.
	made := func(x conversation.Transfer) int {
		return slices.IndexFunc(thread.Tasks, func(t conversation.Task) bool { return t.SID == x.Task })
	}
	slices.SortFunc(thread.Transfers, func(a, b conversation.Transfer) int { return cmp.Compare(made(a), made(b)) })
	if err := sqldb.Each(ctx, tx, func(r sqldb.Row) error {
		e, err := desk.ScanEvent(r)
		thread.Events = append(thread.Events, e.Event)
		return err
	}, `SELECT position, epoch, conversation, event FROM events WHERE conversation = $1 ORDER BY number`, sid); err != nil {
		return thread, err
	}
	if reader.kind != readerCustomer {
		if thread.Notes, err = ReadNotes(ctx, tx, sid, may); err != nil {
			return thread, err
		}
		if thread.Refused, err = sqldb.All(ctx, tx, func(r sqldb.Row) (refused Refused, err error) {
			err = r.Scan(&refused.Agent, &refused.Code, sqldb.Instant(&refused.At))
			return refused, err
		}, `SELECT agent, code, at FROM refusals WHERE conversation = $1 ORDER BY at`, sid); err != nil {
			return thread, err
		}
	}
	if err := boundThread(ctx, tx, &thread, may); err != nil {
		return thread, err
	}
	thread.Names, err = readNames(ctx, tx, thread.named())
	return thread, err
}

// named returns the names of the agents and queues in the thread.
func (thread *Thread) named() (n named) {
	for _, task := range thread.Tasks {
		n.task(task)
	}
	for _, x := range thread.Transfers {
		n.transfer(x)
	}
	for _, e := range thread.Events {
		n.agents = append(n.agents, e.Agent, e.By, e.To.Agent)
		n.queues = append(n.queues, e.Queue, e.To.Queue)
	}
	for _, note := range thread.Notes {
		n.agents = append(n.agents, note.Author)
	}
	for _, r := range thread.Refused {
		n.agents = append(n.agents, r.Agent)
	}
	for _, m := range thread.Messages {
		if m.From != FromCustomer && m.From != FromSystem {
			n.agents = append(n.agents, m.From)
		}
	}
	return n
}

// named are names of agents and queues, for [transaction.names].
type named struct{ agents, queues []string }

func (n *named) task(task conversation.Task) {
	n.agents, n.queues = append(n.agents, task.Agent), append(n.queues, task.Queue)
	if task.Reservation != nil {
		n.agents = append(n.agents, task.Reservation.Agent)
	}
}

func (n *named) transfer(x conversation.Transfer) {
	n.agents, n.queues = append(n.agents, x.From, x.To.Agent, x.AcceptedBy), append(n.queues, x.To.Queue)
}

// readNames reads the friendly names of these agents and queues.
func readNames(ctx context.Context, tx *desk.Tx, n named) (desk.Names, error) {
	names := desk.Names{Agents: map[string]string{}, Queues: map[string]string{}}
	for _, kind := range []struct {
		table string
		named []string
		into  map[string]string
	}{{"agents", n.agents, names.Agents}, {"queues", n.queues, names.Queues}} {
		wanted := desk.Distinct(slices.DeleteFunc(kind.named, func(name string) bool { return name == "" }))
		if len(wanted) == 0 {
			continue
		}
		var args []any
		query := `SELECT name, friendly_name FROM ` + kind.table + ` WHERE friendly_name <> '' AND name IN (` + sqldb.Arguments(&args, wanted) + `)`
		if err := sqldb.Each(ctx, tx, desk.CollectNames(kind.into), query, args...); err != nil {
			return names, err
		}
	}
	return names, nil
}
