package admin

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/insights"
)

// TestCSVControlsNoTerminal prints, as CSV, names that an earlier build accepted. A terminal gets no control
// characters, a program gets the unchanged text.
func TestCSVControlsNoTerminal(t *testing.T) {
	t.Parallel()
	report := insights.Report{Agents: []insights.Group{{Name: "eve\u001b[31m\u202e", FriendlyName: "\u200b=cmd|' /C calc'!A0"}}}
	var terminal, program bytes.Buffer
	require.NoError(t, writeCSV(&terminal, report, true))
	require.Contains(t, terminal.String(), "agent,eve[31m,")
	require.Contains(t, terminal.String(), ",'=cmd|' /C calc'!A0\n")
	require.NoError(t, writeCSV(&program, report, false))
	require.Contains(t, program.String(), "agent,eve\u001b[31m\u202e,")
	require.Contains(t, program.String(), ",'\u200b=cmd")
}

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
