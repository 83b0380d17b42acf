package codecserver_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/internal/codecserver"
)

const uiOrigin = "https://temporal.example.com"

func open(next http.Handler) http.Handler { return next }

// ring returns a ring with a new key of that ID.
func ring(t *testing.T, id string) *codec.KeyRing {
	t.Helper()
	key, err := codec.FreshKey(id)
	require.NoError(t, err)
	r, err := codec.ParseKeyRing(key)
	require.NoError(t, err)
	return r
}

func encrypted(t *testing.T, r *codec.KeyRing) *commonpb.Payload {
	t.Helper()
	text := &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: []byte(`"text"`)}
	encoded, err := codec.PayloadCodec(r).Encode([]*commonpb.Payload{text})
	require.NoError(t, err)
	return encoded[0]
}

func TestWhoMayCallTheCodecServer(t *testing.T) {
	t.Parallel()
	r := ring(t, "k")
	closed := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "sign in", http.StatusUnauthorized) })
	}
	body, err := protojson.Marshal(&commonpb.Payloads{Payloads: []*commonpb.Payload{encrypted(t, r)}})
	require.NoError(t, err)
	for _, test := range []struct {
		name, method, path, origin string
		guard                      func(http.Handler) http.Handler
		status                     int
		allowed                    string
	}{
		{"a page of the UI", "POST", "/codec/decode", uiOrigin, open, 200, uiOrigin},
		{"a program", "POST", "/codec/decode", "", open, 200, ""},
		{"a page of another site", "POST", "/codec/decode", "https://evil.example.com", open, 403, ""},
		{"a page of no origin", "POST", "/codec/decode", "null", open, 403, ""},
		{"a page of the same host, on another port", "POST", "/codec/decode", uiOrigin + ":8443", open, 403, ""},
		{"a page that asks first", "OPTIONS", "/codec/decode", uiOrigin, closed, 204, uiOrigin},
		{"a page of another site that asks first", "OPTIONS", "/codec/encode", "https://evil.example.com", open, 403, ""},
		{"a caller whom the guard stops, in words that the page can read", "POST", "/codec/decode", uiOrigin, closed, 401, uiOrigin},
		{"another method", "GET", "/codec/decode", "", open, 405, ""},
		{"another path", "POST", "/codec/", "", open, 404, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			request := httptest.NewRequestWithContext(t.Context(), test.method, test.path, bytes.NewReader(body))
			if test.origin != "" {
				request.Header.Set("Origin", test.origin)
			}
			answer := httptest.NewRecorder()
			codecserver.Handler(r, []string{uiOrigin}, test.guard).ServeHTTP(answer, request)
			require.Equal(t, test.status, answer.Code, answer.Body.String())
			require.Equal(t, test.allowed, answer.Header().Get("Access-Control-Allow-Origin"))
			if test.status != http.StatusOK {
				require.NotContains(t, answer.Body.String(), "payloads")
			}
		})
	}
}

func TestTheCodecServerReadsAndWrites(t *testing.T) {
	t.Parallel()
	r := ring(t, "k")
	call := func(path, body string) (int, string) {
		answer := httptest.NewRecorder()
		codecserver.Handler(r, nil, open).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body)))
		read, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.Code, string(read)
	}
	status, encoded := call("/codec/encode", `{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"InRleHQi"}]}`)
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, encoded, "InRleHQi")
	status, decoded := call("/codec/decode", encoded)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, decoded, "InRleHQi")

	foreign, err := json.Marshal(map[string]any{"payloads": []*commonpb.Payload{encrypted(t, ring(t, "gone"))}})
	require.NoError(t, err)
	status, said := call("/codec/decode", string(foreign))
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, said, `"gone"`)
	status, _ = call("/codec/decode", `{"payloads":`)
	require.Equal(t, http.StatusBadRequest, status)
	status, _ = call("/codec/decode", strings.Repeat(" ", 9<<20))
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
}
