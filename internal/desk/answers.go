package desk

import (
	"context"
	"errors"
	"time"

	"github.com/baton-transfers/baton/internal/sqldb"
)

// Answer is the stored answer to a request that may be repeated.
type Answer struct {
	// Request identifies the request: another request under the same token has another value.
	Request string
	// Status is 0 while the request is in progress, or if it ended without its answer being stored; ETag and Body
	// are then empty.
	Status int
	ETag   string
	Body   string
	// Changes counts the changes to the desk that the request has made, see [Once]; At is when it first began.
	Changes int
	At      time.Time
}

const (
	// answersKept is how long an answer is stored.
	answersKept = 24 * time.Hour
	// answersDropped limits how many old answers are deleted with each new one.
	answersDropped = 10
)

// BeginAnswer records that the request with that token begins. If it was begun before, BeginAnswer returns its
// stored answer, or one with Status 0. A token is remembered for a day.
func BeginAnswer(ctx context.Context, d *Desk, token, request string) (answer Answer, err error) {
	look := func(tx *Tx) (found bool, err error) {
		answer, found, err = sqldb.First(ctx, tx, func(r sqldb.Row) (a Answer, err error) {
			err = r.Scan(&a.Request, &a.Status, &a.ETag, sqldb.Opened(AnswerBody, &token, &a.Body), &a.Changes, sqldb.Instant(&a.At))
			return a, err
		}, `SELECT request, status, etag, body, changes, created_at FROM answers WHERE token = $1 AND created_at >= $2`,
			token, sqldb.Micros(d.Now().Add(-answersKept)))
		return found, err
	}
	known := false
	err = d.QueryOne(ctx, "look for the answer to a repeated request", func(tx *Tx) error {
		known, err = look(tx)
		return err
	})
	if err != nil || known {
		return answer, err
	}
	err = d.SharedTx(ctx, "note that a request is carried out", func(tx *Tx) error {
		now := d.Now()
		if _, err := tx.Exec(ctx, `DELETE FROM answers WHERE token IN (SELECT token FROM answers WHERE created_at < $1 ORDER BY created_at LIMIT $2`+tx.SkipLocked("answers")+`)`,
			sqldb.Micros(now.Add(-answersKept)), answersDropped); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM answers WHERE token = $1 AND created_at < $2`, token, sqldb.Micros(now.Add(-answersKept))); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO answers (token, request, status, etag, body, created_at) VALUES ($1, $2, 0, '', '', $3)
			ON CONFLICT (token) DO NOTHING`, token, request, sqldb.Micros(now)); err != nil {
			return err
		}
		_, err := look(tx)
		return err
	})
	return answer, err
}

// KeepAnswer stores the answer to a request with that token. A later answer does not replace it.
func KeepAnswer(ctx context.Context, d *Desk, token string, a Answer) error {
	return d.SharedTx(ctx, "keep the answer to a request", func(tx *Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO answers (token, request, status, etag, body, created_at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (token) DO UPDATE SET status = excluded.status, etag = excluded.etag, body = excluded.body WHERE answers.status = 0`,
			token, a.Request, a.Status, a.ETag, tx.Sealed(AnswerBody, token, a.Body), sqldb.Micros(d.Now()))
		return err
	})
}

// DropAnswer deletes the record of a request that was refused and has changed nothing, so that it may be made
// again.
func DropAnswer(ctx context.Context, d *Desk, token string) error {
	return d.SharedTx(ctx, "forget a request that was refused", func(tx *Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM answers WHERE token = $1 AND status = 0 AND changes = 0`, token)
		return err
	})
}

// ErrDoneBefore is returned for a change to the desk that the same request has made before; see [Once].
var ErrDoneBefore = errors.New("the request has made this change before")

// Once returns a context with which each change to the desk is made only once for the request with that token,
// however often the request is repeated. The same transaction makes the change and records it. The changes of a
// request are identified by their order. A change that was made before returns [ErrDoneBefore]. The request has to
// be begun first, see [BeginAnswer].
func Once(ctx context.Context, token, request string) context.Context {
	return context.WithValue(ctx, onceKey{}, &once{token: token, request: request})
}

type onceKey struct{}

// once is a request in progress, with the number of changes it has made.
type once struct {
	token, request string
	changes        int
}

// change makes a change within its transaction, and records it. A nil once only makes the change.
func (o *once) change(ctx context.Context, tx *Tx, now time.Time, do func(*Tx) error) error {
	if o == nil {
		return do(tx)
	}
	made, begun, err := sqldb.First(ctx, tx, sqldb.Value[int], `SELECT changes FROM answers WHERE token = $1`, o.token)
	if err != nil {
		return err
	}
	switch {
	case made > o.changes:
		return ErrDoneBefore
	case !begun: // the same request was refused and deleted in the meantime
		if _, err := tx.Exec(ctx, `INSERT INTO answers (token, request, status, etag, body, created_at, changes) VALUES ($1, $2, 0, '', '', $3, $4)
			ON CONFLICT (token) DO NOTHING`, o.token, o.request, sqldb.Micros(now), o.changes); err != nil {
			return err
		}
	}
	if err := do(tx); err != nil {
		return err
	}
	noted, err := tx.Exec(ctx, `UPDATE answers SET changes = changes + 1 WHERE token = $1 AND changes = $2`, o.token, o.changes)
	if err == nil && noted == 0 {
		return ErrDoneBefore // by the same request, concurrently
	}
	return err
}
