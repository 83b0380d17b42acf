package httpapi

import (
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
)

// New returns a server of the API that uses the desk and the client for conversations. The caller closes both.
func New(d *desk.Desk, c rest.Conversations, o rest.Options) *rest.Server {
	return rest.New(d, c, Routes(), document, o)
}
