package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheSameSeedMakesTheSamePlan(t *testing.T) {
	t.Parallel()
	o := options{seed: 17, faultsFor: 3 * time.Minute, conversations: 300, database: databaseSQLite}
	first, again := newPlan(o), newPlan(o)
	require.Equal(t, first, again)
	other := o
	other.seed++
	require.NotEqual(t, newPlan(o).talks, newPlan(other).talks)
	require.NotEqual(t, newPlan(o).faults, newPlan(other).faults)
}

// With any seed, each kind of fault comes, and no store is hit before the store hit earlier can have recovered.
func TestEveryPlanHasEveryFault(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		for _, lasts := range []time.Duration{shortFor, 15 * time.Second, 3 * time.Minute} {
			faults := planFaults(random(seed, streamFaults), lasts, true)
			times := map[kind]int{}
			var storeAt time.Duration
			for _, f := range faults {
				times[f.kind]++
				require.Less(t, f.at, lasts, "seed %d", seed)
				if f.kind == killTemporal || f.kind == killDatabase {
					require.True(t, storeAt == 0 || f.at-storeAt >= min(15*time.Second, lasts/4), "seed %d: stores at %s and %s", seed, storeAt, f.at)
					storeAt = f.at
				}
			}
			wanted := []kind{killWorker, stopWorker, killGateway, killTemporal, killDatabase}
			if lasts > time.Minute {
				wanted = append(append(append(wanted, ofDatabase...), ofTrials...), freezeWorker, freezeGateway)
			}
			for _, k := range wanted {
				require.NotZero(t, times[k], "seed %d for %s: %s", seed, lasts, k)
			}
		}
	}
}
