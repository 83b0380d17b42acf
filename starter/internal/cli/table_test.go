package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestTimesOfOtherDaysHaveTheirDate checks that a time without a date is of today.
func TestTimesOfOtherDaysHaveTheirDate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 10, 24, 22, 0, time.Local)
	require.Equal(t, "09:00:01", clockAt(time.Date(2026, 11, 30, 9, 0, 1, 0, time.Local), now))
	require.Equal(t, "2026-12-01 10:24:22", clockAt(now.Add(24*time.Hour), now))
	require.Equal(t, "2026-11-29 10:24:22", clockAt(now.Add(-24*time.Hour), now))
	require.Equal(t, "-", clockAt(time.Time{}, now))
}
