package expression_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/expression"
)

// expensive are expressions of the maximum length whose evaluation takes long on large attributes.
func expensive() map[string]string {
	return map[string]string{
		"a long list many times":        strings.TrimSuffix(strings.Repeat(`x NOT IN list AND `, 220), ` AND `),
		"equal lists compared":          strings.TrimSuffix(strings.Repeat(`list = list AND `, 250), ` AND `),
		"equal objects compared":        strings.TrimSuffix(strings.Repeat(`deep = deep AND `, 250), ` AND `),
		"HAS of what comes last":        strings.TrimSuffix(strings.Repeat(`list HAS "no" OR `, 220), ` OR `),
		"CONTAINS of a repetitive text": strings.TrimSuffix(strings.Repeat(`text CONTAINS "aaaaaaaaaaaaaaaaab" OR `, 105), ` OR `),
		"a list of lists":               `[` + strings.TrimSuffix(strings.Repeat(`list,`, 800), `,`) + `] = [` + `list]`,
		"lists in a list":               `deep IN [` + strings.TrimSuffix(strings.Repeat(`deep,`, 800), `,`) + `]`,
		"names":                         strings.TrimSuffix(strings.Repeat(`a OR `, 800), ` OR `),
	}
}

// large are attributes of several hundred thousand characters, more than any agent or task has.
func large() map[string]any {
	list, deep := make([]any, 20_000), map[string]any{}
	for i := range list {
		list[i] = float64(i)
		deep[strconv.Itoa(i)] = float64(i)
	}
	return map[string]any{"list": list, "deep": deep, "text": strings.Repeat("a", 200_000)}
}

func TestEvaluationsHaveABudget(t *testing.T) {
	t.Parallel()
	attributes := large()
	for name, text := range expensive() {
		e, err := expression.Parse(text)
		require.NoError(t, err, name)
		budget := expression.NewBudget(t.Context())
		for range 10_000 {
			if _, err = e.Evaluate(budget, attributes); err != nil {
				break
			}
		}
		if err == nil {
			continue // it is cheap
		}
		require.ErrorIs(t, err, expression.ErrBudget, name)
		require.Regexp(t, `^the expression takes too many steps on .*: (write it|shorten it)`, err.Error())
	}
	for _, name := range []string{"a long list many times", "equal lists compared", "equal objects compared", "HAS of what comes last", "CONTAINS of a repetitive text"} {
		e, err := expression.Parse(expensive()[name])
		require.NoError(t, err)
		_, err = e.Evaluate(expression.NewBudget(t.Context()), attributes)
		require.ErrorContains(t, err, "on these attributes", name)
		require.Less(t, e.Steps(attributes), expression.MaxSteps+20_000, "it stops where the budget ends: %s", name)
	}
}

// TestNotIsNoWayAroundTheBudget checks that a stopped evaluation has no answer.
func TestNotIsNoWayAroundTheBudget(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`NOT (%s)`, `(%s) OR true`, `false OR NOT (%s)`} {
		e, err := expression.Parse(fmt.Sprintf(text, strings.TrimSuffix(strings.Repeat(`x IN list OR `, 200), ` OR `)))
		require.NoError(t, err)
		holds, err := e.Evaluate(expression.NewBudget(t.Context()), large())
		require.ErrorIs(t, err, expression.ErrBudget)
		require.False(t, holds)
	}
}

func TestManyEvaluationsShareABudget(t *testing.T) {
	t.Parallel()
	e, err := expression.Parse(strings.TrimSuffix(strings.Repeat(`a = 1 OR `, 450), ` OR `))
	require.NoError(t, err)
	budget, evaluations := expression.NewBudget(t.Context()), 0
	for err == nil {
		_, err = e.Evaluate(budget, map[string]any{})
		evaluations++
	}
	require.ErrorContains(t, err, "on all attributes together")
	require.Greater(t, evaluations, 1000, "a thousand agents are no reason to refuse the longest expression")
	simple, err := expression.Parse(`skills HAS "billing" AND (language == "en" OR language == "de") AND level > 3`)
	require.NoError(t, err)
	attributes := attributesOf(t, alice)
	require.Less(t, simple.Steps(attributes)*100_000, expression.MaxAllSteps, "nor are a hundred thousand for a usual one")
}

func TestEvaluationsEndWithTheRequest(t *testing.T) {
	t.Parallel()
	e, err := expression.Parse(strings.TrimSuffix(strings.Repeat(`a = 1 OR `, 450), ` OR `))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	budget, evaluations := expression.NewBudget(ctx), 0
	for err == nil && evaluations < 1000 {
		if evaluations == 20 {
			cancel()
		}
		_, err = e.Evaluate(budget, map[string]any{})
		evaluations++
	}
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, evaluations, 50)
	expired, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	_, err = e.Evaluate(expression.NewBudget(expired), map[string]any{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// TestParsingIsBounded parses texts of the maximum length that are expensive for a backtracking parser, or for the
// code that explains mistakes.
func TestParsingIsBounded(t *testing.T) {
	t.Parallel()
	full := func(begin, unit, end string) string {
		return begin + strings.Repeat(unit, (4096-len(begin)-len(end))/len(unit)) + end
	}
	for _, text := range []string{
		full("", "a OR ", "a a"), full("", "a=1 AND ", "b c"), full("a IN [", "1,", "1"), full("a IN [", "[1],", "1 1"), full("", "(a) OR ", "(a b)"),
		full("", "'a'=", "'"), full("'", `\'`, ""), full("", `"`, ""), full("", "a.", "."), full("a", "[1]", "["), full("a", " ", "b"), full("", "1", "a"),
		full("", "-", ""), full("", "é ", ""), full("", "!a && ", ")"), full(strings.Repeat("(", 99), "a || ", "a a"), full(strings.Repeat("[", 99), "a,", "a a"),
	} {
		_, err := expression.Parse(text) // a parser that tries every alternative exceeds the time limit of the tests
		require.Error(t, err, text[:20])
	}
	_, short := expression.Parse(`(a OR NOT b IN [1, a b`)
	_, long := expression.Parse(`(` + strings.Repeat("(a IN [1, [2]] AND c) || ", 100) + `a OR NOT b IN [1, ` + strings.Repeat(`"x", `, 100) + `a b`)
	_, ofShort, found := strings.Cut(short.Error(), "found")
	require.True(t, found, short.Error())
	_, ofLong, _ := strings.Cut(long.Error(), "found")
	require.Equal(t, ofShort, ofLong)
}
