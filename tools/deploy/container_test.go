package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/stretchr/testify/require"
)

// stages parses a container definition as BuildKit does. It also returns the defaults of the build arguments for
// its images.
func stages(t *testing.T, content string) ([]instructions.Stage, map[string]string, error) {
	t.Helper()
	file, err := parser.Parse(strings.NewReader(content))
	require.NoError(t, err)
	all, arguments, err := instructions.Parse(file.AST, nil)
	defaults := map[string]string{}
	for _, argument := range arguments {
		for _, pair := range argument.Args {
			require.NotNil(t, pair.Value, pair.Key)
			defaults[pair.Key] = *pair.Value
		}
	}
	return all, defaults, err
}

func TestContainer(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join(checkout, "deploy", "Containerfile"))
	require.NoError(t, err)
	all, images, err := stages(t, string(content))
	require.NoError(t, err)
	require.Len(t, all, 2)

	build, final := all[0], all[1]
	module, err := os.ReadFile(filepath.Join(checkout, "go.mod"))
	require.NoError(t, err)
	language := regexp.MustCompile(`(?m)^go (\d+\.\d+)\.`).FindStringSubmatch(string(module))
	require.Len(t, language, 2)
	require.Regexp(t, `^golang:`+regexp.QuoteMeta(language[1])+`\.\d+-`, images["GO_IMAGE"], "the Go of go.mod, in a version that doesn't move")
	require.Equal(t, "gcr.io/distroless/static-debian12:nonroot", images["BASE_IMAGE"])
	require.Equal(t, []string{"${GO_IMAGE}", "${BASE_IMAGE}"}, []string{build.BaseName, final.BaseName}, "a build can name each image by digest")
	var user string
	var copied []string
	for _, command := range final.Commands {
		switch command := command.(type) {
		case *instructions.UserCommand:
			user = command.User
		case *instructions.CopyCommand:
			require.Equal(t, build.Name, command.From, "nothing comes into the image but what was built")
			copied = append(copied, command.SourcePaths...)
		case *instructions.CmdCommand:
			require.False(t, command.PrependShell, "there is no shell: %v", command.CmdLine)
		case *instructions.ExposeCommand:
		default:
			t.Fatalf("%s has no place in the image's last stage", command.Name())
		}
	}
	require.Regexp(t, `^[1-9]\d*:[1-9]\d*$`, user, "a number that isn't root's")
	require.Equal(t, []string{"/out/worker", "/out/gateway", "/out/baton", "/out/LICENSE", "/out/licences"}, copied)

	_, _, err = stages(t, strings.Replace(string(content), "EXPOSE", "EXPOSES", 1))
	require.ErrorContains(t, err, "unknown instruction")
}
