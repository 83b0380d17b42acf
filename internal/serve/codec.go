package serve

import (
	"net/http"

	"github.com/baton-transfers/baton/httpapi"
	"github.com/baton-transfers/baton/internal/codec"
	"github.com/baton-transfers/baton/web"
)

// codecServer is for those who may read every conversation: services and supervisors by their keys, supervisors and
// administrators by being signed in to the pages.
func codecServer(o GatewayOptions, api *httpapi.Server, pages *web.Site) http.Handler {
	return codec.Handler(o.Keys, o.CodecOrigins, func(next http.Handler) http.Handler {
		byKey, bySession := api.Staff(next), pages.Supervisors(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				byKey.ServeHTTP(w, r)
				return
			}
			bySession.ServeHTTP(w, r)
		})
	})
}
