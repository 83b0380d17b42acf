package deskload

import (
	"context"
	"fmt"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// The order of matches is nowhere in the desk's tables: a trigger writes it down. It costs a row for each match.
const (
	matchesTable = `CREATE TABLE deskload_matches (
		n %s, task TEXT NOT NULL, number BIGINT NOT NULL, at BIGINT NOT NULL, clock BIGINT NOT NULL, log BIGINT NOT NULL)`
	matchesInsert = `INSERT INTO deskload_matches (task, number, at, clock, log)
		VALUES (NEW.task, NEW.placement, NEW.created_at, %s, (SELECT position FROM feed WHERE id = 1));`
)

// recordMatches makes the database record matches in their order.
func recordMatches(ctx context.Context, d *desk.Desk, database string) error {
	statements := []string{
		fmt.Sprintf(matchesTable, `INTEGER PRIMARY KEY AUTOINCREMENT`),
		`CREATE TRIGGER deskload_matched AFTER INSERT ON placements BEGIN ` +
			fmt.Sprintf(matchesInsert, `CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)`) + ` END`,
	}
	if sqldb.IsPostgres(database) {
		statements = []string{
			fmt.Sprintf(matchesTable, `BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY`),
			`ALTER TABLE deskload_matches ALTER COLUMN task TYPE TEXT COLLATE "C"`,
			`CREATE FUNCTION deskload_matched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ` +
				fmt.Sprintf(matchesInsert, `CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)`) + ` RETURN NULL; END $$`,
			`CREATE TRIGGER deskload_matched AFTER INSERT ON placements FOR EACH ROW EXECUTE FUNCTION deskload_matched()`,
		}
	}
	for _, statement := range statements {
		if _, err := d.DB().Writer().ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("have matches recorded: %w", err)
		}
	}
	return nil
}

// readMoment reads what the desk shows now.
func readMoment(ctx context.Context, d *desk.Desk) (m moment, err error) {
	err = d.ReadTx(ctx, "read a moment", func(tx *desk.Tx) (err error) {
		m = moment{at: time.Now()}
		if m.tasks, err = sqldb.All(ctx, tx, func(r sqldb.Row) (t liveTask, err error) {
			err = r.Scan(&t.sid, &t.conversation, &t.queue, &t.status, &t.direct, &t.agent, &t.channel)
			return t, err
		}, `SELECT sid, conversation, queue, status, direct, agent, channel FROM tasks WHERE completed_at = 0 AND canceled_at = 0`); err != nil {
			return err
		}
		if m.matches, err = sqldb.All(ctx, tx, func(r sqldb.Row) (p pair, err error) {
			err = r.Scan(&p.task, &p.agent, &p.channel)
			return p, err
		}, `SELECT task, agent, channel FROM placements`); err != nil {
			return err
		}
		if m.agents, err = sqldb.All(ctx, tx, func(r sqldb.Row) (a room, err error) {
			err = r.Scan(&a.agent, &a.channel, &a.capacity, &a.load)
			return a, err
		}, `SELECT agent, channel, capacity, load FROM agent_channels`); err != nil {
			return err
		}
		m.members, err = sqldb.All(ctx, tx, func(r sqldb.Row) (one member, err error) {
			err = r.Scan(&one.queue, &one.agent, &one.idleSince)
			return one, err
		}, `SELECT queue, agent, idle_since FROM queue_agents WHERE available = 1`)
		return err
	})
	return m, err
}

// eventsAtOnce is how many events are read at a time.
const eventsAtOnce = 1000

// checkRecords checks the event log and the matches after the load, and what is left at the desk. It returns how many
// matches there were, and in how many a better task was passed over.
func checkRecords(ctx context.Context, d *desk.Desk, f *Faults, settled time.Duration) (matches, inversions int, err error) {
	log := newEventLog(f, capacity)
	for {
		var events []desk.LoggedEvent
		err := d.ReadTx(ctx, "read the event log", func(tx *desk.Tx) (err error) {
			events, err = desk.ReadEventsAfter(ctx, tx, log.position, eventsAtOnce)
			return err
		})
		if err != nil {
			return 0, 0, err
		}
		for _, e := range events {
			log.read(e)
		}
		if len(events) == 0 {
			break
		}
	}
	last, err := desk.LastPosition(ctx, d)
	if err != nil {
		return 0, 0, err
	}
	log.end(last)
	all, tasks, err := readMatches(ctx, d)
	if err != nil {
		return 0, 0, err
	}
	left, err := readMoment(ctx, d)
	if err != nil {
		return 0, 0, err
	}
	newWatch(f).see(left)
	for _, t := range left.tasks {
		f.count(&f.LeftOver, "task %s is %s after the load", t.sid, t.status)
	}
	for _, p := range left.matches {
		f.count(&f.LeftOver, "task %s is matched with %s after the load", p.task, p.agent)
	}
	return len(all), checkMatches(f, all, tasks, log.entered, settled), nil
}

// readMatches returns all matches in order, and the places of all tasks in their lines.
func readMatches(ctx context.Context, d *desk.Desk) (matches []made, tasks map[string]ranked, err error) {
	tasks = map[string]ranked{}
	err = d.ReadTx(ctx, "read matches", func(tx *desk.Tx) (err error) {
		if matches, err = sqldb.All(ctx, tx, func(r sqldb.Row) (m made, err error) {
			err = r.Scan(&m.task, &m.number, &m.at, &m.clock, &m.log)
			return m, err
		}, `SELECT task, number, at, clock, log FROM deskload_matches ORDER BY n`); err != nil {
			return err
		}
		return sqldb.Each(ctx, tx, func(r sqldb.Row) error {
			var t ranked
			var channel conversation.Channel
			if err := r.Scan(&t.sid, &t.line, &channel, &t.priority, &t.head, &t.queuedAt, &t.createdAt); err != nil {
				return err
			}
			t.line += "/" + string(channel)
			tasks[t.sid] = t
			return nil
		}, `SELECT sid, queue, channel, priority, head, queued_at, created_at FROM tasks WHERE direct = 0`)
	})
	return matches, tasks, err
}

// checkerName is the application name of the checker's connections to PostgreSQL.
const checkerName = "deskload"

// readServer returns the process IDs of the checker's own connections, and the number of deadlocks.
func readServer(ctx context.Context, d *desk.Desk) (own []string, deadlocks int, err error) {
	err = d.ReadTx(ctx, "read PostgreSQL's counts", func(tx *desk.Tx) (err error) {
		if own, err = sqldb.All(ctx, tx, sqldb.Value[string],
			`SELECT CAST(pid AS TEXT) FROM pg_stat_activity WHERE application_name = '`+checkerName+`'`); err != nil {
			return err
		}
		deadlocks, _, err = sqldb.First(ctx, tx, sqldb.Value[int], `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`)
		return err
	})
	return own, deadlocks, err
}
