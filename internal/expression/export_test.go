package expression

import "context"

// The limits of an evaluation, and of all evaluations of a budget.
const (
	MaxSteps    = maxSteps
	MaxAllSteps = maxAllSteps
)

// Holds evaluates with its own budget. It panics if the evaluation fails.
func (e *Expression) Holds(attributes map[string]any) bool {
	holds, err := e.Evaluate(NewBudget(context.Background()), attributes)
	if err != nil {
		panic(err)
	}
	return holds
}

// Steps returns how many steps an evaluation takes.
func (e *Expression) Steps(attributes map[string]any) int {
	b := NewBudget(context.Background())
	_, _ = e.Evaluate(b, attributes)
	return maxAllSteps - b.left
}
