package desk

import (
	"context"

	"github.com/baton-transfers/baton/internal/sqldb"
)

// This file gives the tests of this package what it does not export.

var ValidName = validName

// RemoveMember removes the agent from the queue.
func RemoveMember(ctx context.Context, d *Desk, queue, agent string) error {
	return d.ExclusiveTx(ctx, "remove "+agent+" from queue "+queue, func(tx *Tx) error { return deleteMember(ctx, tx, queue, agent, sqldb.Micros(d.Now())) })
}
