package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDurationsMayBeInDays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "14d": 14 * 24 * time.Hour, "1d12h": 36 * time.Hour, "0": 0, "0d": 0, "-1h": -time.Hour, "-2d": -48 * time.Hour, "1500ms": 1500 * time.Millisecond,
	} {
		got, err := parseDuration(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "-", "90", "d", "14 d", "1.5d", "1d-1h", "soon", "99999999d", "1d1d", "9999999h9999999h"} {
		_, err := parseDuration(text)
		require.ErrorContains(t, err, "use numbers with a unit, as in 90s, 30m, 24h or 14d", text)
	}
	for want, of := range map[string]time.Duration{
		"0s": 0, "1s": time.Second, "30s": 30 * time.Second, "10m": 10 * time.Minute, "24h": day, "14d": 14 * day, "1h0m30s": time.Hour + 30*time.Second,
	} {
		require.Equal(t, want, Brief(of))
	}
}
