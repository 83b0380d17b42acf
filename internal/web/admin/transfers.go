package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/web/site"
	"github.com/baton-transfers/baton/internal/web/words"
)

// transfersPage is the data of the page /admin/transfers.
type transfersPage struct {
	// Settings is the form of the switches and policies, Plugin the form that adds a plugin.
	Settings, Plugin edit
	Plugins          []desk.Plugin
	// PluginRefused is why a plugin of the list could not be changed.
	PluginRefused string
	// On is set while transfers are on. Conflict is the name of the plugin that prevents transfers, and prevents
	// turning them on; "" for none.
	On       bool
	Conflict string
}

// The value of a switch's field while the switch is on.
const on = "on"

func showTransfers(v *site.Visit) error { return respondTransfers(v, http.StatusOK, transfersPage{}) }

// respondTransfers responds with the page. Forms that body contains keep their typed values.
func respondTransfers(v *site.Visit, status int, body transfersPage) error {
	settings, err := desk.ReadSettings(v.Ctx, v.Desk)
	if err != nil {
		return err
	}
	if body.Plugins, err = desk.ListPlugins(v.Ctx, v.Desk); err != nil {
		return err
	}
	for _, p := range body.Plugins {
		if p.Enabled && p.ConversationTransfer && body.Conflict == "" {
			body.Conflict = p.Name
		}
	}
	body.On = settings.MessagingTransfers
	if body.Settings.fields == nil {
		body.Settings = filled(settingsFields(settings))
	}
	if body.Plugin.fields == nil {
		body.Plugin = edit{fields: url.Values{"enabled": {on}}}
	}
	return v.Render(status, "admin_transfers", site.Page{Title: "Transfers", Section: "admin", Body: body})
}

func settingsFields(s conversation.Settings) url.Values {
	fields := url.Values{"agent_unavailable": {string(s.AgentUnavailable)}, "unanswered": {string(s.Unanswered)}}
	for name, is := range switchesOf(&s) {
		if *is {
			fields.Set(name, on)
		}
	}
	for name, seconds := range timesOf(&s) {
		count, unit := inUnit(*seconds)
		fields.Set(name, strconv.Itoa(count))
		fields.Set(name+".unit", unit)
	}
	return fields
}

// switchesOf returns the settings that are on or off, by field name.
func switchesOf(s *conversation.Settings) map[string]*bool {
	return map[string]*bool{
		"messaging_transfers": &s.MessagingTransfers, "transfer_notes": &s.TransferNotes, "timeout_activity": &s.TimeoutActivity,
	}
}

// timesOf returns the settings in seconds, by field name.
func timesOf(s *conversation.Settings) map[string]*int {
	return map[string]*int{
		"reservation_timeout": &s.ReservationTimeout, "task_timeout": &s.TaskTimeout,
		"wrapup_timeout": &s.WrapupTimeout, "reoffer_after": &s.ReofferAfter,
	}
}

// unit is a unit of time in the form.
type unit struct {
	Name    string
	seconds int
}

// units are the units, smallest first.
var units = []unit{{"seconds", 1}, {"minutes", 60}, {"hours", 3600}, {"days", 86400}}

// Units returns the units for the form.
func (transfersPage) Units() []unit { return units }

// inUnit converts seconds to the largest unit of which there are at least two, without a remainder.
func inUnit(seconds int) (count int, name string) {
	for _, u := range slices.Backward(units) {
		if seconds%u.seconds == 0 && seconds >= 2*u.seconds {
			return seconds / u.seconds, u.Name
		}
	}
	return seconds, units[0].Name
}

// maxCount bounds the count before it is multiplied. The desk checks the range of each setting.
const maxCount = 10_000_000

// seconds parses a time and its unit, and returns seconds.
func (e edit) seconds(name string) (int, error) {
	count, err := strconv.Atoi(strings.TrimSpace(e.Value(name)))
	if err != nil || count < -maxCount || count > maxCount {
		return 0, wrong(name, "this takes a whole number, and the unit beside it")
	}
	for _, u := range units {
		if u.Name == e.Value(name+".unit") {
			return count * u.seconds, nil
		}
	}
	return 0, wrong(name, "choose seconds, minutes, hours or days")
}

func saveTransfers(v *site.Visit) error {
	e := typed(v)
	change, err := e.settings()
	if err == nil {
		_, err = desk.SetSettings(acting(v), v.Desk, v.Person.Name, change)
	}
	return changedOrNot(v, err, "/admin/transfers", "Saved.", func(status int, e edit) error {
		return respondTransfers(v, status, transfersPage{Settings: e})
	})
}

// settings returns a function that applies the changes of the form.
func (e edit) settings() (func(*conversation.Settings), error) {
	var given conversation.Settings
	for name, seconds := range timesOf(&given) {
		if !e.changed(name) && !e.changed(name+".unit") {
			continue
		}
		var err error
		if *seconds, err = e.seconds(name); err != nil {
			return nil, err
		}
	}
	return func(s *conversation.Settings) {
		for name, into := range timesOf(s) {
			if e.changed(name) || e.changed(name+".unit") {
				*into = *timesOf(&given)[name]
			}
		}
		for name, into := range switchesOf(s) {
			if e.changed(name) {
				*into = e.Value(name) == on
			}
		}
		if e.changed("agent_unavailable") {
			s.AgentUnavailable = conversation.AgentUnavailablePolicy(e.Value("agent_unavailable"))
		}
		if e.changed("unanswered") {
			s.Unanswered = conversation.UnansweredPolicy(e.Value("unanswered"))
		}
	}, nil
}

// transferPlugin is part of the name of plugins that transfer conversations; Twilio's template is named so.
const transferPlugin = "conversation-transfer"

func addPlugin(v *site.Visit) error {
	e := typed(v)
	added := desk.Plugin{Name: strings.TrimSpace(e.Value("name")), Version: strings.TrimSpace(e.Value("version")), Enabled: e.Value("enabled") == on}
	added.ConversationTransfer = e.Value("conversation_transfer") == on || strings.Contains(added.Name, transferPlugin)
	_, installed, err := installed(v, added.Name)
	if err == nil && installed {
		err = wrong("name", "there is a plugin of that name already: change it in the list, or choose another name")
	}
	if err == nil {
		err = desk.SetPlugin(acting(v), v.Desk, added)
	}
	return changedOrNot(v, err, "/admin/transfers", "Added "+words.Isolated(added.Name)+".", func(status int, e edit) error {
		return respondTransfers(v, status, transfersPage{Plugin: e})
	})
}

// installed returns the installed plugin with the name; false for none.
func installed(v *site.Visit, name string) (desk.Plugin, bool, error) {
	installed, err := desk.ListPlugins(v.Ctx, v.Desk)
	at := slices.IndexFunc(installed, func(p desk.Plugin) bool { return p.Name == name })
	if err != nil || at < 0 {
		return desk.Plugin{}, false, err
	}
	return installed[at], true, nil
}

// setPlugin enables or disables a plugin.
func setPlugin(v *site.Visit) error {
	name, enabled := v.R.PostFormValue("name"), v.R.PostFormValue("enabled") == on
	p, installed, err := installed(v, name)
	if err == nil && !installed {
		err = wrong("name", "there is no plugin of that name any more")
	}
	if err == nil {
		p.Enabled = enabled
		err = desk.SetPlugin(acting(v), v.Desk, p)
	}
	said := "Disabled " + words.Isolated(name) + "."
	if enabled {
		said = "Enabled " + words.Isolated(name) + "."
	}
	return pluginChanged(v, err, said)
}

func removePlugin(v *site.Visit) error {
	name := v.R.PostFormValue("name")
	return pluginChanged(v, desk.RemovePlugin(acting(v), v.Desk, name), "Removed "+words.Isolated(name)+".")
}

func pluginChanged(v *site.Visit, err error, said string) error {
	return changedOrNot(v, err, "/admin/transfers", said, func(status int, e edit) error {
		return respondTransfers(v, status, transfersPage{PluginRefused: e.refused})
	})
}
