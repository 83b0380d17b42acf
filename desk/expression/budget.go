package expression

import (
	"context"
	"errors"
	"fmt"
)

// How much work an evaluation may be. A step is a name that is looked up, a comparison, or an element or 64 bytes of a text that is compared.
const (
	maxSteps    = 200_000    // of one evaluation
	maxAllSteps = 10_000_000 // of all evaluations of a budget, a second or two of work
	// stepsBetweenLooks is how many steps are taken before the context is looked at again.
	stepsBetweenLooks = 4096
	// textPerStep is how many bytes of a text are compared in a step.
	textPerStep = 64
)

// ErrBudget is in the error of an evaluation that takes too many steps.
var ErrBudget = errors.New("too many steps")

// Budget is the work that the evaluations of one request may be, together and each. It is not safe for concurrent use.
type Budget struct {
	ctx  context.Context //nolint:containedctx // a budget belongs to one request
	left int
	// untilLook counts down to the next look at the context.
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

// spend takes steps off the budget, and tells whether the evaluation goes on.
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

// spendText takes the steps of comparing a text.
func (v *evaluation) spendText(text string) bool { return v.spend(1 + len(text)/textPerStep) }
