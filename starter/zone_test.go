package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheZoneOfInsights: the named zone is used, else the machine's; unknown names are refused.
func TestTheZoneOfInsights(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, machine, zone string }{
		{"Pacific/Apia", "Europe/Berlin", "Pacific/Apia"},
		{"", "Europe/Berlin", "Europe/Berlin"},
		{"UTC", "Europe/Berlin", "UTC"},
	} {
		zone, err := zoneOf(test.name, test.machine)
		require.NoError(t, err)
		require.Equal(t, test.zone, zone.String())
	}
	zone, err := zoneOf("", "")
	require.NoError(t, err)
	require.NotEqual(t, "Local", zone.String(), "a name that people know")
	for _, name := range []string{"Berlin", "../../etc/passwd", "Local"} {
		_, err := zoneOf(name, "")
		require.ErrorContains(t, err, "use the name of a time zone")
	}
}
