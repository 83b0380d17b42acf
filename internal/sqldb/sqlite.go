package sqldb

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlitecode "modernc.org/sqlite/lib"

	"github.com/baton-transfers/baton/internal/private"
)

// This file has everything that is specific to SQLite.

// sqliteHeader is the beginning of every SQLite database.
var sqliteHeader = []byte("SQLite format 3\x00")

// openSQLite opens or creates the file, and migrates it. SQLite lets one transaction write at a time. Writes have
// their own connection, so that the writes of one process queue in order instead of polling for the lock. Reads run
// concurrently.
func openSQLite(ctx context.Context, path string, schema Schema) (_ *DB, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", path, err)
	}
	if err := checkFile(path); err != nil {
		return nil, err
	}
	narrowed, err := private.Existing(path)
	if err != nil {
		return nil, err
	}
	if err := refuseForeign(ctx, path, schema.VersionTable); err != nil {
		return nil, err
	}
	if _, err := private.Database(path); err != nil {
		return nil, err
	}
	writes, err := sql.Open("sqlite", sqliteDSN(path))
	if err != nil {
		return nil, sqliteSentence(path, err)
	}
	writes.SetMaxOpenConns(1)
	defer func() {
		if err != nil {
			err = errors.Join(err, writes.Close())
		}
	}()
	db := &DB{reading: &sql.TxOptions{ReadOnly: true}, busy: sqliteBusy, tries: sqliteTries, narrowed: narrowed}
	if db.before, db.after, err = schema.migrate(ctx, goose.DialectSQLite3, writes, path, sqliteTries); err != nil {
		return nil, sqliteSentence(path, err)
	}
	reads, err := sql.Open("sqlite", sqliteDSN(path, "query_only(1)"))
	if err != nil {
		return nil, sqliteSentence(path, err)
	}
	readers := max(4, runtime.GOMAXPROCS(0))
	reads.SetMaxOpenConns(readers)
	reads.SetMaxIdleConns(readers)
	db.writes, db.reads = newPool(writes), newPool(reads)
	db.overwrite = func(ctx context.Context) (string, error) { return overwriteSQLite(ctx, writes) }
	return db, nil
}

// sqliteTries is how often a transaction is tried that finds the database locked. Each try waits as long as SQLite
// itself waits (busy_timeout).
const sqliteTries = 3

// sqliteDSN returns the DSN of the file, with the pragmas of every pooled connection. With synchronous NORMAL, a
// power failure may lose the last transactions, but never damages the file. What the lost transactions had written must
// be written again.
func sqliteDSN(path string, pragmas ...string) string {
	query := url.Values{"_txlock": {"immediate"}, "_dqs": {"0"}, "_error_rc": {"1"}}
	query["_pragma"] = append([]string{
		"busy_timeout(10000)", "foreign_keys(1)", "journal_mode(WAL)", "synchronous(NORMAL)",
		"cache_size(-32000)", "wal_autocheckpoint(4000)",
	}, pragmas...)
	return sqliteURL(path, query)
}

func sqliteURL(path string, query url.Values) string {
	file := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query.Encode()}
	return file.String()
}

// checkFile refuses a path that cannot be a database, with a clear error, before SQLite opens it.
func checkFile(path string) error {
	switch info, err := os.Stat(filepath.Dir(path)); {
	case err != nil:
		return fmt.Errorf("the folder of %s can't be used: create it, or name another place for the database: %w", path, err)
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder: name another place for the database", filepath.Dir(path))
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%s can't be used: name another place for the database: %w", path, err)
	case info.IsDir():
		return fmt.Errorf("%s is a folder: name the database file in it, as in %s", path, filepath.Join(path, "desk.db"))
	case info.Size() == 0:
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s can't be read: give this user access to it, or name another file: %w", path, err)
	}
	defer func() { _ = file.Close() }()
	header := make([]byte, len(sqliteHeader))
	if _, err := io.ReadFull(file, header); err != nil || !bytes.Equal(header, sqliteHeader) {
		return fmt.Errorf("%s is not a SQLite database, and was left as it is: restore it from a backup, or name another file", path)
	}
	return nil
}

// refuseForeign refuses a SQLite database with other tables. It opens the file read-only: opening it
// for writing would switch it to write-ahead logging.
func refuseForeign(ctx context.Context, path, versionTable string) (err error) {
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return nil // a new file
	}
	db, err := sql.Open("sqlite", sqliteURL(path, url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(10000)"}}))
	if err != nil {
		return sqliteSentence(path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var tables, ours int
	err = db.QueryRowContext(ctx, `SELECT count(*), count(CASE WHEN name = $1 THEN 1 END) FROM sqlite_schema WHERE type = 'table'`,
		versionTable).Scan(&tables, &ours)
	switch {
	case err != nil:
		return sqliteSentence(path, err)
	case tables > 0 && ours == 0:
		return fmt.Errorf("%s is a database of something else, and was left as it is: name another file", path)
	}
	return nil
}

// sqliteSentence adds what to do to an error of opening the file.
func sqliteSentence(path string, err error) error {
	var failure *sqlite.Error
	if !errors.As(err, &failure) {
		return err
	}
	switch failure.Code() & 0xff {
	case sqlitecode.SQLITE_CORRUPT, sqlitecode.SQLITE_NOTADB:
		return fmt.Errorf("%s is damaged, and was left as it is: restore it from a backup, or name another file: %w", path, err)
	case sqlitecode.SQLITE_CANTOPEN, sqlitecode.SQLITE_READONLY, sqlitecode.SQLITE_PERM, sqlitecode.SQLITE_AUTH:
		return fmt.Errorf("%s can't be written: give this user access to the file and its folder, or name another place: %w", path, err)
	case sqlitecode.SQLITE_FULL:
		return fmt.Errorf("%s can't grow: the disk is full: make room, then start again: %w", path, err)
	case sqlitecode.SQLITE_BUSY:
		return fmt.Errorf("%s is in use by another program: stop that program, then start again: %w", path, err)
	}
	return fmt.Errorf("%s can't be used: %w", path, err)
}

// overwriteSQLite rewrites the file without free pages, and empties its write-ahead log.
func overwriteSQLite(ctx context.Context, db *sql.DB) (left string, err error) {
	const heldUp = "the desk's file still holds what was overwritten, because other programs use it: run this again when they have stopped"
	if _, err := db.ExecContext(ctx, `VACUUM`); err != nil {
		if sqliteBusy(err) {
			return heldUp, nil
		}
		return "", fmt.Errorf("write the desk's file anew: %w", err)
	}
	var busy, pages, moved int
	if err := db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &moved); err != nil {
		return "", fmt.Errorf("empty the log of the desk's file: %w", err)
	}
	if busy != 0 {
		return heldUp, nil
	}
	return "", nil
}

func sqliteBusy(err error) bool {
	var failure *sqlite.Error
	return errors.As(err, &failure) && failure.Code()&0xff == sqlitecode.SQLITE_BUSY
}

// sqliteUnavailable reports whether the file cannot be read or written now.
func sqliteUnavailable(err error) bool {
	failure, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch failure.Code() & 0xff {
	case sqlitecode.SQLITE_BUSY, sqlitecode.SQLITE_LOCKED, sqlitecode.SQLITE_READONLY, sqlitecode.SQLITE_IOERR, sqlitecode.SQLITE_FULL, sqlitecode.SQLITE_CANTOPEN:
		return true
	}
	return false
}

// sqliteRejected reports whether SQLite refuses the data and will refuse them again.
func sqliteRejected(err error) bool {
	failure, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch failure.Code() & 0xff {
	case sqlitecode.SQLITE_CONSTRAINT, sqlitecode.SQLITE_MISMATCH, sqlitecode.SQLITE_TOOBIG:
		return true
	}
	return false
}
