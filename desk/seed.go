package desk

import (
	"context"

	"github.com/baton-transfers/baton/internal/sqldb"
)

// SeedDemo creates the demo data on a desk that has neither agents nor queues: the queues support (alice) and
// billing (bob), with both agents available, and the supervisor carol, who is on no queue. It reports whether it
// did.
func (d *Desk) SeedDemo(ctx context.Context) (bool, error) {
	seeded := false
	err := d.ExclusiveTx(ctx, "seed the demo", func(t *Tx) error {
		seeded = false
		people, _, err := sqldb.First(ctx, t, sqldb.Value[int], `SELECT (SELECT count(*) FROM agents) + (SELECT count(*) FROM queues)`)
		if err != nil || people > 0 {
			return err
		}
		now := sqldb.Micros(d.now())
		for _, agent := range []NewAgent{
			{Name: "alice", Role: RoleAgent, Capacity: DefaultCapacity, Presence: PresenceAvailable},
			{Name: "bob", Role: RoleAgent, Capacity: DefaultCapacity, Presence: PresenceAvailable},
			{Name: "carol", Role: RoleSupervisor, Capacity: DefaultCapacity, Presence: PresenceAvailable},
		} {
			if err := t.addAgent(ctx, agent, now); err != nil {
				return err
			}
		}
		for i, on := range []struct{ queue, agent string }{{"support", "alice"}, {"billing", "bob"}} {
			if err := t.addQueue(ctx, NewQueue{Name: on.queue}, now+int64(i)); err != nil { // support is the first
				return err
			}
			if err := t.addMember(ctx, on.queue, on.agent, now); err != nil {
				return err
			}
		}
		seeded = true
		return nil
	})
	return seeded, err
}
