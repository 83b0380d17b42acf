package web_test

import (
	"encoding/csv"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/web/identity/identitytest"
	"github.com/baton-transfers/baton/internal/web/site"
)

// environmentAt returns an environment whose clock shows now.
func environmentAt(t *testing.T, now time.Time) *environment {
	t.Helper()
	p := servePages(t, func(string) site.Options { return site.Options{Demo: true, Now: func() time.Time { return now }} })
	return &environment{p, p.signedIn(url.Values{"administrator": {"carol"}})}
}

// livesIn sets the zone cookie as the page's script does.
func (o *environment) livesIn(zone string) { o.browser.SetCookie(o.URL, "baton_zone", zone) }

var (
	zoneOfPage   = regexp.MustCompile(`Days begin and end in (.+?); the first`)
	seriesOfPage = regexp.MustCompile(`(?s)<tr><td><time datetime="([^"]+)"[^>]*>([^<]+)</time></td><td><time datetime="([^"]+)"[^>]*>[^<]+</time></td><td class="number">(.*?)</td>`)
)

// TestInsightsHaveTheReadersDays checks days of 23, 24 and 25 hours in zones around the world.
func TestInsightsHaveTheReadersDays(t *testing.T) {
	t.Parallel()
	o := environmentAt(t, time.Date(2026, time.March, 30, 22, 30, 0, 0, time.UTC))
	began := []string{
		"2026-03-28T18:29:00Z", "2026-03-28T18:30:00Z", "2026-03-28T22:59:00Z", "2026-03-28T23:00:00Z", "2026-03-29T06:59:00Z", "2026-03-29T07:00:00Z",
		"2026-03-29T18:29:00Z", "2026-03-29T18:30:00Z", "2026-03-29T21:59:00Z", "2026-03-29T22:00:00Z",
		"2025-10-25T21:59:00Z", "2025-10-25T22:00:00Z", "2025-10-26T22:59:00Z", "2025-10-26T23:00:00Z",
	}
	for _, at := range began {
		moment, err := time.Parse(time.RFC3339, at)
		require.NoError(t, err)
		o.runs(moment, conversation.StartCommand{Channel: conversation.ChannelWeb, Queue: "support"})
	}
	for _, test := range []struct {
		zone, day, from, to string
		hours, count        int
		label               string
	}{
		{"Europe/Berlin", "2026-03-29", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00", 23, 6, "29 Mar 00:00 CET"},
		{"Europe/Berlin", "2025-10-26", "2025-10-26T00:00:00+02:00", "2025-10-27T00:00:00+01:00", 25, 2, "26 Oct 2025 00:00 CEST"},
		{"America/Los_Angeles", "2026-03-28", "2026-03-28T00:00:00-07:00", "2026-03-29T00:00:00-07:00", 24, 5, "28 Mar 00:00 PDT"},
		{"Asia/Kolkata", "2026-03-29", "2026-03-29T00:00:00+05:30", "2026-03-30T00:00:00+05:30", 24, 6, "29 Mar 00:00 IST"},
		{"Etc/GMT+5", "2026-03-29", "2026-03-29T00:00:00-05:00", "2026-03-30T00:00:00-05:00", 24, 6, "29 Mar 00:00 -05"},
		{"UTC", "2026-03-29", "2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z", 24, 6, "29 Mar 00:00 UTC"},
	} {
		o.livesIn(test.zone)
		query := "period=dates&from=" + test.day + "&to=" + test.day
		page := o.at("/insights?" + query)
		require.Contains(t, page.Body, `name="from" value="`+test.day+`"`)
		require.Contains(t, page.Body, `name="to" value="`+test.day+`"`)
		require.Equal(t, test.zone, html.UnescapeString(zoneOfPage.FindStringSubmatch(page.Body)[1]))
		hours := seriesOfPage.FindAllStringSubmatch(page.Body, -1)
		require.Len(t, hours, test.hours, test.zone)
		require.Equal(t, test.label, strings.Replace(html.UnescapeString(hours[0][2]), " 2026", "", 1), "the year is shown in other years")
		sum := 0
		for _, hour := range hours {
			link := conversationLinks.FindStringSubmatch(hour[4])
			if link == nil {
				require.Equal(t, "0", hour[4])
				continue
			}
			behind := len(regexp.MustCompile(`<tr id="CH`).FindAllString(o.at(html.UnescapeString(link[1])).Body, -1))
			require.Equal(t, link[2], strconv.Itoa(behind), "the link of %s", hour[1])
			sum += behind
		}
		require.Equal(t, test.count, sum, test.zone)

		rows, err := csv.NewReader(strings.NewReader(o.at("/insights.csv?" + query).Body)).ReadAll()
		require.NoError(t, err)
		for n, row := range rows[1:] {
			all := map[string]string{}
			for i, column := range rows[0] {
				all[column] = row[i]
			}
			require.Equal(t, []string{test.from, test.to, test.zone}, []string{all["from"], all["to"], all["zone"]})
			if n == 0 {
				require.Equal(t, strconv.Itoa(test.count), all["conversations"])
			}
		}
	}

	o.livesIn("Europe/Berlin") // where the day has just begun
	today := o.at("/insights?period=today")
	require.Contains(t, today.Body, `name="from" value="2026-03-31"`)
	require.Len(t, seriesOfPage.FindAllStringSubmatch(today.Body, -1), 1)
	o.livesIn("UTC")
	require.Contains(t, o.at("/insights?period=today").Body, `name="from" value="2026-03-30"`)
}

// TestZonesThatAreNone sends invalid zone names and requires that the page says that the days are those of UTC.
func TestZonesThatAreNone(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	signedIn := cookie(o.send(identitytest.NewBrowser(o.URL), "/sign-in", url.Values{"administrator": {"carol"}}))
	for _, zone := range []string{
		"", "Local", "../../etc/localtime", "..", "/etc/localtime", "Europe/../Asia/Tokyo", "Europe/Nowhere", "Europe", "right/Europe/Berlin", "posix/Europe/Berlin",
		"zone1970.tab", "+05:30", "Europe%2FBerlin", "<b>UTC</b>", "Europe/Berlin ", "A/" + strings.Repeat("b", 70), strings.Repeat("a/", 3000), "a/b/c/d", `Europe\Berlin`,
	} {
		w := o.with(signedIn.Value+"; baton_zone="+zone+"; other=1", "/insights")
		require.Equal(t, http.StatusOK, w.Code, zone)
		if strings.TrimSpace(zone) == "Europe/Berlin" { // a cookie's value has no surrounding spaces
			require.Contains(t, w.Body.String(), "Days begin and end in Europe/Berlin;")
			continue
		}
		require.Contains(t, w.Body.String(), "Days begin and end in UTC;", zone)
	}
	require.Contains(t, o.at("/insights").Body, "Days begin and end in UTC;", "no script has said another one")
	require.Contains(t, o.at("/insights").Body, `data-zone-cookie="baton_zone"`)
	require.NotContains(t, o.open(identitytest.NewBrowser(), "/chat").Body, "data-zone-cookie", "customers need none")
}

// TestAgesWithoutScripts: without scripts, ages are as of the request, with the exact time beside them.
func TestAgesWithoutScripts(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	began := time.Now().Add(-3*time.Minute - 5*time.Second)
	sid := o.runs(began, conversation.StartCommand{Channel: conversation.ChannelWeb, Queue: "support"})
	title := `datetime="` + began.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano) + `" title="` + began.UTC().Format("2 Jan 15:04:05 UTC") + `"`
	require.Regexp(t, title+` data-ago>3 min ago</time>`, o.at("/conversations/"+sid).Body)
	require.Regexp(t, title+` data-age>3 min \d+ s</time>`, o.at("/conversations").Body)
	old := o.runs(time.Now().AddDate(-2, 0, 0), conversation.StartCommand{Channel: conversation.ChannelWeb, Queue: "support"})
	require.Regexp(t, ` data-ago>\d+ [A-Z][a-z]+ \d{4} \d\d:\d\d UTC</time>`, o.at("/conversations/"+old).Body)
	require.Regexp(t, ` data-age>\d+ d \d+ h</time>`, o.at("/conversations").Body)
}

// TestADayThatAZoneSkippedIsNamed requests 30 December 2011 in Samoa, which that zone skipped.
func TestADayThatAZoneSkippedIsNamed(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	o.livesIn("Pacific/Apia")
	for days, said := range map[string]string{
		"from=2011-12-30&to=2011-12-30": "There was no such day in Pacific/Apia, where the calendar skipped it: choose another one.",
		"from=2011-12-31&to=2011-12-29": "The last day is before the first one: swap them.",
	} {
		page := o.open(o.browser, "/insights?"+days)
		require.Equal(t, http.StatusUnprocessableEntity, page.Status)
		require.Contains(t, page.Body, said)
	}
	o.at("/insights?from=2011-12-29&to=2011-12-31")
}
