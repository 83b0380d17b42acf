package web_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/web/identity/identitytest"
)

// Pages and assets are compressed for clients that accept it, and have the same content for other clients.
func TestPagesAreCompressed(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	style := regexp.MustCompile(`/assets/[0-9a-f]+/style\.css`).FindString(p.open(identitytest.NewBrowser(), "/sign-in").Body)
	fetch := func(path, accepts string) (encoding string, length int, body []byte) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL+path, nil)
		require.NoError(t, err)
		r.Header.Set("Accept-Encoding", accepts) // if it is set, the transport does not decompress
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer func() { require.NoError(t, answer.Body.Close()) }()
		require.Equal(t, http.StatusOK, answer.StatusCode)
		require.Contains(t, answer.Header.Values("Vary"), "Accept-Encoding")
		sent, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.Header.Get("Content-Encoding"), len(sent), sent
	}
	for _, path := range []string{"/sign-in", style} {
		encoding, plain, body := fetch(path, "identity")
		require.Empty(t, encoding, path)
		encoding, length, sent := fetch(path, "gzip")
		require.Equal(t, "gzip", encoding, path)
		require.Less(t, length, plain/2, path)
		reader, err := gzip.NewReader(bytes.NewReader(sent))
		require.NoError(t, err)
		opened, err := io.ReadAll(reader)
		require.NoError(t, err)
		if path == style {
			require.Equal(t, string(body), string(opened))
		}
	}
}
