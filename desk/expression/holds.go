package expression

import (
	"cmp"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

func (a *anyOf) holds(attributes map[string]any) bool {
	return slices.ContainsFunc(a.Terms, func(term *allOf) bool { return term.holds(attributes) })
}

func (a *allOf) holds(attributes map[string]any) bool {
	return !slices.ContainsFunc(a.Conditions, func(c *condition) bool { return !c.holds(attributes) })
}

func (c *condition) holds(attributes map[string]any) bool {
	negated := len(c.Nots)%2 == 1
	if c.Group != nil {
		return negated != c.Group.holds(attributes)
	}
	return negated != c.Comparison.holds(attributes)
}

func (c *comparison) holds(attributes map[string]any) bool {
	left, right := c.Left.in(attributes), c.Right.in(attributes)
	sign, ordered := order(left, right)
	switch c.Operator {
	case operatorNone:
		return left == true
	case operatorEqual:
		return reflect.DeepEqual(left, right)
	case operatorUnequal:
		return !reflect.DeepEqual(left, right)
	case operatorLess:
		return ordered && sign < 0
	case operatorLessEqual:
		return ordered && sign <= 0
	case operatorGreater:
		return ordered && sign > 0
	case operatorGreaterEqual:
		return ordered && sign >= 0
	case operatorHas:
		text, isText := left.(string)
		return listed(left, right) || isText && text == right
	case operatorContains:
		text, isText := left.(string)
		part, isPart := right.(string)
		return listed(left, right) || isText && isPart && strings.Contains(text, part)
	case operatorIn:
		return listed(right, left)
	case operatorNotIn:
		return !listed(right, left)
	}
	return false
}

// in returns the operand's value: nil for an attribute that is missing, and for no operand.
func (o *operand) in(attributes map[string]any) any {
	switch {
	case o == nil:
		return nil
	case o.Literal != nil:
		return o.Literal.value
	case o.Path != nil:
		return o.Path.in(attributes)
	}
	list := make([]any, len(o.List))
	for i, element := range o.List {
		list[i] = element.in(attributes)
	}
	return list
}

func (p *path) in(attributes map[string]any) any {
	steps := *p
	// In a workflow's expressions a worker and a task stand side by side; elsewhere the attributes are of one of them.
	if _, there := attributes[steps[0]]; !there && len(steps) > 1 && (steps[0] == "worker" || steps[0] == "task") {
		steps = steps[1:]
	}
	var value any = attributes
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

// order returns -1, 0 or 1 as a is less than, equal to or greater than b, if that can be said of them.
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

// listed tells whether list is a list and has the value.
func listed(list, value any) bool {
	elements, _ := list.([]any)
	return slices.ContainsFunc(elements, func(element any) bool { return reflect.DeepEqual(element, value) })
}
