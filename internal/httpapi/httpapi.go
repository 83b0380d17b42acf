package httpapi

import (
	_ "embed"
	"slices"

	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/httpapi/conversations"
	"github.com/baton-transfers/baton/internal/httpapi/flex"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/httpapi/taskrouter"
)

// document is the OpenAPI description of the API. `make generate` writes it from the routes.
//
//go:embed openapi.json
var document []byte

// New returns a server of the API that uses the desk and the client for conversations. The caller closes both.
func New(d *desk.Desk, c *commands.Sender, o rest.Options) *rest.Server {
	return rest.New(d, c, Routes(), document, o)
}

// Routes returns every call of the API.
func Routes() []rest.Route {
	return slices.Concat(flex.Routes(), taskrouter.Routes(), conversations.Routes())
}
