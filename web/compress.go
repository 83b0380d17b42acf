package web

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzhttp"
)

const (
	// compressedFrom is how long a page or an asset has to be.
	compressedFrom = 1024
	// jitter is by how many bytes at most a compressed answer is longer than it had to be: pages repeat what was asked and hold
	// the token of their forms, and its exact length would tell of that (BREACH).
	jitter = 64
)

// compressed compresses pages, styles and scripts for browsers that take it. A stream is not to be wrapped in it.
func compressed(next http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(
		gzhttp.MinSize(compressedFrom), gzhttp.EnableZstd(false), gzhttp.RandomJitter(jitter, 0, false),
		gzhttp.ContentTypeFilter(func(contentType string) bool {
			kind, _, _ := strings.Cut(contentType, ";")
			switch kind {
			case "text/html", "text/css", "text/javascript", "image/svg+xml":
				return true
			}
			return false
		}))
	if err != nil {
		panic(fmt.Sprintf("answers can't be compressed: %v", err)) // the options are constants
	}
	return wrap(next)
}
