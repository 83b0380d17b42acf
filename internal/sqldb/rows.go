package sqldb

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Rows are rows that a program gives to a statement, as a table in it. The statement's text is the same for any number
// of rows, so that it is prepared once.
type Rows struct {
	columns []RowsColumn
	texts   [][]string
	numbers [][]int64
	count   int
}

// RowsColumn is a column of [Rows].
type RowsColumn struct {
	name   string
	number bool
}

// Texts returns columns of texts, which are never NULL.
func Texts(names ...string) []RowsColumn { return columns(names, false) }

// Numbers returns columns of integers, which are never NULL.
func Numbers(names ...string) []RowsColumn { return columns(names, true) }

func columns(names []string, number bool) []RowsColumn {
	columns := make([]RowsColumn, len(names))
	for i, name := range names {
		columns[i] = RowsColumn{name, number}
	}
	return columns
}

// NewRows returns no rows, with these columns.
func NewRows(columns ...[]RowsColumn) *Rows {
	all := slices.Concat(columns...)
	return &Rows{columns: all, texts: make([][]string, len(all)), numbers: make([][]int64, len(all))}
}

// Len returns the number of rows.
func (r *Rows) Len() int { return r.count }

// Add adds a row: a value for each column, in order. A value is a string, an int, an int64, or a [driver.Valuer] of one
// of them, as [Tx.Sealed] returns it.
func (r *Rows) Add(values ...any) error {
	if len(values) != len(r.columns) {
		return fmt.Errorf("a row has %d values for %d columns", len(values), len(r.columns))
	}
	for i, value := range values {
		if err := r.add(i, value); err != nil {
			return fmt.Errorf("column %s: %w", r.columns[i].name, err)
		}
	}
	r.count++
	return nil
}

func (r *Rows) add(column int, value any) error {
	if valuer, ok := value.(driver.Valuer); ok {
		var err error
		if value, err = valuer.Value(); err != nil {
			return err //nolint:wrapcheck // the caller names the column
		}
	}
	if whole, ok := value.(int); ok {
		value = int64(whole)
	}
	text, isText := value.(string)
	number, isNumber := value.(int64)
	switch {
	case isNumber && r.columns[column].number:
		r.numbers[column] = append(r.numbers[column], number)
	case isText && !r.columns[column].number:
		if !Storable(text) {
			text = storableText(text)
		}
		r.texts[column] = append(r.texts[column], text)
	default:
		return fmt.Errorf("a value has the type %T", value)
	}
	return nil
}

// fewRows is how many rows are given one by one: a plan for arrays costs more than a plan for a row or two.
const fewRows = 2

// Table returns the rows as a table in a FROM clause, in the order in which they were added, and the arguments that it
// takes. Its first argument has that number. How many there are depends on the database and on the number of rows, so
// it comes last in a statement. In an INSERT with ON CONFLICT, WHERE true has to follow it.
func (t *Tx) Table(first int, r *Rows) (clause string, args []any) {
	switch {
	case r.count <= fewRows:
		return r.oneByOne(first)
	case t.LocksRows():
		return r.unnest(first)
	}
	return r.fromJSON(first)
}

// oneByOne is the table for few rows: a SELECT for each.
func (r *Rows) oneByOne(first int) (string, []any) {
	var args []any
	selects := make([]string, r.count)
	for at := range selects {
		values := make([]string, len(r.columns))
		for i, column := range r.columns {
			if column.number {
				values[i] = fmt.Sprintf("CAST($%d AS BIGINT) AS %s", first+len(args), column.name)
				args = append(args, r.numbers[i][at])
			} else {
				values[i] = fmt.Sprintf("CAST($%d AS TEXT) AS %s", first+len(args), column.name)
				args = append(args, r.texts[i][at])
			}
		}
		selects[at] = "SELECT " + strings.Join(values, ", ")
	}
	return "(" + strings.Join(selects, " UNION ALL ") + ") AS given", args
}

// unnest is the table for PostgreSQL: an array for each column.
func (r *Rows) unnest(first int) (string, []any) {
	arrays, names, args := make([]string, len(r.columns)), make([]string, len(r.columns)), make([]any, len(r.columns))
	for i, column := range r.columns {
		names[i] = column.name
		if column.number {
			arrays[i], args[i] = fmt.Sprintf("$%d::bigint[]", first+i), r.numbers[i]
		} else {
			arrays[i], args[i] = fmt.Sprintf("$%d::text[]", first+i), r.texts[i]
		}
	}
	return "unnest(" + strings.Join(arrays, ", ") + ") AS given(" + strings.Join(names, ", ") + ")", args
}

// fromJSON is the table for SQLite: an array of rows in one JSON text.
func (r *Rows) fromJSON(first int) (string, []any) {
	rows, names := make([][]any, r.count), make([]string, len(r.columns))
	for i, column := range r.columns {
		names[i] = fmt.Sprintf("value->>%d AS %s", i, column.name)
	}
	for at := range rows {
		rows[at] = make([]any, len(r.columns))
		for i, column := range r.columns {
			if column.number {
				rows[at][i] = r.numbers[i][at]
			} else {
				rows[at][i] = r.texts[i][at]
			}
		}
	}
	return fmt.Sprintf("(SELECT %s FROM json_each($%d)) AS given", strings.Join(names, ", "), first), []any{asJSON{rows}}
}

// Among returns a condition that the column has one of the texts, and its argument, which has that number.
func (t *Tx) Among(column string, number int, texts []string) (condition string, arg any) {
	switch {
	case len(texts) == 1:
		return fmt.Sprintf("%s = $%d", column, number), texts[0]
	case t.LocksRows():
		return fmt.Sprintf("%s = ANY($%d::text[])", column, number), texts
	}
	return fmt.Sprintf("%s IN (SELECT value FROM json_each($%d))", column, number), asJSON{texts}
}

// asJSON is an argument that is encoded as JSON.
type asJSON struct{ value any }

// Value implements [driver.Valuer].
func (a asJSON) Value() (driver.Value, error) {
	encoded, err := json.Marshal(a.value)
	if err != nil {
		return nil, fmt.Errorf("encode an argument: %w", err)
	}
	return string(encoded), nil
}
