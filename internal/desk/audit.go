package desk

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// AuditEntry is one value that was changed manually, such as a setting, an agent or a plugin. Automatic effects,
// such as the membership of a queue with an expression, have no entry.
type AuditEntry struct {
	// Position orders the entries; later ones have higher positions.
	Position int64     `json:"position"`
	At       time.Time `json:"at"`
	// By is the author, see [WithActor]; Unnamed if there is none.
	By string `json:"by"`
	// What is the kind and the changed value, as in "agent.role", or an addition or removal, as in "queue.added".
	What string `json:"what"`
	// Subject is the name of an agent, queue, plugin, workflow or activity, or a key's SID. It is "" if the desk
	// has only one of its kind.
	Subject string `json:"subject,omitempty"`
	// Before and After are the values for display, "" for none. For a queue's members they hold only the agents
	// that left and joined. They never contain a secret.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Kind returns the kind of the changed object, as in "agent".
func (e AuditEntry) Kind() AuditKind { return kindOf(e.What) }

// AuditKind is the kind of a changed object.
type AuditKind string

// The kinds of changed objects.
const (
	AuditSettings  AuditKind = "settings"
	AuditPlugin    AuditKind = "plugin"
	AuditAgent     AuditKind = "agent"
	AuditQueue     AuditKind = "queue"
	AuditKey       AuditKind = "key"
	AuditAccount   AuditKind = "account"
	AuditWorkspace AuditKind = "workspace"
	AuditWorkflow  AuditKind = "workflow"
	AuditActivity  AuditKind = "activity"
	// AuditCustomer is for erased customers.
	AuditCustomer AuditKind = "customer"
)

// AuditKinds returns every kind.
func AuditKinds() []AuditKind {
	return []AuditKind{AuditSettings, AuditPlugin, AuditAgent, AuditQueue, AuditKey, AuditAccount, AuditWorkspace, AuditWorkflow, AuditActivity, AuditCustomer}
}

// Unnamed is the author of changes without [WithActor].
const Unnamed = "system"

type actorKey struct{}

// WithActor names the author of changes made with this context, for the audit list.
func WithActor(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, actorKey{}, name)
}

func actor(ctx context.Context) string {
	if name, _ := ctx.Value(actorKey{}).(string); name != "" {
		return name
	}
	return Unnamed
}

// AuditFilter selects entries. An empty field selects all.
type AuditFilter struct {
	Kind AuditKind
	// Subject and By match exactly.
	Subject, By string
}

// AuditPage returns a page of the selected entries, newest first.
func AuditPage(ctx context.Context, d *Desk, f AuditFilter, p Page) (found Found[AuditEntry], err error) {
	list := sqldb.Listing[AuditEntry]{
		Columns: `position, at, changed_by, what, subject, changed_from, changed_to`, From: `audit`,
		Scan: func(r sqldb.Row) (e AuditEntry, err error) {
			err = r.Scan(&e.Position, sqldb.Instant(&e.At), &e.By, &e.What, &e.Subject, &e.Before, &e.After)
			return e, err
		},
		Key: "position", KeyOf: func(e AuditEntry) (int64, string) { return e.Position, "" }, Descending: true,
	}
	if f.Kind != "" {
		list.Where(`kind = $%d`, string(f.Kind))
	}
	if f.Subject != "" {
		list.Where(`subject = $%d`, f.Subject)
	}
	if f.By != "" {
		list.Where(`changed_by = $%d`, f.By)
	}
	err = d.ReadTx(ctx, "read the audit list", func(tx *Tx) error {
		found, err = list.Page(ctx, tx, p)
		return err
	})
	return found, err
}

// Changed is a value that an administrator may have changed.
type Changed struct{ What, Subject, Before, After string }

// Audit records the values that differ.
func (tx *Tx) Audit(ctx context.Context, now int64, values ...Changed) error {
	for _, v := range values {
		if v.Before == v.After {
			continue
		}
		tx.WakePages()
		if err := tx.Record(ctx, now, v); err != nil {
			return err
		}
	}
	return nil
}

// Record records the change even if its texts are equal, as for a secret.
func (tx *Tx) Record(ctx context.Context, now int64, c Changed) error {
	position, _, err := sqldb.First(ctx, tx, sqldb.Value[int64], `UPDATE audit_position SET position = position + 1 WHERE id = 1 RETURNING position`)
	if err != nil {
		return Wrap("take a position in the audit list", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO audit (position, at, changed_by, kind, what, subject, changed_from, changed_to)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, position, now, actor(ctx), string(kindOf(c.What)), c.What, c.Subject, c.Before, c.After)
	return err
}

// Secure writes a line to the security log after the transaction has committed.
func (tx *Tx) Secure(ctx context.Context, e seclog.Entry) {
	if e.Who = actor(ctx); e.Who == Unnamed {
		e.Who = ""
	}
	tx.afterCommit.security = append(tx.afterCommit.security, e)
}

func kindOf(what string) AuditKind {
	kind, _, _ := strings.Cut(what, ".")
	return AuditKind(kind)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func settingsChanged(before, after conversation.Settings) []Changed {
	seconds := func(n int) string { return fmt.Sprintf("%d s", n) }
	return []Changed{
		{What: "settings.messaging_transfers", Before: onOff(before.MessagingTransfers), After: onOff(after.MessagingTransfers)},
		{What: "settings.transfer_notes", Before: onOff(before.TransferNotes), After: onOff(after.TransferNotes)},
		{What: "settings.reservation_timeout", Before: seconds(before.ReservationTimeout), After: seconds(after.ReservationTimeout)},
		{What: "settings.task_timeout", Before: seconds(before.TaskTimeout), After: seconds(after.TaskTimeout)},
		{What: "settings.wrapup_timeout", Before: seconds(before.WrapupTimeout), After: seconds(after.WrapupTimeout)},
		{What: "settings.agent_unavailable", Before: string(before.AgentUnavailable), After: string(after.AgentUnavailable)},
		{What: "settings.unanswered", Before: string(before.Unanswered), After: string(after.Unanswered)},
		{What: "settings.reoffer_after", Before: seconds(before.ReofferAfter), After: seconds(after.ReofferAfter)},
		{What: "settings.timeout_activity", Before: onOff(before.TimeoutActivity), After: onOff(after.TimeoutActivity)},
	}
}

// LastAdministered returns a number that rises with every change by an administrator.
func LastAdministered(ctx context.Context, d *Desk) (last int64, err error) {
	err = d.ReadTx(ctx, "read how far the audit list goes", func(tx *Tx) error {
		last, _, err = sqldb.First(ctx, tx, sqldb.Value[int64], `SELECT position FROM audit_position WHERE id = 1`)
		return err
	})
	return last, err
}
