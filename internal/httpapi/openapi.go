package httpapi

import _ "embed"

// document is the OpenAPI description of the API. `make generate` writes it from the routes.
//
//go:embed openapi.json
var document []byte
