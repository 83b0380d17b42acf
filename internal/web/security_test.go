package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/web/identity/identitytest"
	"github.com/baton-transfers/baton/internal/web/site"
)

// TestIdleSessionsEnd: requests that an open page makes by itself do not keep its person signed in.
func TestIdleSessionsEnd(t *testing.T) {
	t.Parallel()
	var passed atomic.Int64
	began := time.Now()
	p := servePages(t, func(string) site.Options {
		return site.Options{Demo: true, Idle: time.Hour, Now: func() time.Time { return began.Add(time.Duration(passed.Load())) }}
	})
	signIn := func() string {
		return cookie(p.send(identitytest.NewBrowser(p.URL), "/sign-in", url.Values{"agent": {"alice"}})).Value
	}
	ask := func(token, path string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.Header.Set("Cookie", "baton="+token)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		p.Config.Handler.ServeHTTP(w, r)
		return w
	}
	background := [][]string{
		{"HX-Request", "true", "HX-Trigger", "page"}, {"HX-Request", "true"}, {"Sec-Fetch-Mode", "cors"}, {"Sec-Fetch-Mode", "same-origin"},
	}
	for _, headers := range background {
		token := signIn()
		for range 7 { // an hour and ten minutes, one refresh every ten minutes
			if w := ask(token, "/desk", headers...); w.Code != http.StatusOK {
				break
			}
			passed.Add(int64(10 * time.Minute))
		}
		w := ask(token, "/desk", headers...)
		require.NotEqual(t, http.StatusOK, w.Code, headers)
		require.Equal(t, http.StatusSeeOther, ask(token, "/desk").Code, "the session has ended for good")
	}
	require.Contains(t, p.log.String(), "event=session_expired outcome=accepted who=alice")

	for _, headers := range [][]string{nil, {"HX-Request", "true", "HX-Boosted", "true"}, {"Sec-Fetch-Mode", "navigate"}, {"HX-Request", "true", "HX-Trigger-Name", "q"}} {
		token := signIn()
		for range 5 {
			passed.Add(int64(50 * time.Minute))
			require.Equal(t, http.StatusOK, ask(token, "/desk", headers...).Code, headers)
		}
	}
	token := signIn()
	passed.Add(int64(61 * time.Minute))
	require.Equal(t, http.StatusSeeOther, askFrom(t, p.Config.Handler, "127.0.0.1:4000", http.MethodPost, "/desk/status", token, url.Values{"status": {"offline"}}).Code)
	agent, err := people.FindAgent(t.Context(), p.desk, "alice")
	require.NoError(t, err)
	require.NotEqual(t, "offline", string(agent.Presence), "a form of an idle person changes nothing")
}

// TestSecurityLog checks the entries for sign-ins, refused sign-ins, refused pages, and exported figures.
func TestSecurityLog(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	carol := p.signedIn(url.Values{"agent": {"carol"}})
	p.open(carol, "/insights.csv")
	p.open(carol, "/admin/audit")
	p.send(identitytest.NewBrowser(), "/sign-in", url.Values{"agent": {"mallory"}})
	p.send(identitytest.NewBrowser(), "/sign-in", url.Values{"administrator": {"alice"}})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/desk/status", strings.NewReader("status=offline"))
	r.Header.Set("Origin", "https://evil.example")
	p.Config.Handler.ServeHTTP(httptest.NewRecorder(), r)
	p.send(carol, "/sign-out", nil)
	var lines []string
	for line := range strings.Lines(p.log.String()) {
		if _, event, found := strings.Cut(strings.TrimSpace(line), `msg="security event" `); found {
			lines = append(lines, event)
		}
	}
	require.Equal(t, []string{
		`event=sign_in outcome=accepted who=carol role=supervisor address=127.0.0.1 route="POST /sign-in" reason=demo`,
		`event=export outcome=accepted who=carol role=supervisor address=127.0.0.1 route="GET /insights.csv" subject=insights reason=csv`,
		`event=authorization outcome=refused who=carol role=supervisor address=127.0.0.1 route="GET /admin/audit"`,
		`event=sign_in outcome=refused who=mallory address=127.0.0.1 route="POST /sign-in" reason="unknown agent"`,
		`event=sign_in outcome=refused who=alice address=127.0.0.1 route="POST /sign-in" reason="not a supervisor"`,
		`event=authorization outcome=refused address=192.0.2.1 route=(none) reason="another site"`,
		`event=sign_out outcome=accepted who=carol role=supervisor address=127.0.0.1 route="POST /sign-out"`,
	}, lines)
}

// TestSessionsEndAfterAShift: the session ends even if the person is always active, and the security log records
// it.
func TestSessionsEndAfterAShift(t *testing.T) {
	t.Parallel()
	var passed atomic.Int64
	began := time.Now()
	p := servePages(t, func(string) site.Options {
		return site.Options{Demo: true, Idle: time.Hour, Now: func() time.Time { return began.Add(time.Duration(passed.Load())) }}
	})
	token := cookie(p.send(identitytest.NewBrowser(p.URL), "/sign-in", url.Values{"agent": {"alice"}})).Value
	ask := func() int {
		return askFrom(t, p.Config.Handler, "127.0.0.1:4000", http.MethodGet, "/desk", token, nil).Code
	}
	for range 16 { // twelve hours
		require.Equal(t, http.StatusOK, ask())
		passed.Add(int64(45 * time.Minute))
	}
	passed.Store(int64(12*time.Hour - time.Second))
	require.Equal(t, http.StatusOK, ask())
	passed.Store(int64(12*time.Hour + time.Second))
	require.Equal(t, http.StatusSeeOther, ask())
	require.Contains(t, p.log.String(), "event=session_expired outcome=accepted who=alice")
	require.Contains(t, p.log.String(), "reason=lifetime")
}
