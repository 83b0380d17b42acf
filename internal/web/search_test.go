package web_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/records"
)

var foundRows = regexp.MustCompile(`<tr id="(CH[0-9a-f]{32})"`)

func rowsOf(body string) (sids []string) {
	for _, row := range foundRows.FindAllStringSubmatch(body, -1) {
		sids = append(sids, row[1])
	}
	return sids
}

// TestSupervisorsSearchConversations searches by name, address, text and SID, with the matching line and with
// filters.
func TestSupervisorsSearchConversations(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	began := time.Now().Add(-time.Hour)
	start := func(name, address string) conversation.StartCommand {
		return conversation.StartCommand{Channel: conversation.ChannelSMS, Queue: "support", Customer: conversation.Customer{Name: name, Address: address}}
	}
	muller := o.runs(began, start("Éric Müller", "+1 (555) 010-0100"))
	other := o.runs(began.Add(time.Minute), start("<b>Zoe</b>", "zoe@example.com"), conversation.AcceptCommand{Agent: "alice"})
	for sid, text := range map[string]string{muller: "Where is my <i>refund</i>?", other: "A refund, please"} {
		_, err := records.Say(t.Context(), o.desk, records.NewMessage{Conversation: sid, From: records.FromCustomer, Text: text})
		require.NoError(t, err)
	}
	at := func(search string) string { return "/conversations?search=" + url.QueryEscape(search) }
	for search, want := range map[string]struct {
		sids []string
		line string
	}{
		"muller":               {[]string{muller}, `<bdi dir="auto">Éric <mark>Müller</mark></bdi>`},
		"+15550100100":         {[]string{muller}, `<mark>+1 (555) 010-0100</mark>`},
		"ZOE@":                 {[]string{other}, `<mark>zoe@</mark>example.com`},
		"REFUND":               {[]string{other, muller}, `Where is my &lt;i&gt;<mark>refund</mark>&lt;/i&gt;?`},
		"  " + muller + " ":    {[]string{muller}, `<mark>` + muller + `</mark>`},
		"UO" + muller[2:]:      {[]string{muller}, `<mark>UO` + muller[2:] + `</mark>`},
		"refund&status=active": {nil, "in a name, an address, a message or as a SID"},
		"%":                    {nil, "in a name, an address, a message or as a SID"},
	} {
		page := o.at(at(search))
		page.Body = strings.ReplaceAll(page.Body, "&#43;", "+")
		require.Equal(t, want.sids, rowsOf(page.Body), search)
		require.Contains(t, page.Body, want.line, search)
		require.Contains(t, page.Body, `value="`+html.EscapeString(strings.TrimSpace(search))+`"`, search)
		require.NotContains(t, page.Body, `hx-trigger="sse:changed, refresh"`, "a search is not repeated with every change")
	}
	require.Equal(t, []string{other}, rowsOf(o.at(at("refund")+"&agent=alice").Body))
	require.Contains(t, o.at(at("muller")+"&agent=alice").Body, "No conversation with these filters has")
	require.Contains(t, o.at("/conversations?search=+").Body, `hx-trigger="sse:changed, refresh"`)

	for search, sentence := range map[string]string{strings.Repeat("a", records.MaxSearch+1): "search for a shorter text", "\u200b": "at least one letter or digit"} {
		page := o.open(o.browser, at(search))
		require.Equal(t, http.StatusUnprocessableEntity, page.Status)
		require.Contains(t, page.Body, sentence)
		require.Empty(t, rowsOf(page.Body))
	}
	require.Equal(t, http.StatusUnprocessableEntity, o.open(o.browser, "/conversations?queue=%ff%00").Status)
	require.Equal(t, http.StatusUnprocessableEntity, o.open(o.browser, "/conversations?before=1-%00").Status)

	alice := o.signedIn(url.Values{"agent": {"alice"}})
	require.Equal(t, http.StatusForbidden, o.open(alice, at("refund")).Status)
}

// TestConversationsArePaged: the pages list every conversation once, with and without a search, while new ones
// begin.
func TestConversationsArePaged(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	customer := conversation.Customer{Name: "Crystal"}
	for i := range 120 {
		o.runs(time.Now().Add(-time.Duration(i+1)*time.Minute), conversation.StartCommand{Channel: conversation.ChannelWeb, Queue: "support", Customer: customer})
	}
	for _, path := range []string{"/conversations", "/conversations?search=crystal", "/conversations?order=waiting", "/conversations?search=crystal&order=waiting"} {
		seen, steps := map[string]int{}, 0
		for label := "Older|Next"; path != ""; steps++ {
			page := o.at(path)
			for _, sid := range rowsOf(page.Body) {
				seen[sid]++
				require.Equal(t, 1, seen[sid], "on two pages")
			}
			path = ""
			if next := regexp.MustCompile(`<a href="([^"]+)">(?:` + label + `)</a>`).FindStringSubmatch(page.Body); next != nil {
				path = html.UnescapeString(next[1])
			}
			o.runs(time.Now(), conversation.StartCommand{Channel: conversation.ChannelWeb, Queue: "support"})
		}
		require.GreaterOrEqual(t, len(seen), 120)
		require.GreaterOrEqual(t, steps, 3)
	}
}

// TestSearchesAreLogged: the security log records who searched, but not the search text.
func TestSearchesAreLogged(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	o.at("/conversations")
	require.NotContains(t, o.log.String(), "event=search")
	o.at("/conversations?search=quetzalcoatl")
	require.Contains(t, o.log.String(), "event=search outcome=accepted who=carol")
	require.NotContains(t, o.log.String(), "quetzalcoatl")
}
