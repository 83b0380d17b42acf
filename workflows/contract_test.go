package workflows_test

import (
	"go/ast"
	"go/token"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/contract"
	"github.com/baton-transfers/baton/workflows"
)

func TestContract(t *testing.T) {
	t.Parallel()
	var lines registered
	workflows.Register(&lines)
	lines = append(lines, "task queue "+workflows.TaskQueue, "workflow ID "+workflows.ID("SID"))
	for name, of := range workflows.SearchAttributes() {
		lines = append(lines, "search attribute "+name+" "+of.String())
	}
	lines = append(lines, contract.Fields("summary", reflect.TypeFor[workflows.Summary]())...)
	lines = append(lines, contract.Fields("second argument", reflect.TypeFor[workflows.Continued]())...)
	lines = append(lines, changeIDs(t)...)
	contract.Check(t, append(lines, inUse(t)...))
}

// registered has a line for each registered workflow.
type registered []string

func (r *registered) RegisterWorkflowWithOptions(_ any, options workflow.RegisterOptions) {
	*r = append(*r, "workflow "+options.Name)
}

// changeIDs returns a line for each change ID that the package passes to workflow.GetVersion. For a concatenation,
// only its first constant is known.
func changeIDs(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, file := range contract.Sources(t, ".") {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if function, ok := call.Fun.(*ast.SelectorExpr); !ok || function.Sel.Name != "GetVersion" {
				return true
			}
			id, suffix := call.Args[1], ""
			for sum, ok := id.(*ast.BinaryExpr); ok; sum, ok = id.(*ast.BinaryExpr) {
				id, suffix = sum.X, "*"
			}
			literal, ok := id.(*ast.BasicLit)
			require.True(t, ok && literal.Kind == token.STRING, "a change ID has to begin with a literal, so that it can be found")
			text, err := strconv.Unquote(literal.Value)
			require.NoError(t, err)
			lines = append(lines, "change "+text+suffix)
			return true
		})
	}
	return lines
}

// inUse returns a line for each signal, update and query that a conversation accepts, and for each metric that it
// records.
func inUse(t *testing.T) []string {
	t.Helper()
	s := newEnvironment(t)
	var lines []string
	s.aliceAccepts()
	s.step(func() {
		definition := s.metadata().GetDefinition()
		for _, signal := range definition.GetSignalDefinitions() {
			lines = append(lines, "signal "+signal.GetName())
		}
		for _, update := range definition.GetUpdateDefinitions() {
			lines = append(lines, "update "+update.GetName())
		}
		for _, query := range definition.GetQueryDefinitions() {
			if !strings.HasPrefix(query.GetName(), "__") { // those are the SDK's
				lines = append(lines, "query "+query.GetName())
			}
		}
		s.signal("accept", conversation.AcceptCommand{Agent: "alice"}) // refused
	})
	s.play()
	return append(lines, s.metrics.lines()...)
}

// metrics collects which of Baton's metrics are recorded, and with which tags.
type metrics struct {
	mutex sync.Mutex
	names map[string]bool
}

func (m *metrics) lines() []string {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return slices.Collect(maps.Keys(m.names))
}

// metricsHandler is an SDK metrics handler with these tags.
type metricsHandler struct {
	client.MetricsHandler
	into *metrics
	tags []string
}

func newMetricsHandler(into *metrics) client.MetricsHandler {
	return metricsHandler{MetricsHandler: client.MetricsNopHandler, into: into}
}

func (h metricsHandler) WithTags(tags map[string]string) client.MetricsHandler {
	h.tags = slices.Sorted(maps.Keys(tags))
	return h
}

func (h metricsHandler) Counter(name string) client.MetricsCounter {
	h.note("counter", name)
	return h.MetricsHandler.Counter(name)
}

func (h metricsHandler) Timer(name string) client.MetricsTimer {
	h.note("timer", name)
	return h.MetricsHandler.Timer(name)
}

func (h metricsHandler) note(kind, name string) {
	if !strings.HasPrefix(name, "baton_") {
		return
	}
	h.into.mutex.Lock()
	defer h.into.mutex.Unlock()
	if h.into.names == nil {
		h.into.names = map[string]bool{}
	}
	h.into.names["metric "+kind+" "+name+" "+strings.Join(h.tags, " ")] = true
}
