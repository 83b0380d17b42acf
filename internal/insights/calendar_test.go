package insights

import (
	"testing"
	"time"
	_ "time/tzdata" // the same zones on every machine

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desktest"
)

func zoneNamed(t rapid.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	require.NoError(t, err)
	return zone
}

func TestDaysOfZones(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		zone             string
		year, month, day int
		begins, ends     string
	}{
		{"Europe/Berlin", 2026, 1, 15, "2026-01-15T00:00:00+01:00", "2026-01-16T00:00:00+01:00"},
		{"Europe/Berlin", 2026, 3, 29, "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"},
		{"Europe/Berlin", 2026, 10, 25, "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"},
		{"Asia/Kolkata", 2026, 3, 1, "2026-03-01T00:00:00+05:30", "2026-03-02T00:00:00+05:30"},
		{"America/Los_Angeles", 2026, 11, 1, "2026-11-01T00:00:00-07:00", "2026-11-02T00:00:00-08:00"},
		// Clocks are put forward from midnight to one, back from midnight to eleven, and back from one to midnight.
		{"America/Sao_Paulo", 2018, 11, 4, "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"},
		{"America/Sao_Paulo", 2018, 2, 17, "2018-02-17T00:00:00-02:00", "2018-02-18T00:00:00-03:00"},
		{"America/Havana", 2026, 11, 1, "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00"},
		// Clocks are put back from a minute after midnight to a minute after eleven.
		{"America/St_Johns", 2010, 11, 7, "2010-11-07T00:00:00-02:30", "2010-11-08T00:00:00-03:30"},
		// Samoa had no 30 December in 2011.
		{"Pacific/Apia", 2011, 12, 29, "2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00"},
	} {
		zone := zoneNamed(t, test.zone)
		begins := StartOfDay(test.year, time.Month(test.month), test.day, zone)
		require.Equal(t, test.begins, begins.Format(time.RFC3339), test.zone)
		require.Equal(t, test.ends, nextDay(begins).Format(time.RFC3339), test.zone)
	}
}

// TestSeriesOfZones splits random periods in several zones.
func TestSeriesOfZones(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		zone := zoneNamed(t, rapid.SampledFrom([]string{
			"UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia",
			"Pacific/Kiritimati", "America/Sao_Paulo", "America/St_Johns", "America/Havana", "Africa/Cairo", "Asia/Beirut", "Africa/Monrovia",
		}).Draw(t, "zone"))
		from := time.UnixMicro(rapid.Int64Range(0, 2_000_000_000_000_000).Draw(t, "from"))
		to := from.Add(time.Duration(rapid.Int64Range(1, 500*24*3600).Draw(t, "length")) * time.Second)
		at := from
		split := intervals(from, to, zone)
		for i, one := range split {
			require.True(t, at.Equal(one.From), "no gap before %s", one.From)
			require.True(t, one.From.Before(one.To))
			require.Equal(t, zone, one.From.Location())
			if i > 0 && to.Sub(from) > 50*time.Hour {
				before := one.From.Add(-time.Microsecond)
				require.NotEqual(t, before.YearDay(), one.From.YearDay(), "%s begins a day", one.From)
			}
			at = one.To
		}
		require.True(t, at.Equal(to))
		require.LessOrEqual(t, len(split), 402)
	})
}

// testInsightZones counts conversations that begin around midnight in several zones, on days of 23, 24 and 25
// hours.
func testInsightZones(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	starts := func(at string) {
		t.Helper()
		moment, err := time.Parse(time.RFC3339Nano, at)
		require.NoError(t, err)
		th := &desktest.Conversation{H: h, SID: desktest.NewSID()}
		result, err := th.State.Apply(conversation.StartCommand{Conversation: th.SID, Channel: conversation.ChannelWeb, Queue: "support"},
			&conversation.Facts{Settings: conversation.DefaultSettings(), QueueKnown: true, QueueMembers: 1}, moment)
		require.NoError(t, err)
		th.Pending = append(th.Pending, result.Events...)
		th.Sync()
	}
	type counted struct {
		from          string
		hours         float64
		conversations int
	}
	for _, test := range []struct {
		zone   string
		first  [3]int
		days   int
		starts []string
		series []counted
	}{
		{"Europe/Berlin", [3]int{2026, 3, 28}, 3, []string{
			"2026-03-27T22:59:59.999999Z", "2026-03-27T23:00:00Z", "2026-03-28T22:59:59.999999Z", "2026-03-28T23:00:00Z",
			"2026-03-29T21:59:59.999999Z", "2026-03-29T22:00:00Z", "2026-03-30T21:59:59.999999Z", "2026-03-30T22:00:00Z",
		}, []counted{{"2026-03-28T00:00:00+01:00", 24, 2}, {"2026-03-29T00:00:00+01:00", 23, 2}, {"2026-03-30T00:00:00+02:00", 24, 2}}},
		{
			"Europe/Berlin",
			[3]int{2025, 10, 25},
			3,
			[]string{"2025-10-25T21:59:59Z", "2025-10-25T22:00:00Z", "2025-10-26T22:59:59Z", "2025-10-26T23:00:00Z"},
			[]counted{{"2025-10-25T00:00:00+02:00", 24, 1}, {"2025-10-26T00:00:00+02:00", 25, 2}, {"2025-10-27T00:00:00+01:00", 24, 1}},
		},
		{
			"America/Los_Angeles",
			[3]int{2026, 11, 1},
			3,
			[]string{"2026-11-01T06:59:59Z", "2026-11-01T07:00:00Z", "2026-11-02T07:59:59Z", "2026-11-02T08:00:00Z"},
			[]counted{{"2026-11-01T00:00:00-07:00", 25, 2}, {"2026-11-02T00:00:00-08:00", 24, 1}, {"2026-11-03T00:00:00-08:00", 24, 0}},
		},
		{
			"Asia/Kolkata",
			[3]int{2026, 6, 1},
			3,
			[]string{"2026-05-31T18:29:59Z", "2026-05-31T18:30:00Z", "2026-06-01T18:29:59Z", "2026-06-01T18:30:00Z"},
			[]counted{{"2026-06-01T00:00:00+05:30", 24, 2}, {"2026-06-02T00:00:00+05:30", 24, 1}, {"2026-06-03T00:00:00+05:30", 24, 0}},
		},
	} {
		for _, at := range test.starts {
			starts(at)
		}
		zone := zoneNamed(t, test.zone)
		year, month, day := test.first[0], time.Month(test.first[1]), test.first[2]
		f := Filter{From: StartOfDay(year, month, day, zone), To: StartOfDay(year, month, day+test.days, zone), Zone: zone}
		insights, err := Read(t.Context(), h.Desk, f)
		require.NoError(t, err)
		var series []counted
		sum := 0
		for _, one := range insights.Series {
			series = append(series, counted{one.From.Format(time.RFC3339), one.To.Sub(one.From).Hours(), one.Conversations})
			sum += one.Conversations
			day, err := Read(t.Context(), h.Desk, Filter{From: one.From, To: one.To, Zone: zone})
			require.NoError(t, err)
			require.Equal(t, one.Conversations, day.Total.Conversations, "a day counts what is behind it")
		}
		require.Equal(t, test.series, series, test.zone)
		require.Equal(t, insights.Total.Conversations, sum, test.zone)
		require.Equal(t, test.zone, insights.Zone)

		hours, err := Read(t.Context(), h.Desk, Filter{From: f.From, To: StartOfDay(year, month, day+2, zone), Zone: zone})
		require.NoError(t, err)
		require.Len(t, hours.Series, int(series[0].hours+series[1].hours), "two days of %s, in hours", test.zone)
		for _, one := range hours.Series {
			require.Zero(t, one.From.Minute(), one.From)
		}
	}
	insights, err := Read(t.Context(), h.Desk, Filter{From: h.Clock.Now().Add(-time.Hour), To: h.Clock.Now()})
	require.NoError(t, err)
	require.Equal(t, "UTC", insights.Zone)
	require.Equal(t, time.UTC, insights.Series[0].From.Location())
}
