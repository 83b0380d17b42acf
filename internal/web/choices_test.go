package web_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/web/identity/identitytest"
	"github.com/baton-transfers/baton/internal/web/site"
)

// TestChoicesAreDistinct checks every page with a choice of agents or queues when some share a friendly name.
func TestChoicesAreDistinct(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	for _, added := range []people.NewAgent{{Name: "josu", FriendlyName: "Josü"}, {Name: "jose", FriendlyName: "Jose"}, {Name: "x9", FriendlyName: "josü"}} {
		_, err := people.RegisterAgent(t.Context(), o.desk, added)
		require.NoError(t, err)
	}
	require.NoError(t, people.UpdateAgent(t.Context(), o.desk, "jose", people.AgentChange{FriendlyName: new("bob")}))
	for _, added := range []people.NewQueue{{Name: "north", FriendlyName: "Café"}, {Name: "south", FriendlyName: "South"}} {
		_, err := people.RegisterQueue(t.Context(), o.desk, added)
		require.NoError(t, err)
	}
	require.NoError(t, people.UpdateQueue(t.Context(), o.desk, "south", people.QueueChange{FriendlyName: new("CAFE")}))
	require.NoError(t, people.SetMembers(t.Context(), o.desk, "north", "alice", "bob", "josu"))
	require.NoError(t, routing.SetPresence(t.Context(), o.desk, "josu", desk.PresenceAvailable))
	sid := o.runs(time.Now().Add(-time.Hour), conversation.StartCommand{Channel: conversation.ChannelWeb, Queue: "north"})

	for address, shown := range map[string][]string{
		"/sign-in":              {"<bdi>Josü (josu)</bdi>", "<bdi>josü (x9)</bdi>", "<bdi>bob (jose)</bdi>", "<bdi>bob</bdi>"},
		"/admin/queues/north":   {"<bdi>Josü (josu)</bdi>", "<bdi>josü (x9)</bdi>", "<bdi>bob (jose)</bdi>", "<bdi>bob</bdi>"},
		"/admin/agents/josu":    {"<bdi>Café (north)</bdi>", "<bdi>CAFE (south)</bdi>"},
		"/conversations":        {">Josü (josu)</option>", ">josü (x9)</option>", ">bob (jose)</option>", ">bob</option>", ">Café (north)</option>", ">CAFE (south)</option>"},
		"/conversations/" + sid: {">Josü (josu)</option>", ">josü (x9)</option>", ">bob (jose)</option>", ">bob</option>", ">Café (north) (queue)</option>"},
		"/insights":             {">Josü (josu)</option>", ">josü (x9)</option>", ">bob (jose)</option>", ">bob</option>", ">Café (north)</option>", ">CAFE (south)</option>", ">Café (north)</a>"},
	} {
		page := o.at(address)
		for _, one := range shown {
			require.Contains(t, page.Body, one, address)
		}
	}

	o.does("/admin/agents/x9", "/admin/agents/x9", url.Values{"friendly_name": {"Xavier"}})
	require.NotContains(t, o.at("/conversations").Body, "Josü (josu)", "one Josü is left")
}

// TestFiltersShowWhatIsFiltered opens links whose filters name an agent or a queue that the desk does not have.
func TestFiltersShowWhatIsFiltered(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	page := o.open(o.browser, "/conversations?status=foo")
	require.Equal(t, http.StatusUnprocessableEntity, page.Status)
	require.Contains(t, page.Body, "There is no status foo: choose another one.")
	body := o.at("/conversations?queue=gone&agent=left").Body
	require.Contains(t, body, `<option value="gone" selected>gone</option>`)
	require.Contains(t, body, `<option value="left" selected>left</option>`)
	require.Contains(t, o.submit(o.at("/admin/queues"), "/admin/queues", nil).Body, "Type the name that people read.")
	require.Contains(t, o.submit(o.at("/admin/agents"), "/admin/agents", nil).Body, "Type the name that people read.")
}

// TestSignInSaysWhyTheDemoIsOff opens the sign-in page of a gateway behind a proxy.
func TestSignInSaysWhyTheDemoIsOff(t *testing.T) {
	t.Parallel()
	p := servePages(t, func(address string) site.Options { return site.Options{DemoOff: true, URL: address} })
	page := p.open(identitytest.NewBrowser(), "/sign-in")
	require.Contains(t, page.Body, "The demo’s sign-in is off")
	require.NotContains(t, page.Body, "the public address of this gateway")
}
