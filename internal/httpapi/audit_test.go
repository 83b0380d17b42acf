package httpapi_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
)

// TestChangesAreOnRecord checks that the audit list has the changes made over HTTP, with the name of the key that
// made each.
func TestChangesAreOnRecord(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	workspace := "/v1/Workspaces/" + h.workspace()
	h.ask(h.service, http.MethodPost, workspace+"/Workers/"+conversation.AgentSID("alice"), url.Values{"Attributes": {`{"skills":["vip"]}`}}).is(http.StatusOK)
	h.ask(h.owner(), http.MethodPost, workspace+"/TaskQueues", url.Values{"FriendlyName": {"VIP"}, "TargetWorkers": {`skills HAS "vip"`}}).is(http.StatusCreated)
	h.ask(h.supervisor, http.MethodPost, workspace+"/TaskQueues", url.Values{"FriendlyName": {"Other"}}).is(http.StatusForbidden)

	found, err := desk.AuditPage(t.Context(), h.desk, desk.AuditFilter{}, desk.Page{Limit: 2})
	require.NoError(t, err)
	for i := range found.Entries {
		found.Entries[i].At, found.Entries[i].Position = found.Entries[0].At, 0
	}
	at := found.Entries[0].At
	require.Equal(t, []desk.AuditEntry{
		{At: at, By: "account", What: "queue.added", Subject: "vip", After: `members by skills HAS "vip"`},
		{At: at, By: "key of service", What: "agent.attributes", Subject: "alice", Before: "{}", After: `{"skills":["vip"]}`},
	}, found.Entries)
}
