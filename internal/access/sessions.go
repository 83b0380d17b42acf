package access

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

const (
	// sessionsDropped is how many expired sessions are deleted at most with each stored session.
	sessionsDropped = 10
	// endedKept is how long an ended session is remembered: longer than any request takes.
	endedKept = 5 * time.Minute
)

// Sessions stores the sessions of the pages. It implements CtxStore of github.com/alexedwards/scs, whose manager
// must hash the tokens first (HashTokenInStore). All errors are the database's: an unknown, expired or invalid
// token is simply not found.
type Sessions struct{ desk *desk.Desk }

// NewSessions returns the desk's store for the sessions of the pages, shared by all gateways.
func NewSessions(d *desk.Desk) *Sessions { return &Sessions{d} }

// FindCtx returns the data stored under the token, and false when there are none or they have expired.
func (s *Sessions) FindCtx(ctx context.Context, token string) (data []byte, found bool, err error) {
	var encoded string
	err = s.desk.ReadTx(ctx, "read a session", func(tx *desk.Tx) (err error) {
		encoded, found, err = sqldb.First(ctx, tx, func(r sqldb.Row) (data string, err error) {
			err = r.Scan(sqldb.Opened(desk.SessionData, &token, &data))
			return data, err
		}, `SELECT data FROM sessions WHERE token = $1 AND expires_at > $2 AND ended = 0`, token, sqldb.Micros(s.desk.Now()))
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

// CommitCtx stores the data under the token until it expires, replaces what was stored there, and deletes some of
// the expired sessions. An ended session stays ended: a request that began before the end would otherwise sign the
// person in again who has just signed out.
func (s *Sessions) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	return s.desk.SharedTx(ctx, "keep a session", func(tx *desk.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM sessions WHERE token IN
			(SELECT token FROM sessions WHERE expires_at <= $1 ORDER BY expires_at, token LIMIT $2`+tx.SkipLocked("sessions")+`)`, sqldb.Micros(s.desk.Now()), sessionsDropped); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO sessions (token, data, expires_at, ended) VALUES ($1, $2, $3, 0)
			ON CONFLICT (token) DO UPDATE SET data = EXCLUDED.data, expires_at = EXCLUDED.expires_at WHERE sessions.ended = 0`,
			token, tx.Sealed(desk.SessionData, token, base64.StdEncoding.EncodeToString(data)), sqldb.Micros(expiry))
		return err
	})
}

// DeleteCtx ends the session with that token and deletes its data. It does nothing for an unknown token.
func (s *Sessions) DeleteCtx(ctx context.Context, token string) error {
	return s.desk.SharedTx(ctx, "end a session", func(tx *desk.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE sessions SET data = '', ended = 1, expires_at = $2 WHERE token = $1`, token, sqldb.Micros(s.desk.Now().Add(endedKept)))
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
