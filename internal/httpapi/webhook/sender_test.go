package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twilio/twilio-go/client"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/people"
)

// of reports whether the request is about the conversation.
func of(r *http.Request, th *thread) bool { return th.state.Task(r.PostForm.Get("TaskSid")) != nil }

func TestOrderOutlivesAFailure(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	require.NoError(t, people.AddQueue(h.ctx(), h.Desk, "support"))
	var failures atomic.Int32
	rec := newReceiver(t, h, func(*http.Request) int {
		if failures.Add(1) <= 3 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	h.callback(rec.URL)
	th := h.start("support").do(conversation.CloseCommand{})
	h.send()
	for attempts := 1; attempts <= 3; attempts++ {
		eventually(t, func() bool { return strings.Count(h.log.String(), "webhook failed, retrying") == attempts }, "the failure is recorded")
		require.Len(t, rec.notices(), attempts, "nothing overtakes what failed")
		h.advance(time.Duration(1<<(attempts-1)) * time.Second)
	}
	eventually(t, func() bool { return h.pending() == 0 }, "all are delivered")
	require.Equal(t, []string{"task.created", "task.created", "task.created", "task.created", "task-queue.entered", "task.canceled"}, rec.about(th))
	token := rec.notices()[0].header.Get("I-Twilio-Idempotency-Token")
	require.Equal(t, token, rec.notices()[3].header.Get("I-Twilio-Idempotency-Token"), "the receiver can tell that it is the same")
	require.NotEqual(t, token, rec.notices()[4].header.Get("I-Twilio-Idempotency-Token"))
}

func TestSlowReceiverDelaysNoOther(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	require.NoError(t, people.AddQueue(h.ctx(), h.Desk, "support"))
	slow := &thread{h: h}
	answered := make(chan struct{})
	rec := newReceiver(t, h, func(r *http.Request) int {
		if of(r, slow) {
			<-answered
		}
		return http.StatusOK
	})
	h.callback(rec.URL)
	*slow = *h.start("support")
	h.send()
	eventually(t, func() bool { return len(rec.about(slow)) == 1 }, "the slow one is under way")
	for range 3 {
		th := h.start("support")
		eventually(t, func() bool { return len(rec.about(th)) == 2 }, "others receive events, one event after the other")
	}
	require.Len(t, rec.about(slow), 1)
	close(answered)
	eventually(t, func() bool { return h.pending() == 0 }, "it continues where it was")
	require.Equal(t, []string{"task.created", "task-queue.entered"}, rec.about(slow))
}

func TestNextEventWaitsForNoTick(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	require.NoError(t, people.AddQueue(h.ctx(), h.Desk, "support"))
	rec := newReceiver(t, h, nil)
	h.callback(rec.URL)
	th := h.start("support").do(conversation.CloseCommand{})
	h.send(func(o *Options) { o.Tick = time.Hour })
	eventually(t, func() bool { return len(rec.about(th)) == 3 }, "one after the other, at once")
}

func TestReceiverDownAndBack(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	require.NoError(t, people.AddQueue(h.ctx(), h.Desk, "support"))
	rec := newReceiver(t, h, nil)
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	h.callback(down.URL)
	th := h.start("support")
	h.send()
	eventually(t, func() bool {
		return strings.Contains(h.log.String(), "the receiver can't be reached: connect: connection refused")
	}, "it is down")
	h.callback(rec.URL)
	require.Empty(t, rec.notices())
	h.advance(time.Second)
	eventually(t, func() bool { return h.pending() == 0 }, "it is back")
	require.Equal(t, []string{"task.created", "task-queue.entered"}, rec.about(th))
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	require.NoError(t, people.AddQueue(h.ctx(), h.Desk, "support"))
	rec := newReceiver(t, h, func(r *http.Request) int {
		<-r.Context().Done() // until the sender closes the connection
		return http.StatusOK
	})
	h.callback(rec.URL)
	h.start("support")
	h.send(func(o *Options) { o.Timeout = 50 * time.Millisecond })
	eventually(t, func() bool { return strings.Contains(h.log.String(), "the receiver did not answer in time") }, "it fails")
	require.Equal(t, 2, h.pending())
}

func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	require.NoError(t, people.AddQueue(h.ctx(), h.Desk, "support"))
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte(strings.Repeat("thanks ", 1000)))
		}
	}))
	t.Cleanup(endless.Close)
	h.callback(endless.URL)
	h.start("support")
	require.NoError(t, outbox.QueueWebhooks(h.ctx(), h.Desk, func() {}))
	h.send()
	eventually(t, func() bool { return h.pending() == 0 }, "its status is what counts")
}

func TestSenderThatEndsLeavesTheRest(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	require.NoError(t, people.AddQueue(h.ctx(), h.Desk, "support"))
	var hangs atomic.Bool
	hangs.Store(true)
	rec := newReceiver(t, h, func(r *http.Request) int {
		if hangs.Load() {
			<-r.Context().Done()
		}
		return http.StatusOK
	})
	h.callback(rec.URL)
	th := h.start("support")
	stop := h.send()
	eventually(t, func() bool { return len(rec.notices()) == 1 }, "it is under way")
	stop()
	require.Empty(t, h.log.String(), "what is given up is no failure")

	hangs.Store(false)
	h.send()
	require.Equal(t, 2, h.pending())
	h.advance(15*time.Second + beyondTimeout)
	eventually(t, func() bool { return h.pending() == 0 }, "it is sent again, by the next")
	require.Equal(t, []string{"task.created", "task.created", "task-queue.entered"}, rec.about(th))
}

func TestGivenUpAndDeliveredAgain(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	require.NoError(t, people.AddQueue(h.ctx(), h.Desk, "support"))
	var broken atomic.Bool
	broken.Store(true)
	rec := newReceiver(t, h, func(r *http.Request) int {
		if broken.Load() && r.PostForm.Get("EventType") == "task.created" {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	h.callback(rec.URL)
	th := h.start("support")
	h.send()
	eventually(t, func() bool { return strings.Contains(h.log.String(), "webhook failed, retrying") }, "it fails")
	h.advance(24 * time.Hour)
	eventually(t, func() bool { return h.pending() == 0 }, "it is given up, and the next is delivered")
	require.Contains(t, h.log.String(), "given up")
	require.Equal(t, []string{"task.created", "task.created", "task-queue.entered"}, rec.about(th))
	dead, err := outbox.DeadWebhooks(h.ctx(), h.Desk, desk.Page{})
	require.NoError(t, err)
	require.Len(t, dead.Entries, 1)
	require.Equal(t, "the receiver answered 500 Internal Server Error", dead.Entries[0].Failure)

	broken.Store(false)
	revived, err := outbox.RedeliverWebhooks(h.ctx(), h.Desk, dead.Entries[0].Position)
	require.NoError(t, err)
	require.Equal(t, 1, revived)
	eventually(t, func() bool { return len(rec.about(th)) == 4 && h.pending() == 0 }, "it is delivered after all")
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status            int
		allowed, followed bool
	}{
		"refused":                          {http.StatusTemporaryRedirect, false, false},
		"allowed":                          {http.StatusTemporaryRedirect, true, true},
		"allowed for good":                 {http.StatusPermanentRedirect, true, true},
		"one that would lose the event":    {http.StatusFound, true, false},
		"one that says to look at another": {http.StatusSeeOther, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newEnvironment(t)
			require.NoError(t, people.AddQueue(h.ctx(), h.Desk, "support"))
			rec := newReceiver(t, h, nil)
			entrance := httptest.NewServer(http.RedirectHandler(rec.URL, test.status))
			t.Cleanup(entrance.Close)
			h.callback(entrance.URL)
			h.start("support")
			h.send(func(o *Options) { o.AllowRedirects = test.allowed })
			if test.followed {
				eventually(t, func() bool { return len(rec.notices()) == 2 }, "it is followed")
				return
			}
			eventually(t, func() bool { return strings.Contains(h.log.String(), "with a redirect that isn't followed") }, "it is a failure")
			require.Empty(t, rec.notices())
		})
	}
	t.Run("one that never ends", func(t *testing.T) {
		t.Parallel()
		h := newEnvironment(t)
		require.NoError(t, people.AddQueue(h.ctx(), h.Desk, "support"))
		carousel := httptest.NewServer(http.RedirectHandler("/", http.StatusTemporaryRedirect))
		t.Cleanup(carousel.Close)
		h.callback(carousel.URL)
		h.start("support")
		h.send(func(o *Options) { o.AllowRedirects = true })
		eventually(t, func() bool { return strings.Contains(h.log.String(), "the receiver answered 307") }, "it is a failure")
	})
}

func TestPrivateAddress(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	require.NoError(t, people.AddQueue(h.ctx(), h.Desk, "support"))
	rec := newReceiver(t, h, nil)
	named, err := url.Parse(rec.URL)
	require.NoError(t, err)
	h.callback("http://localhost:" + named.Port())
	h.start("support")
	stop := h.send(func(o *Options) { o.Allow = nil })
	eventually(t, func() bool {
		return strings.Contains(h.log.String(), "is a private address: allow it with BATON_WEBHOOK_ALLOW")
	}, "it is refused")
	stop()
	require.Empty(t, rec.notices())
	require.Equal(t, 2, h.pending())

	h.send(func(o *Options) {
		o.Allow, err = ParseAllow("127.0.0.0/8, ::1")
		require.NoError(t, err)
	})
	h.advance(time.Second)
	eventually(t, func() bool { return h.pending() == 0 }, "it is allowed")
}

func TestRedirectToPrivateAddress(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	require.NoError(t, people.AddQueue(h.ctx(), h.Desk, "support"))
	entrance := httptest.NewServer(http.RedirectHandler("http://169.254.169.254/latest/meta-data", http.StatusTemporaryRedirect))
	t.Cleanup(entrance.Close)
	h.callback(entrance.URL)
	h.start("support")
	h.send(func(o *Options) { o.AllowRedirects = true })
	eventually(t, func() bool { return strings.Contains(h.log.String(), "169.254.169.254 is a private address") }, "it is refused")
}

func TestNoProxy(t *testing.T) {
	// Not parallel: all tests share the process's environment variables.
	var proxied atomic.Bool
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Store(true) }))
	t.Cleanup(proxy.Close)
	t.Setenv("HTTP_PROXY", proxy.URL)
	h := newEnvironment(t)
	require.NoError(t, people.AddQueue(h.ctx(), h.Desk, "support"))
	h.callback("http://192.0.2.1/events")
	h.start("support")
	h.send()
	eventually(t, func() bool { return strings.Contains(h.log.String(), "192.0.2.1 is a private address") }, "it is refused as without a proxy")
	require.False(t, proxied.Load())
}

// After any failure, the log contains neither the secret parts of the receiver's URL nor the content of the event.
func TestLogKeepsSecrets(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	teapot := newReceiver(t, h, func(r *http.Request) int {
		if r.PostForm.Get("EventType") == "task.canceled" {
			panic(http.ErrAbortHandler) // breaks the connection off
		}
		return http.StatusTeapot
	})
	gibberish := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://%zz/location-secret")
		w.WriteHeader(http.StatusTemporaryRedirect)
	}))
	t.Cleanup(gibberish.Close)
	secretive := func(to string) string {
		return strings.Replace(to, "http://", "http://user-secret:password-secret@", 1) + "/?key=query-secret"
	}
	account := h.callback(secretive(teapot.URL))
	tellEverything(h)
	h.send(func(o *Options) { o.AllowRedirects = true })
	eventually(t, func() bool { return strings.Contains(h.log.String(), "the receiver answered 418 I'm a teapot") }, "it fails")
	h.callback(secretive(gibberish.URL))
	h.retryUntilLogged("broke the connection off, or doesn't speak HTTP")
	h.callback(secretive("http://10.255.0.1"))
	h.retryUntilLogged("10.255.0.1 is a private address")

	for _, told := range []string{"stream=agent/alice", "stream=CH", "event=EV", "attempt=1", "attempt=2"} {
		eventually(t, func() bool { return strings.Contains(h.log.String(), told) }, told)
	}
	for _, secret := range []string{"secret", account.AuthToken, "Crystal", "crystal@example.com", "refund", "lunch", "skills"} {
		require.NotContains(t, h.log.String(), secret)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err      error
		expected string
	}{
		{&net.DNSError{Err: "no such host", Name: "receiver.invalid"}, "the receiver's host can't be found: no such host"},
		{&net.OpError{Op: "dial", Err: &addressError{netip.MustParseAddr("10.0.0.1")}}, "10.0.0.1 is a private address: allow it with BATON_WEBHOOK_ALLOW"},
		{&net.OpError{Op: "dial", Err: errors.New("no route to host")}, "the receiver can't be reached: no route to host"},
		{&tls.CertificateVerificationError{Err: errors.New("x509: certificate has expired")}, "the receiver's certificate can't be trusted: x509: certificate has expired"},
		{context.DeadlineExceeded, "the receiver did not answer in time"},
		{errors.New(`malformed HTTP response "secret"`), "the receiver broke the connection off, or doesn't speak HTTP"},
	} {
		require.Equal(t, test.expected, failureOf(&url.Error{Op: "Post", URL: "https://example.com/?key=secret", Err: test.err}))
	}
}

// TestSecretOfItsOwn renews the secret during deliveries: a receiver that checks its current secret, or the new
// one, loses no event.
func TestSecretOfItsOwn(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	require.NoError(t, people.AddQueue(h.ctx(), h.Desk, "support"))
	rec := newReceiver(t, h, nil)
	account := h.callback(rec.URL)
	h.send()
	delivered := func() (current, next func(secret string) bool) {
		t.Helper()
		before := len(rec.notices())
		h.start("support").do(conversation.CloseCommand{})
		eventually(t, func() bool { return len(rec.notices()) > before && h.pending() == 0 }, "it is delivered")
		n := rec.notices()[len(rec.notices())-1]
		params := map[string]string{}
		for key := range n.Values {
			params[key] = n.Get(key)
		}
		check := func(header string) func(string) bool {
			return func(secret string) bool {
				validator := client.NewRequestValidator(secret)
				return validator.Validate(rec.URL+"/", params, n.header.Get(header)) || validator.Validate(rec.URL, params, n.header.Get(header))
			}
		}
		return check("X-Twilio-Signature"), check("X-Baton-Signature-Next")
	}
	current, next := delivered()
	require.True(t, current(account.AuthToken))
	require.False(t, next(account.AuthToken))

	_, secret, err := access.RenewWebhookSecret(h.ctx(), h.Desk, time.Hour)
	require.NoError(t, err)
	current, next = delivered()
	require.True(t, current(account.AuthToken), "what receivers have")
	require.True(t, next(secret))
	h.advance(time.Hour)
	current, next = delivered()
	require.True(t, current(secret))
	require.False(t, current(account.AuthToken))
	require.False(t, next(secret))
	require.NotContains(t, h.log.String(), secret)
}
