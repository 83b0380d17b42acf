package web_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/web/identity/identitytest"
)

// environment holds the pages and a browser in which the demo's carol has signed in as administrator.
type environment struct {
	*pages

	browser identitytest.Browser
}

func newEnvironment(t *testing.T) *environment {
	t.Helper()
	p := servePages(t, demo)
	return &environment{p, p.signedIn(url.Values{"administrator": {"carol"}})}
}

// at opens a page and requires status 200.
func (o *environment) at(path string) identitytest.Page {
	o.t.Helper()
	page := o.open(o.browser, path)
	require.Equal(o.t, http.StatusOK, page.Status, path)
	return page
}

// submit sends a form of a page as a browser does. change replaces fields; a field without values is not sent.
func (o *environment) submit(page identitytest.Page, action string, change url.Values) identitytest.Page {
	o.t.Helper()
	form := formOf(o.t, page.Body, action)
	maps.Copy(form, change)
	return o.send(o.browser, action, form)
}

// does opens the page, submits the form, and requires that it is carried out.
func (o *environment) does(path, action string, change url.Values) identitytest.Page {
	o.t.Helper()
	page := o.submit(o.at(path), action, change)
	require.Equal(o.t, http.StatusOK, page.Status, page.Body)
	require.Contains(o.t, page.Body, `class="done"`)
	return page
}

// formOf returns what a browser sends for the form with the action.
func formOf(t *testing.T, body, action string) url.Values {
	t.Helper()
	root, err := html.Parse(strings.NewReader(body))
	require.NoError(t, err)
	values, found := url.Values{}, false
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "form" && attribute(n, "action") == action && attribute(n, "method") == "post" {
			require.False(t, found, "two forms %s", action)
			found = true
			collect(n, values)
		}
	}
	require.True(t, found, "no form %s", action)
	return values
}

func collect(form *html.Node, into url.Values) {
	for n := range form.Descendants() {
		name := attribute(n, "name")
		if n.Type != html.ElementNode || name == "" || has(n, "disabled") {
			continue
		}
		switch n.Data {
		case "input":
			if kind := attribute(n, "type"); (kind == "checkbox" || kind == "radio") && !has(n, "checked") {
				continue
			}
			into.Add(name, attribute(n, "value"))
		case "textarea":
			into.Add(name, strings.ReplaceAll(textOf(n), "\n", "\r\n"))
		case "select":
			into.Add(name, chosenOf(n))
		}
	}
}

func chosenOf(list *html.Node) string {
	chosen, first := "", true
	for n := range list.Descendants() {
		if n.Data != "option" || (!first && !has(n, "selected")) {
			continue
		}
		chosen, first = attribute(n, "value"), false
		if !has(n, "value") {
			chosen = textOf(n)
		}
	}
	return chosen
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

func textOf(n *html.Node) string {
	var text strings.Builder
	for part := range n.Descendants() {
		if part.Type == html.TextNode {
			text.WriteString(part.Data)
		}
	}
	return text.String()
}

// alerts returns the refusals that the page shows.
func alerts(t *testing.T, body string) (sentences []string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(body))
	require.NoError(t, err)
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && attribute(n, "role") == "alert" {
			sentences = append(sentences, strings.TrimSpace(textOf(n)))
		}
	}
	return sentences
}

func (o *environment) settings() conversation.Settings {
	o.t.Helper()
	settings, err := desk.ReadSettings(o.t.Context(), o.desk)
	require.NoError(o.t, err)
	return settings
}

func (o *environment) agent(name string) people.Agent {
	o.t.Helper()
	agent, err := people.FindAgent(o.t.Context(), o.desk, name)
	require.NoError(o.t, err)
	return agent
}

func (o *environment) queue(name string) people.Queue {
	o.t.Helper()
	queues, err := people.ListQueues(o.t.Context(), o.desk)
	require.NoError(o.t, err)
	at := slices.IndexFunc(queues, func(q people.Queue) bool { return q.Name == name })
	require.GreaterOrEqual(o.t, at, 0)
	return queues[at]
}

// audited returns the newest entries of the audit list, oldest first.
func (o *environment) audited(count int) (entries []string) {
	o.t.Helper()
	found, err := desk.AuditPage(o.t.Context(), o.desk, desk.AuditFilter{}, desk.Page{Limit: count})
	require.NoError(o.t, err)
	for _, e := range slices.Backward(found.Entries) {
		entries = append(entries, fmt.Sprintf("%s: %s %s: %s → %s", e.By, e.What, e.Subject, e.Before, e.After))
	}
	return entries
}

const transfers = "/admin/transfers"

func TestAdministrationIsForAdministrators(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	for _, person := range []string{"alice", "carol"} {
		b := p.signedIn(url.Values{"agent": {person}})
		for _, path := range []string{"/admin", transfers, "/admin/agents", "/admin/agents/alice", "/admin/queues", "/admin/queues/support", "/admin/audit"} {
			page := p.open(b, path)
			require.Equal(t, http.StatusForbidden, page.Status, path)
			require.Equal(t, []string{"This page is not for your role: ask an administrator to give you another one."}, alerts(t, page.Body))
		}
		require.Equal(t, http.StatusForbidden, p.send(b, transfers, url.Values{"messaging_transfers": {"on"}}).Status)
		require.Equal(t, http.StatusForbidden, p.send(b, "/admin/agents/"+person, url.Values{"role": {"admin"}}).Status)
	}
	agent, err := people.FindAgent(t.Context(), p.desk, "alice")
	require.NoError(t, err)
	require.Equal(t, desk.RoleAgent, agent.Role)
}

func TestSwitches(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	page := o.at("/admin")
	require.Equal(t, transfers, page.URL.Path)
	require.NotContains(t, formOf(t, page.Body, transfers), "messaging_transfers")
	require.Regexp(t, `name="transfer_notes" value="on" disabled data-needs="messaging_transfers"`, page.Body, "notes need transfers")

	page = o.does(transfers, transfers, url.Values{"messaging_transfers": {"on"}})
	require.True(t, o.settings().MessagingTransfers)
	require.False(t, o.settings().TransferNotes)
	require.NotRegexp(t, `name="transfer_notes" value="on" disabled`, page.Body)
	o.does(transfers, transfers, url.Values{"transfer_notes": {"on"}})
	require.True(t, o.settings().TransferNotes)
	require.Equal(t, []string{"carol: settings.messaging_transfers : off → on", "carol: settings.transfer_notes : off → on"}, o.audited(2))

	o.does(transfers, transfers, url.Values{"messaging_transfers": nil})
	require.False(t, o.settings().MessagingTransfers)
	require.False(t, o.settings().TransferNotes, "notes go off with transfers")
	o.does(transfers, transfers, url.Values{"messaging_transfers": {"on"}, "transfer_notes": {"on"}})
	require.True(t, o.settings().TransferNotes, "both at once, as a browser with scripts sends them")

	o.does(transfers, transfers, url.Values{"messaging_transfers": nil, "transfer_notes": nil})
	page = o.submit(o.at(transfers), transfers, url.Values{"transfer_notes": {"on"}, "reservation_timeout": {"7"}})
	require.Equal(t, http.StatusConflict, page.Status)
	require.Equal(t, []string{"Notes on transfers need messaging transfers: turn messaging transfers on first."}, alerts(t, page.Body))
	require.Equal(t, "7", formOf(t, page.Body, transfers).Get("reservation_timeout"), "what was typed is kept")
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	form := formOf(t, o.at(transfers).Body, transfers)
	require.Equal(t, "2 minutes, 24 hours, 0 seconds, 60 seconds", strings.Join([]string{
		form.Get("reservation_timeout") + " " + form.Get("reservation_timeout.unit"), form.Get("task_timeout") + " " + form.Get("task_timeout.unit"),
		form.Get("wrapup_timeout") + " " + form.Get("wrapup_timeout.unit"), form.Get("reoffer_after") + " " + form.Get("reoffer_after.unit"),
	}, ", "))
	require.Equal(t, "on", form.Get("timeout_activity"))

	o.does(transfers, transfers, url.Values{
		"reservation_timeout": {" 45 "}, "reservation_timeout.unit": {"seconds"}, "task_timeout": {"2"}, "task_timeout.unit": {"days"},
		"wrapup_timeout": {"5"}, "wrapup_timeout.unit": {"minutes"}, "reoffer_after": {"0"},
		"agent_unavailable": {"wait"}, "unanswered": {"sender"}, "timeout_activity": nil,
	})
	require.Equal(t, conversation.Settings{
		ReservationTimeout: 45, TaskTimeout: 172800, WrapupTimeout: 300, AgentUnavailable: conversation.AgentUnavailableWait, Unanswered: conversation.UnansweredSender,
	}, o.settings())

	for field, test := range map[string]struct{ value, says string }{
		"reservation_timeout": {"0", "This is 0 seconds: choose 1 second to 1 day."},
		"task_timeout":        {"20", "This is 20 days: choose 1 second to 14 days."},
		"wrapup_timeout":      {"soon", "This takes a whole number, and the unit beside it."},
		"reoffer_after":       {"99999999999", "This takes a whole number, and the unit beside it."},
	} {
		page := o.submit(o.at(transfers), transfers, url.Values{field: {test.value}, "messaging_transfers": {"on"}})
		require.Equal(t, http.StatusUnprocessableEntity, page.Status, field)
		require.Equal(t, []string{test.says}, alerts(t, page.Body))
		require.Contains(t, page.Body, `id="`+field+`-refused"`, "at the field")
		form := formOf(t, page.Body, transfers)
		require.Equal(t, test.value, form.Get(field))
		require.Equal(t, "on", form.Get("messaging_transfers"), "what was typed is kept")
		require.False(t, o.settings().MessagingTransfers, "nothing was changed")
	}
}

// TestStalePage: a form of a stale page does not undo changes made since.
func TestStalePage(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	stale, staleAgent, staleQueue := o.at(transfers), o.at("/admin/agents/alice"), o.at("/admin/queues/support")
	o.does(transfers, transfers, url.Values{"messaging_transfers": {"on"}, "reoffer_after": {"5"}})
	o.does("/admin/agents/alice", "/admin/agents/alice", url.Values{"queue": {"billing"}, "skills": {"refunds"}})
	o.does("/admin/queues/support", "/admin/queues/support", url.Values{"agent": {"bob"}, "friendly_name": {"Help"}})

	page := o.submit(stale, transfers, url.Values{"wrapup_timeout": {"30"}})
	require.Contains(t, page.Body, "Saved.")
	require.Equal(t, []any{true, 5, 30}, []any{o.settings().MessagingTransfers, o.settings().ReofferAfter, o.settings().WrapupTimeout})
	o.submit(staleAgent, "/admin/agents/alice", url.Values{"capacity.web": {"9"}})
	require.Equal(t, []string{"billing"}, o.agent("alice").Queues)
	require.JSONEq(t, `{"skills":["refunds"]}`, string(o.agent("alice").Attributes))
	require.Equal(t, 9, o.agent("alice").Channels[0].Capacity)
	o.submit(staleQueue, "/admin/queues/support", url.Values{"agent": {"alice", "carol"}})
	require.Equal(t, "Help", o.queue("support").FriendlyName)
	require.Equal(t, []string{"bob", "carol"}, o.queue("support").Members, "carol was marked; that alice was is older")
}

// TestStaleAttributes: a form changes only the attributes that were changed on the page.
func TestStaleAttributes(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	const one = "/admin/agents/alice"
	o.does(one, one, url.Values{"json": {`{"level":1,"site":"Bern","skills":["refunds"]}`}})
	stale := o.at(one)
	o.does(one, one, url.Values{"json": {`{"level":2,"language":"de","skills":["refunds"]}`}})
	page := o.submit(stale, one, url.Values{"skills": {"refunds, billing"}})
	require.Contains(t, page.Body, "Saved.")
	require.JSONEq(t, `{"level":2,"language":"de","skills":["refunds","billing"]}`, string(o.agent("alice").Attributes))
	require.Equal(t, `carol: agent.attributes alice: {"level":2,"language":"de","skills":["refunds"]} → {"language":"de","level":2,"skills":["refunds","billing"]}`, o.audited(1)[0])

	o.submit(stale, one, url.Values{"json": {`{"level":1,"shift":"late"}`}})
	require.JSONEq(t, `{"level":2,"language":"de","shift":"late"}`, string(o.agent("alice").Attributes), "site is gone already, and skills go")
	page = o.submit(stale, one, url.Values{"json": {`{"level":`}})
	require.Equal(t, []string{`Attributes are a JSON object, as in {"skills":["billing"]}.`}, alerts(t, page.Body))
	page = o.submit(stale, one, url.Values{"skills": {strings.Repeat("x", 100_000)}})
	require.Equal(t, http.StatusUnprocessableEntity, page.Status)
	require.JSONEq(t, `{"level":2,"language":"de","shift":"late"}`, string(o.agent("alice").Attributes), "nothing was changed")
}

func TestPlugins(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	const name = `plugin-conversation-transfer <b>"x"</b>`
	page := o.does(transfers, "/admin/plugins/add", url.Values{"name": {name}, "version": {"1.2"}})
	plugins, err := desk.ListPlugins(t.Context(), o.desk)
	require.NoError(t, err)
	require.Equal(t, []desk.Plugin{{Name: name, Version: "1.2", Enabled: true, ConversationTransfer: true}}, plugins)
	require.NotContains(t, page.Body, "<b>\"x\"</b>")
	require.Contains(t, page.Body, "can’t be turned on: the plugin")
	require.Regexp(t, `name="messaging_transfers" value="on" disabled`, page.Body, "the switch is blocked")

	page = o.submit(page, transfers, url.Values{"messaging_transfers": {"on"}, "wrapup_timeout": {"12"}})
	require.Equal(t, http.StatusConflict, page.Status)
	require.Len(t, alerts(t, page.Body), 1)
	require.Contains(t, alerts(t, page.Body)[0], "The plugin "+name+" transfers conversations itself: disable or remove it")
	require.Equal(t, "12", formOf(t, page.Body, transfers).Get("wrapup_timeout"))
	require.False(t, o.settings().MessagingTransfers)

	page = o.does(transfers, "/admin/plugins/set", nil)
	require.Contains(t, page.Body, "Disabled plugin-conversation-transfer")
	page = o.does(transfers, transfers, url.Values{"messaging_transfers": {"on"}})
	require.NotContains(t, page.Body, "Transfers are refused now")
	page = o.does(transfers, "/admin/plugins/set", nil)
	require.Contains(t, alerts(t, page.Body)[0], "Transfers are refused now: the plugin")
	require.Regexp(t, `name="messaging_transfers" value="on" checked aria`, page.Body, "they can still be turned off")
	o.does(transfers, "/admin/plugins/remove", nil)
	require.Equal(t, "carol: plugin.removed "+name+": enabled, version 1.2, transfers conversations → ", o.audited(1)[0])

	o.does(transfers, "/admin/plugins/add", url.Values{"name": {"theme"}})
	for says, form := range map[string]url.Values{
		"There is a plugin of that name already: change it in the list, or choose another name.": {"name": {"theme"}, "version": {"2"}},
		"A plugin has a name, and name and version have at most 255 characters.":                 {"name": {" "}, "version": {"2"}},
	} {
		page = o.submit(o.at(transfers), "/admin/plugins/add", form)
		require.Equal(t, http.StatusUnprocessableEntity, page.Status)
		require.Equal(t, []string{says}, alerts(t, page.Body))
		require.Equal(t, "2", formOf(t, page.Body, "/admin/plugins/add").Get("version"))
	}
	page = o.send(o.browser, "/admin/plugins/set", url.Values{"name": {"gone"}, "enabled": {"on"}})
	require.Equal(t, http.StatusUnprocessableEntity, page.Status)
	require.Equal(t, []string{"There is no plugin of that name any more."}, alerts(t, page.Body))
}

func TestAdministerAgents(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	page := o.does("/admin/agents", "/admin/agents", url.Values{
		"name": {"dora"}, "friendly_name": {"Dora D."}, "role": {"supervisor"}, "capacity": {"2"}, "skills": {"billing, refunds,billing"},
	})
	require.Equal(t, "/admin/agents/dora", page.URL.Path)
	dora := o.agent("dora")
	require.Equal(t, []any{"Dora D.", desk.RoleSupervisor, 2, `{"skills":["billing","refunds"]}`},
		[]any{dora.FriendlyName, dora.Role, dora.Channels[0].Capacity, string(dora.Attributes)})

	for says, form := range map[string]url.Values{
		`There is an agent named "dora" already: choose another name.`:                                                                 {"name": {"dora"}},
		`"Élan" can't be the agent's name: use 1 to 64 lower-case letters, digits, '.', '_' or '-', beginning with a letter or digit.`: {"name": {"Élan"}},
		"A capacity is a whole number of conversations at a time, 0 for none.":                                                         {"name": {"eve"}, "capacity": {"many"}},
		"A capacity of 5000 is not possible: choose 0 to 1000.":                                                                        {"name": {"eve"}, "capacity": {"5000"}},
	} {
		form.Set("friendly_name", "kept <i>")
		page = o.submit(o.at("/admin/agents"), "/admin/agents", form)
		require.Equal(t, http.StatusUnprocessableEntity, page.Status)
		require.Equal(t, []string{says}, alerts(t, page.Body))
		kept := formOf(t, page.Body, "/admin/agents")
		require.Equal(t, []string{form.Get("name"), "kept <i>"}, []string{kept.Get("name"), kept.Get("friendly_name")})
	}

	const one = "/admin/agents/dora"
	o.does(one, one, url.Values{
		"role": {"admin"}, "capacity.web": {"5"}, "capacity.sms": {"0"}, "queue": {"support", "billing"},
		"json": {"{\r\n  \"level\": 12345678901234567890, \"skills\": [\"x\"]\r\n}"},
	})
	dora = o.agent("dora")
	require.Equal(t, `{"level":12345678901234567890,"skills":["x"]}`, string(dora.Attributes)) //nolint:testifylint // exact digits
	require.Equal(t, []string{"billing", "support"}, dora.Queues)
	require.ElementsMatch(t, []string{
		"carol: agent.role dora: supervisor → admin", `carol: agent.attributes dora: {"skills":["billing","refunds"]} → {"level":12345678901234567890,"skills":["x"]}`,
		"carol: agent.capacity dora: web 2 → web 5", "carol: agent.capacity dora: sms 2 → sms 0",
		"carol: queue.members support:  → dora", "carol: queue.members billing:  → dora",
	}, o.audited(6))
	o.does(one, one, url.Values{"skills": {"refunds & <more>"}, "queue": {"support"}})
	require.Equal(t, `{"level":12345678901234567890,"skills":["refunds & <more>"]}`, string(o.agent("dora").Attributes), "the rest stays") //nolint:testifylint // exact digits
	require.Equal(t, []string{"support"}, o.agent("dora").Queues)
	o.does(one, one, url.Values{"skills": {""}})
	require.Equal(t, `{"level":12345678901234567890}`, string(o.agent("dora").Attributes))
	known := len(o.audited(desk.MaxPage))
	o.does(one, one, nil)
	require.Len(t, o.audited(desk.MaxPage), known, "nothing was changed")

	for says, form := range map[string]url.Values{
		`Attributes are a JSON object, as in {"skills":["billing"]}.`:          {"json": {`{"level":`}},
		"A capacity is a whole number of conversations at a time, 0 for none.": {"capacity.chat": {"x"}},
		"A capacity of -1 is not possible: choose 0 to 1000.":                  {"capacity.chat": {"-1"}},
		"Dora D. is the only administrator: make another agent one first.":     {"role": {"agent"}},
		"The agent's name has 1 to 255 characters of text.":                    {"friendly_name": {" "}},
	} {
		form["queue"] = []string{"billing"}
		page = o.submit(o.at(one), one, form)
		require.Equal(t, http.StatusUnprocessableEntity, page.Status, says)
		require.Equal(t, []string{says}, alerts(t, page.Body))
		kept := formOf(t, page.Body, one)
		for field, values := range form {
			require.Equal(t, values, kept[field], "what was typed is kept")
		}
		require.Equal(t, []string{"support"}, o.agent("dora").Queues, "nothing was changed")
	}

	page = o.submit(o.at(one), one+"/remove", nil)
	require.Equal(t, http.StatusUnprocessableEntity, page.Status)
	require.Equal(t, []string{"Dora D. is the only administrator: make another agent one first."}, alerts(t, page.Body))
	require.Equal(t, "/admin/agents", o.does("/admin/agents/bob", "/admin/agents/bob/remove", nil).URL.Path)
	require.Equal(t, http.StatusNotFound, o.open(o.browser, "/admin/agents/bob").Status)
	require.Equal(t, http.StatusNotFound, o.send(o.browser, "/admin/agents/bob", url.Values{"friendly_name": {"B"}}).Status)
}

func TestAdministerQueues(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	o.does("/admin/agents/bob", "/admin/agents/bob", url.Values{"skills": {"refunds"}})
	page := o.submit(o.at("/admin/queues"), "/admin/queues", url.Values{"name": {"refunds"}, "friendly_name": {"Refunds"}, "target_workers": {`skills HAS "refunds`}})
	require.Equal(t, http.StatusUnprocessableEntity, page.Status)
	require.Len(t, alerts(t, page.Body), 1)
	require.Regexp(t, `^At character \d+`, alerts(t, page.Body)[0])
	require.Equal(t, url.Values{"name": {"refunds"}, "friendly_name": {"Refunds"}, "target_workers": {`skills HAS "refunds`}},
		formOf(t, page.Body, "/admin/queues"), "the text is kept")
	page = o.submit(page, "/admin/queues", url.Values{"target_workers": {`skills HAS "refunds"`}})
	require.Equal(t, "/admin/queues/refunds", page.URL.Path)
	require.Equal(t, []string{"bob"}, o.queue("refunds").Members)

	const one = "/admin/queues/refunds"
	require.Contains(t, o.at("/admin/agents/bob").Body, "on it, by its expression <code>skills HAS &#34;refunds&#34;</code>")
	page = o.submit(o.at(one), one, url.Values{"target_workers": {"skills HAS"}, "friendly_name": {"Money back"}})
	require.Equal(t, http.StatusUnprocessableEntity, page.Status)
	require.Regexp(t, `^At character \d+`, alerts(t, page.Body)[0])
	require.Contains(t, page.Body, `id="target_workers-refused"`)
	kept := formOf(t, page.Body, one)
	require.Equal(t, []string{"skills HAS", "Money back"}, []string{kept.Get("target_workers"), kept.Get("friendly_name")})
	require.Equal(t, "Refunds", o.queue("refunds").FriendlyName, "nothing was changed")
	page = o.submit(o.at(one), one, url.Values{"target_workers": {" "}})
	require.Equal(t, []string{"Write the expression, or choose the members."}, alerts(t, page.Body))

	o.does(one, one, url.Values{"target_workers": {`name IN ["alice", "carol"]`}})
	require.Equal(t, []string{"alice", "carol"}, o.queue("refunds").Members)
	o.does(one, one, url.Values{"members": {"hand"}, "agent": {"alice", "bob"}})
	require.Equal(t, []string{"alice", "bob"}, o.queue("refunds").Members)
	require.Empty(t, o.queue("refunds").TargetWorkers)
	o.does(one, one, url.Values{"members": {"expression"}, "target_workers": {`skills HAS "refunds"`}})
	require.Equal(t, []string{"bob"}, o.queue("refunds").Members)

	require.Equal(t, "/admin/queues", o.does(one, one+"/remove", nil).URL.Path)
	require.Equal(t, http.StatusNotFound, o.open(o.browser, one).Status)
	page = o.submit(o.at("/admin/queues"), "/admin/queues", url.Values{"name": {"support"}})
	require.Equal(t, []string{`There is a queue named "support" already: choose another name.`}, alerts(t, page.Body))
}

func TestAuditPage(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	o.does("/admin/agents/alice", "/admin/agents/alice", url.Values{"friendly_name": {"<script>alert(1)</script>"}})
	o.does("/admin/queues/support", "/admin/queues/support", url.Values{"agent": {"bob"}})
	for i := range 60 {
		_, err := desk.SetSettings(t.Context(), o.desk, "dave", func(s *conversation.Settings) { s.ReofferAfter = 100 + i })
		require.NoError(t, err)
	}
	page := o.at("/admin/audit")
	require.Contains(t, page.Body, "158 s</td><td class=\"value\">159 s</td>")
	require.NotContains(t, page.Body, "bob joined")
	require.NotContains(t, page.Body, ">Newer</a>")
	older := addressOf(t, page.Body, "Older")
	page = o.at(older)
	require.Contains(t, page.Body, "bob joined")
	require.Contains(t, page.Body, "alice left")
	require.Contains(t, page.Body, "&lt;script&gt;alert(1)&lt;/script&gt;")
	require.NotContains(t, page.Body, "<script>alert")
	require.NotContains(t, page.Body, ">Older</a>")
	page = o.at(addressOf(t, page.Body, "Newer"))
	require.Contains(t, page.Body, "159 s")

	page = o.at("/admin/audit?kind=agent&subject=alice")
	require.Equal(t, 2, strings.Count(page.Body, "<tr id=\"change-"), "added, and renamed")
	require.Contains(t, page.Body, `<option value="agent" selected>`)
	require.Equal(t, 2, strings.Count(o.at("/admin/audit?by=carol").Body, "<tr id=\"change-"))
	require.Contains(t, o.at("/admin/audit?subject=nobody").Body, "Nothing was changed.")
}

// addressOf returns the address of the link with the text.
func addressOf(t *testing.T, body, text string) string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(body))
	require.NoError(t, err)
	for n := range root.Descendants() {
		if n.Data == "a" && textOf(n) == text {
			return attribute(n, "href")
		}
	}
	require.Fail(t, "no link "+text)
	return ""
}
