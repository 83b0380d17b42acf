package desk

import (
	"cmp"
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/baton-transfers/baton/conversation"
)

// Cipher seals texts, each for one place. The key ring of internal/codec implements it.
type Cipher interface {
	// Empty reports whether there are no keys; then nothing is sealed.
	Empty() bool
	// Seal returns the text sealed with the newest key. It can only be opened for the same place.
	Seal(text, place string) (string, error)
	// SealEqual returns the text sealed with each key, newest first. Equal texts for the same place are sealed
	// equally.
	SealEqual(text, place string) ([]string, error)
	// Open returns the text that was sealed for the place.
	Open(sealed, place string) (string, error)
	// Current reports whether the text was sealed with the newest key.
	Current(sealed string) bool
}

const (
	// sealedPrefix begins a sealed text; escapePrefix begins a clear text that would otherwise look sealed.
	sealedPrefix = "enc:v1:"
	escapePrefix = "enc:v0:"
)

// column is a column whose texts are sealed: texts of customers and agents, and secrets. docs/security.md lists
// every column.
type column struct {
	table, name string
	// key is the column that identifies the table's rows; a sealed text is bound to its row.
	key string
	// equal is set if rows are found by the text; the text is then bound to the column only.
	equal bool
}

// The sealed columns. In an event's JSON only the words in its reason are sealed.
var (
	customerName        = column{table: "conversations", name: "customer_name", key: "sid"}
	customerAddress     = column{table: "conversations", name: "customer_address", key: "sid", equal: true}
	taskAttributes      = column{table: "tasks", name: "attributes", key: "sid"}
	taskDisposition     = column{table: "tasks", name: "disposition", key: "sid"}
	taskWrapupNote      = column{table: "tasks", name: "wrapup_note", key: "sid"}
	reservationReason   = column{table: "reservations", name: "reason", key: "sid"}
	messageText         = column{table: "messages", name: "text", key: "sid"}
	messageIdentity     = column{table: "messages", name: "identity", key: "sid"}
	messageAttributes   = column{table: "messages", name: "attributes", key: "sid"}
	noteText            = column{table: "notes", name: "text", key: "sid"}
	eventReason         = column{table: "events", name: "event", key: "position"}
	detailsFriendlyName = column{table: "conversation_details", name: "friendly_name", key: "conversation"}
	detailsUniqueName   = column{table: "conversation_details", name: "unique_name", key: "conversation", equal: true}
	detailsAttributes   = column{table: "conversation_details", name: "attributes", key: "conversation"}
	detailsContext      = column{table: "conversation_details", name: "context_sid", key: "conversation"}
	detailsWebhook      = column{table: "conversation_details", name: "webhook_ttid", key: "conversation"}
	memberIdentity      = column{table: "participants", name: "identity", key: "sid", equal: true}
	memberAddress       = column{table: "participants", name: "address", key: "sid", equal: true}
	memberProxy         = column{table: "participants", name: "proxy_address", key: "sid"}
	memberAttributes    = column{table: "participants", name: "attributes", key: "sid"}
	accountToken        = column{table: "account", name: "auth_token", key: "id"}
	accountCallback     = column{table: "account", name: "event_callback_url", key: "id"}
	accountWebhook      = column{table: "account", name: "webhook_secret", key: "id"}
	accountWebhookNext  = column{table: "account", name: "webhook_secret_next", key: "id"}
	answerBody          = column{table: "answers", name: "body", key: "token"}
	sessionData         = column{table: "sessions", name: "data", key: "token"}
)

// sealedColumns are all sealed columns.
var sealedColumns = []column{
	customerName, customerAddress, taskAttributes, taskDisposition, taskWrapupNote, reservationReason, messageText, messageIdentity,
	messageAttributes, noteText, eventReason, detailsFriendlyName, detailsUniqueName, detailsAttributes, detailsContext, detailsWebhook,
	memberIdentity, memberAddress, memberProxy, memberAttributes, accountToken, accountCallback, accountWebhook, accountWebhookNext, answerBody, sessionData,
}

// String returns the column's name in SQL.
func (c column) String() string { return c.table + "." + c.name }

// place returns the place that a text of that row is sealed for.
func (c column) place(row string) string {
	if c.equal {
		return c.String()
	}
	return c.String() + "/" + row
}

// accountRow is the key of the account's only row.
const accountRow = "1"

// seals encrypts texts that are written to tables, and decrypts texts that are read. Without a cipher texts are
// stored clear. Clear texts can always be read. Empty texts are not sealed, because queries test for them.
type seals struct{ cipher Cipher }

func (s seals) on() bool { return s.cipher != nil && !s.cipher.Empty() }

func (s seals) seal(c column, row, text string) (string, error) {
	switch {
	case isBlank(text):
		return text, nil
	case s.on() && c.equal:
		sealed, err := s.cipher.SealEqual(text, c.place(row))
		if err != nil {
			return "", wrap("seal "+c.String(), err)
		}
		return sealed[0], nil
	case s.on():
		sealed, err := s.cipher.Seal(text, c.place(row))
		if err != nil {
			return "", wrap("seal "+c.String(), err)
		}
		return sealed, nil
	}
	return clearText(text), nil
}

func (s seals) open(c column, row, kept string) (string, error) {
	if text, escaped := strings.CutPrefix(kept, escapePrefix); escaped {
		return text, nil
	}
	if !strings.HasPrefix(kept, sealedPrefix) {
		return kept, nil
	}
	if s.cipher == nil {
		return "", fmt.Errorf("%s of %s is encrypted: set BATON_ENCRYPTION_KEYS or BATON_ENCRYPTION_KEYS_FILE to the desk's keys", c, row)
	}
	text, err := s.cipher.Open(kept, c.place(row))
	if err != nil {
		return "", wrap(fmt.Sprintf("read %s of %s", c, row), err)
	}
	return text, nil
}

// keysAreThere refuses to open an encrypted desk without keys, because it would be written to in clear. It checks
// the account's token, and the latest conversation in case the keys were added later.
func (d *Desk) keysAreThere(ctx context.Context) error {
	if d.store.reads.seals.on() {
		return nil
	}
	return d.queryOne(ctx, "look for what is encrypted", func(t *transaction) error {
		_, err := all(ctx, t, func(r row) (struct{}, error) {
			var token, name string
			err := r.Scan(&token, &name)
			if err == nil && (strings.HasPrefix(token, sealedPrefix) || strings.HasPrefix(name, sealedPrefix)) {
				err = errors.New("the desk is encrypted: set BATON_ENCRYPTION_KEYS or BATON_ENCRYPTION_KEYS_FILE to its keys")
			}
			return struct{}{}, err
		}, `SELECT coalesce((SELECT auth_token FROM account WHERE id = 1), ''),
				coalesce((SELECT customer_name FROM conversations WHERE created_at = (SELECT max(created_at) FROM conversations) LIMIT 1), '')`)
		return err
	})
}

// kept returns the forms in which a text may be stored in a searched column: clear, or sealed with any of the keys.
func (s seals) kept(c column, text string) ([]string, error) {
	forms := []string{clearText(text)}
	if !s.on() || isBlank(text) {
		return forms, nil
	}
	sealed, err := s.cipher.SealEqual(text, c.place(""))
	if err != nil {
		return nil, wrap("seal "+c.String(), err)
	}
	return append(forms, sealed...), nil
}

// isBlank reports whether a text is empty or an empty JSON object.
func isBlank(text string) bool { return text == "" || text == "{}" }

// clearText returns the text as it is stored clear.
func clearText(text string) string {
	if strings.HasPrefix(text, sealedPrefix) || strings.HasPrefix(text, escapePrefix) {
		return escapePrefix + text
	}
	return text
}

// sealed is a query argument: the text of a row's column.
type sealed struct {
	seals     seals
	column    column
	row, text string
}

var _ driver.Valuer = sealed{}

// Value implements [driver.Valuer].
func (s sealed) Value() (driver.Value, error) {
	return s.seals.seal(s.column, s.row, storableText(s.text))
}

func (t *transaction) sealed(c column, row, text string) sealed {
	return sealed{seals: t.pool.seals, column: c, row: row, text: text}
}

// keptAs returns a condition on a searched column for every form in which the text may be stored, and its
// arguments. The first argument has the given number.
func (t *transaction) keptAs(c column, text string, number int) (string, []any, error) {
	forms, err := t.pool.seals.kept(c, text)
	if err != nil {
		return "", nil, err
	}
	places := make([]string, len(forms))
	args := make([]any, len(forms))
	for i, form := range forms {
		places[i], args[i] = fmt.Sprintf("$%d", number+i), form
	}
	return c.name + " IN (" + strings.Join(places, ", ") + ") AND " + c.name + " <> ''", args, nil
}

// opener is a destination for sealed data: target is the destination of the scan, open decrypts it afterwards.
type opener interface {
	target() any
	open(s seals) error
}

// openingRow opens sealed data after scanning it.
type openingRow struct {
	row

	seals seals
}

// opening returns the row, whose sealed data is opened by Scan.
func (t *transaction) opening(r row) row { return openingRow{r, t.pool.seals} }

// Scan implements row.
func (r openingRow) Scan(into ...any) error {
	var open []opener
	for i := range into {
		if o, ok := into[i].(opener); ok {
			open = append(open, o)
			into[i] = o.target()
		}
	}
	if err := r.row.Scan(into...); err != nil {
		return err
	}
	for _, o := range open {
		if err := o.open(r.seals); err != nil {
			return err
		}
	}
	return nil
}

// opened is the destination for the text of a row's column. The same scan may read the row's key.
type opened struct {
	column    column
	row, into *string
}

func (o opened) target() any { return o.into }

func (o opened) open(s seals) (err error) {
	*o.into, err = s.open(o.column, *o.row, *o.into)
	return err
}

// openedEvent is the destination for an event. The same scan may read its position.
type openedEvent struct {
	position *int64
	encoded  *string
	into     *conversation.Event
}

func readEvent(position *int64, into *conversation.Event) openedEvent {
	return openedEvent{position: position, encoded: new(string), into: into}
}

func (o openedEvent) target() any { return o.encoded }

func (o openedEvent) open(s seals) (err error) {
	if err := json.Unmarshal([]byte(*o.encoded), o.into); err != nil {
		return wrap(fmt.Sprintf("decode event %d of the event log", *o.position), err)
	}
	o.into.Reason, err = s.open(eventReason, strconv.FormatInt(*o.position, 10), o.into.Reason)
	fillTypedFields(o.into)
	return err
}

// sealReason returns the event in its stored form: with its words sealed, and a disposition stored only as the
// reason.
func (t *transaction) sealReason(position int64, e conversation.Event) (_ conversation.Event, err error) {
	e.Reason, e.Disposition = cmp.Or(e.Disposition, e.Reason), ""
	if hasWords(e) {
		e.Reason, err = t.pool.seals.seal(eventReason, strconv.FormatInt(position, 10), e.Reason)
	}
	return e, err
}

// hasWords reports whether a person wrote the event's reason: why they declined, or how they left a task. The
// reasons of other events come from the rules and are counted.
func hasWords(e conversation.Event) bool {
	return e.Reason != "" && (e.Name == conversation.EventReservationRejected || e.Name == conversation.EventTaskCompleted)
}
