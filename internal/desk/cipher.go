package desk

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Cipher seals texts, each for one place. The key ring of package codec implements it.
type Cipher = sqldb.Cipher

// The sealed columns: texts of customers and agents, and secrets. docs/security.md lists every column. In an event's
// JSON only the words in its reason are sealed.
var (
	CustomerName        = sqldb.Column{Table: "conversations", Name: "customer_name", Key: "sid"}
	CustomerAddress     = sqldb.Column{Table: "conversations", Name: "customer_address", Key: "sid", Equal: true}
	TaskAttributes      = sqldb.Column{Table: "tasks", Name: "attributes", Key: "sid"}
	TaskDisposition     = sqldb.Column{Table: "tasks", Name: "disposition", Key: "sid"}
	TaskWrapupNote      = sqldb.Column{Table: "tasks", Name: "wrapup_note", Key: "sid"}
	ReservationReason   = sqldb.Column{Table: "reservations", Name: "reason", Key: "sid"}
	MessageText         = sqldb.Column{Table: "messages", Name: "text", Key: "sid"}
	MessageIdentity     = sqldb.Column{Table: "messages", Name: "identity", Key: "sid"}
	MessageAttributes   = sqldb.Column{Table: "messages", Name: "attributes", Key: "sid"}
	NoteText            = sqldb.Column{Table: "notes", Name: "text", Key: "sid"}
	eventReason         = sqldb.Column{Table: "events", Name: "event", Key: "position"}
	DetailsFriendlyName = sqldb.Column{Table: "conversation_details", Name: "friendly_name", Key: "conversation"}
	DetailsUniqueName   = sqldb.Column{Table: "conversation_details", Name: "unique_name", Key: "conversation", Equal: true}
	DetailsAttributes   = sqldb.Column{Table: "conversation_details", Name: "attributes", Key: "conversation"}
	DetailsContext      = sqldb.Column{Table: "conversation_details", Name: "context_sid", Key: "conversation"}
	DetailsWebhook      = sqldb.Column{Table: "conversation_details", Name: "webhook_ttid", Key: "conversation"}
	MemberIdentity      = sqldb.Column{Table: "participants", Name: "identity", Key: "sid", Equal: true}
	MemberAddress       = sqldb.Column{Table: "participants", Name: "address", Key: "sid", Equal: true}
	MemberProxy         = sqldb.Column{Table: "participants", Name: "proxy_address", Key: "sid"}
	MemberAttributes    = sqldb.Column{Table: "participants", Name: "attributes", Key: "sid"}
	AccountToken        = sqldb.Column{Table: "account", Name: "auth_token", Key: "id"}
	AccountCallback     = sqldb.Column{Table: "account", Name: "event_callback_url", Key: "id"}
	AccountWebhook      = sqldb.Column{Table: "account", Name: "webhook_secret", Key: "id"}
	AccountWebhookNext  = sqldb.Column{Table: "account", Name: "webhook_secret_next", Key: "id"}
	AnswerBody          = sqldb.Column{Table: "answers", Name: "body", Key: "token"}
	SessionData         = sqldb.Column{Table: "sessions", Name: "data", Key: "token"}
)

// sealedColumns are all sealed columns.
var sealedColumns = []sqldb.Column{
	CustomerName, CustomerAddress, TaskAttributes, TaskDisposition, TaskWrapupNote, ReservationReason, MessageText, MessageIdentity,
	MessageAttributes, NoteText, eventReason, DetailsFriendlyName, DetailsUniqueName, DetailsAttributes, DetailsContext, DetailsWebhook,
	MemberIdentity, MemberAddress, MemberProxy, MemberAttributes, AccountToken, AccountCallback, AccountWebhook, AccountWebhookNext, AnswerBody, SessionData,
}

// AccountRow is the key of the account's only row.
const AccountRow = "1"

// keysAreThere refuses to open an encrypted desk without keys, because it would be written to in clear. It checks
// the account's token, and the latest conversation in case the keys were added later.
func keysAreThere(ctx context.Context, d *Desk) error {
	if d.DB().Seals().On() {
		return nil
	}
	return d.QueryOne(ctx, "look for what is encrypted", func(tx *Tx) error {
		_, err := sqldb.All(ctx, tx, func(r sqldb.Row) (struct{}, error) {
			var token, name string
			err := r.Scan(&token, &name)
			if err == nil && (sqldb.IsSealed(token) || sqldb.IsSealed(name)) {
				err = errors.New("the desk is encrypted: set BATON_ENCRYPTION_KEYS or BATON_ENCRYPTION_KEYS_FILE to its keys")
			}
			return struct{}{}, err
		}, `SELECT coalesce((SELECT auth_token FROM account WHERE id = 1), ''),
				coalesce((SELECT customer_name FROM conversations WHERE created_at = (SELECT max(created_at) FROM conversations) LIMIT 1), '')`)
		return err
	})
}

// openedEvent is the destination for an event. The same scan may read its position.
type openedEvent struct {
	position *int64
	encoded  *string
	into     *conversation.Event
}

// ReadEvent returns the scan destination of an event's JSON. The event's position has to be scanned before it.
func ReadEvent(position *int64, into *conversation.Event) sqldb.Opener {
	return openedEvent{position: position, encoded: new(string), into: into}
}

// Target implements [sqldb.Opener].
func (o openedEvent) Target() any { return o.encoded }

// Open implements [sqldb.Opener].
func (o openedEvent) Open(s sqldb.Seals) (err error) {
	if err := json.Unmarshal([]byte(*o.encoded), o.into); err != nil {
		return Wrap(fmt.Sprintf("decode event %d of the event log", *o.position), err)
	}
	o.into.Reason, err = s.Open(eventReason, strconv.FormatInt(*o.position, 10), o.into.Reason)
	fillTypedFields(o.into)
	return err
}

// sealReason returns the event in its stored form: with its words sealed, and a disposition stored only as the
// reason.
func (tx *Tx) sealReason(position int64, e conversation.Event) (_ conversation.Event, err error) {
	e.Reason, e.Disposition = cmp.Or(e.Disposition, e.Reason), ""
	if HasText(e) {
		e.Reason, err = tx.Seals().Seal(eventReason, strconv.FormatInt(position, 10), e.Reason)
	}
	return e, err
}

// HasText reports whether a person wrote the event's reason: why they declined, or how they left a task. The
// reasons of other events come from the rules and are counted.
func HasText(e conversation.Event) bool {
	return e.Reason != "" && (e.Name == conversation.EventReservationRejected || e.Name == conversation.EventTaskCompleted)
}
