package web_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/web/site"
)

// at requests a page with a Host, from an address, optionally with X-Forwarded-For headers.
func (p *pages) at(host, from, path string, passedOn ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(p.t.Context(), http.MethodGet, path, nil)
	r.Host, r.RemoteAddr = host, from
	for _, address := range passedOn {
		r.Header.Set("X-Forwarded-For", address)
	}
	w := httptest.NewRecorder()
	p.Config.Handler.ServeHTTP(w, r)
	return w
}

const here = "127.0.0.1:50000"

func TestEverybodyOfTheDemoHasAHostOfTheirOwn(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	for _, name := range []string{"alice", "bob", "carol"} {
		page := p.at(name+".localhost:8080", here, "/desk")
		require.Equal(t, http.StatusOK, page.Code)
		require.Contains(t, page.Body.String(), ">"+name+"</span>")
		require.Contains(t, page.Body.String(), `href="http://localhost:8080/sign-in"`, "the link to sign in as another agent")
	}
	require.Equal(t, http.StatusOK, p.at("carol.administrator.localhost:8080", here, "/admin/transfers").Code)
	require.Equal(t, http.StatusForbidden, p.at("carol.localhost:8080", here, "/admin/transfers").Code)
	require.Equal(t, http.StatusForbidden, p.at("alice.administrator.localhost:8080", here, "/admin/transfers").Code, "only a supervisor can be its administrator")

	list := p.at("127.0.0.1:8080", here, "/sign-in?next=/desk").Body.String()
	for _, address := range []string{
		"http://alice.localhost:8080/desk", "http://bob.localhost:8080/desk", "http://carol.localhost:8080/desk", "http://carol.administrator.localhost:8080/desk",
	} {
		require.Contains(t, list, `href="`+address+`"`)
	}
}

func TestAHostIsNobodysElsewhere(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	for name, page := range map[string]*httptest.ResponseRecorder{
		"an agent whom the desk doesn't know": p.at("mallory.localhost", here, "/desk"),
		"a name that ends otherwise":          p.at("alice.localhost.evil.example", here, "/desk"),
		"from another machine":                p.at("alice.localhost", "10.1.2.3:50000", "/desk"),
		"through a proxy":                     p.at("alice.localhost", here, "/desk", "10.1.2.3"),
		"no demo":                             servePages(t, func(string) site.Options { return site.Options{} }).at("alice.localhost", here, "/desk"),
	} {
		require.Equal(t, http.StatusSeeOther, page.Code, name)
		require.Equal(t, "/sign-in?next=%2Fdesk", page.Header().Get("Location"), name)
	}
}
