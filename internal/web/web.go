package web

import (
	"slices"

	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/web/admin"
	"github.com/baton-transfers/baton/internal/web/agentdesk"
	"github.com/baton-transfers/baton/internal/web/chat"
	"github.com/baton-transfers/baton/internal/web/conversations"
	"github.com/baton-transfers/baton/internal/web/figures"
	"github.com/baton-transfers/baton/internal/web/signin"
	"github.com/baton-transfers/baton/internal/web/site"
)

// New returns the pages of an open desk. Pages learn of changes only while [site.Site.Run] runs. The zero limits of the
// options mean the default ones.
func New(d *desk.Desk, sender *commands.Sender, options site.Options) *site.Site {
	limits := options.Limits.Or(site.DefaultLimits())
	return site.New(d, sender, options, slices.Concat(
		signin.Routes(limits), agentdesk.Routes(), chat.Routes(limits), conversations.Routes(), admin.Routes(), figures.Routes()))
}
