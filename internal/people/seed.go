package people

import (
	"context"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// SeedDemo creates the demo data on a desk that has neither agents nor queues: the queues support (alice) and
// billing (bob), with both agents available, and the supervisor carol, who is on no queue. It reports whether it
// did.
func SeedDemo(ctx context.Context, d *desk.Desk) (bool, error) {
	seeded := false
	err := d.ExclusiveTx(ctx, "seed the demo", func(tx *desk.Tx) error {
		seeded = false
		people, _, err := sqldb.First(ctx, tx, sqldb.Value[int], `SELECT (SELECT count(*) FROM agents) + (SELECT count(*) FROM queues)`)
		if err != nil || people > 0 {
			return err
		}
		now := sqldb.Micros(d.Now())
		for _, agent := range []NewAgent{
			{Name: "alice", Role: desk.RoleAgent, Capacity: DefaultCapacity, Presence: desk.PresenceAvailable},
			{Name: "bob", Role: desk.RoleAgent, Capacity: DefaultCapacity, Presence: desk.PresenceAvailable},
			{Name: "carol", Role: desk.RoleSupervisor, Capacity: DefaultCapacity, Presence: desk.PresenceAvailable},
		} {
			if err := insertAgent(ctx, tx, agent, now); err != nil {
				return err
			}
		}
		for i, on := range []struct{ queue, agent string }{{"support", "alice"}, {"billing", "bob"}} {
			if err := insertQueue(ctx, tx, NewQueue{Name: on.queue}, now+int64(i)); err != nil { // support is the first
				return err
			}
			if err := insertMember(ctx, tx, on.queue, on.agent, now); err != nil {
				return err
			}
		}
		seeded = true
		return nil
	})
	return seeded, err
}
