package desk

import (
	"context"
	"fmt"
	"net/url"
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

// AuditList returns a page of the selected entries, newest first.
func (d *Desk) AuditList(ctx context.Context, f AuditFilter, p Page) (found Found[AuditEntry], err error) {
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
	err = d.ReadTx(ctx, "read the audit list", func(t *Tx) error {
		found, err = list.Page(ctx, t, p)
		return err
	})
	return found, err
}

// changed is a value that an administrator may have changed.
type changed struct{ what, subject, before, after string }

// audit records the values that differ.
func (t *Tx) audit(ctx context.Context, now int64, values ...changed) error {
	for _, v := range values {
		if v.before == v.after {
			continue
		}
		t.afterCommit.news = true
		if err := t.record(ctx, now, v); err != nil {
			return err
		}
	}
	return nil
}

// record records the change even if its texts are equal, as for a secret.
func (t *Tx) record(ctx context.Context, now int64, c changed) error {
	position, _, err := sqldb.First(ctx, t, sqldb.Value[int64], `UPDATE audit_position SET position = position + 1 WHERE id = 1 RETURNING position`)
	if err != nil {
		return wrap("take a position in the audit list", err)
	}
	_, err = t.Exec(ctx, `INSERT INTO audit (position, at, changed_by, kind, what, subject, changed_from, changed_to)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, position, now, actor(ctx), string(kindOf(c.what)), c.what, c.subject, c.before, c.after)
	return err
}

// secure writes a line to the security log after the transaction has committed.
func (t *Tx) secure(ctx context.Context, e seclog.Entry) {
	if e.Who = actor(ctx); e.Who == Unnamed {
		e.Who = ""
	}
	t.afterCommit.security = append(t.afterCommit.security, e)
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

func settingsChanged(before, after conversation.Settings) []changed {
	seconds := func(n int) string { return fmt.Sprintf("%d s", n) }
	return []changed{
		{"settings.messaging_transfers", "", onOff(before.MessagingTransfers), onOff(after.MessagingTransfers)},
		{"settings.transfer_notes", "", onOff(before.TransferNotes), onOff(after.TransferNotes)},
		{"settings.reservation_timeout", "", seconds(before.ReservationTimeout), seconds(after.ReservationTimeout)},
		{"settings.task_timeout", "", seconds(before.TaskTimeout), seconds(after.TaskTimeout)},
		{"settings.wrapup_timeout", "", seconds(before.WrapupTimeout), seconds(after.WrapupTimeout)},
		{"settings.agent_unavailable", "", string(before.AgentUnavailable), string(after.AgentUnavailable)},
		{"settings.unanswered", "", string(before.Unanswered), string(after.Unanswered)},
		{"settings.reoffer_after", "", seconds(before.ReofferAfter), seconds(after.ReofferAfter)},
		{"settings.timeout_activity", "", onOff(before.TimeoutActivity), onOff(after.TimeoutActivity)},
	}
}

func (p Plugin) summary() string {
	words := []string{"disabled"}
	if p.Enabled {
		words[0] = "enabled"
	}
	if p.Version != "" {
		words = append(words, "version "+p.Version)
	}
	if p.ConversationTransfer {
		words = append(words, "transfers conversations")
	}
	return strings.Join(words, ", ")
}

func (a NewAgent) summary() string {
	words := []string{string(a.Role), fmt.Sprintf("capacity %d", a.Capacity)}
	if a.Attributes != "" && a.Attributes != "{}" {
		words = append(words, "attributes "+a.Attributes)
	}
	return strings.Join(words, ", ")
}

func (k Key) summary() string {
	role := string(k.Role)
	if k.Agent != "" {
		role += " " + k.Agent
	}
	return fmt.Sprintf("%s, %s, %d requests a second", k.Name, role, k.RateLimit)
}

func membersSummary(target string) string {
	if target == "" {
		return "members set manually"
	}
	return "members by " + target
}

// bare returns a URL's scheme and host, without parts that may be secret: a password, a path, a query.
func bare(address string) string {
	to, err := url.Parse(address)
	if err != nil || address == "" {
		return ""
	}
	host := to.Scheme + "://" + to.Host
	if host != address {
		host += "/…"
	}
	return host
}
