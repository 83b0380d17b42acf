package httpapi

import (
	_ "embed"
	"net/http"
)

// document describes the API as it is: written by `make generate` from the routes.
//
//go:embed openapi.json
var document []byte

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	asData(w.Header())
	w.Header().Set("Content-Disposition", `attachment; filename="openapi.json"`)
	_, _ = w.Write(document) // whoever asked may be gone
}
