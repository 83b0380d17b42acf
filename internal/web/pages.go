package web

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
)

//go:embed all:templates
var templates embed.FS

// parsePages parses every page: the layout, the shared pieces (their names begin with _), and the page's own file,
// which defines the blocks that the layout leaves open.
func parsePages() map[string]*template.Template {
	common := template.Must(template.New("layout").Funcs(functions()).ParseFS(templates, "templates/layout.html", "templates/_*.html"))
	pages := map[string]*template.Template{}
	files, err := fs.Glob(templates, "templates/[a-z]*.html")
	if err != nil {
		panic(err) // the pattern is invalid
	}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" {
			continue
		}
		own := template.Must(common.Clone())
		pages[name] = template.Must(own.ParseFS(templates, file))
	}
	return pages
}

// functions returns the functions for templates.
func functions() template.FuncMap {
	return template.FuncMap{
		"asset":    assetPath,
		"moment":   moment,
		"machine":  func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
		"second":   func(t time.Time) string { return t.UTC().Format("2 Jan 15:04:05 UTC") },
		"lasting":  lasting,
		"since":    func(t time.Time) string { return lasting(time.Since(t)) },
		"ago":      ago,
		"left":     func(t time.Time) string { return countdown(time.Until(t)) },
		"initial":  initial,
		"plural":   plural,
		"share":    func(part float64) string { return fmt.Sprintf("%.0f%%", 100*part) },
		"command":  uuid.NewString,
		"said":     saidOfStatus,
		"plain":    plainAttribute,
		"fields":   fields,
		"parts":    sentenceParts,
		"isolated": isolated,
		"limit":    limitOf,
	}
}

// moment formats a time with its zone; it leaves out the date if it is today. The zone is UTC, except on pages
// whose days are days of the reader's zone. A browser with scripts replaces it with the time in its own zone.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	if t.Location() == time.Local { //nolint:gosmopolitan // the server's zone means nothing to readers
		t = t.UTC()
	}
	switch now := time.Now().In(t.Location()); {
	case now.YearDay() == t.YearDay() && now.Year() == t.Year():
		return t.Format("15:04 MST")
	case now.Year() == t.Year():
		return t.Format("2 Jan 15:04 MST")
	}
	return t.Format("2 Jan 2006 15:04 MST")
}

// ago formats how long ago t was, or t itself after a day.
func ago(t time.Time) string {
	switch d := time.Since(t); {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return moment(t)
}

// lasting formats a duration in its two largest units.
func lasting(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}

// countdown formats the remaining time, for example 1:52.
func countdown(d time.Duration) string {
	seconds := max(int(d.Round(time.Second).Seconds()), 0)
	if seconds >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
	}
	return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
}

// initial returns the first letter of a name, for the round avatar beside it.
func initial(name string) string {
	first, size := utf8.DecodeRuneInString(name)
	if size == 0 || first == utf8.RuneError {
		return "?"
	}
	return strings.ToUpper(string(first))
}

func plural(count int, one, many string) string {
	if count == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", count, many)
}

// saidOfStatus returns the words for a status of a task or a conversation.
func saidOfStatus(status any) string {
	switch status {
	case conversation.TaskPending:
		return "waiting"
	case conversation.TaskReserved:
		return "offered"
	case conversation.TaskAssigned:
		return "active"
	case conversation.TaskWrapping, conversation.ConversationWrapping:
		return "wrapping up"
	}
	return fmt.Sprint(status)
}

// plainAttribute formats an attribute's value: a string without its quotes.
func plainAttribute(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	return string(value)
}

// fields returns a map of name and value pairs, for a template that takes several values.
func fields(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("fields takes pairs, and got %d values", len(pairs))
	}
	made := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("the name of a field is a text, not %v", pairs[i])
		}
		made[name] = pairs[i+1]
	}
	return made, nil
}
