package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheSameSeedMakesTheSamePlan(t *testing.T) {
	t.Parallel()
	o := Options{Seed: 17, Lasts: 3 * time.Minute, Conversations: 300}
	first, again := New(o), New(o)
	require.Equal(t, first, again)
	other := o
	other.Seed++
	require.NotEqual(t, New(o).Talks, New(other).Talks)
	require.NotEqual(t, New(o).Faults, New(other).Faults)
}

// With any seed, each kind of fault comes, and no store is hit before the store hit earlier can have recovered.
func TestEveryPlanHasEveryFault(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		for _, lasts := range []time.Duration{12 * time.Second, 15 * time.Second, 3 * time.Minute} {
			faults := planFaults(Random(seed, streamFaults), lasts, true)
			times := map[Kind]int{}
			var storeAt time.Duration
			for _, f := range faults {
				times[f.Kind]++
				require.Less(t, f.At, lasts, "seed %d", seed)
				if f.Kind == KillTemporal || f.Kind == KillDatabase {
					require.True(t, storeAt == 0 || f.At-storeAt >= min(15*time.Second, lasts/4), "seed %d: stores at %s and %s", seed, storeAt, f.At)
					storeAt = f.At
				}
			}
			wanted := []Kind{KillWorker, StopWorker, KillGateway, KillTemporal, KillDatabase}
			if lasts > time.Minute {
				wanted = append(append(append(wanted, OfDatabase...), OfTrials...), FreezeWorker, FreezeGateway)
			}
			for _, k := range wanted {
				require.NotZero(t, times[k], "seed %d for %s: %s", seed, lasts, k)
			}
		}
	}
}
