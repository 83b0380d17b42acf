package insights

import (
	"testing"

	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/postgres"
)

func TestSQLite(t *testing.T) {
	t.Parallel()
	testInsightsOn(t, desktest.SQLite)
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	testInsightsOn(t, desktest.StartPostgres(t, postgres.Options{Careless: true}).Database)
}

// testInsightsOn runs the tests that every database has to pass. The function returns the name of an empty database.
func testInsightsOn(t *testing.T, database func(testing.TB) string) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, *desktest.Environment)
	}{
		{"insights are what a simple count gives", testInsights},
		{"insights show a redirected transfer", testRedirected},
		{"insights show who was given a conversation straight back", testPingPong},
		{"insights refuse what is no period and no figure", testInsightRefusals},
		{"insights count what was there before them", testInsightsOfBefore},
		{"insights keep names apart from the texts behind them", testInsightsNames},
		{"cumulative statistics are what a simple count gives", testCumulative},
		{"real-time statistics are what a simple count gives", testRealTime},
		{"statistics are what was counted on paper", testStatisticsByHand},
		{"statistics add up", testStatisticsAddUp},
		{"a task counts once in each queue that it comes to", testQueueEntries},
		{"insights add up", testInsightsAddUp},
		{"insights have the days of a zone", testInsightZones},
		{"a refused accept counts once", testRefusalsCountOnce},
		{"statistics show for how long agents did what", testActivityDurations},
		{"segments are what was accepted", testSegments},
		{"events are found by channel and workflow", testHappeningsOn},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, desktest.New(t, database(t)))
		})
	}
}

// Figures are the same on an encrypted desk.
func TestSealedDesk(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(*testing.T, *desktest.Environment){
		"segments are what was accepted":           testSegments,
		"statistics are what was counted on paper": testStatisticsByHand,
		"insights show a redirected transfer":      testRedirected,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &desktest.Environment{
				T: t, Database: desktest.SQLite(t), Clock: desktest.NewClock(), Cipher: desktest.KeyRing(t, desktest.Key(t, "k")),
			}
			h.Desk = h.Reopen()
			run(t, h)
		})
	}
}
