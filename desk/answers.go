package desk

import (
	"context"
	"time"
)

// Answer is what a request that may be repeated was answered with.
type Answer struct {
	// Request tells apart requests that are made under one token.
	Request string
	Status  int
	ETag    string
	Body    string
}

const (
	// answersKept is for how long an answer is kept.
	answersKept = 24 * time.Hour
	// answersDropped bounds how many old ones go with each new one.
	answersDropped = 10
)

// Answer returns what the request with that token was answered with, false where it has not been, or too long ago.
func (d *Desk) Answer(ctx context.Context, token string) (answer Answer, found bool, err error) {
	err = d.look(ctx, "look for the answer to a repeated request", func(t *transaction) error {
		answer, found, err = first(ctx, t, func(r row) (a Answer, err error) {
			err = r.Scan(&a.Request, &a.Status, &a.ETag, opened{answerBody, &token, &a.Body})
			return a, err
		}, `SELECT request, status, etag, body FROM answers WHERE token = $1 AND created_at >= $2`, token, micros(d.now().Add(-answersKept)))
		return err
	})
	return answer, found, err
}

// KeepAnswer keeps the answer to a request with that token for a day. The first one stays.
func (d *Desk) KeepAnswer(ctx context.Context, token string, a Answer) error {
	return d.writeBeside(ctx, "keep the answer to a request", func(t *transaction) error {
		now := d.now()
		if _, err := t.exec(ctx, `DELETE FROM answers WHERE token IN (SELECT token FROM answers WHERE created_at < $1 ORDER BY created_at LIMIT $2`+t.skipLocked("answers")+`)`,
			micros(now.Add(-answersKept)), answersDropped); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `DELETE FROM answers WHERE token = $1 AND created_at < $2`, token, micros(now.Add(-answersKept))); err != nil {
			return err
		}
		_, err := t.exec(ctx, `INSERT INTO answers (token, request, status, etag, body, created_at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (token) DO NOTHING`, token, a.Request, a.Status, a.ETag, t.sealed(answerBody, token, a.Body), micros(now))
		return err
	})
}
