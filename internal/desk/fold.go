package desk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/naming"
)

// SearchKey returns the text that searches for an agent or a queue look into: the folds of its name and its
// friendly name.
func SearchKey(name, friendly string) string { return naming.Fold(name) + "\n" + naming.Fold(friendly) }

// foldedNames adds the search keys of agents and queues, and cleans all names that earlier builds have stored
// unchanged. SQL can do neither.
func foldedNames() *goose.Migration {
	const version = 12
	return goose.NewGoMigration(version, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		for _, table := range []string{"agents", "queues"} {
			if _, err := tx.ExecContext(ctx, `ALTER TABLE `+table+` ADD COLUMN folded TEXT NOT NULL DEFAULT ''`); err != nil {
				return fmt.Errorf("add the search keys of %s: %w", table, err)
			}
			if err := rewrite(ctx, tx, table, "name", "friendly_name", "folded", SearchKey); err != nil {
				return err
			}
		}
		clean := func(_, name string) string { return conversation.CleanName(name) }
		for _, named := range [][3]string{
			{"agents", "name", "friendly_name"},
			{"queues", "name", "friendly_name"},
			{"activities", "sid", "name"},
			{"api_keys", "sid", "name"},
			{"account", "sid", "workspace_name"},
		} {
			if err := rewrite(ctx, tx, named[0], named[1], named[2], named[2], clean); err != nil {
				return err
			}
		}
		used := map[string]bool{}
		return rewrite(ctx, tx, "workflows", "sid", "friendly_name", "friendly_name", func(sid, name string) string {
			name = conversation.CleanName(name)
			if used[name] || name == "" {
				name = strings.TrimSpace(name + " " + sid)
			}
			used[name] = true
			return name
		})
	}}, nil)
}

// rewrite sets column to in every row of a table to the result of made, which gets the row's key and its value of
// column from.
func rewrite(ctx context.Context, tx *sql.Tx, table, key, from, to string, made func(key, from string) string) error {
	values, err := triples(ctx, tx, `SELECT `+key+`, `+from+`, `+to+` FROM `+table+` ORDER BY `+key)
	if err != nil {
		return fmt.Errorf("read the names of %s: %w", table, err)
	}
	for _, v := range values {
		is := made(v[0], v[1])
		if is == v[2] {
			continue
		}
		if _, err := tx.ExecContext(ctx, `UPDATE `+table+` SET `+to+` = $2 WHERE `+key+` = $1`, v[0], is); err != nil { //nolint:gosec // names of the schema
			return fmt.Errorf("rewrite the names of %s: %w", table, err)
		}
	}
	return nil
}

// triples returns the rows of a query with three text columns.
func triples(ctx context.Context, tx *sql.Tx, query string) (values [][3]string, err error) {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var v [3]string
		if err := rows.Scan(&v[0], &v[1], &v[2]); err != nil {
			return nil, fmt.Errorf("scan: %w", err)
		}
		values = append(values, v)
	}
	return values, rows.Err()
}
