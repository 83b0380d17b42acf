package web

import (
	"strings"

	"golang.org/x/text/unicode/bidi"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// A sentence that the server composes contains names, reasons and notes in any script. Each is isolated, so that
// right-to-left text does not move the text beside it. Go code and attributes use two characters; page elements use
// <bdi>, see the template "sentence".
const (
	isolateBegins = '\u2068' // FIRST STRONG ISOLATE
	isolateEnds   = '\u2069' // POP DIRECTIONAL ISOLATE
)

// isolated returns text for use in a sentence: on one line, without characters that reorder the text around them,
// and between isolate characters. Text without right-to-left characters gets no isolate characters, because it
// moves nothing.
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

// names formats the names of agents and queues for sentences.
type names struct{ of desk.Names }

// Agent returns the display name of an agent, isolated.
func (n names) Agent(name string) string { return isolated(n.of.Agent(name)) }

// Queue returns the display name of a queue, isolated.
func (n names) Queue(name string) string { return isolated(n.of.Queue(name)) }

// target returns the display name of a transfer's target, isolated.
func (n names) target(to conversation.Target) string { return isolated(target(n.of, to)) }

// target returns the display name of a transfer's target.
func target(of desk.Names, to conversation.Target) string {
	if to.Agent != "" {
		return of.Agent(to.Agent)
	}
	return of.Queue(to.Queue)
}

// sentencePart is a part of a sentence.
type sentencePart struct {
	Text string
	// Isolated is set for text between isolate characters.
	Isolated bool
}

// sentenceParts splits a sentence at its isolate characters.
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
