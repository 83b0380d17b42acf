package serve

import (
	"net/http"

	"github.com/baton-transfers/baton/internal/answer"
	"github.com/baton-transfers/baton/internal/codecserver"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/web/site"
)

// codecServer returns the codec server for callers who may read every conversation: services and supervisors with
// an API key, and supervisors and administrators who are signed in to the pages.
func codecServer(o GatewayOptions, api *rest.Server, pages *site.Site) http.Handler {
	security := seclog.New(o.Logger)
	return security.HTTP(decodes(security, codecserver.Handler(o.Keys, o.CodecOrigins, func(next http.Handler) http.Handler {
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

// decodes writes to the security log who has decoded payloads. Refused requests are not logged here: seclog logs
// them by their status.
func decodes(security *seclog.Log, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != codecserver.Path+"decode" {
			next.ServeHTTP(w, r)
			return
		}
		answer := answer.Record(w)
		next.ServeHTTP(answer, r)
		switch status := answer.Status(); {
		case status == http.StatusUnauthorized || status == http.StatusForbidden:
		case status >= http.StatusBadRequest:
			security.Write(r.Context(), seclog.Entry{Event: seclog.Decode, Outcome: seclog.Failed, Reason: http.StatusText(status)})
		default:
			security.Write(r.Context(), seclog.Entry{Event: seclog.Decode})
		}
	})
}
