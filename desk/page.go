package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Page selects a part of a list: the entries after a cursor, before a cursor, or after a number of skipped entries.
// The zero Page is the first fifty.
type Page struct {
	// Limit is at most MaxPage; 0 means 50.
	Limit int
	// After and Before are cursors of a page read earlier. At most one is set. Skip is a number of entries, used
	// without a cursor.
	After, Before *Cursor
	Skip          int
}

// MaxPage is the maximum number of entries on a page.
const MaxPage = 1000

// Cursor is a place in a list, by its sort key. Added or removed entries do not move it.
type Cursor struct {
	Key int64
	SID string
}

// Found is a page of a list.
type Found[T any] struct {
	Entries []T
	// First and Last are where the page begins and ends. More and Earlier report whether there are entries after
	// and before it.
	First, Last   Cursor
	More, Earlier bool
}

// listing is a list that is read by pages. Rows are ordered by a number, and by their SID if they have one.
type listing[T any] struct {
	columns, from string
	conditions    []string
	args          []any
	scan          func(row) (T, error)
	// chooses filters on what no SQL condition can. nil selects every entry.
	chooses func(T) (bool, error)
	// key orders the rows. sid is the column that orders rows with equal keys.
	key, sid   string
	keyOf      func(T) (int64, string)
	descending bool
}

// sure adapts a filter that cannot fail to the type that a listing takes.
func sure[T any](chooses func(T) bool) func(T) (bool, error) {
	return func(entry T) (bool, error) { return chooses(entry), nil }
}

// where adds a condition with one argument, whose placeholder is written $%d.
func (l *listing[T]) where(condition string, argument any) {
	l.args = append(l.args, argument)
	l.conditions = append(l.conditions, fmt.Sprintf(condition, len(l.args)))
}

// page reads a page. A page before a cursor is read backwards and then reversed.
func (l *listing[T]) page(ctx context.Context, t *transaction, p Page) (Found[T], error) {
	if p.Limit <= 0 {
		p.Limit = 50
	}
	p.Limit = min(p.Limit, MaxPage)
	backwards := p.Before != nil
	cursor := p.After
	if backwards {
		cursor = p.Before
	}
	descending := l.descending != backwards
	if cursor != nil {
		l.beyond(*cursor, descending)
	}
	entries, err := l.read(ctx, t, descending, p.Skip, p.Limit+1)
	if err != nil {
		return Found[T]{}, err
	}
	further := len(entries) > p.Limit
	entries = entries[:min(len(entries), p.Limit)]
	found := Found[T]{Entries: entries, More: further, Earlier: cursor != nil || p.Skip > 0}
	if backwards {
		slices.Reverse(entries)
		found.More, found.Earlier = true, further
	}
	if len(entries) > 0 {
		found.First, found.Last = l.cursor(entries[0]), l.cursor(entries[len(entries)-1])
	}
	return found, nil
}

func (l *listing[T]) cursor(entry T) Cursor {
	key, sid := l.keyOf(entry)
	return Cursor{Key: key, SID: sid}
}

func (l *listing[T]) beyond(c Cursor, descending bool) {
	sign := ">"
	if descending {
		sign = "<"
	}
	if l.sid == "" {
		l.where(l.key+` `+sign+` $%d`, c.Key)
		return
	}
	l.args = append(l.args, c.Key, c.SID)
	l.conditions = append(l.conditions, fmt.Sprintf(`(%s, %s) %s ($%d, $%d)`, l.key, l.sid, sign, len(l.args)-1, len(l.args)))
}

// read reads in order until as many entries as wanted are chosen, however many it skips.
func (l *listing[T]) read(ctx context.Context, t *transaction, descending bool, skip, wanted int) (_ []T, err error) {
	direction := ""
	if descending {
		direction = " DESC"
	}
	query := `SELECT ` + l.columns + ` FROM ` + l.from
	if len(l.conditions) > 0 {
		query += ` WHERE ` + strings.Join(l.conditions, ` AND `)
	}
	query += ` ORDER BY ` + l.key + direction
	if l.sid != "" {
		query += `, ` + l.sid + direction
	}
	if l.chooses == nil {
		l.args = append(l.args, wanted, skip)
		query += fmt.Sprintf(` LIMIT $%d OFFSET $%d`, len(l.args)-1, len(l.args))
		skip = 0
	}
	rows, err := t.query(ctx, query, l.args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	entries := []T{}
	for len(entries) < wanted && rows.Next() {
		entry, err := l.scan(t.opening(rows))
		if err != nil {
			return nil, err
		}
		chosen := true
		if l.chooses != nil {
			if chosen, err = l.chooses(entry); err != nil {
				return nil, err
			}
		}
		switch {
		case !chosen:
		case skip > 0:
			skip--
		default:
			entries = append(entries, entry)
		}
	}
	return entries, rows.Err()
}
