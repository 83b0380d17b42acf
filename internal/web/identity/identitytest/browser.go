package identitytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

// Browser is a browser with cookies and without scripts.
type Browser struct{ client *http.Client }

// NewBrowser returns a browser that follows redirects, except to addresses that begin with one of the prefixes.
func NewBrowser(except ...string) Browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // it never fails without options
	}
	return Browser{&http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(to *http.Request, _ []*http.Request) error {
		for _, prefix := range except {
			if strings.HasPrefix(to.URL.String(), prefix) {
				return http.ErrUseLastResponse
			}
		}
		return nil
	}}}
}

// SetCookie sets a cookie for an address.
func (b Browser) SetCookie(address, name, value string) {
	u, err := url.Parse(address)
	if err != nil {
		panic(err) // the address comes from a test
	}
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/"}}) //nolint:gosec // as an attacker would
}

// DropCookie removes a cookie whose path is that of the address, as if the answer that set it had been lost.
func (b Browser) DropCookie(address, name string) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("drop a cookie: %w", err)
	}
	for _, cookie := range b.client.Jar.Cookies(u) {
		if cookie.Name == name {
			b.client.Jar.SetCookies(u, []*http.Cookie{{Name: name, Path: u.Path, MaxAge: -1}}) //nolint:gosec // it is removed
			return nil
		}
	}
	return fmt.Errorf("drop a cookie: %s has no cookie %s", address, name)
}

// Page is the page that a browser shows.
type Page struct {
	URL    *url.URL
	Status int
	Header http.Header
	// Body is the content; empty for a stream of events, which a browser without scripts does not open.
	Body string
	// Location is the target of a redirect that the browser did not follow; nil for none.
	Location *url.URL
}

// Open opens an address.
func (b Browser) Open(ctx context.Context, address string) (Page, error) {
	return b.do(ctx, http.MethodGet, address, nil)
}

// Send sends a form.
func (b Browser) Send(ctx context.Context, address string, form url.Values) (Page, error) {
	return b.do(ctx, http.MethodPost, address, form)
}

func (b Browser) do(ctx context.Context, method, address string, form url.Values) (Page, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return Page{}, fmt.Errorf("open %s: %w", address, err)
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := b.client.Do(request)
	if err != nil {
		return Page{}, fmt.Errorf("open %s: %w", address, err)
	}
	var body []byte
	if !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/event-stream") {
		body, err = io.ReadAll(answer.Body)
	}
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return Page{}, fmt.Errorf("read %s: %w", address, err)
	}
	p := Page{URL: answer.Request.URL, Status: answer.StatusCode, Header: answer.Header, Body: string(body)}
	if p.Location, err = answer.Location(); err != nil && !errors.Is(err, http.ErrNoLocation) {
		return Page{}, fmt.Errorf("read where %s sends to: %w", address, err)
	}
	return p, nil
}

// SignIn submits the provider's sign-in page for the person.
func (b Browser) SignIn(ctx context.Context, at Page, name, password string) (Page, error) {
	return b.Send(ctx, at.URL.ResolveReference(&url.URL{Path: "/login"}).String(),
		url.Values{"id": {at.URL.Query().Get("id")}, "username": {name}, "password": {password}})
}

// Deny refuses consent on the provider's sign-in page.
func (b Browser) Deny(ctx context.Context, at Page) (Page, error) {
	return b.Send(ctx, at.URL.ResolveReference(&url.URL{Path: "/deny"}).String(), url.Values{"id": {at.URL.Query().Get("id")}})
}
