package desk

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"
)

const (
	// sessionsDropped bounds how many expired sessions go with each that is kept.
	sessionsDropped = 10
	// endedKept is for how long it is remembered that a session was ended: longer than any request takes.
	endedKept = 5 * time.Minute
)

// Sessions keeps the sessions of the pages. It satisfies the CtxStore of github.com/alexedwards/scs,
// whose manager is to hash the tokens before they come here (HashTokenInStore). Every error is the
// database's: a token that is unknown, expired or made up is simply not found.
type Sessions struct{ desk *Desk }

// Sessions returns where the desk keeps the sessions of the pages, for all gateways alike.
func (d *Desk) Sessions() *Sessions { return &Sessions{d} }

// FindCtx returns the data kept under the token, and false where there is none or it has expired.
func (s *Sessions) FindCtx(ctx context.Context, token string) (data []byte, found bool, err error) {
	var encoded string
	err = s.desk.readTx(ctx, "read a session", func(t *transaction) (err error) {
		encoded, found, err = firstRow(ctx, t, func(r row) (data string, err error) {
			err = r.Scan(opened{sessionData, &token, &data})
			return data, err
		}, `SELECT data FROM sessions WHERE token = $1 AND expires_at > $2 AND ended = 0`, token, micros(s.desk.now()))
		return err
	})
	if err != nil || !found {
		return nil, false, err
	}
	if data, err = base64.StdEncoding.DecodeString(encoded); err != nil {
		return nil, false, fmt.Errorf("decode a session: %w", err)
	}
	return data, true, nil
}

// CommitCtx keeps the data under the token until it expires, in place of what was kept there, and
// drops some of the sessions that have expired. A session that was ended stays so: a request that was
// under way then would sign somebody in again who has just signed out.
func (s *Sessions) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	return s.desk.sharedTx(ctx, "keep a session", func(t *transaction) error {
		if _, err := t.exec(ctx, `DELETE FROM sessions WHERE token IN
			(SELECT token FROM sessions WHERE expires_at <= $1 ORDER BY expires_at, token LIMIT $2`+t.skipLocked("sessions")+`)`, micros(s.desk.now()), sessionsDropped); err != nil {
			return err
		}
		_, err := t.exec(ctx, `INSERT INTO sessions (token, data, expires_at, ended) VALUES ($1, $2, $3, 0)
			ON CONFLICT (token) DO UPDATE SET data = EXCLUDED.data, expires_at = EXCLUDED.expires_at WHERE sessions.ended = 0`,
			token, t.sealed(sessionData, token, base64.StdEncoding.EncodeToString(data)), micros(expiry))
		return err
	})
}

// DeleteCtx ends the session with that token and forgets its data; where there is none, nothing happens.
func (s *Sessions) DeleteCtx(ctx context.Context, token string) error {
	return s.desk.sharedTx(ctx, "end a session", func(t *transaction) error {
		_, err := t.exec(ctx, `UPDATE sessions SET data = '', ended = 1, expires_at = $2 WHERE token = $1`, token, micros(s.desk.now().Add(endedKept)))
		return err
	})
}

// Find is FindCtx for callers without a context.
func (s *Sessions) Find(token string) (data []byte, found bool, err error) {
	return s.FindCtx(context.Background(), token)
}

// Commit is CommitCtx for callers without a context.
func (s *Sessions) Commit(token string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expiry)
}

// Delete is DeleteCtx for callers without a context.
func (s *Sessions) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }
