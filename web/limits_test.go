package web

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// pass lets time pass, in a test whose clock stands still otherwise.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // nobody waits

func TestNetwork(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"192.0.2.7:4000":              "192.0.2.7",
		"[::ffff:192.0.2.7]:4000":     "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:4000": "2001:db8:1:2::/64",
		"[2001:db8:1:2::9]:1":         "2001:db8:1:2::/64",
		"[2001:db8:1:3::9]:1":         "2001:db8:1:3::/64",
		"[fe80::1%eth0]:4000":         "fe80::/64",
		"a socket":                    "a socket",
	} {
		require.Equal(t, want, network(remote), remote)
	}
}

// allowed counts how often the limiter allows it, of so many times.
func allowed(l *limiter, times int, key func(int) string) (count int) {
	for n := range times {
		if l.allow(key(n)) {
			count++
		}
	}
	return count
}

func always(key string) func(int) string { return func(int) string { return key } }

func each(n int) string { return fmt.Sprintf("address %d", n) }

func TestLimitOfOneAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(chatPace, allChatsPace.limiter())
		require.Equal(t, 10, allowed(l, 1000, always("a")))
		require.Equal(t, 10, allowed(l, 11, always("b")), "one who is refused takes nothing from others")
		pass(12 * time.Second)
		require.Equal(t, 2, allowed(l, 10, always("a")))
	})
}

func TestLimitOfAllAddresses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(chatPace, allChatsPace.limiter())
		require.Equal(t, 100, allowed(l, 5000, each))
		require.LessOrEqual(t, len(l.byKey), 100, "and no memory goes to those who are refused")
		pass(2 * time.Second)
		require.Equal(t, 20, allowed(l, 5000, each))
	})
}

// TestLimitForgets: a crowd of others doesn't give anybody a fresh start, and goes by itself.
func TestLimitForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(sayPace, nil)
		require.Equal(t, 10, allowed(l, 11, always("a")))
		require.Equal(t, 50_000, allowed(l, 50_000, each))
		require.False(t, l.allow("a"))
		pass(5 * time.Second)
		require.Equal(t, 5, allowed(l, 10, always("a")))
		require.Equal(t, 50_000, allowed(l, 50_000, func(n int) string { return each(n) + " of more" }))
		require.Equal(t, 0, allowed(l, 10, always("a")), "it is not full, and so not forgotten")
		pass(10 * time.Second)
		require.Equal(t, 10, allowed(l, 11, always("a")))
		for n := range 200_000 {
			l.allow(each(-1 - n))
		}
		pass(10 * time.Second)
		l.sweepAt = 0
		l.allow("b")
		require.Len(t, l.byKey, 1)
	})
}

func TestStreamsAreCounted(t *testing.T) {
	t.Parallel()
	s := newStreams()
	var leave func()
	for range streamsOfOne {
		var ok bool
		leave, ok = s.enter("a")
		require.True(t, ok)
	}
	_, ok := s.enter("a")
	require.False(t, ok)
	leave()
	leave() // counts once
	_, ok = s.enter("a")
	require.True(t, ok)
	_, ok = s.enter("a")
	require.False(t, ok)

	for n := streamsOfOne; n < streamsOfAll; n++ {
		leave, ok = s.enter(each(n))
		require.True(t, ok)
	}
	_, ok = s.enter("b")
	require.False(t, ok)
	leave()
	leave, ok = s.enter("b")
	require.True(t, ok)
	leave()
	require.NotContains(t, s.byKey, "b", "nothing is kept of who has left")
}
