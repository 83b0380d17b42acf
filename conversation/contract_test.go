package conversation

import (
	"go/ast"
	"go/token"
	"maps"
	"reflect"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/contract"
)

// constantsOf maps the name of a type to the name of its string constants in the contract.
var constantsOf = map[string]string{
	"":                                               "constant",
	reflect.TypeFor[CommandName]().Name():            "command",
	reflect.TypeFor[Code]().Name():                   "refusal code",
	reflect.TypeFor[EventName]().Name():              "event",
	reflect.TypeFor[NoteKind]().Name():               "kind of note",
	reflect.TypeFor[Cause]().Name():                  "cause of a decline",
	reflect.TypeFor[Channel]().Name():                "channel",
	reflect.TypeFor[Mode]().Name():                   "mode of a transfer",
	reflect.TypeFor[Reason]().Name():                 "reason",
	reflect.TypeFor[DeadlineKind]().Name():           "deadline",
	reflect.TypeFor[TaskStatus]().Name():             "status of a task",
	reflect.TypeFor[TransferStatus]().Name():         "status of a transfer",
	reflect.TypeFor[ReservationStatus]().Name():      "status of a reservation",
	reflect.TypeFor[ConversationStatus]().Name():     "status of a conversation",
	reflect.TypeFor[AgentUnavailablePolicy]().Name(): "setting agent_unavailable",
	reflect.TypeFor[UnansweredPolicy]().Name():       "setting unanswered",
}

func TestContract(t *testing.T) {
	t.Parallel()
	var lines []string
	for _, name := range append(ServiceCommands(), CommandStart, CommandReserve) {
		command, err := Decode(name, []byte("{}"), "")
		require.NoError(t, err)
		lines = append(lines, contract.Fields(string(name), reflect.TypeOf(command))...)
	}
	for name, of := range map[string]reflect.Type{
		"record": reflect.TypeFor[Record](), "outcome": reflect.TypeFor[Outcome](), "refusal": reflect.TypeFor[Refusal](),
		"event": reflect.TypeFor[Event](), "note": reflect.TypeFor[Note](),
	} {
		lines = append(lines, contract.Fields(name, of)...)
	}
	attributes := firstAttributes(StartCommand{Conversation: PrefixConversation})
	for _, to := range []Target{{Queue: "billing"}, {Agent: "bob"}} {
		maps.Copy(attributes, transferAttributes(&State{}, &Task{Attributes: attributes}, to))
	}
	for key := range attributes {
		lines = append(lines, "attribute "+key)
	}
	contract.Check(t, append(lines, constants(t)...))
}

// constants returns a line for each string constant of the package.
func constants(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, file := range contract.Sources(t, ".") {
		for _, declaration := range file.Decls {
			group, ok := declaration.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				lines = append(lines, valuesOf(t, spec.(*ast.ValueSpec))...)
			}
		}
	}
	return lines
}

func valuesOf(t *testing.T, spec *ast.ValueSpec) []string {
	t.Helper()
	var lines []string
	for _, value := range spec.Values {
		literal, ok := value.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			continue
		}
		typeName := ""
		if ident, ok := spec.Type.(*ast.Ident); ok {
			typeName = ident.Name
		}
		require.Contains(t, constantsOf, typeName, "the constants of this type have no name in the contract")
		text, err := strconv.Unquote(literal.Value)
		require.NoError(t, err)
		lines = append(lines, constantsOf[typeName]+" "+text)
	}
	return lines
}
