package desk

import (
	"context"
	"errors"

	"github.com/baton-transfers/baton/internal/expression"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Tx is a transaction of the desk, or one query without a transaction.
type Tx struct {
	*sqldb.Tx

	// Expressions are the parsed expressions of queues and workflows. logSeen is the desk's.
	Expressions *expression.Cache
	logSeen     *logSeen
	afterCommit afterCommit
	// appended are the events that the transaction appends to the event log when it ends: see appendEvents.
	appended []newEvent
	// logEnd is the position of the last of them.
	logEnd logEnd
	// routing is set when the transaction holds the routing lock: see [LockRouting].
	routing bool
}

// afterCommit is the work after a transaction's commit: tasks to match and commands to deliver, both for the
// dispatcher, and lines of the security log.
type afterCommit struct {
	match, deliver bool
	// news is set when something has changed that pages show.
	news bool
	// wentBack is set when the database turned out to be an older copy.
	wentBack bool
	security []seclog.Entry
}

// WakeMatching wakes the dispatcher after the commit, to match tasks.
func (tx *Tx) WakeMatching() { tx.afterCommit.match = true }

// WakeDelivery wakes the dispatcher after the commit, to deliver commands.
func (tx *Tx) WakeDelivery() { tx.afterCommit.deliver = true }

// WakePages wakes the pages after the commit: something that they show has changed.
func (tx *Tx) WakePages() { tx.afterCommit.news = true }

func (d *Desk) transaction(tx *sqldb.Tx) *Tx {
	return &Tx{Tx: tx, Expressions: d.Expressions, logSeen: d.logSeen}
}

// ReadTx runs one read transaction. All its reads see the same snapshot of the database.
func (d *Desk) ReadTx(ctx context.Context, doing string, do func(*Tx) error) error {
	return outcome(doing, d.DB().Read(ctx, func(tx *sqldb.Tx) error { return do(d.transaction(tx)) }))
}

// QueryOne runs one query, without a transaction.
func (d *Desk) QueryOne(ctx context.Context, doing string, do func(*Tx) error) error {
	return outcome(doing, d.DB().QueryOne(ctx, func(tx *sqldb.Tx) error { return do(d.transaction(tx)) }))
}

// ExclusiveTx runs one write transaction while no other runs, and then does what it left in afterCommit.
// It may call the function more than once, which must not keep anything from a call that failed.
func (d *Desk) ExclusiveTx(ctx context.Context, doing string, do func(*Tx) error) error {
	return d.change(ctx, doing, true, do)
}

// SharedTx runs one write transaction as ExclusiveTx does, but concurrently with others: it is for frequent writes.
// The transaction has to lock what it bases its decisions on, see locks.go.
func (d *Desk) SharedTx(ctx context.Context, doing string, do func(*Tx) error) error {
	return d.change(ctx, doing, false, do)
}

func (d *Desk) change(ctx context.Context, doing string, alone bool, do func(*Tx) error) error {
	var left *Tx
	request, _ := ctx.Value(onceKey{}).(*once)
	err := d.writeTx(ctx, alone, func(tx *Tx) error {
		err := request.change(ctx, tx, d.Now(), do)
		left = tx
		return err
	})
	if request != nil && (err == nil || errors.Is(err, ErrDoneBefore)) {
		request.changes++
	}
	if err != nil {
		return outcome(doing, err)
	}
	leaves := left.afterCommit // includes what appendEvents has added
	if leaves.wentBack {
		wentBack(context.WithoutCancel(ctx), d)
	}
	for _, e := range leaves.security {
		d.security.Write(ctx, e)
	}
	if leaves.news {
		d.Changed(News)
	}
	if leaves.match {
		d.notify(d.toMatch, notifyMatch)
	}
	if leaves.deliver {
		d.notify(d.toDeliver, notifyDeliver)
	}
	return nil
}

// writeTx runs a transaction that writes: exclusive (alone), or shared, which locks what it decides on (see
// locks.go). It appends the transaction's events to the event log as its last step.
func (d *Desk) writeTx(ctx context.Context, alone bool, do func(*Tx) error) error {
	var reached logEnd
	err := d.DB().Write(ctx, alone, func(tx *sqldb.Tx) error {
		t := d.transaction(tx)
		if err := do(t); err != nil {
			return err
		}
		err := t.appendEvents(ctx)
		reached = t.logEnd
		return err
	})
	if err == nil && reached != (logEnd{}) {
		d.logSeen.see(reached)
	}
	return err
}
