package expression

import (
	"context"
	"errors"
	"fmt"
)

// The limits of an evaluation. A step looks up a name, makes a comparison, or compares one element or 64 bytes of a
// text.
const (
	maxSteps    = 200_000    // in one evaluation
	maxAllSteps = 10_000_000 // in all evaluations of a budget: one or two seconds of work
	// stepsBetweenLooks is the number of steps between two checks of the context.
	stepsBetweenLooks = 4096
	// textPerStep is how many bytes of a text are compared in one step.
	textPerStep = 64
)

// ErrBudget is wrapped by the error of an evaluation that takes too many steps.
var ErrBudget = errors.New("too many steps")

// Budget limits the work of the evaluations of one request, of each and of all together. It is not safe for
// concurrent use.
type Budget struct {
	ctx  context.Context //nolint:containedctx // a budget belongs to one request
	left int
	// untilLook counts down to the next check of the context.
	untilLook int
}

// NewBudget returns the budget of a request that ends with the context.
func NewBudget(ctx context.Context) *Budget {
	return &Budget{ctx: ctx, left: maxAllSteps}
}

// evaluation is one expression over one set of attributes. After err is set, nothing more is evaluated.
type evaluation struct {
	budget     *Budget
	attributes map[string]any
	left       int
	err        error
}

// spend takes steps off the budget, and reports whether the evaluation may continue.
func (v *evaluation) spend(steps int) bool {
	if v.err != nil {
		return false
	}
	v.left -= steps
	v.budget.left -= steps
	v.budget.untilLook -= steps
	switch {
	case v.left < 0:
		v.err = fmt.Errorf("the expression takes %w on these attributes (more than %d): write it with fewer conditions and shorter lists", ErrBudget, maxSteps)
	case v.budget.left < 0:
		v.err = fmt.Errorf("the expression takes %w on all attributes together (more than %d): shorten it, or narrow down what it is evaluated on",
			ErrBudget, maxAllSteps)
	case v.budget.untilLook < 0:
		v.budget.untilLook = stepsBetweenLooks
		if err := v.budget.ctx.Err(); err != nil {
			v.err = fmt.Errorf("evaluate the expression: %w", err)
		}
	}
	return v.err == nil
}

// spendText spends the steps of comparing a text.
func (v *evaluation) spendText(text string) bool { return v.spend(1 + len(text)/textPerStep) }
