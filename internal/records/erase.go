package records

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// erasedText replaces texts that were erased.
const erasedText = "[erased]"

// Erased is what was erased or, in a dry run, would be.
type Erased struct {
	Conversations []ErasedConversation `json:"conversations"`
	// Answers counts the answers to repeated requests that contained erased data.
	Answers int `json:"answers"`
	// Left says what may remain in the database's own files; empty means nothing.
	Left string `json:"left,omitempty"`
}

// ErasedConversation counts, for one conversation, the rows of each kind that contained data.
type ErasedConversation struct {
	SID      string    `json:"conversation"`
	ClosedAt time.Time `json:"closed_at,omitzero"`
	// ErasedAt is when the conversation was erased before; the counts are then of rows with data added since.
	ErasedAt time.Time `json:"erased_at,omitzero"`
	// Open is set, in a dry run, for a conversation that has not ended and therefore cannot be erased yet.
	Open         bool  `json:"open,omitempty"`
	Messages     int64 `json:"messages"`
	Notes        int64 `json:"notes"`
	Tasks        int64 `json:"tasks"`
	Participants int64 `json:"participants"`
}

func (e ErasedConversation) summary() string {
	return strings.Join([]string{
		Plural(e.Messages, "message"), Plural(e.Notes, "note"), Plural(e.Tasks, "task"), Plural(e.Participants, "participant"),
	}, ", ")
}

// Plural returns a count with its noun, as in "1 task" and "2 tasks".
func Plural[N int | int64](n N, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// Erase overwrites the personal data of these conversations: the data of customers and other participants, and
// everything written in them. That is names, addresses, messages, notes, attributes, reasons, and answers to
// repeated requests. The data behind the figures stays. An erasure has an entry in the audit list, without any
// erased text; erasing again when nothing is left has none.
//
// If one of the conversations has not ended, Erase erases none: refused with invalid_payload, which names those
// conversations. It closes drafts. If dry is set, Erase changes nothing, and reports what it would erase and which
// conversations have not ended.
func Erase(ctx context.Context, d *desk.Desk, sids []string, dry bool) (erased Erased, err error) {
	erased.Conversations = make([]ErasedConversation, len(sids))
	write := d.ExclusiveTx
	if dry {
		write = d.ReadTx
	}
	digits := map[string]bool{}
	err = d.ReadTx(ctx, "look at what is to be erased", func(tx *desk.Tx) error {
		open, err := openOf(ctx, tx, sids)
		if err == nil && !dry {
			err = refuseOpen(open)
		}
		if err != nil {
			return err
		}
		for _, sid := range sids {
			if err := collectSIDs(ctx, tx, sid, digits); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Erased{}, err
	}
	for i, sid := range sids {
		err := write(ctx, "erase conversation "+sid, func(tx *desk.Tx) (err error) {
			erased.Conversations[i], err = eraseConversation(ctx, tx, sid, dry, sqldb.Micros(d.Now()))
			return err
		})
		if err != nil {
			return Erased{}, err
		}
	}
	if erased.Answers, err = eraseAnswers(ctx, d, digits, dry); err != nil || dry {
		return erased, err
	}
	erased.Left, err = d.DB().Scrub(ctx)
	return erased, err
}

// isOpen reports whether the conversation has not ended.
func isOpen(c Conversation) bool {
	return c.Status != conversation.ConversationClosed && !c.Gone && !c.IsDraft()
}

// openOf returns those of the conversations that have not ended. It fails if the desk does not know one of them.
func openOf(ctx context.Context, tx *desk.Tx, sids []string) (open []string, err error) {
	for _, sid := range sids {
		c, err := ReadConversation(ctx, tx, sid)
		if err != nil {
			return nil, err
		}
		if isOpen(c) {
			open = append(open, sid)
		}
	}
	return open, nil
}

// RefuseOpen returns the refusal of [Erase] if one of the conversations has not ended.
func (e Erased) RefuseOpen() error {
	var open []string
	for _, c := range e.Conversations {
		if c.Open {
			open = append(open, c.SID)
		}
	}
	return refuseOpen(open)
}

func refuseOpen(open []string) error {
	if len(open) > 0 {
		return desk.Invalid("conversation", "not erased, for these conversations are not over: %s: close them (`baton close CH…`) and complete their wrapups first", strings.Join(open, ", "))
	}
	return nil
}

// collectSIDs adds the digits of all SIDs of the conversation. The SIDs of one object have the same digits with
// every prefix.
func collectSIDs(ctx context.Context, tx *desk.Tx, sid string, digits map[string]bool) error {
	digits[sid[min(len(sid), sidPrefix):]] = true
	return sqldb.Each(ctx, tx, func(r sqldb.Row) error {
		of, err := sqldb.Value[string](r)
		digits[of[min(len(of), sidPrefix):]] = true
		return err
	}, `SELECT sid FROM tasks WHERE conversation = $1 UNION ALL SELECT sid FROM reservations WHERE conversation = $1
		UNION ALL SELECT sid FROM transfers WHERE conversation = $1 UNION ALL SELECT sid FROM messages WHERE conversation = $1
		UNION ALL SELECT sid FROM notes WHERE conversation = $1 UNION ALL SELECT sid FROM participants WHERE conversation = $1`, sid)
}

// sidPrefix is the length of a SID's prefix.
const sidPrefix = 2

func eraseConversation(ctx context.Context, tx *desk.Tx, sid string, dry bool, now int64) (ErasedConversation, error) {
	c, err := ReadConversation(ctx, tx, sid)
	if err != nil {
		return ErasedConversation{}, err
	}
	erased := ErasedConversation{SID: sid, ClosedAt: c.ClosedAt, Open: isOpen(c)}
	if erased.ErasedAt, err = erasedBefore(ctx, tx, sid); err != nil {
		return erased, err
	}
	again := !erased.ErasedAt.IsZero()
	holds := c.Customer.Name != "" || c.Customer.Address != ""
	for _, part := range []struct {
		count *int64
		table string
		// erased holds the columns and their values after the erasure.
		erased [][2]string
	}{
		{&erased.Messages, `messages`, [][2]string{{`text`, erasedText}, {`identity`, ``}, {`attributes`, `{}`}, {`provider_sid`, ``}}},
		{&erased.Notes, `notes`, [][2]string{{`text`, erasedText}}},
		{&erased.Tasks, `tasks`, [][2]string{{`attributes`, ``}, {`disposition`, ``}, {`wrapup_note`, ``}}},
		{&erased.Participants, `participants`, [][2]string{{`identity`, erasedText}, {`address`, ``}, {`proxy_address`, ``}, {`attributes`, `{}`}}},
		{new(int64), `reservations`, [][2]string{{`reason`, ``}}},
		{new(int64), `conversation_details`, [][2]string{
			{`friendly_name`, ``}, {`unique_name`, ``}, {`attributes`, `{}`}, {`context_sid`, ``}, {`webhook_ttid`, ``},
		}},
	} {
		var sets, differs []string
		for _, column := range part.erased {
			sets = append(sets, column[0]+` = '`+column[1]+`'`)
			differs = append(differs, column[0]+` <> '`+column[1]+`'`)
		}
		which := ` WHERE conversation = $1`
		if again {
			which += ` AND (` + strings.Join(differs, ` OR `) + `)`
		}
		if dry {
			*part.count, _, err = sqldb.First(ctx, tx, sqldb.Value[int64], `SELECT count(*) FROM `+part.table+which, sid)
		} else {
			*part.count, err = tx.Exec(ctx, `UPDATE `+part.table+` SET `+strings.Join(sets, `, `)+which, sid)
		}
		if err != nil {
			return erased, err
		}
		holds = holds || *part.count > 0
	}
	if dry {
		return erased, nil
	}
	reasons, err := eraseReasons(ctx, tx, sid)
	if err != nil {
		return erased, err
	}
	if again && !holds && reasons == 0 {
		return erased, nil
	}
	tx.Secure(ctx, seclog.Entry{Event: seclog.Erasure, Subject: sid})
	if _, err := tx.Exec(ctx, `UPDATE conversations SET customer_name = '', customer_address = '', edits = edits + 1,
			status = CASE WHEN revision = 0 THEN $2 ELSE status END, closed_at = CASE WHEN revision = 0 AND closed_at = 0 THEN CAST($3 AS BIGINT) ELSE closed_at END
		WHERE sid = $1`, sid, string(conversation.ConversationClosed), now); err != nil {
		return erased, err
	}
	return erased, tx.Record(ctx, now, desk.Changed{What: "customer.erased", Subject: sid, After: erased.summary()})
}

// erasedBefore returns when the conversation was last erased, the zero time if never.
func erasedBefore(ctx context.Context, tx *desk.Tx, sid string) (time.Time, error) {
	at, _, err := sqldb.First(ctx, tx, func(r sqldb.Row) (at time.Time, err error) {
		err = r.Scan(sqldb.Instant(&at))
		return at, err
	}, `SELECT at FROM audit WHERE subject = $1 AND what = 'customer.erased' ORDER BY position DESC LIMIT 1`, sid)
	return at, err
}

// eraseReasons removes the words from the conversation's events, and returns how many events had some.
func eraseReasons(ctx context.Context, tx *desk.Tx, sid string) (erased int, err error) {
	events, err := sqldb.All(ctx, tx, desk.ScanEvent, `SELECT position, epoch, conversation, event FROM events WHERE conversation = $1 ORDER BY number`, sid)
	if err != nil {
		return 0, err
	}
	for _, e := range events {
		if !desk.HasText(e.Event) {
			continue
		}
		e.Reason, e.Disposition = "", ""
		encoded, err := json.Marshal(e.Event)
		if err != nil {
			return erased, desk.Wrap(fmt.Sprintf("encode event %d", e.Number), err)
		}
		if _, err := tx.Exec(ctx, `UPDATE events SET event = $2 WHERE position = $1`, e.Position, string(encoded)); err != nil {
			return erased, err
		}
		erased++
	}
	return erased, nil
}

// sidDigits matches the digits of a SID in an answer.
var sidDigits = regexp.MustCompile(`[0-9a-f]{32}`)

// eraseAnswers empties the answers to repeated requests that contain a SID with one of these digits. If dry is set,
// it only counts them.
func eraseAnswers(ctx context.Context, d *desk.Desk, digits map[string]bool, dry bool) (count int, err error) {
	type kept struct{ token, body string }
	names := func(body string) bool {
		for _, found := range sidDigits.FindAllString(body, -1) {
			if digits[found] {
				return true
			}
		}
		return false
	}
	for after := ""; ; {
		var some []kept
		err := d.ReadTx(ctx, "look for answers to erase", func(tx *desk.Tx) (err error) {
			some, err = sqldb.All(ctx, tx, func(r sqldb.Row) (k kept, err error) {
				err = r.Scan(&k.token, sqldb.Opened(desk.AnswerBody, &k.token, &k.body))
				return k, err
			}, `SELECT token, body FROM answers WHERE token > $1 ORDER BY token LIMIT $2`, after, desk.SealedAtOnce)
			return err
		})
		if err != nil || len(some) == 0 {
			return count, err
		}
		for _, k := range some {
			after = k.token
			if !names(k.body) {
				continue
			}
			count++
			if dry {
				continue
			}
			// The token stays, so that a repeated request still has no second effect.
			if err := d.ExclusiveTx(ctx, "erase an answer", func(tx *desk.Tx) error {
				_, err := tx.Exec(ctx, `UPDATE answers SET body = 'null', etag = '' WHERE token = $1`, k.token)
				return err
			}); err != nil {
				return count, err
			}
		}
	}
}
