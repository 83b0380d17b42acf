// Package answer tells which status a handler has written, for logs and metrics.
//
// Must not import: anything of Baton.
package answer

import (
	"cmp"
	"net/http"
)

// Recorder passes an answer on and records its status. It supports [http.ResponseController].
type Recorder struct {
	http.ResponseWriter
	status int
}

// Record returns a recorder in front of w.
func Record(w http.ResponseWriter) *Recorder { return &Recorder{ResponseWriter: w} }

// Status returns the status of the answer. It is 200 while the handler has written none.
func (r *Recorder) Status() int { return cmp.Or(r.status, http.StatusOK) }

// WriteHeader implements [http.ResponseWriter].
func (r *Recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK { // not an interim status, such as 103 Early Hints
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (r *Recorder) Write(body []byte) (int, error) {
	r.status = r.Status()
	return r.ResponseWriter.Write(body) //nolint:wrapcheck // a writer in between
}

// Unwrap supports [http.ResponseController].
func (r *Recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
