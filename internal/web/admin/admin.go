// Package admin serves administration: switches and policies of transfers, agents, queues, plugins, and the audit list.
package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/web/site"
	"github.com/baton-transfers/baton/internal/web/words"
)

// Routes returns the routes of administration.
func Routes() []site.Route {
	page := func(path string, handle func(*site.Visit) error) site.Route {
		return site.Route{Method: http.MethodGet, Path: path, Access: site.Administrators, Handle: handle}
	}
	form := func(path string, handle func(*site.Visit) error) site.Route {
		return site.Route{Method: http.MethodPost, Path: path, Access: site.Administrators, Handle: handle}
	}
	return []site.Route{
		page("/admin", func(v *site.Visit) error { return v.Back("/admin/transfers", "") }),
		page("/admin/transfers", showTransfers),
		form("/admin/transfers", saveTransfers),
		form("/admin/plugins/add", addPlugin),
		form("/admin/plugins/set", setPlugin),
		form("/admin/plugins/remove", removePlugin),
		page("/admin/agents", showAgents),
		form("/admin/agents", addAgent),
		page("/admin/agents/{name}", showAgent),
		form("/admin/agents/{name}", saveAgent),
		form("/admin/agents/{name}/remove", removeAgent),
		form("/admin/agents/{name}/unbind", unbindAgent),
		page("/admin/queues", showQueues),
		form("/admin/queues", addQueue),
		page("/admin/queues/{name}", showQueue),
		form("/admin/queues/{name}", saveQueue),
		form("/admin/queues/{name}/remove", removeQueue),
		page("/admin/audit", showAudit),
	}
}

// acting returns a context that records the signed-in person as the author of a change.
func acting(v *site.Visit) context.Context { return desk.WithActor(v.Ctx, v.Person.Name) }

// edit is a form of administration: its current values, the values from when the page was made, and the reason why
// it was refused. Only fields whose values differ are changed, so that a page that was open for a while does not
// undo changes that another person has made since.
type edit struct {
	fields, was url.Values
	// refused is the reason, about the name of the field that was refused, or "" for the whole form.
	refused, about string
}

// was is the prefix of the hidden fields with the values from when the page was made.
const was = "was."

// filled returns a form with the current values.
func filled(fields url.Values) edit { return edit{fields: fields, was: fields} }

// typed returns the submitted form. Browsers send line breaks as CRLF; typed changes them to LF.
func typed(v *site.Visit) edit {
	e := edit{fields: url.Values{}, was: url.Values{}}
	for name, values := range v.R.PostForm {
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

// Value returns the value of the field.
func (e edit) Value(name string) string { return e.fields.Get(name) }

// Has reports whether the field has the value among its values.
func (e edit) Has(name, value string) bool { return slices.Contains(e.fields[name], value) }

// Refused returns why the form was refused, "" if the reason is about one of the fields apart.
func (e edit) Refused(apart ...string) string {
	if slices.Contains(apart, e.about) {
		return ""
	}
	return e.refused
}

// About returns why the field was refused, "" if it was not.
func (e edit) About(name string) string {
	if e.about != name {
		return ""
	}
	return e.refused
}

// Was returns the hidden fields with the values from when the page was made, sorted.
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

// changed reports whether the field was changed on the page.
func (e edit) changed(name string) bool { return !slices.Equal(e.fields[name], e.was[name]) }

// text returns the value of the field, nil if it was not changed.
func (e edit) text(name string) *string {
	if !e.changed(name) {
		return nil
	}
	return new(strings.TrimSpace(e.Value(name)))
}

// chosen returns the values that were added to and removed from a field with several values.
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

// wrong returns a refusal of a field, for checks before the desk's.
func wrong(field, sentence string) error {
	return conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Field: field}, "%s", sentence)
}

// changedOrNot responds to a form: with a redirect to the address, which shows said, or with the form again, with
// the typed values and the refusal.
func changedOrNot(v *site.Visit, err error, address, said string, again func(status int, e edit) error) error {
	if err == nil {
		return v.Back(address, said)
	}
	status, message, other := v.RefusedBy(err)
	if other != nil {
		return other
	}
	e := typed(v)
	e.about = fieldOf(err)
	e.refused = labeled(message, e.about)
	return again(status, e)
}

// labeled removes the desk's name of the field from the message, because the page labels the field differently.
func labeled(message, field string) string {
	if field == "" || len(message) < len(field) || !strings.EqualFold(message[:len(field)], field) {
		return message
	}
	rest := message[len(field):]
	if after, found := strings.CutPrefix(rest, ": "); found {
		return words.Sentence(after)
	}
	if after, found := strings.CutPrefix(rest, " is "); found {
		return "This is " + after
	}
	return message
}

// fieldOf returns the field that a refusal is about, "" for none.
func fieldOf(err error) string {
	var refusal *conversation.Refusal
	if !errors.As(err, &refusal) {
		return ""
	}
	switch refusal.Code { //nolint:exhaustive // for the other codes, the details name the field
	case conversation.CodePluginConflict:
		return "messaging_transfers"
	case conversation.CodeMessagingTransfersOff:
		return "transfer_notes"
	}
	return refusal.Details.Field
}

// missing turns the refusal of an unknown agent or queue into a "not found" error.
func missing(err error) error {
	switch conversation.CodeOf(err) { //nolint:exhaustive // the other codes are not about the address
	case conversation.CodeUnknownAgent, conversation.CodeUnknownQueue:
		_, message := site.StatusOf(err)
		return site.NotFound(message)
	}
	return err
}
