package expression

import (
	"strconv"
	"strings"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// The next token decides every choice in the grammar, so nothing is parsed twice. NOTs are counted, not nested.
type (
	anyOf struct {
		Terms []*allOf `parser:"@@ (('OR' | '||') @@)*"`
	}
	allOf struct {
		Conditions []*condition `parser:"@@ (('AND' | '&&') @@)*"`
	}
	condition struct {
		Nots       []string    `parser:"@('NOT' | '!')*"`
		Group      *anyOf      `parser:"( '(' @@ ')'"`
		Comparison *comparison `parser:"| @@ )"`
	}
	comparison struct {
		Left     *operand `parser:"@@"`
		Operator operator `parser:"( @('==' | '=' | '!=' | '<>' | '<' | '<=' | '>' | '>=' | 'HAS' | 'CONTAINS' | 'IN' | 'NOT' 'IN')"`
		Right    *operand `parser:"  @@ )?"`
	}
	operand struct {
		Literal *literal   `parser:"  @(String | Number | 'true' | 'false' | 'null')"`
		Path    path       `parser:"| (?! 'AND' | 'OR' | 'NOT' | 'IN' | 'HAS' | 'CONTAINS') @Name"`
		List    []*operand `parser:"| '[' (@@ (',' @@)*)? ']'"`
	}
)

var parser = participle.MustBuild[anyOf](
	participle.Lexer(lexer.MustSimple([]lexer.SimpleRule{
		{Name: "Space", Pattern: `[\s\pZ]+`},
		{Name: "String", Pattern: `(?s:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')`}, // the quotes distinguish it from a keyword
		{Name: "Number", Pattern: `-?\d+(?:\.\d+)?`},
		{Name: "Name", Pattern: `[\pL_$][\pL\pM\pN_$-]*(?:\.[\pL\pM\pN_$-]+|\[\d+\])*`},
		{Name: "Symbol", Pattern: `==|!=|<>|<=|>=|&&|\|\||[=<>!()\[\],]`},
	})),
	participle.Elide("Space"),
	participle.CaseInsensitive("Name"), // keywords are names that the grammar spells out
	// With more lookahead, the parser backtracks from a mistake and reports an earlier one.
	participle.UseLookahead(0),
)

// operator is how two operands are compared.
type operator string //nolint:recvcheck // the parser sets it through a pointer

const (
	operatorNone         operator = "" // the operand is alone
	operatorEqual        operator = "=="
	operatorUnequal      operator = "!="
	operatorLess         operator = "<"
	operatorLessEqual    operator = "<="
	operatorGreater      operator = ">"
	operatorGreaterEqual operator = ">="
	operatorHas          operator = "HAS"
	operatorContains     operator = "CONTAINS"
	operatorIn           operator = "IN"
	operatorNotIn        operator = "NOT IN"
)

// Capture is called by the parser.
func (o *operator) Capture(tokens []string) error {
	switch written := strings.ToUpper(strings.Join(tokens, " ")); written {
	case "=":
		*o = operatorEqual
	case "<>":
		*o = operatorUnequal
	default:
		*o = operator(written)
	}
	return nil
}

// literal is a text, a number, true, false or null.
type literal struct{ value any }

// unescape resolves the escapes in a text: a backslash before any other character is removed.
var unescape = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r", `\t`, "\t", `\`, "")

// Capture is called by the parser.
func (l *literal) Capture(tokens []string) error {
	switch token := tokens[0]; {
	case isQuote(token[0]):
		l.value = unescape.Replace(token[1 : len(token)-1])
	case strings.EqualFold(token, "true"):
		l.value = true
	case strings.EqualFold(token, "false"):
		l.value = false
	case strings.EqualFold(token, "null"):
		l.value = nil
	default:
		l.value, _ = strconv.ParseFloat(token, 64) // infinite if out of range, and compares correctly
	}
	return nil
}

// path is the names and indices that lead to a value.
type path []string

// Capture is called by the parser.
func (p *path) Capture(tokens []string) error {
	*p = strings.FieldsFunc(tokens[0], func(r rune) bool { return strings.ContainsRune(".[]", r) })
	return nil
}
