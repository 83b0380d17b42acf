package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// This file has everything that is specific to PostgreSQL, except the notifications in notifier.go.

const (
	// postgresConnections is the maximum number of connections of a database, half of them for writing, plus one that
	// listens. The URL may set another number as pool_max_conns.
	postgresConnections = 16
	leastConnections    = 2
	connectionsSetting  = "pool_max_conns"

	// postgresTries is how often a transaction is tried, over about two seconds: a server restart takes about as
	// long.
	postgresTries      = 12
	postgresFirstPause = 10 * time.Millisecond

	// oldestPostgres is the oldest supported version, as the server numbers it.
	oldestPostgres = 130000
)

// postgresSettings are the settings of every connection, unless the URL sets others. A process that is frozen, or a
// machine that is lost, loses the locks that it holds after a few seconds. It must not get locks that it still
// waits for: lock_timeout ends the wait before a lock that another of its transactions holds is released.
var postgresSettings = map[string]string{
	"application_name": "baton", "lock_timeout": "2s", "idle_in_transaction_session_timeout": "3s", "timezone": "UTC",
}

const (
	// keepAliveIdle is when the first probe is sent on a silent connection, keepAliveEvery the interval of further
	// probes, and keepAliveCount how many probes are sent before the connection is closed.
	keepAliveIdle, keepAliveEvery, keepAliveCount = 5 * time.Second, 2 * time.Second, 3
	// unacknowledgedFor is how long sent data may stay unacknowledged before the connection is closed.
	unacknowledgedFor = 10 * time.Second
)

// dialer connects to the server so that the operating system detects a lost server.
func dialer() *net.Dialer {
	return &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepAliveIdle, Interval: keepAliveEvery, Count: keepAliveCount},
		Control: func(network, _ string, c syscall.RawConn) error {
			if !strings.HasPrefix(network, "tcp") {
				return nil
			}
			return boundUnacknowledged(c, unacknowledgedFor)
		},
	}
}

// Advisory locks have two numbers: Baton's, and what is locked. PostgreSQL keeps them separate for each database.
const (
	lockDatabase  = `1113683023, 1`
	lockNumber    = `1113683023, $1`
	lockMigration = `1113683023, 3`
	lockText      = `1113683024, hashtext($1)`
)

// postgresLocks separate transactions. Rows are locked without their keys (NO KEY), so that foreign keys may still
// refer to them. Transactions read what is committed when each statement begins (READ COMMITTED). This is correct
// because they lock what they decide on. Under SERIALIZABLE, all transactions that count one agent's tasks would roll
// each other back.
var postgresLocks = locks{
	exclusive: `SELECT pg_advisory_xact_lock(` + lockDatabase + `)`,
	shared:    `SELECT pg_advisory_xact_lock_shared(` + lockDatabase + `)`,
	number:    `SELECT pg_advisory_xact_lock(` + lockNumber + `)`,
	text:      `SELECT pg_advisory_xact_lock(` + lockText + `)`,
	rows:      ` FOR NO KEY UPDATE OF `,
	skip:      ` SKIP LOCKED`,
}

// IsPostgres reports whether the name is that of a PostgreSQL database.
func IsPostgres(database string) bool {
	scheme, _, ok := strings.Cut(database, "://")
	return ok && (scheme == "postgres" || scheme == "postgresql")
}

// postgresName returns the database's URL without password and parameters.
func postgresName(address string) string {
	at, err := url.Parse(address)
	if err != nil {
		return "postgres://…" // it may contain a password
	}
	name := url.URL{Scheme: "postgres", Host: at.Host, Path: at.Path}
	if at.User != nil {
		name.User = url.User(at.User.Username())
	}
	return name.String()
}

// openPostgres connects to the database and migrates it.
func openPostgres(ctx context.Context, address string, schema Schema) (_ *DB, err error) {
	name := postgresName(address)
	config, connections, err := postgresConfig(address)
	if err != nil {
		return nil, err
	}
	db := &DB{
		reading: &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
		writing: &sql.TxOptions{Isolation: sql.LevelReadCommitted},
		locks:   postgresLocks, busy: postgresBusy, tries: postgresTries, pause: postgresFirstPause,
		writes: postgresPool(planOnce(config), connections-connections/2), reads: postgresPool(config, connections/2), //nolint:mnd // half of them
	}
	defer func() {
		if err != nil {
			err = errors.Join(postgresSentence(name, err), db.reads.Close(), db.writes.Close())
		}
	}()
	if err := db.preparePostgres(ctx, name, config, schema); err != nil {
		return nil, err
	}
	db.notifier = newNotifier(config, db.writes.DB)
	return db, nil
}

// planOnce returns the configuration for transactions that write. Their statements find rows by keys, so that one plan
// serves all arguments. By itself, PostgreSQL plans a statement with arrays anew each time.
func planOnce(config *pgx.ConnConfig) *pgx.ConnConfig {
	config = config.Copy()
	if config.RuntimeParams["plan_cache_mode"] == "" {
		config.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	}
	return config
}

// postgresConfig parses the URL. It returns the configuration and the number of connections.
func postgresConfig(address string) (*pgx.ConnConfig, int, error) {
	const shape = "the database is not a PostgreSQL URL: write it as postgres://USER@HOST:5432/DATABASE?sslmode=verify-full, with the password in it or in PGPASSWORD"
	at, err := url.Parse(address)
	if err != nil {
		return nil, 0, errors.New(shape) // the reason would quote the URL, and the password in it
	}
	parameters, connections := at.Query(), postgresConnections
	if given := parameters.Get(connectionsSetting); given != "" {
		if connections, err = strconv.Atoi(given); err != nil || connections < leastConnections {
			return nil, 0, fmt.Errorf("%s is %q: set it to a number from %d on", connectionsSetting, given, leastConnections)
		}
		parameters.Del(connectionsSetting)
		at.RawQuery = parameters.Encode()
	}
	config, err := pgx.ParseConfig(at.String())
	if err != nil {
		return nil, 0, errors.New(shape)
	}
	if config.Database == "" || strings.Trim(at.Path, "/") == "" && parameters.Get("dbname") == "" {
		return nil, 0, errors.New("the PostgreSQL URL names no database: add it, as in postgres://USER@HOST:5432/baton")
	}
	if err := refusePlain(config); err != nil {
		return nil, 0, err
	}
	config.DialFunc = dialer().DialContext
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = transactionTimeout
	}
	for setting, value := range postgresSettings {
		if config.RuntimeParams[setting] == "" {
			config.RuntimeParams[setting] = value
		}
	}
	return config, connections, nil
}

// refusePlain refuses a connection to another machine that may be without TLS: with the default of sslmode
// (prefer), with allow or with disable. It looks at what the driver would try, whether that is set in the URL, in
// PGHOST and PGSSLMODE, or in a service file.
func refusePlain(config *pgx.ConnConfig) error {
	refuse := func(host string, port uint16, encrypted bool) error {
		network, _ := pgconn.NetworkAddress(host, port)
		if encrypted || network == "unix" || isThisMachine(host) {
			return nil
		}
		return fmt.Errorf("the connection to PostgreSQL at %s may be without TLS: add sslmode=verify-full to the URL (with sslrootcert= for a private "+
			"authority; sslmode=require encrypts without looking at the certificate). Other modes are for this machine only", host)
	}
	if err := refuse(config.Host, config.Port, config.TLSConfig != nil); err != nil {
		return err
	}
	for _, other := range config.Fallbacks {
		if err := refuse(other.Host, other.Port, other.TLSConfig != nil); err != nil {
			return err
		}
	}
	return nil
}

func isThisMachine(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || (err == nil && ip.Unmap().IsLoopback())
}

// unhurried returns the configuration for migrations and copies. Their transactions may be idle for minutes,
// because no other transaction runs at the same time.
func unhurried(config *pgx.ConnConfig) *pgx.ConnConfig {
	config = config.Copy()
	config.RuntimeParams["idle_in_transaction_session_timeout"] = "5min"
	config.RuntimeParams["lock_timeout"] = "10s" // they are not retried, and a frozen process keeps a lock for 3 seconds
	return config
}

func postgresPool(config *pgx.ConnConfig, connections int) *pool {
	// No ping before use: the next statement detects a lost connection and is retried. A ping costs every
	// transaction.
	db := stdlib.OpenDB(*config, stdlib.OptionShouldPing(func(context.Context, stdlib.ShouldPingParams) bool { return false }))
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(time.Hour) // after a failover, and to release what a long session accumulates
	return &pool{DB: db, own: true, idle: connections}
}

// preparePostgres refuses an unsuitable database, and migrates the tables. Processes that start together take
// turns.
func (db *DB) preparePostgres(ctx context.Context, name string, config *pgx.ConnConfig, schema Schema) (err error) {
	turn, err := db.writes.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	// This closes the connection: the pool must not get its settings and its lock.
	defer func() { _ = turn.Raw(func(any) error { return driver.ErrBadConn }) }()
	var version int
	var encoding string
	if err := turn.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_encoding')`).Scan(&version, &encoding); err != nil {
		return fmt.Errorf("ask for the version: %w", err)
	}
	switch {
	case version < oldestPostgres:
		return fmt.Errorf("%s is on a PostgreSQL server that is too old: use version %d or newer", name, oldestPostgres/10000) //nolint:mnd // as the server numbers it
	case encoding != "UTF8":
		return fmt.Errorf("%s keeps text as %s, which cannot hold every letter: create the database with ENCODING 'UTF8' TEMPLATE template0", name, encoding)
	}
	// The lock belongs to the session, and lock_timeout must not bound it: another process may be migrating a large
	// database.
	if _, err := turn.ExecContext(ctx, `SET lock_timeout = 0`); err != nil {
		return fmt.Errorf("wait for others: %w", err)
	}
	if _, err := turn.ExecContext(ctx, `SELECT pg_advisory_lock(`+lockMigration+`)`); err != nil {
		return fmt.Errorf("wait for others: %w", err)
	}
	if err := refuseForeignTables(ctx, turn, name, schema.VersionTable); err != nil {
		return err
	}
	// Separate connections: statements prepared on them may not fit the tables after the migrations.
	migrations := postgresPool(unhurried(config), leastConnections)
	defer func() { err = errors.Join(err, migrations.Close()) }()
	if db.before, db.after, err = schema.migrate(ctx, goose.DialectPostgres, migrations.DB, name, 1); err != nil {
		return err
	}
	return collateAsBytes(ctx, turn)
}

// refuseForeignTables refuses a database with other tables.
func refuseForeignTables(ctx context.Context, c *sql.Conn, name, versionTable string) error {
	var tables, ours int
	err := c.QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE tablename = $1) FROM pg_tables WHERE schemaname = current_schema()`,
		versionTable).Scan(&tables, &ours)
	switch {
	case err != nil:
		return fmt.Errorf("look for tables: %w", err)
	case tables > 0 && ours == 0:
		return fmt.Errorf("%s is a database of something else, and was left as it is: name an empty one", name)
	}
	return nil
}

// collateAsBytes makes all text compare by its bytes, as in SQLite, independent of the database's locale. Names and
// pages have the same order on both databases, and a new version of the system's library cannot corrupt an index.
func collateAsBytes(ctx context.Context, c *sql.Conn) error {
	if _, err := c.ExecContext(ctx, `DO $$
		DECLARE of_table record;
		BEGIN
			FOR of_table IN
				SELECT table_name, string_agg(format('ALTER COLUMN %I TYPE text COLLATE "C"', column_name), ', ') AS changes
				FROM information_schema.columns JOIN pg_tables ON schemaname = table_schema AND tablename = table_name
				WHERE table_schema = current_schema() AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'
				GROUP BY table_name
			LOOP
				EXECUTE format('ALTER TABLE %I %s', of_table.table_name, of_table.changes);
			END LOOP;
		END $$`); err != nil {
		return fmt.Errorf("have text compared by its bytes: %w", err)
	}
	return nil
}

// postgresSentence adds what to do to an error of opening the database.
func postgresSentence(name string, err error) error {
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch failure.Code {
		case "28P01", "28000":
			return fmt.Errorf("%s refuses this user and password: correct them in its URL, or in PGPASSWORD: %w", name, err)
		case "3D000":
			return fmt.Errorf(`%s doesn't exist: create it first, as with CREATE DATABASE: %w`, name, err)
		case "42501":
			return fmt.Errorf("%s doesn't let this user make tables or use them: run `baton desk migrate` as the tables' owner, then `baton desk grants --role USER` for this user: %w", name, err)
		case "25006":
			return fmt.Errorf("%s can only be read, as a standby is: name the primary: %w", name, err)
		case "53300":
			return fmt.Errorf("%s has no connection left: allow more (max_connections), or set %s lower in the URL: %w", name, connectionsSetting, err)
		}
		return fmt.Errorf("%s can't be used: %w", name, err)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return fmt.Errorf("%s can't be reached: is the server running there, and does sslmode fit it? %w", name, err)
	}
	return err
}

// postgresBusy reports whether a transaction may be tried again: the server rolled it back because of concurrent
// transactions, or the connection was lost before the commit. If the connection was lost at the commit, the outcome
// is unknown.
func postgresBusy(err error) bool {
	_, committing := errors.AsType[*commitError](err)
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch failure.Code {
		case "40001", "40P01": // serialization failure, deadlock
			return true
		// Lock timeout, and unique violation: the next try sees the row that another transaction has just added.
		case "55P03", "23505":
			return !committing
		// The server shuts down, has crashed or starts; there are too many connections; the transaction was idle
		// for too long.
		case "57P01", "57P02", "57P03", "53300", "25P03":
			return !committing
		}
		return false
	}
	return !committing && isLost(err)
}

// isLost reports whether the connection was lost, or could not be opened.
func isLost(err error) bool {
	_, unreachable := errors.AsType[net.Error](err)
	return unreachable || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, pgconn.ErrConnClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// postgresUnavailable reports whether the server cannot be reached, or cannot read or write now: it starts or shuts
// down, is read-only, has no space or no connection left, or a lock was held for too long.
func postgresUnavailable(err error) bool {
	failure, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return isLost(err)
	}
	switch failure.Code[:2] {
	case "08", "53", "57", "58": // connection, resources, operator, system
		return true
	}
	switch failure.Code {
	case "25006", "25P03", "25P04", "40001", "40P01", "55P03":
		return true
	}
	return false
}

// postgresRejected reports whether the server refuses the data and will refuse them again: values out of range,
// text that it does not accept, rows that are too big, violated constraints.
func postgresRejected(err error) bool {
	failure, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	switch failure.Code[:2] {
	case "22", "23", "54":
		return true
	}
	return false
}
