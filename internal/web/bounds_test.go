package web_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/web/identity/identitytest"
	"github.com/baton-transfers/baton/internal/web/site"
)

// askFrom sends a request from an address, with the session token unless it is "".
func askFrom(t *testing.T, handler http.Handler, from, method, path, token string, form url.Values) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if token != "" {
		r.Header.Set("Cookie", "baton="+token)
	}
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

// TestChatsAreBounded begins chats from one network with many addresses, and then from many networks.
func TestChatsAreBounded(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	handler := p.handler(site.Options{})
	begun := func(from string) bool {
		w := askFrom(t, handler, from, http.MethodPost, "/chat/start", "", url.Values{"name": {"Ann"}, "text": {"Hello"}, "once": {uuid.NewString()}})
		if w.Code == http.StatusTooManyRequests {
			require.Regexp(t, `Too many chats from your network\. Please try again in \d+ seconds?\.`, w.Body.String())
			require.NotEmpty(t, w.Header().Get("Retry-After"))
			return false
		}
		require.Equal(t, http.StatusSeeOther, w.Code, w.Body.String())
		return true
	}
	count := 0
	for n := range 50 {
		if begun(fmt.Sprintf("[2001:db8:1:2::%x]:4000", n+1)) {
			count++
		}
	}
	require.InDelta(t, 10, count, 2)
	for n := range 5000 {
		if begun(fmt.Sprintf("[2001:db8:2:%x::1]:4000", n)) {
			count++
		}
	}
	require.Less(t, count, 1000, "a hundred, and ten for each second that this takes")
	require.GreaterOrEqual(t, count, 100)
}

// TestStreamsAreBounded opens streams of one person up to the limit, and then one of another person.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	open := func(ctx context.Context, token, path string) int {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+path, nil)
		require.NoError(t, err)
		r.Header.Set("Cookie", "baton="+token)
		answer, err := p.Client().Do(r)
		require.NoError(t, err)
		if answer.StatusCode == http.StatusOK {
			t.Cleanup(func() { _ = answer.Body.Close() })
			return answer.StatusCode
		}
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, errors.Join(err, answer.Body.Close()))
		require.Contains(t, string(body), "Too many pages are open")
		return answer.StatusCode
	}
	signedIn := func(name string) string {
		return cookie(p.send(identitytest.NewBrowser(p.URL), "/sign-in", url.Values{"agent": {name}})).Value
	}
	carol := signedIn("carol")
	for n := range 8 {
		require.Equal(t, http.StatusOK, open(ctx, carol, []string{"/desk/stream", "/conversations/stream"}[n%2]))
	}
	require.Equal(t, http.StatusTooManyRequests, open(ctx, carol, "/desk/stream"))
	require.Equal(t, http.StatusTooManyRequests, open(ctx, signedIn("carol"), "/conversations/stream?conversation=CH1"), "another browser of theirs")
	require.Equal(t, http.StatusOK, open(t.Context(), signedIn("alice"), "/desk/stream"))
	cancel()
	require.Eventually(t, func() bool { return open(t.Context(), carol, "/desk/stream") == http.StatusOK }, 10*time.Second, 10*time.Millisecond, "who leaves makes room")
}

// After its person signs out or gets another role, an open stream sends at most one more change and ends. The page
// then fetches itself and is checked for the sign-in.
func TestStreamsEndWithTheSession(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(p *pages, token string){
		"signed out": func(p *pages, token string) {
			w := askFrom(t, p.Config.Handler, "127.0.0.1:4000", http.MethodPost, "/sign-out", token, nil)
			require.Equal(t, http.StatusSeeOther, w.Code)
		},
		"another role": func(p *pages, _ string) {
			require.NoError(t, people.UpdateAgent(t.Context(), p.desk, "carol", people.AgentChange{Role: new(desk.RoleAgent)}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := servePages(t, func(string) site.Options { return site.Options{Demo: true, Beat: 100 * time.Millisecond} })
			carol := cookie(p.send(identitytest.NewBrowser(p.URL), "/sign-in", url.Values{"agent": {"carol"}})).Value
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL+"/conversations/stream", nil)
			require.NoError(t, err)
			r.Header.Set("Cookie", "baton="+carol)
			answer, err := p.Client().Do(r)
			require.NoError(t, err)
			defer func() { require.NoError(t, answer.Body.Close()) }()
			require.Equal(t, http.StatusOK, answer.StatusCode)
			lines := bufio.NewReader(answer.Body)
			for line := ""; line != "event: changed\n"; {
				line, err = lines.ReadString('\n')
				require.NoError(t, err)
			}
			end(p, carol)
			ended := make(chan string, 1)
			go func() {
				rest, _ := io.ReadAll(lines)
				ended <- string(rest)
			}()
			select {
			case rest := <-ended:
				require.LessOrEqual(t, strings.Count(rest, "event: changed"), 1)
			case <-time.After(25 * time.Second):
				t.Fatal("the stream of a session that has ended continues")
			}
		})
	}
}
