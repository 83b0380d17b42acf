package config_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/contract"
)

// TestDocumentedVariables compares the table of environment variables in docs/operations.md with what the programs, the
// tests and the Compose file read.
func TestDocumentedVariables(t *testing.T) {
	t.Parallel()
	const root = "../.."
	page, err := os.ReadFile(filepath.Join(root, "docs/operations.md"))
	require.NoError(t, err)
	_, section, found := strings.Cut(string(page), "\n## Environment variables\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	var documented []string
	for line := range strings.Lines(section) {
		if first, _, row := strings.Cut(strings.TrimPrefix(line, "| "), " | "); row && strings.HasPrefix(line, "| `") {
			for _, name := range regexp.MustCompile("`(BATON_[A-Z_]+)`").FindAllStringSubmatch(first, -1) {
				documented = append(documented, name[1])
			}
		}
	}
	require.ElementsMatch(t, variablesRead(t, root), documented)
}

func TestContract(t *testing.T) {
	t.Parallel()
	contract.Check(t, variablesRead(t, "../.."))
}

// variablesRead returns the BATON_ variables in string literals of Go code and in the Compose file.
func variablesRead(t *testing.T, root string) []string {
	t.Helper()
	read := map[string]bool{}
	variable := regexp.MustCompile(`^BATON_[A-Z_]*[A-Z]$`)
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") {
			if entry != nil && entry.IsDir() && slices.Contains([]string{"testdata", "tools", ".git", "bin"}, entry.Name()) {
				return filepath.SkipDir
			}
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if text, err := strconv.Unquote(literal.Value); err == nil && variable.MatchString(text) {
					read[text] = true
				}
			}
			return true
		})
		return nil
	}))
	compose, err := os.ReadFile(filepath.Join(root, "deploy/compose.yaml"))
	require.NoError(t, err)
	for _, name := range regexp.MustCompile(`\$\{(BATON_[A-Z_]+)`).FindAllStringSubmatch(string(compose), -1) {
		read[name[1]] = true
	}
	names := make([]string, 0, len(read))
	for name := range read {
		names = append(names, name)
	}
	return names
}
