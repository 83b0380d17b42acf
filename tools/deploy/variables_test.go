package deploy

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ours matches the variables that Baton, Temporal's environment configuration or OpenTelemetry reads.
var ours = regexp.MustCompile(`^(BATON|TEMPORAL|OTEL)_`)

// TestVariables finds variables that a manifest sets and no program reads. They would have no effect, without any
// error.
func TestVariables(t *testing.T) {
	t.Parallel()
	texts := textsOfPrograms(t)
	read := func(variable string) bool {
		if prefix, rest, found := strings.Cut(variable, "OTLP_"); found { // OpenTelemetry builds these names from parts
			return texts[variable] || (texts[prefix+"OTLP"] && texts[rest])
		}
		return texts[variable]
	}
	require.True(t, read("BATON_DATABASE"))
	require.True(t, read("TEMPORAL_ADDRESS"))
	require.False(t, read("BATON_DATABASES"))
	require.True(t, texts["/healthz"] || texts["GET /healthz"], "the probes ask for it")
	require.True(t, texts["/readyz"] || texts["GET /readyz"], "the probes ask for it")

	check := func(where, variable string) {
		require.True(t, !ours.MatchString(variable) || read(variable), "%s sets %s, which no program reads", where, variable)
	}
	project, err := composed(t, filepath.Join(checkout, "deploy", "compose.yaml"), passwords...)
	require.NoError(t, err)
	for name, service := range project.Services {
		if service.Build == nil {
			continue
		}
		for variable := range service.Environment {
			check("the service "+name+" of compose.yaml", variable)
		}
	}
	all := objects(t, built(t, "example"))
	for _, one := range all {
		for _, c := range one.Spec.Template.Spec.Containers {
			for variable := range environmentOf(t, c, all) {
				check(one.Kind+" "+one.Metadata.Name, variable)
			}
		}
	}
}

// textsOfPrograms returns every string in the source of the programs: of Baton's own packages, and of the packages
// of Temporal and OpenTelemetry that read the environment.
func textsOfPrograms(t *testing.T) map[string]bool {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Dir,GoFiles", "./worker", "./gateway", "./starter")
	command.Dir = checkout
	output, err := command.Output()
	require.NoError(t, err)
	texts := map[string]bool{}
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var dependency struct {
			ImportPath, Dir string
			GoFiles         []string
		}
		err := decoder.Decode(&dependency)
		if errors.Is(err, io.EOF) {
			return texts
		}
		require.NoError(t, err)
		if !regexp.MustCompile(`^(github\.com/baton-transfers/baton|go\.temporal\.io/sdk/contrib|go\.opentelemetry\.io)/`).MatchString(dependency.ImportPath) {
			continue
		}
		for _, name := range dependency.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dependency.Dir, name), nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			ast.Inspect(file, func(node ast.Node) bool {
				if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					if text, err := strconv.Unquote(literal.Value); err == nil {
						texts[text] = true
					}
				}
				return true
			})
		}
	}
}
