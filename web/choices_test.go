package web_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// TestChoicesAreDistinct looks at every page on which an agent or a queue is chosen, while some share a friendly name.
func TestChoicesAreDistinct(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	for _, added := range []desk.NewAgent{{Name: "josu", FriendlyName: "Josü"}, {Name: "jose", FriendlyName: "Jose"}, {Name: "x9", FriendlyName: "josü"}} {
		_, err := o.desk.RegisterAgent(t.Context(), added)
		require.NoError(t, err)
	}
	require.NoError(t, o.desk.UpdateAgent(t.Context(), "jose", desk.AgentChange{FriendlyName: new("bob")}))
	for _, added := range []desk.NewQueue{{Name: "north", FriendlyName: "Café"}, {Name: "south", FriendlyName: "South"}} {
		_, err := o.desk.RegisterQueue(t.Context(), added)
		require.NoError(t, err)
	}
	require.NoError(t, o.desk.UpdateQueue(t.Context(), "south", desk.QueueChange{FriendlyName: new("CAFE")}))
	require.NoError(t, o.desk.SetMembers(t.Context(), "north", "alice", "bob", "josu"))
	require.NoError(t, o.desk.SetPresence(t.Context(), "josu", desk.PresenceAvailable))
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
