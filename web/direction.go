package web

import (
	"strings"

	"golang.org/x/text/unicode/bidi"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// A sentence that is composed here holds names, reasons and notes in any script. Each is isolated, so that a text that is
// written from right to left moves nothing beside it: in Go and in attributes by two characters, in the elements of a page
// by <bdi>, see the template "sentence".
const (
	isolateBegins = '\u2068' // FIRST STRONG ISOLATE
	isolateEnds   = '\u2069' // POP DIRECTIONAL ISOLATE
)

// isolated returns a text for a sentence: on one line, without characters that reorder what is around them, and between
// the characters of an isolate. A text without characters of a script that is written from right to left moves nothing,
// and needs none.
func isolated(text string) string {
	text = conversation.CleanName(text)
	if !strings.ContainsFunc(text, rightToLeft) {
		return text
	}
	return string(isolateBegins) + text + string(isolateEnds)
}

func rightToLeft(r rune) bool {
	properties, _ := bidi.LookupRune(r)
	switch properties.Class() { //nolint:exhaustive // all other classes leave the order of a sentence as it is
	case bidi.R, bidi.AL, bidi.AN:
		return true
	}
	return false
}

// names are how sentences name agents and queues.
type names struct{ of desk.Names }

// Agent returns how people read an agent's name, isolated.
func (n names) Agent(name string) string { return isolated(n.of.Agent(name)) }

// Queue returns how people read a queue's name, isolated.
func (n names) Queue(name string) string { return isolated(n.of.Queue(name)) }

// target returns how people read the name of a transfer's target, isolated.
func (n names) target(to conversation.Target) string { return isolated(target(n.of, to)) }

// target returns how people read the name of a transfer's target.
func target(of desk.Names, to conversation.Target) string {
	if to.Agent != "" {
		return of.Agent(to.Agent)
	}
	return of.Queue(to.Queue)
}

// sentencePart is a part of a sentence.
type sentencePart struct {
	Text string
	// Isolated is set for a text that was isolated.
	Isolated bool
}

// sentenceParts splits a sentence at the characters that isolate parts of it.
func sentenceParts(sentence string) (parts []sentencePart) {
	add := func(text string, isolates bool) {
		if text != "" {
			parts = append(parts, sentencePart{text, isolates})
		}
	}
	for {
		before, rest, found := strings.Cut(sentence, string(isolateBegins))
		add(strings.ReplaceAll(before, string(isolateEnds), ""), false)
		if !found {
			return parts
		}
		within, after, _ := strings.Cut(rest, string(isolateEnds))
		add(strings.ReplaceAll(within, string(isolateBegins), ""), true)
		sentence = after
	}
}
