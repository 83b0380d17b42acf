package web_test

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/web/identity/identitytest"
)

func TestOnlyThisVersionIsKept(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	b := identitytest.NewBrowser()
	address := regexp.MustCompile(`/assets/[0-9a-f]+/style\.css`).FindString(p.open(b, "/sign-in").Body)
	page := p.open(b, address)
	require.Equal(t, http.StatusOK, page.Status)
	require.Contains(t, page.Header.Get("Cache-Control"), "immutable")
	other := p.open(b, "/assets/0123456789ab/style.css")
	require.Equal(t, http.StatusOK, other.Status)
	require.Equal(t, page.Body, other.Body)
	require.Equal(t, "no-store", other.Header.Get("Cache-Control"))
	require.Empty(t, p.open(b, "/assets/0123456789ab/none.css").Header.Get("Cache-Control"))
}
