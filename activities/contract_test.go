package activities_test

import (
	"reflect"
	"testing"

	"go.temporal.io/sdk/activity"

	"github.com/baton-transfers/baton/activities"
	"github.com/baton-transfers/baton/internal/contract"
)

// registered has a line for each activity that was registered, and for its argument and result.
type registered []string

func (r *registered) RegisterActivityWithOptions(a any, options activity.RegisterOptions) {
	name, function := "activity "+options.Name, reflect.TypeOf(a)
	*r = append(*r, name)
	*r = append(*r, contract.Fields(name+" argument", function.In(1))...)
	*r = append(*r, contract.Fields(name+" result", function.Out(0))...)
}

func TestContract(t *testing.T) {
	t.Parallel()
	var lines registered
	activities.Register(&lines, nil)
	contract.Check(t, lines)
}
