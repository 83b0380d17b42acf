package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
)

// TestPagesShowFriendlyNames checks every page that names agents and queues.
func TestPagesShowFriendlyNames(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	page := o.does("/admin/agents", "/admin/agents", url.Values{"friendly_name": {"דנה\u202e לוי"}})
	require.Contains(t, page.Body, `<p class="done">Added <bdi>דנה לוי</bdi>.</p>`)
	o.does("/admin/queues", "/admin/queues", url.Values{"friendly_name": {"Продажи"}})
	require.NoError(t, people.SetMembers(t.Context(), o.desk, "prodazhi", "dnh-lvy"))

	page = o.open(o.browser, "/admin/agents")
	require.Contains(t, page.Body, `<a href="/admin/queues/prodazhi"><bdi>Продажи</bdi></a>`)
	page = o.open(o.browser, "/admin/queues")
	require.Contains(t, page.Body, `<a href="/admin/agents/dnh-lvy"><bdi>דנה לוי</bdi></a>`)
	page = o.open(o.browser, "/admin/audit?kind=agent")
	require.Contains(t, page.Body, `<bdi>דנה לוי</bdi> (dnh-lvy)`)
	page = o.open(o.browser, "/admin/agents/dnh-lvy")
	require.Contains(t, page.Body, "<title>\u2068דנה לוי\u2069 · Baton</title>")

	o.runs(time.Now().Add(-time.Hour), conversation.StartCommand{Channel: conversation.ChannelWeb, Queue: "prodazhi"},
		conversation.AcceptCommand{Agent: "dnh-lvy"}, conversation.TransferCommand{From: "dnh-lvy", To: conversation.Target{Queue: "prodazhi"}})
	page = o.open(o.browser, "/insights")
	require.Contains(t, page.Body, `<option value="prodazhi">Продажи</option>`)
	require.Contains(t, page.Body, "<option value=\"dnh-lvy\">\u2068דנה לוי\u2069</option>")
	page = o.open(o.browser, "/insights/conversations?figure=sent.initiated&queue=prodazhi&agent=dnh-lvy&to_queue=prodazhi")
	require.Equal(t, http.StatusOK, page.Status)
	require.Contains(t, page.Body, "queue <bdi>Продажи</bdi> · agent <bdi>דנה לוי</bdi> · to queue <bdi>Продажи</bdi>")
	page = o.open(o.browser, "/insights/conversations?figure=sent.initiated&agent=gone")
	require.Contains(t, page.Body, "agent <bdi>gone</bdi>", "who was removed keeps the unique name")

	page = o.does("/admin/queues/prodazhi", "/admin/queues/prodazhi", url.Values{"friendly_name": {"مبيعات"}})
	require.Equal(t, http.StatusOK, page.Status)
	page = o.does("/admin/agents", "/admin/agents", url.Values{"name": {"joab"}, "friendly_name": {"יואב"}})
	require.Equal(t, http.StatusOK, page.Status)
	page = o.does("/admin/agents/joab", "/admin/agents/joab/remove", nil)
	require.Contains(t, page.Body, `<p class="done">Removed <bdi>יואב</bdi>.</p>`)
}

// TestLengthsCountCharacters sends texts with the maximum number of characters, regardless of their UTF-8 or UTF-16
// length. With one more character, the refusal must contain the number.
func TestLengthsCountCharacters(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	for _, character := range []string{"a", "é", "張", "😀"} {
		longest := strings.Repeat(character, conversation.MaxText)
		page := o.does("/admin/agents/bob", "/admin/agents/bob", url.Values{"friendly_name": {longest}})
		require.Equal(t, http.StatusOK, page.Status, character)
		require.Equal(t, longest, o.agent("bob").FriendlyName)
		page = o.submit(o.at("/admin/agents/bob"), "/admin/agents/bob", url.Values{"friendly_name": {longest + character}})
		require.Equal(t, http.StatusUnprocessableEntity, page.Status, character)

		page = o.does("/admin/transfers", "/admin/plugins/add", url.Values{"name": {longest}})
		require.Equal(t, http.StatusOK, page.Status, character)
		require.Contains(t, page.Body, `<p class="done">Added `+longest+`.</p>`)
		page = o.submit(o.at("/admin/transfers"), "/admin/plugins/add", url.Values{"name": {longest + character}})
		require.Equal(t, http.StatusUnprocessableEntity, page.Status, character)
	}
	plugins, err := desk.ListPlugins(t.Context(), o.desk)
	require.NoError(t, err)
	require.Len(t, plugins, 4)
	require.NoError(t, desk.SetPlugin(t.Context(), o.desk, desk.Plugin{Name: "a\u202e\u0000b\nc"}))
	plugins, err = desk.ListPlugins(t.Context(), o.desk)
	require.NoError(t, err)
	require.Equal(t, "ab c", plugins[1].Name)
}
