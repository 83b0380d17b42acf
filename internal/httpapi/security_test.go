package httpapi_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/batontest"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/httpapi"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
)

// TestSecurityLog checks the log lines of refused requests and of exports: they name the key, and contain no
// secret.
func TestSecurityLog(t *testing.T) {
	t.Parallel()
	d, err := desk.Open(t.Context(), desktest.SQLite(t), desk.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	require.NoError(t, people.AddAgent(t.Context(), d, people.NewAgent{Name: "alice"}))
	agent, secret, err := access.AddKey(t.Context(), d, access.Key{Name: "alice", Role: access.KeyAgent, Agent: "alice"})
	require.NoError(t, err)
	supervisor, supervisors, err := access.AddKey(t.Context(), d, access.Key{Name: "shop", Role: access.KeySupervisor})
	require.NoError(t, err)
	var log bytes.Buffer
	api := httpapi.New(d, commands.New(batontest.NewEngine(routing.NewConversationDesk(d)), d, nil), rest.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))}).Handler()
	ask := func(user, password string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/Insights/Segments", nil)
		if user != "" {
			r.SetBasicAuth(user, password)
		}
		api.ServeHTTP(httptest.NewRecorder(), r)
	}
	ask("", "")
	ask(agent.SID, "wrong")
	ask("my-secret-in-the-wrong-place", secret)
	ask(agent.SID, secret)
	ask(supervisor.SID, supervisors)
	require.NoError(t, access.RevokeKey(t.Context(), d, supervisor.SID))
	ask(supervisor.SID, supervisors)
	var lines []string
	for line := range strings.Lines(log.String()) {
		_, event, found := strings.Cut(strings.TrimSpace(line), `msg="security event" `)
		require.True(t, found, line)
		lines = append(lines, event)
	}
	const from = ` address=192.0.2.1 route="GET /v1/Insights/Segments"`
	require.Equal(t, []string{
		`event=authentication outcome=refused` + from + ` reason="no credentials"`,
		`event=authentication outcome=refused key=` + agent.SID + from + ` reason="wrong credentials"`,
		`event=authentication outcome=refused` + from + ` reason="wrong credentials"`,
		`event=authorization outcome=refused who=alice role=agent key=` + agent.SID + from,
		`event=export outcome=accepted who=shop role=supervisor key=` + supervisor.SID + from + ` subject=insights reason=segments`,
		`event=authentication outcome=refused key=` + supervisor.SID + from + ` reason="wrong credentials"`,
	}, lines)
}
