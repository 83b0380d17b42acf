package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Tx is one transaction, or one query without a transaction ([DB.QueryOne]). It ends with the function that got it.
type Tx struct {
	// ctx bounds the statements of callers without a deadline.
	ctx        context.Context //nolint:containedctx // it lives as long as the transaction
	sql        *sql.Tx         // nil: one query without a transaction
	conn       *sql.Conn       // its connection, where statements are sent together; else nil
	pool       *pool
	unprepared []string
	locks      locks
	// looked is set when the one query without a transaction has begun.
	looked bool
	// short is set where a statement is too short to be interrupted: watching the context costs as much as the
	// statement. The context still ends the transaction.
	short bool
}

// Querier is a [Tx], or a type that embeds one.
type Querier interface{ tx() *Tx }

func (t *Tx) tx() *Tx { return t }

// statement returns the prepared statement, or nil when there is none yet.
func (t *Tx) statement(ctx context.Context, query string) *sql.Stmt {
	if t.pool.own {
		return nil
	}
	statement := t.pool.prepared(query)
	if statement == nil {
		t.unprepared = append(t.unprepared, query)
		return nil
	}
	if t.sql == nil {
		return statement
	}
	return t.sql.StmtContext(ctx, statement)
}

// bounded returns the context of a statement.
func (t *Tx) bounded(ctx context.Context) context.Context {
	if t.short {
		return context.WithoutCancel(ctx)
	}
	if _, bounded := ctx.Deadline(); !bounded {
		return t.ctx
	}
	return ctx
}

// Exec runs a statement and returns how many rows it changed.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	ctx = t.bounded(ctx)
	args = storableArgs(args)
	var result sql.Result
	var err error
	if statement := t.statement(ctx, query); statement != nil { //nolint:sqlclosecheck // the end of the transaction closes it
		result, err = statement.ExecContext(ctx, args...)
	} else {
		result, err = t.sql.ExecContext(ctx, query, args...)
	}
	if err != nil {
		return 0, fmt.Errorf("run %q: %w", opening(query), err)
	}
	changed, err := result.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("count the rows of %q: %w", opening(query), err)
	}
	return changed, nil
}

// query runs a query. The caller closes the rows.
func (t *Tx) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx = t.bounded(ctx)
	args = storableArgs(args)
	var rows *sql.Rows
	var err error
	switch statement := t.statement(ctx, query); { //nolint:sqlclosecheck // the end of the transaction closes it
	case t.looked:
		return nil, fmt.Errorf("run %q: QueryOne runs one query: use Read for more", opening(query))
	case statement != nil:
		rows, err = statement.QueryContext(ctx, args...)
	case t.sql == nil:
		rows, err = t.pool.QueryContext(ctx, query, args...)
	default:
		rows, err = t.sql.QueryContext(ctx, query, args...)
	}
	t.looked = t.sql == nil
	if err != nil {
		return nil, fmt.Errorf("run %q: %w", opening(query), err)
	}
	return rows, nil
}

// Storable reports whether every database accepts the text: it is valid UTF-8 without NUL.
func Storable(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }

// storableArgs replaces the texts among the arguments of a query by texts that every database accepts. Such input
// is refused earlier. Text that arrives here nevertheless, for example from a conversation that an earlier version
// accepted, must not block it.
func storableArgs(args []any) []any {
	for i := range args {
		if text, ok := args[i].(string); ok && !Storable(text) {
			args[i] = storableText(text)
		}
	}
	return args
}

// storableText returns the text with U+FFFD in place of what no database stores: invalid UTF-8 and NUL.
func storableText(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// opening returns the first words of a query, for errors. Errors never contain the arguments, which people may have
// written.
func opening(query string) string {
	words := strings.Fields(query)
	return strings.Join(words[:min(len(words), 6)], " ")
}

// Row is a row that is being read. Scan decrypts into an [Opener].
type Row interface{ Scan(into ...any) error }

// While reads the rows of the query until read returns false or an error. It reads no further row.
func While(ctx context.Context, q Querier, read func(Row) (more bool, err error), query string, args ...any) (err error) {
	t := q.tx()
	rows, err := t.query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if more, err := read(t.openingRow(rows)); err != nil || !more {
			return err
		}
	}
	return rows.Err()
}

// Each reads every row of the query.
func Each(ctx context.Context, q Querier, read func(Row) error, query string, args ...any) error {
	return While(ctx, q, func(r Row) (bool, error) { return true, read(r) }, query, args...)
}

// All returns every row of the query, each read by scan, or an empty slice when there is none.
func All[T any](ctx context.Context, q Querier, scan func(Row) (T, error), query string, args ...any) ([]T, error) {
	found := []T{}
	err := Each(ctx, q, func(r Row) error {
		one, err := scan(r)
		found = append(found, one)
		return err
	}, query, args...)
	if err != nil {
		return nil, err
	}
	return found, nil
}

// First returns the query's first row, or false when there is none.
func First[T any](ctx context.Context, q Querier, scan func(Row) (T, error), query string, args ...any) (first T, found bool, err error) {
	err = While(ctx, q, func(r Row) (bool, error) {
		found = true
		first, err = scan(r)
		return false, err
	}, query, args...)
	if err != nil {
		var none T
		return none, false, err
	}
	return first, found, nil
}

// Value reads a row of one column.
func Value[T any](r Row) (T, error) {
	var v T
	err := r.Scan(&v)
	return v, err
}
