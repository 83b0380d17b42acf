// Package words puts the desk's records into words, as the pages show them: names, the lines of a thread, a timeline,
// what became of a transfer, times and counts. A name in a sentence is isolated, so that right-to-left text does not
// move the text beside it.
//
// Must not import: sessions, requests or templates. It reads nothing.
package words

import (
	"strings"

	"golang.org/x/text/unicode/bidi"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
)

// A sentence that the server composes contains names, reasons and notes in any script. Each is isolated, so that
// right-to-left text does not move the text beside it. Go code and attributes use two characters; page elements use
// <bdi>, see the template "sentence".
const (
	isolateBegins = '\u2068' // FIRST STRONG ISOLATE
	isolateEnds   = '\u2069' // POP DIRECTIONAL ISOLATE
)

// Isolated returns text for use in a sentence: on one line, without characters that reorder the text around them,
// and between isolate characters. Text without right-to-left characters gets no isolate characters, because it
// moves nothing.
func Isolated(text string) string {
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

// Names formats the names of agents and queues for sentences.
type Names struct{ Of desk.Names }

// Agent returns the display name of an agent, isolated.
func (n Names) Agent(name string) string { return Isolated(n.Of.Agent(name)) }

// Queue returns the display name of a queue, isolated.
func (n Names) Queue(name string) string { return Isolated(n.Of.Queue(name)) }

// Target returns the display name of a transfer's target, isolated.
func (n Names) Target(to conversation.Target) string { return Isolated(Target(n.Of, to)) }

// Target returns the display name of a transfer's target.
func Target(of desk.Names, to conversation.Target) string {
	if to.Agent != "" {
		return of.Agent(to.Agent)
	}
	return of.Queue(to.Queue)
}

// SentencePart is a part of a sentence.
type SentencePart struct {
	Text string
	// Isolated is set for text between isolate characters.
	Isolated bool
}

// SentenceParts splits a sentence at its isolate characters.
func SentenceParts(sentence string) (parts []SentencePart) {
	add := func(text string, isolates bool) {
		if text != "" {
			parts = append(parts, SentencePart{text, isolates})
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
