package records

import (
	"cmp"
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// FromCustomer is the author of the customer's messages. FromSystem is the author of reports by the operator's
// programs, such as the outcome of a tool that the agent used.
const (
	FromCustomer = "customer"
	FromSystem   = "system"
)

// MaxMessage is the maximum number of characters in a message.
const MaxMessage = 16000

// NewMessage is a message to be added to a transcript.
type NewMessage struct {
	Conversation string
	// From is FromCustomer, FromSystem or the name of the agent who has the conversation.
	From string
	// Text has 1 to MaxMessage characters.
	Text string
	// ProviderSID is the provider's own SID of the message, if it has one. A message with the same ProviderSID is
	// stored once.
	ProviderSID string
	// Identity is the name of the customer, or of the person who writes on their side. It is optional.
	Identity string
	// Attributes are a JSON object, or empty for none.
	Attributes string
	// At is when the message was written. Zero means now.
	At time.Time
}

// Message is one message of a transcript.
type Message struct {
	SID          string `json:"sid"`
	Conversation string `json:"conversation"`
	// Number counts the conversation's messages from 1, without gaps.
	Number      int       `json:"number"`
	From        string    `json:"from"`
	Text        string    `json:"text"`
	ProviderSID string    `json:"provider_sid,omitempty"`
	At          time.Time `json:"at"`
	// Identity is described at [NewMessage]. Attributes are a JSON object, unchanged. UpdatedAt is zero if the
	// message was never changed.
	Identity   string    `json:"-"`
	Attributes string    `json:"-"`
	UpdatedAt  time.Time `json:"-"`
}

// Say adds a message to a conversation's transcript. The customer may write while their side is open, also while
// they wait. Of the agents, only the one whose task is assigned may write. For a provider's SID that is stored
// already, it returns the stored message. Refusals: invalid_payload, conversation_closed, task_not_assigned,
// not_your_task.
func Say(ctx context.Context, d *desk.Desk, m NewMessage) (Message, error) {
	if refusal := validMessage(m); refusal != nil {
		return Message{}, refusal
	}
	var said Message
	err := d.SharedTx(ctx, "say in conversation "+m.Conversation, func(tx *desk.Tx) (err error) {
		said, err = insertMessage(ctx, tx, m, d.Now())
		return err
	})
	return said, err
}

func validMessage(m NewMessage) *conversation.Refusal {
	switch length := utf8.RuneCountInString(m.Text); {
	case m.From == "":
		return desk.Invalid("from", "the message has no author: name an agent, or %q", FromCustomer)
	case strings.TrimSpace(m.Text) == "":
		return desk.Invalid("text", "the message is empty: write at least one character")
	case length > MaxMessage:
		return desk.Invalid("text", "the message has %d characters: send it in parts of at most %d", length, MaxMessage)
	case !sqldb.Storable(m.Text):
		return desk.Invalid("text", "the message isn't valid UTF-8 text: send it without control zeros, encoded as UTF-8")
	case utf8.RuneCountInString(m.Identity) > conversation.MaxText || !sqldb.Storable(m.Identity):
		return desk.Invalid("identity", "identity can have at most %d characters", conversation.MaxText)
	case utf8.RuneCountInString(m.ProviderSID) > conversation.MaxText || !sqldb.Storable(m.ProviderSID):
		return desk.Invalid("provider_sid", "provider_sid can have at most %d characters", conversation.MaxText)
	}
	return desk.ValidObject(m.Attributes, maxConversationAttributes)
}

func insertMessage(ctx context.Context, tx *desk.Tx, m NewMessage, now time.Time) (Message, error) {
	if err := desk.LockTranscript(ctx, tx, m.Conversation); err != nil {
		return Message{}, err
	}
	if m.ProviderSID != "" {
		before, found, err := sqldb.First(ctx, tx, scanMessage, selectMessages+` WHERE provider_sid = $1 AND provider_sid <> ''`, m.ProviderSID)
		if err != nil || found {
			return before, err
		}
	}
	status, err := ConversationStatus(ctx, tx, m.Conversation)
	if err != nil {
		return Message{}, err
	}
	if m.From == FromCustomer || m.From == FromSystem {
		if status != conversation.ConversationActive {
			return Message{}, conversation.Refuse(conversation.CodeConversationClosed, conversation.Details{},
				"the customer's side of the conversation is over: the customer can only write in a new conversation")
		}
	} else if err := haveConversation(ctx, tx, m.From, m.Conversation); err != nil {
		return Message{}, err
	}

	said := Message{
		SID: conversation.SIDOf(desk.PrefixMessage, uuid.New()), Conversation: m.Conversation, From: m.From, Text: m.Text,
		ProviderSID: m.ProviderSID, Identity: m.Identity, Attributes: cmp.Or(m.Attributes, "{}"), At: m.At.UTC().Truncate(time.Microsecond),
	}
	if m.At.IsZero() {
		said.At = now.UTC().Truncate(time.Microsecond)
	}
	tx.WakePages()
	said.Number, _, err = sqldb.First(ctx, tx, sqldb.Value[int],
		`UPDATE conversations SET messages = messages + 1 WHERE sid = $1 RETURNING messages`, m.Conversation)
	if err != nil {
		return Message{}, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO messages (conversation, number, sid, author, text, provider_sid, created_at, attributes, identity)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		said.Conversation, said.Number, said.SID, said.From, tx.Sealed(desk.MessageText, said.SID, said.Text), said.ProviderSID, sqldb.Micros(said.At),
		tx.Sealed(desk.MessageAttributes, said.SID, said.Attributes), tx.Sealed(desk.MessageIdentity, said.SID, said.Identity))
	return said, err
}

// haveConversation refuses an agent who has no assigned task in the conversation.
func haveConversation(ctx context.Context, tx *desk.Tx, agent, sid string) error {
	type held struct {
		task   string
		status conversation.TaskStatus
	}
	last, found, err := sqldb.First(ctx, tx, func(r sqldb.Row) (h held, err error) {
		err = r.Scan(&h.task, &h.status)
		return h, err
	}, `SELECT sid, status FROM tasks WHERE conversation = $1 AND agent = $2
		ORDER BY CASE WHEN status = 'assigned' THEN 0 ELSE 1 END, placement DESC LIMIT 1`, sid, agent)
	switch {
	case err != nil:
		return err
	case !found:
		return conversation.Refuse(conversation.CodeNotYourTask, conversation.Details{Agent: agent},
			"%s doesn't have this conversation: only the agent who has it can write", agent)
	case last.status != conversation.TaskAssigned:
		return conversation.Refuse(conversation.CodeTaskNotAssigned, conversation.Details{Agent: agent, Task: last.task},
			"%s doesn't have this conversation now: task %s is %s, and only the agent who has it can write", agent, last.task, last.status)
	}
	return nil
}

// ReadTranscript returns the conversation's messages in order. Refusals: not_your_task, unknown_agent.
func ReadTranscript(ctx context.Context, d *desk.Desk, sid string, reader Reader) (messages []Message, err error) {
	err = d.ReadTx(ctx, "read the transcript of conversation "+sid, func(tx *desk.Tx) error {
		may, err := ReaderExtent(ctx, tx, reader, sid)
		if err != nil {
			return err
		}
		messages, err = ReadTranscriptTx(ctx, tx, sid, may)
		return err
	})
	return messages, err
}

// MessageChange is a change to a message. Fields that are nil are not changed.
type MessageChange struct{ Text, Attributes *string }

// UpdateMessage changes a message of the conversation. It is refused with invalid_payload for an invalid text,
// invalid attributes, or an unknown message.
func UpdateMessage(ctx context.Context, d *desk.Desk, conversationSID, sid string, change MessageChange) (changed Message, err error) {
	err = d.SharedTx(ctx, "change message "+sid, func(tx *desk.Tx) error {
		if err := desk.LockTranscript(ctx, tx, conversationSID); err != nil {
			return err
		}
		if changed, err = findMessage(ctx, tx, conversationSID, sid, Extent{}); err != nil {
			return err
		}
		if change.Text != nil {
			changed.Text = *change.Text
		}
		if change.Attributes != nil {
			changed.Attributes = *change.Attributes
		}
		if refusal := validMessage(NewMessage{From: changed.From, Text: changed.Text, Attributes: changed.Attributes}); refusal != nil {
			return refusal
		}
		changed.UpdatedAt = d.Now().UTC().Truncate(time.Microsecond)
		_, err = tx.Exec(ctx, `UPDATE messages SET text = $2, attributes = $3, updated_at = $4 WHERE sid = $1`,
			sid, tx.Sealed(desk.MessageText, sid, changed.Text), tx.Sealed(desk.MessageAttributes, sid, cmp.Or(changed.Attributes, "{}")), sqldb.Micros(changed.UpdatedAt))
		if err != nil {
			return err
		}
		return noteEdit(ctx, tx, conversationSID)
	})
	return changed, err
}

// RemoveMessage deletes a message of the conversation. The other messages keep their numbers. It is refused with
// invalid_payload for an unknown message.
func RemoveMessage(ctx context.Context, d *desk.Desk, conversationSID, sid string) error {
	return d.SharedTx(ctx, "remove message "+sid, func(tx *desk.Tx) error {
		if err := desk.LockTranscript(ctx, tx, conversationSID); err != nil {
			return err
		}
		if _, err := findMessage(ctx, tx, conversationSID, sid, Extent{}); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM messages WHERE sid = $1`, sid); err != nil {
			return err
		}
		return noteEdit(ctx, tx, conversationSID)
	})
}

// noteEdit notifies readers that the transcript has changed.
func noteEdit(ctx context.Context, tx *desk.Tx, sid string) error {
	tx.WakePages()
	_, err := tx.Exec(ctx, `UPDATE conversations SET edits = edits + 1 WHERE sid = $1`, sid)
	return err
}

// FindMessage returns a message of the conversation. Refusals: not_your_task, unknown_agent, and invalid_payload for an
// unknown message.
func FindMessage(ctx context.Context, d *desk.Desk, conversationSID, sid string, reader Reader) (found Message, err error) {
	err = d.ReadTx(ctx, "read message "+sid, func(tx *desk.Tx) error {
		may, err := ReaderExtent(ctx, tx, reader, conversationSID)
		if err != nil {
			return err
		}
		found, err = findMessage(ctx, tx, conversationSID, sid, may)
		return err
	})
	return found, err
}

func findMessage(ctx context.Context, tx *desk.Tx, conversationSID, sid string, may Extent) (Message, error) {
	condition, args := may.chooses(3)
	found, ok, err := sqldb.First(ctx, tx, scanMessage, selectMessages+` WHERE sid = $1 AND conversation = $2 AND `+condition,
		append([]any{sid, conversationSID}, args...)...)
	if err == nil && !ok {
		return found, desk.Invalid("message", "the conversation has no message %s: see the list of its messages", sid)
	}
	return found, err
}

const selectMessages = `SELECT sid, conversation, number, author, text, provider_sid, created_at, attributes, updated_at, identity FROM messages`

func scanMessage(r sqldb.Row) (m Message, err error) {
	err = r.Scan(&m.SID, &m.Conversation, &m.Number, &m.From, sqldb.Opened(desk.MessageText, &m.SID, &m.Text), &m.ProviderSID, sqldb.Instant(&m.At),
		sqldb.Opened(desk.MessageAttributes, &m.SID, &m.Attributes), sqldb.Instant(&m.UpdatedAt), sqldb.Opened(desk.MessageIdentity, &m.SID, &m.Identity))
	return m, err
}

// ReadTranscriptTx returns the messages within the extent, in order.
func ReadTranscriptTx(ctx context.Context, tx *desk.Tx, sid string, may Extent) ([]Message, error) {
	condition, args := may.chooses(2)
	return sqldb.All(ctx, tx, scanMessage, selectMessages+` WHERE conversation = $1 AND `+condition+` ORDER BY number`, append([]any{sid}, args...)...)
}
