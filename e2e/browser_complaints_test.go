package e2e

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/testenv"
)

// The page tests rely on a browser that reports every complaint, and that finds controls as people do. This tests
// both.
func TestBrowserNoticesComplaints(t *testing.T) {
	t.Parallel()
	pages := map[string]string{
		"/console":   `<script src="/console.js"></script>`,
		"/exception": `<script src="/exception.js"></script>`,
		"/inline":    `<script>document.title = "ran"</script>`,
		"/style":     `<p style="color: red">styled</p>`,
		"/asset":     `<script src="/away.js"></script>`,
		"/failing":   ``,
		"/refusing":  `refused`,
		"/well":      `<h1>Well</h1><label>Name <input></label><button disabled>Off</button><button id=b>Send</button><p id=p></p><script src="/well.js"></script>`,
	}
	scripts := map[string]string{
		"/console.js": `console.error("a complaint")`, "/exception.js": `throw new Error("a fault")`,
		"/well.js": `b.onclick = () => { p.textContent = "sent by " + document.querySelector("input").value }`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; img-src data:")
		page, isPage := pages[r.URL.Path]
		script, isScript := scripts[r.URL.Path]
		switch {
		case isScript:
			w.Header().Set("Content-Type", "text/javascript")
		case !isPage:
			http.NotFound(w, r)
			return
		default:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			page = `<!doctype html><html lang="en"><title>a page</title><link rel="icon" href="data:,">` + page
		}
		switch r.URL.Path {
		case "/failing":
			w.WriteHeader(http.StatusInternalServerError)
		case "/refusing":
			w.WriteHeader(http.StatusConflict)
		}
		_, _ = w.Write([]byte(page + script))
	}))
	t.Cleanup(server.Close)
	v := openBrowser(t, "somebody", server.URL)
	complaints := func() string {
		v.mutex.Lock()
		defer v.mutex.Unlock()
		all := strings.Join(v.complaints, "\n")
		v.complaints = nil
		return all
	}

	for path, complaint := range map[string]string{
		"/console": "console: a complaint", "/exception": "exception: Uncaught Error: a fault", "/inline": "kInlineViolation",
		"/style": "style-src", "/asset": "answered 404", "/failing": "answered 500",
	} {
		v.goes(path)
		all := ""
		waitFor(t, testenv.Patience, path+" is complained of", func() bool { all += complaints(); return strings.Contains(all, complaint) })
	}
	v.goes("/refusing")
	v.sees("refused")
	require.Empty(t, complaints())

	v.goes("/well")
	v.seesDisabled("button", "Off")
	v.types("textbox", "Name", "Zoë")
	v.clicks("button", "Send")
	v.seesIn("#p", "sent by Zoë")
	v.seesNowhere("never said")
	v.axe()
	require.Equal(t, "/well", v.at())
	require.NotEmpty(t, v.picture())
	require.Empty(t, complaints())
}
