package words

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/baton-transfers/baton/conversation"
)

// Moment formats a time with its zone; it leaves out the date if it is today. The zone is UTC, except on pages
// whose days are days of the reader's zone. A browser with scripts replaces it with the time in its own zone.
func Moment(t time.Time) string {
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

// Ago formats how long ago t was, or t itself after a day.
func Ago(t time.Time) string {
	switch d := time.Since(t); {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return Moment(t)
}

// Lasting formats a duration in its two largest units.
func Lasting(d time.Duration) string {
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

// Countdown formats the remaining time, for example 1:52.
func Countdown(d time.Duration) string {
	seconds := max(int(d.Round(time.Second).Seconds()), 0)
	if seconds >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
	}
	return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
}

// Initial returns the first letter of a name, for the round avatar beside it.
func Initial(name string) string {
	first, size := utf8.DecodeRuneInString(name)
	if size == 0 || first == utf8.RuneError {
		return "?"
	}
	return strings.ToUpper(string(first))
}

// Plural returns the count with one or many, for example "1 agent" or "2 agents".
func Plural(count int, one, many string) string {
	if count == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", count, many)
}

// Status returns the words for a status of a task or a conversation.
func Status(status any) string {
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

// Sentence makes text begin with a capital letter and end with a full stop.
func Sentence(text string) string {
	if text == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(text)
	text = string(unicode.ToUpper(first)) + text[size:]
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}
