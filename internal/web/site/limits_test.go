package site

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func each(n int) string { return fmt.Sprintf("address %d", n) }

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
	leave() // the second call has no effect
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

func TestTooManySaysWhen(t *testing.T) {
	t.Parallel()
	for wait, in := range map[time.Duration]string{
		time.Millisecond: "1 second", 6 * time.Second: "6 seconds", 61 * time.Second: "61 seconds", 91 * time.Second: "2 minutes",
		30 * time.Minute: "30 minutes", 2 * time.Hour: "2 hours", 12*time.Hour + time.Second: "13 hours",
	} {
		require.Equal(t, "Too many chats. Please try again in "+in+".", TooMany("chats", wait))
	}
}
