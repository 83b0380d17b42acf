package expression

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2"
)

// checkDepth refuses an expression that is nested too deeply, before the parser recurses into it.
func checkDepth(text string) error {
	tokens, err := parser.Lex("", strings.NewReader(text))
	if err != nil {
		return mistake(text, err)
	}
	open, nots := 0, 0 // nots are those in a row: they are in force together, like parentheses
	for _, token := range tokens {
		switch word := strings.ToUpper(token.Value); {
		case word == "NOT" || word == "!":
			nots++
		case word == "(" || word == "[":
			open, nots = open+1, 0
		case word == ")" || word == "]":
			open, nots = open-1, 0
		case strings.TrimSpace(word) != "":
			nots = 0
		}
		if open+nots > maxDepth {
			return fmt.Errorf("at character %d: it is nested more than %d deep: write it with fewer parentheses, lists and NOTs",
				characterAt(text, token.Pos.Offset), maxDepth)
		}
	}
	return nil
}

// mistake turns an error of the lexer or the parser into a sentence with its position.
func mistake(text string, err error) error {
	met, ok := errors.AsType[participle.Error](err)
	if !ok {
		return fmt.Errorf("parse the expression: %w", err)
	}
	offset := met.Position().Offset
	at := fmt.Sprintf("at character %d:", characterAt(text, offset))
	if unexpected, ok := errors.AsType[*participle.UnexpectedTokenError](err); ok {
		found := fmt.Sprintf("%.30q", unexpected.Unexpected.Value)
		switch {
		case unexpected.Unexpected.EOF():
			found = "the end"
		case isQuote(text[offset]):
			found = "a text"
		}
		return fmt.Errorf("%s found %s, expected %s", at, found, expected(text[:offset]))
	}
	if isQuote(text[offset]) {
		return fmt.Errorf("%s the text that begins here isn't closed: end it with %c", at, text[offset])
	}
	character, _ := utf8.DecodeRuneInString(text[offset:])
	return fmt.Errorf(`%s %q means nothing here: put texts in "" or ''`, at, character)
}

func isQuote(b byte) bool { return b == '"' || b == '\'' }

func characterAt(text string, offset int) int { return utf8.RuneCountInString(text[:offset]) + 1 }

// continuations are what may come next, each with an example.
var continuations = []struct{ example, called string }{
	{"x", "a name"},
	{"1", "a value"},
	{"[", `"["`},
	{"(", `"("`},
	{"==", `"=="`},
	{"HAS", "HAS"},
	{"IN", "IN"},
	{"AND", "AND"},
	{"OR", "OR"},
	{",", `","`},
	{"]", `"]"`},
	{")", `")"`},
	{"", "the end"},
}

// shortened removes from the beginning of an expression what has no influence on what may come next. Closed lists
// and groups become one value each, and so do the conditions and elements before the last. The result is at most as
// long as the nesting and one comparison.
func shortened(beginning string) string {
	tokens, err := parser.Lex("", strings.NewReader(beginning))
	if err != nil {
		return beginning
	}
	kept := []string{}
	var opened []int // indices in kept of the groups and lists that are open
	inner := func() int {
		if len(opened) == 0 {
			return 0
		}
		return opened[len(opened)-1] + 1
	}
	for _, token := range tokens {
		switch word := strings.ToUpper(token.Value); {
		case token.EOF() || strings.TrimSpace(word) == "":
		case word == "(" || word == "[":
			opened, kept = append(opened, len(kept)), append(kept, word)
		case (word == ")" || word == "]") && len(opened) > 0:
			begins := opened[len(opened)-1]
			opened, kept = opened[:len(opened)-1], kept[:begins]
			kept = append(kept, map[string]string{")": "(x)", "]": "1"}[word])
		case word == "OR" || word == "||" || word == "AND" || word == "&&" || word == ",":
			kept = append(kept[:inner()], "1", word)
		default:
			kept = append(kept, token.Value)
		}
	}
	return strings.Join(kept, " ")
}

// expected asks the parser what it would accept after the beginning, so it always agrees with the grammar.
func expected(beginning string) string {
	beginning = shortened(beginning)
	var called []string
	for _, next := range continuations {
		_, err := parser.ParseString("", beginning+" "+next.example)
		if unexpected, ok := errors.AsType[*participle.UnexpectedTokenError](err); !ok || next.example != "" && unexpected.Unexpected.EOF() {
			called = append(called, next.called)
		}
	}
	choice := strings.Join(called, ", ")
	if last := strings.LastIndex(choice, ", "); last >= 0 {
		choice = choice[:last] + " or " + choice[last+len(", "):]
	}
	return choice
}
