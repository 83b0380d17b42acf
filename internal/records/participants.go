package records

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Participant is a person who was added to a conversation. Its customer and its agents take part without being
// added.
type Participant struct {
	SID          string
	Conversation string
	// Kind is Flex's kind: customer, external, supervisor or unknown; empty if none was given.
	Kind string
	// Identity identifies a chat participant. Address and ProxyAddress are the addresses that a messaging
	// participant writes from and to. Either Identity or Address is set.
	Identity              string
	Address, ProxyAddress string
	// Attributes are a JSON object, unchanged.
	Attributes string
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// AddParticipant adds a participant to a conversation. A participant with the SID of another is taken to be the
// same. It is refused with invalid_payload for neither or both of identity and address and for an identity or
// address that is on the conversation already, and with conversation_closed when the conversation is over or
// unknown.
func AddParticipant(ctx context.Context, d *desk.Desk, p Participant) (added Participant, err error) {
	if p.SID == "" {
		p.SID = conversation.SIDOf(desk.PrefixMember, uuid.New())
	}
	if p.Attributes == "" {
		p.Attributes = "{}"
	}
	if refusal := validParticipant(p); refusal != nil {
		return Participant{}, refusal
	}
	err = d.ExclusiveTx(ctx, "add a participant to conversation "+p.Conversation, func(tx *desk.Tx) error {
		status, err := ConversationStatus(ctx, tx, p.Conversation)
		if err != nil {
			return err
		}
		same, found, err := sqldb.First(ctx, tx, scanParticipant, selectParticipants+` WHERE sid = $1`, p.SID)
		if err != nil || found {
			added = same
			return err
		}
		if status != conversation.ConversationActive {
			return conversation.Refuse(conversation.CodeConversationClosed, conversation.Details{}, "the conversation is over: no participant can be added to it any more")
		}
		if err := refuseSameParticipant(ctx, tx, p); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO participants (sid, conversation, kind, identity, address, proxy_address, attributes, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)`,
			p.SID, p.Conversation, p.Kind, tx.Sealed(desk.MemberIdentity, p.SID, p.Identity), tx.Sealed(desk.MemberAddress, p.SID, p.Address),
			tx.Sealed(desk.MemberProxy, p.SID, p.ProxyAddress), tx.Sealed(desk.MemberAttributes, p.SID, p.Attributes), sqldb.Micros(d.Now()))
		if err != nil {
			return err
		}
		added, _, err = sqldb.First(ctx, tx, scanParticipant, selectParticipants+` WHERE sid = $1`, p.SID)
		return err
	})
	return added, err
}

func validParticipant(p Participant) *conversation.Refusal {
	for _, text := range []struct{ field, value string }{{"identity", p.Identity}, {"address", p.Address}, {"proxy_address", p.ProxyAddress}} {
		if utf8.RuneCountInString(text.value) > conversation.MaxText || !sqldb.Storable(text.value) {
			return desk.Invalid(text.field, "%s can have at most %d characters of text", text.field, conversation.MaxText)
		}
	}
	if (p.Identity == "") == (p.Address == "") {
		return desk.Invalid("identity", "a participant has either an Identity or a MessagingBinding.Address: give one of them")
	}
	return desk.ValidObject(p.Attributes, maxConversationAttributes)
}

func refuseSameParticipant(ctx context.Context, tx *desk.Tx, p Participant) error {
	others, err := readParticipants(ctx, tx, p.Conversation)
	if err != nil {
		return err
	}
	for _, other := range others {
		if other.SID != p.SID && other.Identity == p.Identity && other.Address == p.Address && other.ProxyAddress == p.ProxyAddress {
			return desk.Taken("identity", "this participant is on the conversation already, as %s", other.SID)
		}
	}
	return nil
}

// ListParticipants returns the participants who were added to the conversation, in order.
func ListParticipants(ctx context.Context, d *desk.Desk, sid string) (found []Participant, err error) {
	err = d.ReadTx(ctx, "read the participants of conversation "+sid, func(tx *desk.Tx) error {
		found, err = readParticipants(ctx, tx, sid)
		return err
	})
	return found, err
}

// UpdateParticipant changes a participant of the conversation. It is refused with invalid_payload as
// [AddParticipant] is, and for an unknown participant. The function may be called more than once.
func UpdateParticipant(ctx context.Context, d *desk.Desk, conversationSID, sid string, change func(*Participant)) (changed Participant, err error) {
	err = d.ExclusiveTx(ctx, "change participant "+sid, func(tx *desk.Tx) error {
		var found bool
		if changed, found, err = sqldb.First(ctx, tx, scanParticipant, selectParticipants+` WHERE sid = $1 AND conversation = $2`, sid, conversationSID); err != nil {
			return err
		}
		if !found {
			return noParticipant(sid)
		}
		change(&changed)
		if refusal := validParticipant(changed); refusal != nil {
			return refusal
		}
		if err := refuseSameParticipant(ctx, tx, changed); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE participants SET identity = $2, address = $3, proxy_address = $4, attributes = $5, updated_at = $6 WHERE sid = $1`,
			sid, tx.Sealed(desk.MemberIdentity, sid, changed.Identity), tx.Sealed(desk.MemberAddress, sid, changed.Address),
			tx.Sealed(desk.MemberProxy, sid, changed.ProxyAddress), tx.Sealed(desk.MemberAttributes, sid, changed.Attributes), sqldb.Micros(d.Now())); err != nil {
			return err
		}
		changed, _, err = sqldb.First(ctx, tx, scanParticipant, selectParticipants+` WHERE sid = $1`, sid)
		return err
	})
	return changed, err
}

// RemoveParticipant removes a participant from the conversation. Their messages stay. It is refused with
// invalid_payload for an unknown participant.
func RemoveParticipant(ctx context.Context, d *desk.Desk, conversationSID, sid string) error {
	return d.ExclusiveTx(ctx, "remove participant "+sid, func(tx *desk.Tx) error {
		removed, err := tx.Exec(ctx, `DELETE FROM participants WHERE sid = $1 AND conversation = $2`, sid, conversationSID)
		if err == nil && removed == 0 {
			return noParticipant(sid)
		}
		return err
	})
}

func noParticipant(sid string) *conversation.Refusal {
	return desk.Invalid("participant", "the conversation has no participant %s: see the list of its participants", sid)
}

const selectParticipants = `SELECT sid, conversation, kind, identity, address, proxy_address, attributes, created_at, updated_at FROM participants`

func scanParticipant(r sqldb.Row) (p Participant, err error) {
	err = r.Scan(&p.SID, &p.Conversation, &p.Kind, sqldb.Opened(desk.MemberIdentity, &p.SID, &p.Identity), sqldb.Opened(desk.MemberAddress, &p.SID, &p.Address),
		sqldb.Opened(desk.MemberProxy, &p.SID, &p.ProxyAddress), sqldb.Opened(desk.MemberAttributes, &p.SID, &p.Attributes), sqldb.Instant(&p.CreatedAt), sqldb.Instant(&p.UpdatedAt))
	return p, err
}

func readParticipants(ctx context.Context, tx *desk.Tx, sid string) ([]Participant, error) {
	return sqldb.All(ctx, tx, scanParticipant, selectParticipants+` WHERE conversation = $1 ORDER BY created_at, sid`, sid)
}
