package web

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pass moves the fake clock of a synctest bubble on.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // the clock is fake

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
