// Package codecserver answers the Temporal Web UI and CLI, which decode and encode payloads over HTTP.
//
// Must not import: other packages of Baton than codec.
package codecserver

import (
	"net/http"
	"slices"

	"go.temporal.io/sdk/converter"

	"github.com/baton-transfers/baton/codec"
)

// Path is the path of a codec server: it answers POST to Path + "decode" and Path + "encode".
const Path = "/codec/"

// maxBody is the maximum size of a request in bytes: a few payloads of Temporal's maximum size, in base64.
const maxBody = 8 << 20

// Handler returns the codec server for the Temporal Web UI and CLI, which decodes and encodes payloads with the
// ring. Pages of the given origins, such as https://temporal.example.com, may call it; programs send no origin. The
// guard passes on the requests of callers who may see the decrypted data, and answers all others.
func Handler(ring *codec.KeyRing, origins []string, guard func(http.Handler) http.Handler) http.Handler {
	payloads := guard(converter.NewPayloadCodecHTTPHandler(codec.PayloadCodec(ring)))
	mux := http.NewServeMux()
	for _, path := range []string{Path + "decode", Path + "encode"} {
		mux.Handle("POST "+path, payloads)
		mux.HandleFunc("OPTIONS "+path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Add("Vary", "Origin")
		if origin := r.Header.Get("Origin"); origin != "" {
			if !slices.Contains(origins, origin) {
				http.Error(w, "Pages of this origin may not decode: name it in BATON_CODEC_ORIGINS.", http.StatusForbidden)
				return
			}
			header.Set("Access-Control-Allow-Origin", origin)
			header.Set("Access-Control-Allow-Credentials", "true")
			header.Set("Access-Control-Allow-Methods", "POST")
			header.Set("Access-Control-Allow-Headers", "Content-Type, X-Namespace, Authorization, Authorization-Extras")
			header.Set("Access-Control-Max-Age", "600")
		}
		if r.ContentLength > maxBody {
			http.Error(w, "The request has more than 8 MiB: send fewer payloads.", http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		mux.ServeHTTP(w, r)
	})
}
