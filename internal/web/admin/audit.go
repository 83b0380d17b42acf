package admin

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/web/site"
	"github.com/baton-transfers/baton/internal/web/words"
)

// auditPage is the data of the page /admin/audit.
type auditPage struct {
	Kind, Subject, By string
	Found             []desk.AuditEntry
	// Names are the display names of agents and queues.
	Names desk.Names
	// Earlier and Later are the addresses of the previous and next pages in time, "" for none.
	Earlier, Later string
}

// Kinds returns the kinds of entries.
func (auditPage) Kinds() []desk.AuditKind { return desk.AuditKinds() }

// Words describes the change in words.
func (auditPage) Words(e desk.AuditEntry) string {
	_, what, _ := strings.Cut(e.What, ".")
	return strings.ReplaceAll(what, "_", " ")
}

// Who returns the names of the person who made the change: the display name and the name for the filter.
func (p auditPage) Who(e desk.AuditEntry) string { return withUnique(p.Names.Agent(e.By), e.By) }

// Which returns the names of what was changed: the display name and the name for the filter.
func (p auditPage) Which(e desk.AuditEntry) string {
	switch {
	case e.Subject == "":
		return string(e.Kind())
	case e.Kind() == desk.AuditAgent:
		return withUnique(p.Names.Agent(e.Subject), e.Subject)
	case e.Kind() == desk.AuditQueue:
		return withUnique(p.Names.Queue(e.Subject), e.Subject)
	}
	return words.Isolated(e.Subject)
}

// withUnique returns the friendly name, followed by the unique name if that is different.
func withUnique(friendly, name string) string {
	if friendly == name {
		return words.Isolated(name)
	}
	return words.Isolated(friendly) + " (" + name + ")"
}

// About returns the address of what was changed, "" if it has no page.
func (auditPage) About(e desk.AuditEntry) string {
	removed := strings.HasSuffix(e.What, ".removed")
	switch {
	case e.Kind() == desk.AuditAgent && !removed:
		return "/admin/agents/" + url.PathEscape(e.Subject)
	case e.Kind() == desk.AuditQueue && !removed:
		return "/admin/queues/" + url.PathEscape(e.Subject)
	case e.Kind() == desk.AuditSettings, e.Kind() == desk.AuditPlugin:
		return "/admin/transfers"
	}
	return ""
}

// Members reports whether the entry records who left and who joined a queue.
func (auditPage) Members(e desk.AuditEntry) bool { return e.What == "queue.members" }

func showAudit(v *site.Visit) error {
	query := v.R.URL.Query()
	body := auditPage{Kind: query.Get("kind"), Subject: strings.TrimSpace(query.Get("subject")), By: strings.TrimSpace(query.Get("by"))}
	wanted := desk.Page{Limit: site.PerPage, After: cursorAt(query.Get("before"))}
	if wanted.After == nil {
		wanted.Before = cursorAt(query.Get("after"))
	}
	found, err := desk.AuditPage(v.Ctx, v.Desk, desk.AuditFilter{Kind: desk.AuditKind(body.Kind), Subject: body.Subject, By: body.By}, wanted)
	if err != nil {
		return err
	}
	body.Found = found.Entries
	if body.Names, err = desk.ReadNames(v.Ctx, v.Desk); err != nil {
		return err
	}
	if len(found.Entries) > 0 && found.More {
		body.Earlier = auditFrom(query, "before", found.Last)
	}
	if len(found.Entries) > 0 && found.Earlier {
		body.Later = auditFrom(query, "after", found.First)
	}
	return v.Render(http.StatusOK, "admin_audit", site.Page{Title: "Audit list", Section: "admin", Body: body})
}

func cursorAt(position string) *desk.Cursor {
	at, err := strconv.ParseInt(position, 10, 64)
	if err != nil {
		return nil
	}
	return &desk.Cursor{Key: at}
}

func auditFrom(query url.Values, side string, at desk.Cursor) string {
	query.Del("before")
	query.Del("after")
	query.Set(side, strconv.FormatInt(at.Key, 10))
	return "/admin/audit?" + query.Encode()
}
