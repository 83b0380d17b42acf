package expression

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

func (a *anyOf) holds(v *evaluation) bool {
	return slices.ContainsFunc(a.Terms, func(term *allOf) bool { return v.spend(1) && term.holds(v) })
}

func (a *allOf) holds(v *evaluation) bool {
	return !slices.ContainsFunc(a.Conditions, func(c *condition) bool { return !v.spend(1) || !c.holds(v) })
}

func (c *condition) holds(v *evaluation) bool {
	negated := len(c.Nots)%2 == 1
	if c.Group != nil {
		return negated != c.Group.holds(v)
	}
	return negated != c.Comparison.holds(v)
}

func (c *comparison) holds(v *evaluation) bool {
	left, right := c.Left.in(v), c.Right.in(v)
	switch c.Operator {
	case operatorNone:
		return left == true
	case operatorEqual:
		return v.equal(left, right)
	case operatorUnequal:
		return !v.equal(left, right)
	case operatorLess, operatorLessEqual, operatorGreater, operatorGreaterEqual:
		return c.Operator.ordered(v, left, right)
	case operatorHas:
		text, isText := left.(string)
		return v.listed(left, right) || isText && v.equal(text, right)
	case operatorContains:
		text, isText := left.(string)
		part, isPart := right.(string)
		return v.listed(left, right) || isText && isPart && v.spendText(text) && strings.Contains(text, part)
	case operatorIn:
		return v.listed(right, left)
	case operatorNotIn:
		return !v.listed(right, left)
	}
	return false
}

// in returns the operand's value: nil for a missing attribute, and for no operand.
func (o *operand) in(v *evaluation) any {
	switch {
	case o == nil || !v.spend(1):
		return nil
	case o.Literal != nil:
		return o.Literal.value
	case o.Path != nil:
		return o.Path.in(v)
	}
	list := make([]any, len(o.List))
	for i, element := range o.List {
		list[i] = element.in(v)
	}
	return list
}

func (p *path) in(v *evaluation) any {
	steps := *p
	if !v.spend(len(steps)) {
		return nil
	}
	// A workflow's expressions see both a worker and a task. Elsewhere the attributes belong to one of them.
	if _, there := v.attributes[steps[0]]; !there && len(steps) > 1 && (steps[0] == "worker" || steps[0] == "task") {
		steps = steps[1:]
	}
	var value any = v.attributes
	for _, step := range steps {
		switch holder := value.(type) {
		case map[string]any:
			value = holder[step]
		case []any:
			index, err := strconv.Atoi(step)
			if err != nil || index < 0 || index >= len(holder) {
				return nil
			}
			value = holder[index]
		default:
			return nil
		}
	}
	return value
}

// ordered reports whether the operator, one of <, <=, > and >=, is true of the values.
func (o operator) ordered(v *evaluation, left, right any) bool {
	if text, isText := left.(string); isText && !v.spendText(text) {
		return false
	}
	sign, ordered := order(left, right)
	switch {
	case !ordered:
		return false
	case o == operatorLess:
		return sign < 0
	case o == operatorLessEqual:
		return sign <= 0
	case o == operatorGreater:
		return sign > 0
	}
	return sign >= 0
}

// order returns -1, 0 or 1 as a is less than, equal to or greater than b, if they can be ordered.
func order(a, b any) (sign int, ordered bool) {
	switch a := a.(type) {
	case float64:
		b, isNumber := b.(float64)
		return cmp.Compare(a, b), isNumber
	case string:
		b, isText := b.(string)
		return strings.Compare(a, b), isText
	default:
		return 0, false
	}
}

// listed reports whether list is a list and has the value.
func (v *evaluation) listed(list, value any) bool {
	elements, _ := list.([]any)
	return slices.ContainsFunc(elements, func(element any) bool { return v.equal(element, value) })
}

// equal reports whether two values are equal in all their elements. Each element is a step.
func (v *evaluation) equal(a, b any) bool {
	if !v.spend(1) {
		return false
	}
	switch a := a.(type) {
	case string:
		b, isText := b.(string)
		return isText && len(a) == len(b) && v.spend(len(a)/textPerStep) && a == b
	case []any:
		b, isList := b.([]any)
		return isList && slices.EqualFunc(a, b, v.equal)
	case map[string]any:
		b, isObject := b.(map[string]any)
		return isObject && maps.EqualFunc(a, b, v.equal)
	default: // a number, true, false or null
		return isScalar(b) && a == b
	}
}

// isScalar reports whether a value may be compared by ==.
func isScalar(value any) bool {
	switch value.(type) {
	case []any, map[string]any:
		return false
	}
	return true
}
