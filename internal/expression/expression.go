// Package expression is TaskRouter's expression language: whom a queue targets, which tasks a workflow
// filters. An expression is parsed once, then asked about attributes as often as there are agents and tasks.
//
//	skills HAS "billing" AND (language IN ["en", "de"] OR NOT worker.level < 5)
//
// A condition compares two operands, or is one alone, which has to be true. An operand is a literal or a name:
//   - Names lead into objects by dots and into lists by brackets: address.city, phones[0].
//     worker.x and task.x are x where the attributes have no worker or task.
//   - Texts stand in double or single quotes. After a backslash n, r and t are a line feed, a carriage return
//     and a tab; any other character is itself. The other literals are numbers, true, false, null and [lists].
//
// The operators are == or =, != or <>, <, <=, >, >=, HAS, CONTAINS, IN and NOT IN; conditions are joined
// by NOT or !, AND or &&, OR or ||, of which the first binds most tightly. Keywords take any case.
//
// What may not come in: agents, tasks, queues and workflows (the caller brings attributes), and anything
// that waits or remembers. Where to look: grammar.go is what can be written, holds.go what it
// means, budget.go how much work that may be, mistake.go what is said about anything else.
//
// Source: https://www.twilio.com/docs/taskrouter/expression-syntax.
package expression

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The limits of an expression.
const (
	maxLength = 4096 // characters
	maxDepth  = 100  // nested parentheses and lists, and consecutive NOTs
)

// Expression is a parsed expression. It is safe for concurrent use.
type Expression struct {
	text string
	tree *anyOf
}

// Parse parses an expression. Its error is a sentence for the person who wrote it: the position of the mistake in
// characters, counted from 1, and what was expected there.
func Parse(text string) (*Expression, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("the expression is empty: write 1==1 for everybody")
	}
	if length := utf8.RuneCountInString(text); length > maxLength {
		return nil, fmt.Errorf("the expression has %d characters: shorten it to %d", length, maxLength)
	}
	if err := checkDepth(text); err != nil {
		return nil, err
	}
	tree, err := parser.ParseString("", text)
	if err != nil {
		return nil, mistake(text, err)
	}
	return &Expression{text: text, tree: tree}, nil
}

// String returns the text as it was given.
func (e *Expression) String() string { return e.text }

// Evaluate reports whether the expression is true for the attributes, whose values are as encoding/json decodes
// them: float64, string, bool, nil, []any and map[string]any.
//
// Its error is that of the budget's context, or says that the budget is spent and wraps [ErrBudget]. There are no
// other errors. A missing attribute is null. Values are equal if they have the same type and value: texts are
// compared by case, lists and objects by all their elements. != and NOT IN are true exactly when == and IN are not.
// Numbers are ordered by value, and texts by their characters; the ordering of other values is false. HAS and IN
// look for a value in a list. HAS treats a text as a list of that text alone. CONTAINS looks for a text in a text,
// or for a value in a list.
func (e *Expression) Evaluate(b *Budget, attributes map[string]any) (bool, error) {
	v := &evaluation{budget: b, attributes: attributes, left: maxSteps}
	holds := e.tree.holds(v)
	if v.err != nil {
		return false, v.err
	}
	return holds, nil
}
