package site

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// paramSaid is the query parameter that names the confirmation that the page shows after a redirect.
	paramSaid = "said"
	// saidKept is how long a confirmation waits for the page that shows it.
	saidKept = time.Minute
	// cookieSaid is the prefix of the names of the cookies that hold confirmations.
	cookieSaid = "baton_said_"
)

// confirmation says what an action has done, in a cookie of its own. If it were in the session, any next request of
// the same browser would take it, from any page or tab, and two requests that save the session would overwrite each
// other.
type confirmation struct {
	// Path is the page that shows the confirmation, Text its text.
	Path string `json:"path"`
	Text string `json:"text"`
	// Shown is set once the page was loaded without the parameter. The address with the parameter shows it once
	// more.
	Shown bool `json:"shown,omitempty"`
}

// confirm stores text for the page at the address and returns the address at which that page shows it.
func (v *Visit) confirm(address, text string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err //nolint:wrapcheck // the error contains the address
	}
	token := newToken()
	if err := v.keepConfirmation(token, confirmation{Path: u.Path, Text: text}); err != nil {
		return "", err
	}
	query := u.Query()
	query.Set(paramSaid, token)
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// ConfirmAt stores text for the next page at the path, when no other request of the browser can take it.
func (v *Visit) ConfirmAt(path, text string) error {
	return v.keepConfirmation(newToken(), confirmation{Path: path, Text: text})
}

func newToken() string { return strings.ToLower(rand.Text()) }

// Confirmed returns the confirmation that the request asks for, "" for none. A refresh gets none, because the
// server may answer it before the page that follows the action.
func (v *Visit) Confirmed() (string, error) {
	if v.R.Header.Get(headerTrigger) == "page" {
		return "", nil
	}
	prefix, asked := v.CookieName(cookieSaid, "/"), v.R.URL.Query().Get(paramSaid)
	for _, cookie := range v.R.Cookies() {
		token, ours := strings.CutPrefix(cookie.Name, prefix)
		kept, ok := readConfirmation(cookie.Value)
		switch {
		case !ours || !ok:
		case asked != "" && token == asked:
			http.SetCookie(v.W, v.saidCookie(token, "", -1))
			return kept.Text, nil
		case asked == "" && kept.Path == v.R.URL.Path && !kept.Shown:
			kept.Shown = true
			return kept.Text, v.keepConfirmation(token, kept)
		}
	}
	return "", nil
}

// withoutSaid returns the address of the request without the confirmation parameter.
func withoutSaid(r *http.Request) string {
	query := r.URL.Query()
	query.Del(paramSaid)
	return (&url.URL{Path: r.URL.Path, RawQuery: query.Encode()}).RequestURI()
}

func (v *Visit) keepConfirmation(token string, c confirmation) error {
	value, err := json.Marshal(c)
	if err != nil {
		return err //nolint:wrapcheck // strings always have a JSON form
	}
	http.SetCookie(v.W, v.saidCookie(token, base64.RawURLEncoding.EncodeToString(value), int(saidKept.Seconds())))
	return nil
}

func readConfirmation(value string) (c confirmation, ok bool) {
	decoded, err := base64.RawURLEncoding.DecodeString(value)
	return c, err == nil && json.Unmarshal(decoded, &c) == nil
}

func (s *Site) saidCookie(token, value string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // G124: Secure if the pages are reached by https
		Name: s.CookieName(cookieSaid, "/") + token, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.OverTLS(),
	}
}
