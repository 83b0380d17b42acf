package desk

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pressly/goose/v3"

	"github.com/baton-transfers/baton/desk/naming"
)

// searchKey is what searches for an agent or a queue look into: the folds of its name and its friendly name.
func searchKey(name, friendly string) string { return naming.Fold(name) + "\n" + naming.Fold(friendly) }

// foldedNames adds the search keys of agents and queues. They are made by [naming.Fold], which no SQL has.
func foldedNames() *goose.Migration {
	const version = 12
	return goose.NewGoMigration(version, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		for _, table := range []string{"agents", "queues"} {
			if _, err := tx.ExecContext(ctx, `ALTER TABLE `+table+` ADD COLUMN folded TEXT NOT NULL DEFAULT ''`); err != nil {
				return fmt.Errorf("add the search keys of %s: %w", table, err)
			}
			if err := foldNames(ctx, tx, table); err != nil {
				return fmt.Errorf("fill in the search keys of %s: %w", table, err)
			}
		}
		return nil
	}}, nil)
}

// foldNames fills in the search key of each row of the table.
func foldNames(ctx context.Context, tx *sql.Tx, table string) error {
	keys, err := searchKeys(ctx, tx, table)
	if err != nil {
		return err
	}
	for name, key := range keys {
		if _, err := tx.ExecContext(ctx, `UPDATE `+table+` SET folded = $2 WHERE name = $1`, name, key); err != nil {
			return fmt.Errorf("write a search key: %w", err)
		}
	}
	return nil
}

// searchKeys returns the search keys of the table's rows by name.
func searchKeys(ctx context.Context, tx *sql.Tx, table string) (keys map[string]string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT name, friendly_name FROM `+table)
	if err != nil {
		return nil, fmt.Errorf("read the names: %w", err)
	}
	defer func() { _ = rows.Close() }()
	keys = map[string]string{}
	for rows.Next() {
		var name, friendly string
		if err := rows.Scan(&name, &friendly); err != nil {
			return nil, fmt.Errorf("read a name: %w", err)
		}
		keys[name] = searchKey(name, friendly)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the names: %w", err)
	}
	return keys, nil
}
