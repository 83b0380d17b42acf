package serve

import (
	"net/http"

	"github.com/baton-transfers/baton/httpapi"
	"github.com/baton-transfers/baton/internal/codec"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/web"
)

// codecServer is for those who may read every conversation: services and supervisors by their keys, supervisors and
// administrators by being signed in to the pages.
func codecServer(o GatewayOptions, api *httpapi.Server, pages *web.Site) http.Handler {
	security := seclog.New(o.Logger)
	return security.HTTP(decodes(security, codec.Handler(o.Keys, o.CodecOrigins, func(next http.Handler) http.Handler {
		byKey, bySession := api.Staff(next), pages.Supervisors(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				byKey.ServeHTTP(w, r)
				return
			}
			bySession.ServeHTTP(w, r)
		})
	})))
}

// decodes writes to the security log who has read clear text. That a request was refused is logged by its status.
func decodes(security *seclog.Log, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != codec.Path+"decode" {
			next.ServeHTTP(w, r)
			return
		}
		answer := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(answer, r)
		switch {
		case answer.status == http.StatusUnauthorized || answer.status == http.StatusForbidden:
		case answer.status >= http.StatusBadRequest:
			security.Write(r.Context(), seclog.Entry{Event: seclog.Decode, Outcome: seclog.Failed, Reason: http.StatusText(answer.status)})
		default:
			security.Write(r.Context(), seclog.Entry{Event: seclog.Decode})
		}
	})
}

// statusWriter notes the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap is for [http.ResponseController].
func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }
