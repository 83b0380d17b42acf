package sqldb

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"modernc.org/sqlite"

	"github.com/baton-transfers/baton/internal/private"
)

// CopiedTable is a table that was copied.
type CopiedTable struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
	// Checksum covers all rows, in any order, and is the same for both databases.
	Checksum string `json:"checksum"`
}

// Copy copies a SQLite database to an empty PostgreSQL database, completely or not at all. It reads the copy back,
// compares it, and returns its tables. Both databases then have the tables of this build.
//
// Copy refuses a target with data in it, and a source that another program has open: it would lose later writes of
// that program. While it copies, no other program can open the source. Afterwards the source's data is unchanged.
func (s Schema) Copy(ctx context.Context, from, to string) (tables []CopiedTable, err error) {
	switch {
	case IsPostgres(from):
		return nil, errors.New("only an embedded desk can be copied: name it as sqlite:PATH, and use pg_dump between PostgreSQL servers")
	case !IsPostgres(to):
		return nil, errors.New("the target is not a PostgreSQL database: name it as postgres://USER@HOST/DATABASE")
	}
	// Do not migrate a database in use: the build that uses it may not know the newer tables.
	if _, closeSource, err := openAlone(ctx, strings.TrimPrefix(from, "sqlite:")); err != nil {
		return nil, err
	} else if err := closeSource(); err != nil {
		return nil, err
	}
	for _, database := range []string{from, to} { // both need the same tables
		if _, _, err := s.Migrate(ctx, database); err != nil {
			return nil, err
		}
	}
	source, closeSource, err := openAlone(ctx, strings.TrimPrefix(from, "sqlite:"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeSource()) }()
	config, _, err := postgresConfig(to)
	if err != nil {
		return nil, err
	}
	target, err := pgx.ConnectConfig(ctx, unhurried(config))
	if err != nil {
		return nil, postgresSentence(postgresName(to), err)
	}
	defer func() { err = errors.Join(err, target.Close(context.WithoutCancel(ctx))) }()
	if tables, err = s.copyTables(ctx, source, target, postgresName(to)); err != nil {
		return nil, fmt.Errorf("nothing was changed: %w", err)
	}
	if _, err := target.Exec(ctx, `ANALYZE`); err != nil { // gives the query planner statistics of the copied rows
		return tables, fmt.Errorf("the desk was copied, but its statistics were not collected: run ANALYZE: %w", err)
	}
	return tables, nil
}

// openAlone opens the file for this process only, and begins a transaction on its current state.
func openAlone(ctx context.Context, path string) (_ *sql.Tx, done func() error, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, nil, fmt.Errorf("find %s: %w", path, err)
	}
	if _, err := private.Database(path); err != nil {
		return nil, nil, err
	}
	// The lock is exclusive from the first access on: it fails if another process has the file open, even if idle.
	db, err := sql.Open("sqlite", sqliteURL(path, url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(1000)", "locking_mode(EXCLUSIVE)"}}))
	if err != nil {
		return nil, nil, sqliteSentence(path, err)
	}
	db.SetMaxOpenConns(1)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		if _, ok := errors.AsType[*sqlite.Error](err); ok && sqliteBusy(err) {
			err = fmt.Errorf("%s is open in another program: stop every worker, gateway and `baton dev` that uses it, then copy again: "+
				"what they write would be lost: %w", path, err)
		}
		return nil, nil, errors.Join(err, db.Close())
	}
	return tx, func() error {
		if err := errors.Join(tx.Rollback(), db.Close()); err != nil {
			return fmt.Errorf("close %s: %w", path, err)
		}
		return nil
	}, nil
}

// copyTables copies every table in the order of their creation, so that referenced rows come first.
func (s Schema) copyTables(ctx context.Context, source *sql.Tx, target *pgx.Conn, name string) (tables []CopiedTable, err error) {
	names, err := columnOf[string](ctx, source, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name <> $1 ORDER BY rowid`,
		s.VersionTable)
	if err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	tx, err := target.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback(context.WithoutCancel(ctx)))
		}
	}()
	if _, err := tx.Exec(ctx, postgresLocks.exclusive); err != nil {
		return nil, fmt.Errorf("wait for others: %w", err)
	}
	if err := s.refuseFull(ctx, tx, name, names); err != nil {
		return nil, err
	}
	for _, table := range names {
		copied, err := copyTable(ctx, source, tx, table)
		if err != nil {
			return nil, fmt.Errorf("copy table %s: %w", table, err)
		}
		tables = append(tables, copied)
	}
	if err := tx.Commit(ctx); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	return tables, nil
}

// refuseFull refuses a target with data in it, and deletes the rows of an empty one.
func (s Schema) refuseFull(ctx context.Context, target pgx.Tx, name string, tables []string) error {
	for _, table := range tables {
		query := `SELECT EXISTS (SELECT 1 FROM ` + pgx.Identifier{table}.Sanitize()
		if slices.Contains(s.Counters, table) {
			query += ` WHERE position > 0`
		}
		var full bool
		if err := target.QueryRow(ctx, query+`)`).Scan(&full); err != nil {
			return fmt.Errorf("look into table %s: %w", table, err)
		}
		if full {
			return fmt.Errorf("%s already has a desk with data (table %s): name an empty database", name, table)
		}
		if slices.Contains(s.Counters, table) {
			if _, err := target.Exec(ctx, `DELETE FROM `+pgx.Identifier{table}.Sanitize()); err != nil {
				return fmt.Errorf("empty table %s: %w", table, err)
			}
		}
	}
	return nil
}

func copyTable(ctx context.Context, source *sql.Tx, target pgx.Tx, table string) (_ CopiedTable, err error) {
	columns, err := columnOf[string](ctx, source, `SELECT name FROM pragma_table_info($1) ORDER BY cid`, table)
	if err != nil {
		return CopiedTable{}, fmt.Errorf("list its columns: %w", err)
	}
	sent, err := sendRows(ctx, source, target, table, columns)
	if err != nil {
		return CopiedTable{}, err
	}
	arrived, err := sumOf(ctx, target, table, columns)
	if err != nil {
		return CopiedTable{}, fmt.Errorf("read back what arrived: %w", err)
	}
	if arrived != sent {
		return CopiedTable{}, fmt.Errorf("%d rows (%s) were sent and %d (%s) have arrived", sent.rows, sent.String(), arrived.rows, arrived.String())
	}
	return CopiedTable{Name: table, Rows: arrived.rows, Checksum: arrived.String()}, nil
}

func sendRows(ctx context.Context, source *sql.Tx, target pgx.Tx, table string, columns []string) (sent checksum, err error) {
	rows, err := source.QueryContext(ctx, selectAll(table, columns))
	if err != nil {
		return sent, fmt.Errorf("read it: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	reading := &copying{rows: rows, columns: len(columns)}
	if _, err := target.CopyFrom(ctx, pgx.Identifier{table}, columns, reading); err != nil {
		return sent, fmt.Errorf("write it: %w", errors.Join(err, rows.Err()))
	}
	return reading.sum, nil
}

func selectAll(table string, columns []string) string {
	quoted := make([]string, len(columns))
	for i, column := range columns {
		quoted[i] = pgx.Identifier{column}.Sanitize()
	}
	return `SELECT ` + strings.Join(quoted, ", ") + ` FROM ` + pgx.Identifier{table}.Sanitize()
}

// copying reads rows for [pgx.Tx.CopyFrom], one at a time.
type copying struct {
	rows    *sql.Rows
	columns int
	values  []any
	sum     checksum
	err     error
}

// Next implements [pgx.CopyFromSource].
func (c *copying) Next() bool {
	if !c.rows.Next() {
		c.err = c.rows.Err()
		return false
	}
	c.values = make([]any, c.columns)
	places := make([]any, c.columns)
	for i := range places {
		places[i] = &c.values[i]
	}
	if c.err = c.rows.Scan(places...); c.err != nil {
		return false
	}
	c.err = c.sum.add(c.values)
	return c.err == nil
}

// Values implements [pgx.CopyFromSource].
func (c *copying) Values() ([]any, error) { return c.values, nil }

// Err implements [pgx.CopyFromSource].
func (c *copying) Err() error { return c.err }

func sumOf(ctx context.Context, target pgx.Tx, table string, columns []string) (sum checksum, err error) {
	rows, err := target.Query(ctx, selectAll(table, columns))
	if err != nil {
		return sum, fmt.Errorf("query: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return sum, fmt.Errorf("scan: %w", err)
		}
		if err := sum.add(values); err != nil {
			return sum, err
		}
	}
	if err := rows.Err(); err != nil {
		return sum, fmt.Errorf("scan: %w", err)
	}
	return sum, nil
}

// checksum is a sum over rows that does not depend on their order or on the database.
type checksum struct {
	rows int64
	sum  uint64
}

func (c *checksum) add(values []any) error {
	row := fnv.New64a()
	for _, v := range values {
		switch v := v.(type) {
		case string:
			addText(row, v)
		case int64:
			addText(row, strconv.FormatInt(v, 10))
		case int32:
			addText(row, strconv.FormatInt(int64(v), 10))
		default:
			return fmt.Errorf("there is a value of type %T, which no column has", v)
		}
	}
	c.rows++
	c.sum += row.Sum64()
	return nil
}

func addText(into hash.Hash, text string) {
	into.Write(binary.AppendUvarint(nil, uint64(len(text))))
	into.Write([]byte(text))
}

// String returns the sum in hexadecimal.
func (c *checksum) String() string { return fmt.Sprintf("%016x", c.sum) }

// columnOf returns the values of a query with one column.
func columnOf[T any](ctx context.Context, tx *sql.Tx, query string, args ...any) (values []T, err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			return nil, fmt.Errorf("scan: %w", err)
		}
		values = append(values, v)
	}
	return values, rows.Err()
}
