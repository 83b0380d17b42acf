package web_test

import (
	"encoding/csv"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/insights"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
)

// runs applies the real rules to a conversation, one command a second, and syncs it to the desk.
func (o *environment) runs(began time.Time, start conversation.StartCommand, commands ...conversation.Command) string {
	o.t.Helper()
	settings := conversation.DefaultSettings()
	settings.MessagingTransfers = true
	facts := &conversation.Facts{Settings: settings, AgentKnown: true, AgentAvailable: true, QueueKnown: true, QueueMembers: 1}
	start.Conversation = conversation.SIDOf(conversation.PrefixConversation, uuid.New())
	var state conversation.State
	var events []conversation.Event
	for i, c := range append([]conversation.Command{start}, commands...) {
		at := began.Add(time.Duration(i) * time.Second)
		if accept, ok := c.(conversation.AcceptCommand); ok {
			task := state.Tasks[len(state.Tasks)-1]
			result, err := state.Apply(conversation.ReserveCommand{Task: task.SID, PendingSeq: task.PendingSeq, Agent: accept.Agent}, nil, at)
			require.NoError(o.t, err)
			events = append(events, result.Events...)
		}
		result, err := state.Apply(c, facts, at)
		require.NoError(o.t, err)
		events = append(events, result.Events...)
	}
	_, err := routing.Sync(o.t.Context(), o.desk, state.Snapshot(events, nil))
	require.NoError(o.t, err)
	return state.Conversation
}

// busyEnvironment returns an environment with conversations of the last hour, whose transfers have every outcome.
func busyEnvironment(t *testing.T) (o *environment, story string) {
	t.Helper()
	o = newEnvironment(t)
	began := time.Now().Add(-time.Hour)
	accept := func(agent string) conversation.Command { return conversation.AcceptCommand{Agent: agent} }
	wrapup := func(agent string) conversation.Command { return conversation.WrapupCommand{Agent: agent} }
	toAgent := func(from, to string) conversation.Command {
		return conversation.TransferCommand{From: from, To: conversation.Target{Agent: to}}
	}
	toBilling := func(from string) conversation.Command {
		return conversation.TransferCommand{From: from, To: conversation.Target{Queue: "billing"}}
	}
	web := conversation.StartCommand{Channel: conversation.ChannelWeb, Queue: "support", Customer: conversation.Customer{Name: `<b>Crystal</b>`}}
	sms := conversation.StartCommand{Channel: conversation.ChannelSMS, Queue: "support", Customer: conversation.Customer{Name: "Sam"}}
	story = o.runs(began, web, accept("alice"), toBilling("alice"), accept("bob"), wrapup("alice"), toAgent("bob", "alice"), accept("alice"),
		conversation.EndCommand{Agent: "alice"}, wrapup("alice"), wrapup("bob"))
	require.NoError(t, records.NoteRefused(t.Context(), o.desk, story, conversation.AcceptCommand{Agent: "alice"}, desktest.ErrWrapupPending))
	require.NoError(t, records.NoteRefused(t.Context(), o.desk, story, conversation.AcceptCommand{Agent: "alice"}, desktest.ErrWrapupPending))
	o.runs(began, sms, accept("alice"), toBilling("alice"), conversation.CancelCommand{Agent: "alice"})
	o.runs(began, sms, accept("bob"), toAgent("bob", "alice"), conversation.CloseCommand{})
	o.runs(began, web)
	return o, story
}

var conversationLinks = regexp.MustCompile(`<a href="(/insights/conversations\?[^"]+)"[^>]*>([^<]+)</a>`)

// TestInsightsAreTraced follows every figure on the page to its conversations.
func TestInsightsAreTraced(t *testing.T) {
	t.Parallel()
	o, story := busyEnvironment(t)
	for _, address := range []string{"/insights", "/insights?queue=support&period=7d", "/insights?agent=alice&channel=web", "/insights?period=30d&queue=billing"} {
		page := o.at(address)
		links := conversationLinks.FindAllStringSubmatch(page.Body, -1)
		require.Greater(t, len(links), 20, address)
		for _, link := range links {
			to, shown := html.UnescapeString(link[1]), link[2]
			behind := o.at(to)
			sum := 0
			for _, times := range regexp.MustCompile(`>(\d+) times?</td>`).FindAllStringSubmatch(behind.Body, -1) {
				n, err := strconv.Atoi(times[1])
				require.NoError(t, err)
				sum += n
			}
			require.Positive(t, sum, to)
			if count, err := strconv.Atoi(shown); err == nil {
				require.Equal(t, count, sum, to)
			}
		}
	}
	page := o.at("/insights")
	for _, d := range insights.FigureDefinitions() {
		if !strings.HasPrefix(string(d.Figure), "received.") {
			require.Contains(t, page.Body, `id="figure-`+string(d.Figure)+`"`)
			require.Contains(t, html.UnescapeString(page.Body), d.Meaning)
		}
	}
	require.Contains(t, page.Body, ">75 %</a>")
	require.Contains(t, o.at("/insights?queue=billing").Body, `id="figure-received.initiated"`)
	behind := o.at("/insights/conversations?figure=wrapup_refusals")
	require.Contains(t, behind.Body, `/conversations/`+story)
	require.Contains(t, behind.Body, "2 times")
	require.NotContains(t, behind.Body, "<b>Crystal")
	require.Contains(t, o.at("/insights/conversations?figure=sent.ping_pong").Body, story)
}

// TestInsightsChart checks the data of the charts and the table beside them.
func TestInsightsChart(t *testing.T) {
	t.Parallel()
	o, _ := busyEnvironment(t)
	page := o.at("/insights")
	found := regexp.MustCompile(`data-chart="([^"]+)"`).FindAllStringSubmatch(page.Body, -1)
	require.Len(t, found, 2)
	sums := map[string]int{}
	for _, one := range found {
		var chart struct {
			At    []int64 `json:"at"`
			Lines []struct {
				Label  string `json:"label"`
				Values []int  `json:"values"`
			} `json:"lines"`
		}
		require.NoError(t, json.Unmarshal([]byte(html.UnescapeString(one[1])), &chart))
		require.InDelta(t, 24, len(chart.At), 1)
		for _, line := range chart.Lines {
			require.Len(t, line.Values, len(chart.At))
			for _, value := range line.Values {
				sums[line.Label] += value
			}
		}
	}
	require.Equal(t, map[string]int{"began": 4, "initiated": 4, "completed": 2}, sums)
	require.NotContains(t, page.Body, "<script>", "nothing inline")
	require.NotContains(t, page.Body, "style=", "nothing inline")
	for _, file := range regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllStringSubmatch(page.Body, -1) {
		require.Equal(t, http.StatusOK, o.open(o.browser, file[1]).Status, file[1])
	}
}

func TestInsightsPeriods(t *testing.T) {
	t.Parallel()
	o, _ := busyEnvironment(t)
	today := time.Now().UTC().Format(time.DateOnly)
	old := o.at("/insights?period=dates&from=2020-01-01&to=2020-01-31")
	require.Contains(t, old.Body, `name="from" value="2020-01-01"`)
	require.Contains(t, old.Body, `name="to" value="2020-01-31"`)
	require.Contains(t, old.Body, "Nothing in this period.")
	require.Contains(t, o.at("/insights?period=dates&from=2020-01-01&to="+today).Body, "By queue")
	require.Contains(t, o.at("/insights?period=today&from=junk").Body, `value="today" selected`)
	require.Contains(t, o.at("/insights?agent=gone").Body, "<option selected>gone</option>", "who has gone may still be asked for")
	require.Contains(t, o.at("/insights?agent=%D7%93%D7%A0%D7%94").Body, "<option value=\"דנה\" selected>", "the form sends what the link named")
	for query, sentence := range map[string]string{
		"from=yesterday&to=2020-01-31":                      "can't be read",
		"period=dates":                                      "can't be read",
		"from=2020-02-01&to=2020-01-01":                     "before the first one",
		"from=1990-02-01&to=" + today:                       "longer than twenty years",
		"from=2020-01-01T00:00:00Z&to=2020-01-01T00:00:00Z": "before the first one",
	} {
		page := o.open(o.browser, "/insights?"+query)
		require.Equal(t, http.StatusUnprocessableEntity, page.Status, query)
		require.Len(t, alerts(t, page.Body), 1)
		require.Contains(t, alerts(t, page.Body)[0], sentence)
		for _, other := range []string{"/insights.csv?", "/insights/conversations?figure=transferred&"} {
			require.Equal(t, http.StatusUnprocessableEntity, o.open(o.browser, other+query).Status, other+query)
		}
	}
	require.Equal(t, http.StatusNotFound, o.open(o.browser, "/insights/conversations?figure=happiness").Status)
	require.Contains(t, o.at("/insights/conversations?figure=hops&queue=nowhere&before=junk&after=1-CH").Body, "No conversation is behind this.")
}

func TestInsightsCSV(t *testing.T) {
	t.Parallel()
	o, _ := busyEnvironment(t)
	page := o.at("/insights.csv?channel=sms")
	require.Equal(t, "text/csv; charset=utf-8", page.Header.Get("Content-Type"))
	rows, err := csv.NewReader(strings.NewReader(page.Body)).ReadAll()
	require.NoError(t, err)
	all := map[string]string{}
	for i, column := range rows[0] {
		all[column] = rows[1][i]
	}
	require.Equal(t, "all", all["by"])
	require.Equal(t, []string{"2", "2", "0", "1", "1"}, []string{all["conversations"], all["sent"], all["completed"], all["canceled"], all["abandoned"]})
}

// TestInsightConversationsByPages pages through a list to its end and back.
func TestInsightConversationsByPages(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	for i := range 120 {
		o.runs(time.Now().Add(-time.Duration(i+1)*time.Minute), conversation.StartCommand{Channel: conversation.ChannelWeb, Queue: "support"})
	}
	seen := map[string]bool{}
	path, steps := "/insights/conversations?figure=conversations", 0
	follow := func(label string) bool {
		page := o.at(path)
		steps++
		for _, row := range regexp.MustCompile(`<tr id="(CH[0-9a-f]{32})"`).FindAllStringSubmatch(page.Body, -1) {
			seen[row[1]] = true
		}
		next := regexp.MustCompile(`<a href="([^"]+)">` + label + `</a>`).FindStringSubmatch(page.Body)
		if next != nil {
			path = html.UnescapeString(next[1])
		}
		return next != nil
	}
	for follow("Older") {
	}
	require.Len(t, seen, 120)
	require.Equal(t, 3, steps)
	for follow("Newer") {
	}
	require.Equal(t, 6, steps)
}

func TestInsightsAreForSupervisors(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	alice := p.signedIn(url.Values{"agent": {"alice"}})
	for _, path := range []string{"/insights", "/insights.csv", "/insights/conversations?figure=hops"} {
		require.Equal(t, http.StatusForbidden, p.open(alice, path).Status)
	}
}

// TestARefusedAcceptOfAPageIsInTheInsights has alice accept on her desk before her wrap-up is complete.
func TestARefusedAcceptOfAPageIsInTheInsights(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	o.enableTransfers()
	sid := o.accepted("Crystal Minh")
	o.do(sid, conversation.TransferCommand{From: "alice", To: conversation.Target{Agent: "bob"}})
	o.do(sid, conversation.AcceptCommand{Agent: "bob"})
	o.do(sid, conversation.TransferCommand{From: "bob", To: conversation.Target{Agent: "alice"}})
	alice := o.signedIn(url.Values{"agent": {"alice"}})
	page := o.send(alice, "/desk/"+sid+"/accept", url.Values{"once": {uuid.NewString()}})
	require.Equal(t, http.StatusConflict, page.Status)
	require.Contains(t, page.Body, "Finish your wrap-up here")
	report, err := insights.Read(t.Context(), o.desk, insights.Filter{From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	require.Equal(t, 1, report.Total.WrapupRefusals)
}
