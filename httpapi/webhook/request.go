package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio's receivers expect it
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"

	"github.com/baton-transfers/baton/desk"
)

// headerNext has the signature by the secret that takes the place of the current one, while a renewal is under way.
const headerNext = "X-Baton-Signature-Next"

const (
	// maxAnswer is how much of an answer is read, so that its connection can be used again. Nobody looks at it.
	maxAnswer = 64 << 10
	// maxRedirects bounds the redirects of one request, where any are followed.
	maxRedirects = 5
)

// newClient returns a client that connects only to addresses that webhooks may go to. It knows no
// proxy, which would connect to any.
func newClient(o Options) *http.Client {
	dialer := &net.Dialer{Timeout: o.Timeout, Control: guard(o.Allow)}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: o.Timeout,
			MaxIdleConnsPerHost: deliveredAtOnce, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: maxAnswer,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			r.Header.Del("Referer") // the URL may hold a secret
			if o.AllowRedirects && r.Method == http.MethodPost && len(via) <= maxRedirects {
				return nil
			}
			return http.ErrUseLastResponse
		},
	}
}

// post sends the form to the account's URL, signed with the current secret and with the next one where there is one. It returns why that failed in a sentence without anything
// secret, "" after a 2xx.
func post(ctx context.Context, client *http.Client, account desk.Account, current, next, token string, f form) (failure string) {
	to := account.Workspace.EventCallbackURL
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(f.encode()))
	if err != nil {
		return "the workspace's event callback URL is none: set another"
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("User-Agent", "Baton")
	request.Header.Set("X-Twilio-Signature", f.sign(current, to))
	if next != "" { // a receiver that has the next secret already checks this one
		request.Header.Set(headerNext, f.sign(next, to))
	}
	request.Header.Set("I-Twilio-Idempotency-Token", token)
	otel.GetTextMapPropagator().Inject(ctx, propagation.HeaderCarrier(request.Header))
	response, err := client.Do(request)
	if err != nil {
		return failureOf(err)
	}
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer) // the status has said it all
	_ = response.Body.Close()
	switch {
	case response.StatusCode >= 200 && response.StatusCode < 300:
		return ""
	case response.StatusCode >= 300 && response.StatusCode < 400:
		return fmt.Sprintf("the receiver answered %d with a redirect that isn't followed: set the event callback URL to where it leads", response.StatusCode)
	default:
		return strings.TrimSpace(fmt.Sprintf("the receiver answered %d %s", response.StatusCode, http.StatusText(response.StatusCode)))
	}
}

// failureOf says what went wrong in words of its own: those of the error may hold the URL, or what the
// receiver has sent.
func failureOf(err error) string {
	if refused, ok := errors.AsType[*addressError](err); ok {
		return refused.Error()
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the receiver's certificate can't be trusted: " + certificate.Err.Error()
	}
	if unknown, ok := errors.AsType[*net.DNSError](err); ok {
		return "the receiver's host can't be found: " + unknown.Err
	}
	if wrong, ok := errors.AsType[net.Error](err); ok && wrong.Timeout() {
		return "the receiver did not answer in time"
	}
	if broken, ok := errors.AsType[*net.OpError](err); ok {
		return "the receiver can't be reached: " + broken.Err.Error()
	}
	return "the receiver broke the connection off, or doesn't speak HTTP"
}

// form is what is sent, each parameter once.
type form map[string]string

func (f form) encode() string {
	values := url.Values{}
	for key, value := range f {
		values.Set(key, value)
	}
	return values.Encode()
}

// sign returns the signature by which receivers know that the form is from whom the token belongs to
// (https://www.twilio.com/docs/usage/webhooks/webhooks-security).
func (f form) sign(token, to string) string {
	signed := hmac.New(sha1.New, []byte(token))
	_, _ = io.WriteString(signed, to) // never fails
	for _, key := range slices.Sorted(maps.Keys(f)) {
		_, _ = io.WriteString(signed, key+f[key])
	}
	return base64.StdEncoding.EncodeToString(signed.Sum(nil))
}
