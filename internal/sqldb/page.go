package sqldb

import (
	"context"
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

// Listing is a list that is read by pages. Rows are ordered by a number, and by their SID if they have one.
type Listing[T any] struct {
	// Columns and From are the parts of the query; Scan reads one of its rows.
	Columns, From string
	Scan          func(Row) (T, error)
	// Chooses filters on what no SQL condition can. nil selects every entry.
	Chooses func(T) (bool, error)
	// Key orders the rows. SID is the column that orders rows with equal keys, or empty.
	Key, SID   string
	KeyOf      func(T) (key int64, sid string)
	Descending bool
	// Conditions are joined by AND. Their placeholders number the Args.
	Conditions []string
	Args       []any
}

// Sure adapts a filter that cannot fail to the type that a listing takes.
func Sure[T any](chooses func(T) bool) func(T) (bool, error) {
	return func(entry T) (bool, error) { return chooses(entry), nil }
}

// Where adds a condition with one argument, whose placeholder is written $%d.
func (l *Listing[T]) Where(condition string, argument any) {
	l.Args = append(l.Args, argument)
	l.Conditions = append(l.Conditions, fmt.Sprintf(condition, len(l.Args)))
}

// Page reads a page. A page before a cursor is read backwards and then reversed. It leaves the list unchanged.
func (l *Listing[T]) Page(ctx context.Context, q Querier, p Page) (Found[T], error) {
	if p.Limit <= 0 {
		p.Limit = 50
	}
	p.Limit = min(p.Limit, MaxPage)
	backwards := p.Before != nil
	cursor := p.After
	if backwards {
		cursor = p.Before
	}
	entries, err := l.read(ctx, q, cursor, backwards, p.Skip, p.Limit+1)
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

// Read reads at most limit entries from the cursor on, or from the list's end if it is nil, forwards or backwards.
func (l *Listing[T]) Read(ctx context.Context, q Querier, from *Cursor, backwards bool, limit int) ([]T, error) {
	return l.read(ctx, q, from, backwards, 0, limit)
}

func (l *Listing[T]) cursor(entry T) Cursor {
	key, sid := l.KeyOf(entry)
	return Cursor{Key: key, SID: sid}
}

func (l *Listing[T]) beyond(c Cursor, descending bool) {
	sign := ">"
	if descending {
		sign = "<"
	}
	if l.SID == "" {
		l.Where(l.Key+` `+sign+` $%d`, c.Key)
		return
	}
	l.Args = append(l.Args, c.Key, c.SID)
	l.Conditions = append(l.Conditions, fmt.Sprintf(`(%s, %s) %s ($%d, $%d)`, l.Key, l.SID, sign, len(l.Args)-1, len(l.Args)))
}

// read reads in order until as many entries as wanted are chosen, however many it skips.
func (l *Listing[T]) read(ctx context.Context, q Querier, from *Cursor, backwards bool, skip, wanted int) ([]T, error) {
	reading := *l
	l = &reading
	l.Conditions, l.Args = slices.Clone(l.Conditions), slices.Clone(l.Args)
	descending := l.Descending != backwards
	if from != nil {
		l.beyond(*from, descending)
	}
	direction := ""
	if descending {
		direction = " DESC"
	}
	query := `SELECT ` + l.Columns + ` FROM ` + l.From
	if len(l.Conditions) > 0 {
		query += ` WHERE ` + strings.Join(l.Conditions, ` AND `)
	}
	query += ` ORDER BY ` + l.Key + direction
	if l.SID != "" {
		query += `, ` + l.SID + direction
	}
	if l.Chooses == nil {
		l.Args = append(l.Args, wanted, skip)
		query += fmt.Sprintf(` LIMIT $%d OFFSET $%d`, len(l.Args)-1, len(l.Args))
		skip = 0
	}
	entries := []T{}
	err := While(ctx, q, func(r Row) (bool, error) {
		entry, err := l.Scan(r)
		if err != nil {
			return false, err
		}
		chosen := true
		if l.Chooses != nil {
			if chosen, err = l.Chooses(entry); err != nil {
				return false, err
			}
		}
		switch {
		case !chosen:
		case skip > 0:
			skip--
		default:
			entries = append(entries, entry)
		}
		return len(entries) < wanted, nil
	}, query, l.Args...)
	if err != nil {
		return nil, err
	}
	return entries, nil
}
