package httpapi

import (
	"slices"

	"github.com/baton-transfers/baton/internal/httpapi/conversations"
	"github.com/baton-transfers/baton/internal/httpapi/flex"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
)

// Routes returns every call of the API.
func Routes() []rest.Route {
	return slices.Concat(
		flex.Routes(),
		rest.Of(rest.ProductTaskRouter, workspaceRoutes(), workerRoutes(), queueRoutes(), taskRoutes(), reservationRoutes(), eventRoutes(), statisticsRoutes()),
		conversations.Routes(),
	)
}
