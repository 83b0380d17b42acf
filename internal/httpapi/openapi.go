package httpapi

import (
	_ "embed"
	"net/http"
)

// document is the OpenAPI description of the API. `make generate` writes it from the routes.
//
//go:embed openapi.json
var document []byte

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	asData(w.Header())
	w.Header().Set("Content-Disposition", `attachment; filename="openapi.json"`)
	_, _ = w.Write(document) // the client may have disconnected
}
