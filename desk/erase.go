package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/seclog"
)

// erasedText stands where something was written that was erased.
const erasedText = "[erased]"

// Erased is what was erased, or would be.
type Erased struct {
	Conversations []ErasedConversation `json:"conversations"`
	// Answers is how many answers to repeated requests held something of them.
	Answers int `json:"answers"`
	// Left says what may remain in the database's own files, empty for nothing.
	Left string `json:"left,omitempty"`
}

// ErasedConversation is what was erased of one conversation: how many rows of each kind held something.
type ErasedConversation struct {
	SID          string    `json:"conversation"`
	ClosedAt     time.Time `json:"closed_at,omitzero"`
	Messages     int64     `json:"messages"`
	Notes        int64     `json:"notes"`
	Tasks        int64     `json:"tasks"`
	Participants int64     `json:"participants"`
}

func (e ErasedConversation) summary() string {
	return fmt.Sprintf("%d messages, %d notes, %d tasks, %d participants", e.Messages, e.Notes, e.Tasks, e.Participants)
}

// Erase overwrites what the desk keeps of the customers of these conversations, of whoever took part, and what anybody wrote in them:
// names, addresses, messages, notes, attributes, reasons, and answers to repeated requests. What is counted stays. It is on the
// audit list, without a word of it. With dry, it only says what it would erase. Where one of them isn't over, none is erased:
// refused with invalid_payload, which names those; a draft is closed.
func (d *Desk) Erase(ctx context.Context, sids []string, dry bool) (erased Erased, err error) {
	erased.Conversations = make([]ErasedConversation, len(sids))
	write := d.write
	if dry {
		write = d.read
	}
	digits := map[string]bool{}
	err = d.read(ctx, "look at what is to be erased", func(t *transaction) error {
		if err := t.refuseOpen(ctx, sids); err != nil {
			return err
		}
		for _, sid := range sids {
			if err := t.collectSIDs(ctx, sid, digits); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Erased{}, err
	}
	for i, sid := range sids {
		err := write(ctx, "erase conversation "+sid, func(t *transaction) (err error) {
			erased.Conversations[i], err = t.eraseConversation(ctx, sid, dry, micros(d.now()))
			return err
		})
		if err != nil {
			return Erased{}, err
		}
	}
	if erased.Answers, err = d.eraseAnswers(ctx, digits, dry); err != nil || dry {
		return erased, err
	}
	erased.Left, err = d.store.scrub(ctx)
	return erased, err
}

// refuseOpen refuses what has no conversation, and those that aren't over.
func (t *transaction) refuseOpen(ctx context.Context, sids []string) error {
	var open []string
	for _, sid := range sids {
		c, err := t.conversation(ctx, sid)
		if err != nil {
			return err
		}
		if c.Status != conversation.ConversationClosed && !c.Gone && !c.IsDraft() {
			open = append(open, sid)
		}
	}
	if len(open) > 0 {
		return invalid("conversation", "not erased, for these conversations are not over: %s: close them (`starter close CH…`) and complete their wrapups first", strings.Join(open, ", "))
	}
	return nil
}

// collectSIDs adds the digits of all SIDs of the conversation: those of one thing are the same under every prefix.
func (t *transaction) collectSIDs(ctx context.Context, sid string, digits map[string]bool) error {
	digits[sid[min(len(sid), sidPrefix):]] = true
	return each(ctx, t, func(r row) error {
		of, err := value[string](r)
		digits[of[min(len(of), sidPrefix):]] = true
		return err
	}, `SELECT sid FROM tasks WHERE conversation = $1 UNION ALL SELECT sid FROM reservations WHERE conversation = $1
		UNION ALL SELECT sid FROM transfers WHERE conversation = $1 UNION ALL SELECT sid FROM messages WHERE conversation = $1
		UNION ALL SELECT sid FROM notes WHERE conversation = $1 UNION ALL SELECT sid FROM participants WHERE conversation = $1`, sid)
}

// sidPrefix is the length of a SID's prefix.
const sidPrefix = 2

func (t *transaction) eraseConversation(ctx context.Context, sid string, dry bool, now int64) (ErasedConversation, error) {
	c, err := t.conversation(ctx, sid)
	if err != nil {
		return ErasedConversation{}, err
	}
	erased := ErasedConversation{SID: sid, ClosedAt: c.ClosedAt}
	for _, part := range []struct {
		count       *int64
		table, sets string
	}{
		{&erased.Messages, `messages`, `text = '` + erasedText + `', identity = '', attributes = '{}', provider_sid = ''`},
		{&erased.Notes, `notes`, `text = '` + erasedText + `'`},
		{&erased.Tasks, `tasks`, `attributes = '', disposition = '', wrapup_note = ''`},
		{&erased.Participants, `participants`, `identity = '` + erasedText + `', address = '', proxy_address = '', attributes = '{}'`},
		{new(int64), `reservations`, `reason = ''`},
		{new(int64), `conversation_details`, `friendly_name = '', unique_name = '', attributes = '{}', context_sid = '', webhook_ttid = ''`},
	} {
		if dry {
			*part.count, _, err = first(ctx, t, value[int64], `SELECT count(*) FROM `+part.table+` WHERE conversation = $1`, sid)
		} else {
			*part.count, err = t.exec(ctx, `UPDATE `+part.table+` SET `+part.sets+` WHERE conversation = $1`, sid)
		}
		if err != nil {
			return erased, err
		}
	}
	if dry {
		return erased, nil
	}
	t.secure(ctx, seclog.Entry{Event: seclog.Erasure, Subject: sid})
	if err := t.eraseReasons(ctx, sid); err != nil {
		return erased, err
	}
	if _, err := t.exec(ctx, `UPDATE conversations SET customer_name = '', customer_address = '', edits = edits + 1,
			status = CASE WHEN revision = 0 THEN $2 ELSE status END, closed_at = CASE WHEN revision = 0 AND closed_at = 0 THEN CAST($3 AS BIGINT) ELSE closed_at END
		WHERE sid = $1`, sid, string(conversation.ConversationClosed), now); err != nil {
		return erased, err
	}
	return erased, t.record(ctx, now, changed{what: "customer.erased", subject: sid, after: erased.summary()})
}

// eraseReasons takes the words out of the conversation's events.
func (t *transaction) eraseReasons(ctx context.Context, sid string) error {
	events, err := all(ctx, t, scanFeedEvent, `SELECT position, conversation, event FROM events WHERE conversation = $1 ORDER BY number`, sid)
	if err != nil {
		return err
	}
	for _, e := range events {
		if !hasWords(e.Event) {
			continue
		}
		e.Reason, e.Disposition = "", ""
		encoded, err := json.Marshal(e.Event)
		if err != nil {
			return wrap(fmt.Sprintf("encode event %d", e.Number), err)
		}
		if _, err := t.exec(ctx, `UPDATE events SET event = $2 WHERE position = $1`, e.Position, string(encoded)); err != nil {
			return err
		}
	}
	return nil
}

// sidDigits find the digits of SIDs in an answer.
var sidDigits = regexp.MustCompile(`[0-9a-f]{32}`)

// eraseAnswers empties the answers to repeated requests that name something with these digits, or counts them.
func (d *Desk) eraseAnswers(ctx context.Context, digits map[string]bool, dry bool) (count int, err error) {
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
		err := d.read(ctx, "look for answers to erase", func(t *transaction) (err error) {
			some, err = all(ctx, t, func(r row) (k kept, err error) {
				err = r.Scan(&k.token, opened{answerBody, &k.token, &k.body})
				return k, err
			}, `SELECT token, body FROM answers WHERE token > $1 ORDER BY token LIMIT $2`, after, sealedAtOnce)
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
			// Repeated, the request still has no second effect.
			if err := d.write(ctx, "erase an answer", func(t *transaction) error {
				_, err := t.exec(ctx, `UPDATE answers SET body = 'null', etag = '' WHERE token = $1`, k.token)
				return err
			}); err != nil {
				return count, err
			}
		}
	}
}
