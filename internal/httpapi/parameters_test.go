package httpapi_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// TestRefusalsNameTheParameter sends values that the desk and the rules refuse. The details and the sentence of
// each refusal name the caller's parameter.
func TestRefusalsNameTheParameter(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	workspace := "/v1/Workspaces/" + h.workspace()
	long, sid := strings.Repeat("x", 17_000), h.give("alice")
	notes := "/v1/Instances/" + h.instance() + "/Notes"
	channel := "/v1/Interactions/KD" + sid[2:] + "/Channels/UO" + sid[2:]
	form := func(pairs ...string) url.Values {
		values := url.Values{}
		for pair := range slices.Chunk(pairs, 2) {
			values.Set(pair[0], pair[len(pair)-1])
		}
		return values
	}
	for _, test := range []struct {
		path  string
		form  url.Values
		field string
	}{
		{workspace + "/Workers", form("FriendlyName", long), "FriendlyName"},
		{workspace + "/Workers", form("FriendlyName", "Zoe", "Attributes", "[]"), "Attributes"},
		{workspace + "/TaskQueues", form("FriendlyName", long), "FriendlyName"},
		{workspace + "/TaskQueues", form("FriendlyName", "Refunds", "TargetWorkers", "1 =="), "TargetWorkers"},
		{workspace + "/Workflows", form("FriendlyName", "Refunds", "Configuration", "{}"), "Configuration"},
		{workspace + "/Activities", form("FriendlyName", long), "FriendlyName"},
		{workspace + "/Tasks", form("TaskQueueSid", conversation.QueueSID("quiet"), "Attributes", `{"name":"`+strings.Repeat("n", 300)+`"}`), "Attributes"},
		{workspace, form("EventCallbackUrl", "nowhere"), "EventCallbackUrl"},
		{workspace, form("EventsFilter", "task.invented"), "EventsFilter"},
		{"/v1/Conversations", form("FriendlyName", long), "FriendlyName"},
		{"/v1/Conversations", form("UniqueName", long), "UniqueName"},
		{"/v1/Conversations", form("Attributes", "[]"), "Attributes"},
		{"/v1/Conversations/" + sid + "/Messages", form("Body", strings.Repeat("x", 20_000)), "Body"},
		{"/v1/Conversations/" + sid + "/Participants", form("Identity", long), "Identity"},
		{"/v1/Conversations/" + sid + "/Participants", form("MessagingBinding.Address", long), "MessagingBinding.Address"},
		{"/v1/Conversations/" + sid + "/Participants", form("Identity", "x", "MessagingBinding.ProxyAddress", long), "MessagingBinding.ProxyAddress"},
		{channel + "/Participants", form("Type", "external", "MediaProperties", `{"identity":"`+strings.Repeat("x", 300)+`"}`), "MediaProperties"},
		{notes, form("InteractionSid", "KD"+sid[2:], "ChannelSid", "UO"+sid[2:], "Type", "transfer", "Summary", long), "Summary"},
		{"/v1/Interactions", form("Channel", `{"type":"web","initiated_by":"customer"}`, "Routing", `{"properties":{"queue_sid":"`+conversation.QueueSID("quiet")+`","attributes":{"customerName":"`+strings.Repeat("n", 300)+`"}}}`), "Routing"},
	} {
		var told struct {
			Message string
			Details struct{ Reason, Field string }
		}
		answered := h.ask(h.service, http.MethodPost, test.path, test.form)
		answered.is(http.StatusBadRequest).read(&told)
		require.Equal(t, test.field, told.Details.Field, "%s: %s", test.path, answered.body)
		require.NotRegexp(t, `^[a-z]+_[a-z_]+: `, told.Message)
		require.NotRegexp(t, `\b(customer\.name|friendly_name|unique_name|target_workers|event_callback_url|events_filter|proxy_address)\b`, told.Message)
		require.Equal(t, conversation.ConversationActive, h.state(sid).Status)
	}
	h.do(sid, conversation.EndCommand{Agent: "alice"})
}
