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

	"github.com/baton-transfers/baton/internal/access"
)

// headerNext holds the signature with the next secret, while the secret is being renewed.
const headerNext = "X-Baton-Signature-Next"

const (
	// maxAnswer is how many bytes of an answer are read, so that its connection can be reused. The content is
	// ignored.
	maxAnswer = 64 << 10
	// maxRedirects is the maximum number of redirects of one request, if redirects are followed.
	maxRedirects = 5
)

// newClient returns a client that connects only to addresses that webhooks may go to. It uses no proxy, because a
// proxy would connect to any address.
func newClient(o Options) *http.Client {
	dialer := &net.Dialer{Timeout: o.Timeout, Control: guard(o.Allow)}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: o.Timeout,
			MaxIdleConnsPerHost: deliveredAtOnce, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: maxAnswer,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			r.Header.Del("Referer") // the URL may contain a secret
			if o.AllowRedirects && r.Method == http.MethodPost && len(via) <= maxRedirects {
				return nil
			}
			return http.ErrUseLastResponse
		},
	}
}

// post sends the form to the account's URL. It signs the form with the current secret, and with the next one unless
// that is empty. It returns "" after a 2xx status; otherwise a sentence that states why the delivery failed and
// contains no secret.
func post(ctx context.Context, client *http.Client, account access.Account, current, next, token string, f form) (failure string) {
	to := account.Workspace.EventCallbackURL
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(f.encode()))
	if err != nil {
		return "the workspace's event callback URL is none: set another"
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("User-Agent", "Baton")
	request.Header.Set("X-Twilio-Signature", f.sign(current, to))
	if next != "" { // a receiver that already has the next secret checks this signature
		request.Header.Set(headerNext, f.sign(next, to))
	}
	request.Header.Set("I-Twilio-Idempotency-Token", token)
	otel.GetTextMapPropagator().Inject(ctx, propagation.HeaderCarrier(request.Header))
	response, err := client.Do(request)
	if err != nil {
		return failureOf(err)
	}
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer) // the status is enough
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

// failureOf describes the error in fixed words, because the error's own text may contain the URL or data from the
// receiver.
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

// form holds the parameters of a request, each once.
type form map[string]string

func (f form) encode() string {
	values := url.Values{}
	for key, value := range f {
		values.Set(key, value)
	}
	return values.Encode()
}

// sign returns the signature that proves to receivers that the owner of the token sent the form
// (https://www.twilio.com/docs/usage/webhooks/webhooks-security).
func (f form) sign(token, to string) string {
	signed := hmac.New(sha1.New, []byte(token))
	_, _ = io.WriteString(signed, to) // never fails
	for _, key := range slices.Sorted(maps.Keys(f)) {
		_, _ = io.WriteString(signed, key+f[key])
	}
	return base64.StdEncoding.EncodeToString(signed.Sum(nil))
}
