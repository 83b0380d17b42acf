package web_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/web"
	"github.com/baton-transfers/baton/internal/web/site"
)

// benchmarked is the number of conversations on the desk during the benchmark.
const benchmarked = 10_000

// BenchmarkPages measures every page, from the request to the last byte. The desk has 10,000 conversations of the
// last day; hundreds are open, and alice has three of them.
func BenchmarkPages(b *testing.B) {
	d, err := desk.Open(b.Context(), "sqlite:"+filepath.Join(b.TempDir(), "desk.db"), desk.Options{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, d.Close()) })
	site := httptest.NewServer(web.New(d, nil, site.Options{Demo: true}).Handler())
	b.Cleanup(site.Close)
	open := fillDesk(b, d)

	jar, err := cookiejar.New(nil)
	require.NoError(b, err)
	client := &http.Client{Jar: jar}
	do := func(b *testing.B, method, path string, form url.Values) *http.Response {
		b.Helper()
		request, err := http.NewRequestWithContext(b.Context(), method, site.URL+path, strings.NewReader(form.Encode()))
		require.NoError(b, err)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer, err := client.Do(request)
		require.NoError(b, err)
		_, err = io.Copy(io.Discard, answer.Body)
		require.NoError(b, err)
		require.NoError(b, answer.Body.Close())
		require.Equal(b, http.StatusOK, answer.StatusCode, path)
		return answer
	}
	for _, who := range []struct {
		form  url.Values
		paths []string
	}{
		{url.Values{"agent": {"alice"}}, []string{"/desk", "/desk/" + open, "/desk/" + open + "/transfer", "/chat"}},
		{url.Values{"administrator": {"carol"}}, []string{
			"/conversations", "/conversations?order=waiting", "/conversations?status=active&queue=billing", "/conversations?search=charged+twice", "/conversations/" + open,
			"/insights", "/insights?range=7d", "/admin/transfers", "/admin/agents", "/admin/queues", "/admin/audit",
		}},
	} {
		do(b, http.MethodPost, "/sign-in", who.form) //nolint:bodyclose // do closes it
		for _, path := range who.paths {
			b.Run(strings.ReplaceAll(strings.TrimPrefix(path, "/"), open, "CH"), func(b *testing.B) {
				for range b.N {
					answer := do(b, http.MethodGet, path, nil) //nolint:bodyclose // do closes it
					require.Equal(b, strings.Split(path, "?")[0], answer.Request.URL.Path)
				}
			})
		}
	}
}

// fillDesk syncs conversations that follow the real rules to the desk. It returns one that alice has.
func fillDesk(b *testing.B, d *desk.Desk) (open string) {
	b.Helper()
	_, err := people.SeedDemo(b.Context(), d)
	require.NoError(b, err)
	settings, err := desk.SetSettings(b.Context(), d, "benchmark", func(s *conversation.Settings) { s.MessagingTransfers, s.TransferNotes = true, true })
	require.NoError(b, err)
	for n := range 100 {
		require.NoError(b, people.AddAgent(b.Context(), d, people.NewAgent{Name: fmt.Sprintf("agent%02d", n), Presence: desk.PresenceBreak}))
	}
	began := time.Now().Add(-23 * time.Hour)
	for n := range benchmarked {
		agent := fmt.Sprintf("agent%02d", n%100)
		if n >= benchmarked-3 {
			agent = "alice"
		}
		s := carried{sid: baton.NewConversation(), at: began.Add(time.Duration(n) * 8 * time.Second), settings: settings}
		s.do(b, conversation.StartCommand{
			Conversation: s.sid, Channel: conversation.Channels()[n%4], Customer: conversation.Customer{Name: fmt.Sprintf("Customer %d", n)}, Queue: "support",
		})
		if n%25 == 0 && n < benchmarked-3 {
			s.show(b, d) // its task is waiting
			continue
		}
		s.do(b, conversation.ReserveCommand{Task: s.state.Tasks[0].SID, Agent: agent, PendingSeq: s.state.PendingCount})
		s.do(b, conversation.AcceptCommand{Agent: agent})
		if n%2 == 0 && agent != "alice" {
			s.do(b, conversation.TransferCommand{From: agent, To: conversation.Target{Agent: "bob"}, Note: "Charged twice."})
			s.do(b, conversation.AcceptCommand{Agent: "bob"})
			s.do(b, conversation.WrapupCommand{Agent: agent})
			s.do(b, conversation.EndCommand{Agent: "bob"})
			s.do(b, conversation.WrapupCommand{Agent: "bob"})
		} else if n%10 != 1 && agent != "alice" {
			s.do(b, conversation.EndCommand{Agent: agent})
			s.do(b, conversation.WrapupCommand{Agent: agent})
		}
		s.show(b, d)
		open = s.sid
	}
	for range 200 {
		_, err := records.Say(b.Context(), d, records.NewMessage{Conversation: open, From: records.FromCustomer, Text: "I was charged twice for order 3348917502."})
		require.NoError(b, err)
	}
	return open
}

// carried is a conversation in progress, with the events and notes that are not synced to the desk yet.
type carried struct {
	sid      string
	at       time.Time
	settings conversation.Settings
	state    conversation.State
	events   []conversation.Event
	notes    []conversation.Note
}

func (c *carried) do(b *testing.B, command conversation.Command) {
	b.Helper()
	c.at = c.at.Add(time.Second)
	result, err := c.state.Apply(command, &conversation.Facts{Settings: c.settings, QueueKnown: true, AgentKnown: true, AgentAvailable: true}, c.at)
	require.NoError(b, err)
	c.events, c.notes = append(c.events, result.Events...), append(c.notes, result.Notes...)
}

func (c *carried) show(b *testing.B, d *desk.Desk) {
	b.Helper()
	_, err := routing.Sync(b.Context(), d, c.state.Snapshot(c.events, c.notes))
	require.NoError(b, err)
}
