package records

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Details are a conversation's names and the data that it was started with over HTTP. The rules do not use them.
type Details struct {
	Conversation string
	FriendlyName string
	// UniqueName identifies the conversation as its SID does; empty means none.
	UniqueName string
	// Attributes are the JSON object as it was given.
	Attributes string
	// Workflow is the SID of the TaskRouter workflow that chose the queue; empty means the default workflow.
	Workflow string
	// ContextSID and WebhookTTID come from a Flex client's interaction and are returned unchanged.
	ContextSID  string
	WebhookTTID string
	// StartedBy identifies the request that started the conversation, if that request may be repeated.
	StartedBy string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Draft is a conversation that has not been started: it has a transcript, but no tasks yet.
type Draft struct {
	// SID is the conversation's SID; if empty, one is generated.
	SID      string
	Channel  conversation.Channel
	Customer conversation.Customer
	Details  Details
}

// OpenDraft opens a conversation that is to be started later, and returns its SID. It does not change an existing
// conversation with that SID. Refused with invalid_payload: a unique name that is taken.
func OpenDraft(ctx context.Context, d *desk.Desk, draft Draft) (string, error) {
	if draft.SID == "" {
		draft.SID = conversation.SIDOf(conversation.PrefixConversation, uuid.New())
	}
	draft.Details.Conversation = draft.SID
	draft.Customer = draft.Customer.Clean()
	if refusal := validDetails(&draft.Details); refusal != nil {
		return "", refusal
	}
	err := d.SharedTx(ctx, "open conversation "+draft.SID, func(tx *desk.Tx) error {
		now := sqldb.Micros(d.Now())
		opened, err := tx.Exec(ctx, `INSERT INTO conversations (sid, status, channel, customer_name, customer_address, revision, events,
				messages, gone, created_at, closed_at)
			VALUES ($1, $2, $3, $4, $5, 0, 0, 0, 0, $6, 0) ON CONFLICT (sid) DO NOTHING`,
			draft.SID, string(conversation.ConversationActive), string(draft.Channel), tx.Sealed(desk.CustomerName, draft.SID, draft.Customer.Name),
			tx.Sealed(desk.CustomerAddress, draft.SID, draft.Customer.Address), now)
		if err != nil || opened == 0 {
			return err
		}
		return saveDetails(ctx, tx, draft.Details, now)
	})
	return draft.SID, err
}

// SetDraft changes the channel and the customer of a conversation that was not started, and the details as
// [SetDetails] does: all of it or nothing. It changes only the details of one that was started.
func SetDraft(ctx context.Context, d *desk.Desk, sid string, channel conversation.Channel, customer conversation.Customer, change func(*Details)) error {
	customer = customer.Clean()
	return d.SharedTx(ctx, "change draft "+sid, func(tx *desk.Tx) error {
		if _, err := changeDetails(ctx, tx, sid, change, d.Now()); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE conversations SET channel = $2, customer_name = $3, customer_address = $4 WHERE sid = $1 AND revision = 0`,
			sid, string(channel), tx.Sealed(desk.CustomerName, sid, customer.Name), tx.Sealed(desk.CustomerAddress, sid, customer.Address))
		return err
	})
}

// IsDraft reports whether the conversation has not been started.
func (c Conversation) IsDraft() bool { return c.Revision == 0 }

// CloseDraft closes a conversation that was never started. It does not change one that was started.
func CloseDraft(ctx context.Context, d *desk.Desk, sid string) error {
	return d.SharedTx(ctx, "close conversation "+sid, func(tx *desk.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE conversations SET status = $2, closed_at = $3 WHERE sid = $1 AND revision = 0`,
			sid, string(conversation.ConversationClosed), sqldb.Micros(d.Now()))
		return err
	})
}

// ReadDetails returns the conversation's details; they are empty if none were set.
func ReadDetails(ctx context.Context, d *desk.Desk, sid string) (details Details, err error) {
	err = d.ReadTx(ctx, "read the details of conversation "+sid, func(tx *desk.Tx) error {
		details, err = readDetails(ctx, tx, sid)
		return err
	})
	return details, err
}

// SetDetails changes the conversation's details. It may call the function more than once. Refused with
// invalid_payload: a unique name that is taken, attributes that are not a JSON object.
func SetDetails(ctx context.Context, d *desk.Desk, sid string, change func(*Details)) (details Details, err error) {
	err = d.SharedTx(ctx, "change the details of conversation "+sid, func(tx *desk.Tx) error {
		details, err = changeDetails(ctx, tx, sid, change, d.Now())
		return err
	})
	return details, err
}

func changeDetails(ctx context.Context, tx *desk.Tx, sid string, change func(*Details), now time.Time) (Details, error) {
	// Every start over HTTP comes here, and the conversation may not have a row to lock yet.
	if err := desk.LockStream(ctx, tx, "details/"+sid); err != nil {
		return Details{}, err
	}
	details, err := readDetails(ctx, tx, sid)
	if err != nil {
		return Details{}, err
	}
	change(&details)
	if refusal := validDetails(&details); refusal != nil {
		return Details{}, refusal
	}
	if err := saveDetails(ctx, tx, details, sqldb.Micros(now)); err != nil {
		return Details{}, err
	}
	return readDetails(ctx, tx, sid)
}

// maxConversationAttributes is Twilio's limit for a conversation, a participant and a message.
const maxConversationAttributes = 16 * 1024

// validDetails cleans the friendly name in place, and refuses details that cannot be stored.
func validDetails(details *Details) *conversation.Refusal {
	for _, text := range []struct{ field, value string }{
		{"friendly_name", details.FriendlyName},
		{"unique_name", details.UniqueName},
		{"workflow", details.Workflow},
		{"interaction_context_sid", details.ContextSID},
		{"webhook_ttid", details.WebhookTTID},
	} {
		if utf8.RuneCountInString(text.value) > conversation.MaxText || !sqldb.Storable(text.value) {
			return desk.Invalid(text.field, "%s can have at most %d characters of text", text.field, conversation.MaxText)
		}
	}
	details.FriendlyName = conversation.CleanName(details.FriendlyName)
	if strings.HasPrefix(details.UniqueName, conversation.PrefixConversation) && len(details.UniqueName) == 34 {
		return desk.Invalid("unique_name", "a unique name can't look like a SID: choose another")
	}
	return desk.ValidObject(details.Attributes, maxConversationAttributes)
}

const selectDetails = `SELECT conversation, friendly_name, unique_name, attributes, workflow, context_sid, webhook_ttid, started_by, created_at, updated_at
	FROM conversation_details`

func scanDetails(r sqldb.Row) (details Details, err error) {
	of := &details.Conversation
	err = r.Scan(of, sqldb.Opened(desk.DetailsFriendlyName, of, &details.FriendlyName), sqldb.Opened(desk.DetailsUniqueName, of, &details.UniqueName),
		sqldb.Opened(desk.DetailsAttributes, of, &details.Attributes), &details.Workflow, sqldb.Opened(desk.DetailsContext, of, &details.ContextSID),
		sqldb.Opened(desk.DetailsWebhook, of, &details.WebhookTTID), &details.StartedBy, sqldb.Instant(&details.CreatedAt), sqldb.Instant(&details.UpdatedAt))
	return details, err
}

func readDetails(ctx context.Context, tx *desk.Tx, sid string) (Details, error) {
	details, found, err := sqldb.First(ctx, tx, scanDetails, selectDetails+` WHERE conversation = $1`, sid)
	if err == nil && !found {
		return Details{Conversation: sid, Attributes: "{}"}, nil
	}
	return details, err
}

func saveDetails(ctx context.Context, tx *desk.Tx, details Details, now int64) error {
	if details.UniqueName != "" {
		holder, found, err := sidOfName(ctx, tx, details.UniqueName)
		if err != nil {
			return err
		}
		if found && holder != details.Conversation {
			return desk.Taken("unique_name", "there is a conversation with the unique name %q already: choose another", details.UniqueName)
		}
	}
	if details.Attributes == "" {
		details.Attributes = "{}"
	}
	of := details.Conversation
	_, err := tx.Exec(ctx, `INSERT INTO conversation_details (conversation, friendly_name, unique_name, attributes, workflow, context_sid,
			webhook_ttid, started_by, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
		ON CONFLICT (conversation) DO UPDATE SET friendly_name = excluded.friendly_name, unique_name = excluded.unique_name,
			attributes = excluded.attributes, workflow = excluded.workflow, context_sid = excluded.context_sid,
			webhook_ttid = excluded.webhook_ttid, started_by = excluded.started_by, updated_at = excluded.updated_at`,
		of, tx.Sealed(desk.DetailsFriendlyName, of, details.FriendlyName), tx.Sealed(desk.DetailsUniqueName, of, details.UniqueName),
		tx.Sealed(desk.DetailsAttributes, of, details.Attributes), details.Workflow, tx.Sealed(desk.DetailsContext, of, details.ContextSID),
		tx.Sealed(desk.DetailsWebhook, of, details.WebhookTTID), details.StartedBy, now)
	return err
}

// ConversationNamed returns the SID of the conversation with that unique name, or [ErrUnknownConversation].
func ConversationNamed(ctx context.Context, d *desk.Desk, uniqueName string) (sid string, err error) {
	err = d.ReadTx(ctx, "find a conversation by its name", func(tx *desk.Tx) error {
		var found bool
		sid, found, err = sidOfName(ctx, tx, uniqueName)
		if err == nil && !found {
			return ErrUnknownConversation
		}
		return err
	})
	return sid, err
}

func sidOfName(ctx context.Context, tx *desk.Tx, uniqueName string) (string, bool, error) {
	named, args, err := tx.StoredAs(desk.DetailsUniqueName, uniqueName, 1)
	if err != nil {
		return "", false, err
	}
	return sqldb.First(ctx, tx, sqldb.Value[string], `SELECT conversation FROM conversation_details WHERE `+named, args...)
}
