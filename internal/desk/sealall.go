package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// SealedAtOnce is the maximum number of rows in one transaction, so that other transactions can write in between.
const SealedAtOnce = 200

// Reseal encrypts everything in the encrypted columns that is clear text or encrypted with an older key, and
// returns how many texts it encrypted. It may run while the desk is in use, and any number of times. Text that a
// program without the new key still writes is left to the next run. Once a run has found nothing, the older keys
// are no longer needed. At the end it overwrites clear texts that the database's files have kept, as far as the
// database can. left says what may remain, and is empty for nothing.
func Reseal(ctx context.Context, d *Desk) (sealed int, left string, err error) {
	if !d.DB().Seals().On() {
		return 0, "", errors.New("no key is configured to seal the desk with: set BATON_ENCRYPTION_KEYS or BATON_ENCRYPTION_KEYS_FILE; `baton keyring new` prints a key")
	}
	for _, c := range sealedColumns {
		for after := any(nil); ; {
			var some int
			var last any
			err := d.ExclusiveTx(ctx, "seal "+c.String(), func(tx *Tx) (err error) {
				some, last, err = resealColumn(ctx, tx, c, after)
				return err
			})
			if err != nil {
				return sealed, "", err
			}
			sealed += some
			if last == nil {
				break
			}
			after = last
		}
	}
	left, err = d.DB().Scrub(ctx)
	return sealed, left, err
}

// resealColumn encrypts what must be encrypted in the next rows of a column, and returns the key of the last of them,
// or nil after the last row.
func resealColumn(ctx context.Context, tx *Tx, c sqldb.Column, after any) (sealed int, last any, err error) {
	condition, args := "", []any{SealedAtOnce}
	if after != nil {
		condition, args = ` WHERE `+c.Key+` > $2`, append(args, after)
	}
	type kept struct {
		key  any
		text string
	}
	rows, err := sqldb.All(ctx, tx, func(r sqldb.Row) (k kept, err error) {
		err = r.Scan(&k.key, &k.text)
		return k, err
	}, `SELECT `+c.Key+`, `+c.Name+` FROM `+c.Table+condition+` ORDER BY `+c.Key+` LIMIT $1`, args...)
	if err != nil || len(rows) == 0 {
		return 0, nil, err
	}
	for _, k := range rows {
		again, err := resealed(tx, c, fmt.Sprint(k.key), k.text)
		if err != nil {
			return sealed, nil, err
		}
		if again == k.text {
			continue
		}
		if _, err := tx.Exec(ctx, `UPDATE `+c.Table+` SET `+c.Name+` = $2 WHERE `+c.Key+` = $1 AND `+c.Name+` = $3`, k.key, again, k.text); err != nil {
			return sealed, nil, err
		}
		sealed++ // unless another writer changed it meanwhile, and so encrypted it
	}
	return sealed, rows[len(rows)-1].key, nil
}

// resealed returns the stored text encrypted with the newest key, unchanged if it already is.
func resealed(tx *Tx, c sqldb.Column, row, kept string) (string, error) {
	if c == eventReason {
		return resealedEvent(tx, row, kept)
	}
	return tx.Seals().Reseal(c, row, kept)
}

func resealedEvent(tx *Tx, row, kept string) (string, error) {
	var e conversation.Event
	if err := json.Unmarshal([]byte(kept), &e); err != nil {
		return "", Wrap("decode event "+row, err)
	}
	s := tx.Seals()
	if !HasText(e) || s.Current(e.Reason) {
		return kept, nil
	}
	reason, err := s.Open(eventReason, row, e.Reason)
	if err != nil {
		return "", err
	}
	if e.Reason, err = s.Seal(eventReason, row, reason); err != nil {
		return "", err
	}
	encoded, err := json.Marshal(e)
	if err != nil {
		return "", Wrap("encode event "+row, err)
	}
	return string(encoded), nil
}
