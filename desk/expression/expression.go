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

// How large an expression may be.
const (
	maxLength = 4096 // characters
	maxDepth  = 100  // parentheses and lists within each other, and NOTs in a row
)

// Expression is a parsed expression. It is safe for concurrent use.
type Expression struct {
	text string
	tree *anyOf
}

// Parse reads an expression. Its error is a sentence for the person who wrote it: at which character,
// counted from 1, the mistake is, and what was expected there.
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

// Evaluate tells whether the expression is true of the attributes, whose values are as encoding/json
// decodes them: float64, string, bool, nil, []any and map[string]any.
//
// Its error is the context's of the budget, or a sentence about a budget that is spent, with [ErrBudget]; nothing
// else fails. A missing attribute is null. Values are equal when they are of one type and the same,
// texts in the same case, and lists and objects in all that is in them; != and NOT IN are true exactly
// when == and IN aren't. Numbers are ordered, and texts by their characters; an ordering of anything else
// is false. HAS and IN look for a value in a list; HAS takes a text for a list of it alone. CONTAINS looks
// for a text in a text, or for a value in a list.
func (e *Expression) Evaluate(b *Budget, attributes map[string]any) (bool, error) {
	v := &evaluation{budget: b, attributes: attributes, left: maxSteps}
	holds := e.tree.holds(v)
	if v.err != nil {
		return false, v.err
	}
	return holds, nil
}
