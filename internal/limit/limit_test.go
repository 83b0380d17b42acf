package limit

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// pass advances the fake clock of a synctest bubble.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // the clock is fake

// allowed returns how many of the given number of calls the limiter allows.
func allowed(l *Limiter, times int, key func(int) string) (count int) {
	for n := range times {
		if l.Allow(key(n)) {
			count++
		}
	}
	return count
}

func always(key string) func(int) string { return func(int) string { return key } }

func each(n int) string { return fmt.Sprintf("address %d", n) }

func TestParsePace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Pace{
		"10/1m": {10, time.Minute}, "1/24h": {1, 24 * time.Hour}, "1000000/1s": {1_000_000, time.Second}, "3/1m30s": {3, 90 * time.Second},
	} {
		p, err := ParsePace(text)
		require.NoError(t, err, text)
		require.Equal(t, want, p, text)
		again, err := ParsePace(p.String())
		require.NoError(t, err)
		require.Equal(t, p, again)
	}
	for _, text := range []string{
		"", "10", "10/", "/1m", "0/1m", "-1/1m", "1000001/1m", "10/0s", "10/-1m", "10/25h", "10/1", "10/m", "ten/1m", "1e3/1m", "10 / 1m", "10/1m/2", "10/1us", "off",
	} {
		_, err := ParsePace(text)
		require.ErrorContains(t, err, "as 10/1m", text)
	}
}

func TestLimitOfOneKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(Pace{10, time.Minute}, Pace{100, 10 * time.Second})
		require.Equal(t, 10, allowed(l, 1000, always("a")))
		require.Equal(t, 10, allowed(l, 11, always("b")), "a refused key takes nothing from others")
		require.InDelta(t, 6, l.Take("a").Seconds(), 0.001)
		pass(l.Take("a"))
		require.Zero(t, l.Take("a"), "after the wait that was returned, it is allowed")
		pass(12 * time.Second)
		require.Equal(t, 2, allowed(l, 10, always("a")))
	})
}

func TestLimitInTotal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(Pace{10, time.Minute}, Pace{100, 10 * time.Second})
		require.Equal(t, 100, allowed(l, 5000, each))
		require.LessOrEqual(t, len(l.byKey), 100, "refused keys take no memory")
		require.InDelta(t, 0.1, l.Take("new").Seconds(), 0.001)
		pass(2 * time.Second)
		require.Equal(t, 20, allowed(l, 5000, each))
	})
}

// TestLimiterForgets: many other keys do not reset the limit of a key, and are forgotten.
func TestLimiterForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(Pace{10, 10 * time.Second}, Pace{})
		require.Equal(t, 10, allowed(l, 11, always("a")))
		require.Equal(t, 50_000, allowed(l, 50_000, each))
		require.False(t, l.Allow("a"))
		pass(5 * time.Second)
		require.Equal(t, 5, allowed(l, 10, always("a")))
		require.Equal(t, 50_000, allowed(l, 50_000, func(n int) string { return each(n) + " of more" }))
		require.Equal(t, 0, allowed(l, 10, always("a")), "it is not full, and so not forgotten")
		pass(10 * time.Second)
		require.Equal(t, 10, allowed(l, 11, always("a")))
		for n := range 200_000 {
			l.Allow(each(-1 - n))
		}
		pass(10 * time.Second)
		l.sweepAt = 0
		l.Allow("b")
		require.Len(t, l.byKey, 1)
	})
}

func TestLimitOfAKeyWithItsOwnPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(Pace{10, time.Minute}, Pace{})
		slow, fast := Pace{2, 2 * time.Second}, Pace{1000, time.Second}
		take := func(times int, key string, pace Pace) (allowed int) {
			for range times {
				if l.TakeAt(key, pace) == 0 {
					allowed++
				}
			}
			return allowed
		}
		require.Equal(t, 2, take(10, "a", slow))
		require.InDelta(t, 1, l.TakeAt("a", slow).Seconds(), 0.001)
		require.Equal(t, 1000, take(2000, "b", fast), "another key has its own pace")
		require.Equal(t, 1000, take(2000, "a", fast), "a changed pace counts from now on")
		pass(2 * time.Second)
		for n := range 2000 {
			l.TakeAt(each(n), slow)
		}
		require.NotContains(t, l.byKey, "b", "it is full again, and forgotten")
	})
}
