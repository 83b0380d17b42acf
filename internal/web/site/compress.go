package site

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzhttp"
)

const (
	// compressedFrom is the minimum size of a compressed page or asset, in bytes.
	compressedFrom = 1024
	// jitter is the maximum number of random bytes added to a compressed response. A page repeats parts of the
	// request and holds the token of its forms, so an exact length would reveal the token (BREACH).
	jitter = 64
)

// compressed compresses pages, styles and scripts for browsers that accept it. It must not wrap a stream.
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
