package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// adminRoutes are the pages of administration.
func (s *Site) adminRoutes() []route {
	page := func(path string, handle func(*visit) error) route {
		return route{method: http.MethodGet, path: path, access: administrators, handle: handle}
	}
	form := func(path string, handle func(*visit) error) route {
		return route{method: http.MethodPost, path: path, access: administrators, handle: handle}
	}
	return []route{
		page("/admin", func(v *visit) error { return v.back("/admin/transfers", "") }),
		page("/admin/transfers", (*visit).showTransfers),
		form("/admin/transfers", (*visit).saveTransfers),
		form("/admin/plugins/add", (*visit).addPlugin),
		form("/admin/plugins/set", (*visit).setPlugin),
		form("/admin/plugins/remove", (*visit).removePlugin),
		page("/admin/agents", (*visit).showAgents),
		form("/admin/agents", (*visit).addAgent),
		page("/admin/agents/{name}", (*visit).showAgent),
		form("/admin/agents/{name}", (*visit).saveAgent),
		form("/admin/agents/{name}/remove", (*visit).removeAgent),
		form("/admin/agents/{name}/unbind", (*visit).unbindAgent),
		page("/admin/queues", (*visit).showQueues),
		form("/admin/queues", (*visit).addQueue),
		page("/admin/queues/{name}", (*visit).showQueue),
		form("/admin/queues/{name}", (*visit).saveQueue),
		form("/admin/queues/{name}/remove", (*visit).removeQueue),
		page("/admin/audit", (*visit).showAudit),
	}
}

// acting is the context of a change: it is on record as made by who is signed in.
func (v *visit) acting() context.Context { return desk.WithActor(v.ctx, v.person.Name) }

// edit is a form of administration: what its fields hold, what they held when the page was made, and why
// it was refused. Only what differs between the two is changed: a page that was open for a while takes
// back nothing that somebody else has done meanwhile.
type edit struct {
	fields, was url.Values
	// refused is the sentence, about one field of the form or all of it.
	refused, about string
}

// was begins the names of the hidden fields with what the page was made with.
const was = "was."

// filled is a form with the values as they are.
func filled(fields url.Values) edit { return edit{fields: fields, was: fields} }

// typed is the form as it came. Browsers end lines with CR LF.
func (v *visit) typed() edit {
	e := edit{fields: url.Values{}, was: url.Values{}}
	for name, values := range v.r.PostForm {
		into := e.fields
		if before, found := strings.CutPrefix(name, was); found {
			name, into = before, e.was
		}
		for _, value := range values {
			into.Add(name, strings.ReplaceAll(value, "\r\n", "\n"))
		}
	}
	return e
}

// Value is what the field holds.
func (e edit) Value(name string) string { return e.fields.Get(name) }

// Has tells whether the value is one that the field holds.
func (e edit) Has(name, value string) bool { return slices.Contains(e.fields[name], value) }

// Refused is why the form was refused, where that is about none of these fields.
func (e edit) Refused(apart ...string) string {
	if slices.Contains(apart, e.about) {
		return ""
	}
	return e.refused
}

// About is what was refused of the field.
func (e edit) About(name string) string {
	if e.about != name {
		return ""
	}
	return e.refused
}

// Was are the hidden fields with what the page is made with.
func (e edit) Was() []struct{ Name, Value string } {
	var hidden []struct{ Name, Value string }
	for name, values := range e.was {
		for _, value := range values {
			hidden = append(hidden, struct{ Name, Value string }{was + name, value})
		}
	}
	slices.SortFunc(hidden, func(a, b struct{ Name, Value string }) int { return strings.Compare(a.Name+a.Value, b.Name+b.Value) })
	return hidden
}

// changed tells whether the field was changed on the page.
func (e edit) changed(name string) bool { return !slices.Equal(e.fields[name], e.was[name]) }

// text returns the field, nil where it wasn't changed.
func (e edit) text(name string) *string {
	if !e.changed(name) {
		return nil
	}
	return new(strings.TrimSpace(e.Value(name)))
}

// chosen returns what was added to and taken from the choices of a field.
func (e edit) chosen(name string) (added, taken []string) {
	for _, value := range e.fields[name] {
		if !slices.Contains(e.was[name], value) {
			added = append(added, value)
		}
	}
	for _, value := range e.was[name] {
		if !slices.Contains(e.fields[name], value) {
			taken = append(taken, value)
		}
	}
	return added, taken
}

// wrong refuses a field before the desk does.
func wrong(field, sentence string) error {
	return conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Field: field}, "%s", sentence)
}

// changedOrNot answers a form: with the page at that address, which says what was done, or with the form
// again, everything typed kept and the refusal beside it.
func (v *visit) changedOrNot(err error, address, said string, again func(status int, e edit) error) error {
	if err == nil {
		return v.back(address, said)
	}
	status, message, other := v.refusedBy(err)
	if other != nil {
		return other
	}
	e := v.typed()
	e.about = fieldOf(err)
	e.refused = labelled(message, e.about)
	return again(status, e)
}

// labelled leaves out the desk's name of the field, which is labelled otherwise.
func labelled(message, field string) string {
	if field == "" || len(message) < len(field) || !strings.EqualFold(message[:len(field)], field) {
		return message
	}
	rest := message[len(field):]
	if after, found := strings.CutPrefix(rest, ": "); found {
		return sentence(after)
	}
	if after, found := strings.CutPrefix(rest, " is "); found {
		return "This is " + after
	}
	return message
}

// fieldOf is the field that a refusal is about.
func fieldOf(err error) string {
	var refusal *conversation.Refusal
	if !errors.As(err, &refusal) {
		return ""
	}
	switch refusal.Code { //nolint:exhaustive // the others are about what their details say
	case conversation.CodePluginConflict:
		return "messaging_transfers"
	case conversation.CodeMessagingTransfersOff:
		return "transfer_notes"
	}
	return refusal.Details.Field
}

// missing turns the refusal of a name that is nobody's into a page that isn't there.
func missing(err error) error {
	switch conversation.CodeOf(err) { //nolint:exhaustive // others are no matter of an address
	case conversation.CodeUnknownAgent, conversation.CodeUnknownQueue:
		_, message := statusOf(err)
		return notFound(message)
	}
	return err
}
