// Package templates holds the HTML templates of the pages, and the functions that they call.
//
// Must not import: sessions or requests. It reads nothing: the pages pass complete data.
package templates

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/internal/web/assets"
	"github.com/baton-transfers/baton/internal/web/words"
)

//go:embed *.html
var files embed.FS

// Parse parses every page: the layout, the shared pieces (their names begin with _), and the page's own file,
// which defines the blocks that the layout leaves open.
func Parse() map[string]*template.Template {
	common := template.Must(template.New("layout").Funcs(functions()).ParseFS(files, "layout.html", "_*.html"))
	pages := map[string]*template.Template{}
	names, err := fs.Glob(files, "[a-z]*.html")
	if err != nil {
		panic(err) // the pattern is invalid
	}
	for _, file := range names {
		name := strings.TrimSuffix(file, ".html")
		if name == "layout" {
			continue
		}
		own := template.Must(common.Clone())
		pages[name] = template.Must(own.ParseFS(files, file))
	}
	return pages
}

// functions returns the functions for templates.
func functions() template.FuncMap {
	return template.FuncMap{
		"asset":    assets.Path,
		"moment":   words.Moment,
		"machine":  func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
		"second":   func(t time.Time) string { return t.UTC().Format("2 Jan 15:04:05 UTC") },
		"lasting":  words.Lasting,
		"since":    func(t time.Time) string { return words.Lasting(time.Since(t)) },
		"ago":      words.Ago,
		"left":     func(t time.Time) string { return words.Countdown(time.Until(t)) },
		"initial":  words.Initial,
		"plural":   words.Plural,
		"share":    func(part float64) string { return fmt.Sprintf("%.0f%%", 100*part) },
		"command":  uuid.NewString,
		"said":     words.Status,
		"plain":    plainAttribute,
		"fields":   fields,
		"parts":    words.SentenceParts,
		"isolated": words.Isolated,
		"limit":    limitOf,
	}
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
