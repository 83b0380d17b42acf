package deploy

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
)

// composed loads a compose file as `docker compose` does, with the given environment.
func composed(t *testing.T, file string, environment ...string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{file}, cli.WithEnv(environment), cli.WithProfiles([]string{"*"}))
	require.NoError(t, err)
	return options.LoadProject(t.Context())
}

var passwords = []string{"BATON_DATABASE_PASSWORD=b", "BATON_RUN_PASSWORD=r", "TEMPORAL_DATABASE_PASSWORD=t"}

func TestCompose(t *testing.T) {
	t.Parallel()
	file := filepath.Join(checkout, "deploy", "compose.yaml")
	project, err := composed(t, file, passwords...)
	require.NoError(t, err)
	for name, service := range project.Services {
		require.Regexp(t, `:[^:]+$`, service.Image, "%s: which version runs is said", name)
		require.NotRegexp(t, `:latest$`, service.Image, name)
		for _, port := range service.Ports {
			require.Equal(t, "127.0.0.1", port.HostIP, "%s is reached from this machine alone", name)
		}
		for needed, how := range service.DependsOn {
			if how.Condition == types.ServiceConditionHealthy {
				require.NotNil(t, project.Services[needed].HealthCheck, "%s waits until %s is healthy", name, needed)
			}
		}
		if service.Build == nil {
			continue
		}
		require.FileExists(t, filepath.Join(service.Build.Context, service.Build.Dockerfile), name)
		require.True(t, service.ReadOnly, name)
		require.Equal(t, []string{"ALL"}, service.CapDrop, name)
		require.Contains(t, service.SecurityOpt, "no-new-privileges:true", name)
		if name == "worker" || name == "gateway" {
			require.Positive(t, service.Deploy.Resources.Limits.MemoryBytes, name)
			require.Contains(t, service.DependsOn, "setup", name)
		}
	}
	worker := project.Services["worker"]
	require.Equal(t, 2, worker.GetScale())

	t.Run("the tables' owner is at work in the setup alone", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, types.ShellCommand{"baton", "setup", "--grant", "baton_run"}, project.Services["setup"].Command)
		for name, service := range project.Services {
			if service.Build == nil {
				continue
			}
			user, password := "baton_run", "r"
			if name == "setup" {
				user, password = "baton", "b"
			}
			require.Equal(t, "postgres://"+user+"@postgres:5432/baton?sslmode=require", *service.Environment["BATON_DATABASE"], name)
			require.Equal(t, password, *service.Environment["PGPASSWORD"], name)
		}
	})

	t.Run("each image can be named by digest", func(t *testing.T) {
		t.Parallel()
		digest := "@sha256:" + strings.Repeat("0", 64)
		named := map[string]string{"BATON_IMAGE": "", "POSTGRES_IMAGE": "", "TEMPORAL_IMAGE": "", "TEMPORAL_UI_IMAGE": "", "GO_IMAGE": "", "BASE_IMAGE": ""}
		environment := slices.Clone(passwords)
		for name := range named {
			named[name] = "registry.example.com/" + strings.ToLower(name) + digest
			environment = append(environment, name+"="+named[name])
		}
		pinned, err := composed(t, file, environment...)
		require.NoError(t, err)
		content, err := os.ReadFile(filepath.Join(checkout, "deploy", "Containerfile"))
		require.NoError(t, err)
		_, defaults, err := stages(t, string(content))
		require.NoError(t, err)
		for name, service := range pinned.Services {
			require.True(t, strings.HasSuffix(service.Image, digest), "%s has the image %s", name, service.Image)
			if service.Build == nil {
				continue
			}
			for argument, image := range defaults {
				require.Equal(t, named[argument], *service.Build.Args[argument], "%s %s", name, argument)
				require.Equal(t, image, *project.Services[name].Build.Args[argument], "the Containerfile's %s", argument)
			}
		}
	})

	t.Run("a password that is missing is asked for", func(t *testing.T) {
		t.Parallel()
		_, err := composed(t, file)
		require.ErrorContains(t, err, "set it in deploy/.env")
	})

	t.Run("mistakes are found", func(t *testing.T) {
		t.Parallel()
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, mistake := range [][2]string{
			{"depends_on:", "depend_on:"}, {"read_only: true", "read_only: perhaps"}, {"healthcheck:", "health_check:"}, {"setup: {condition: service_completed_successfully}", "set-up: {condition: service_completed_successfully}"},
		} {
			require.Contains(t, string(content), mistake[0])
			wrong := filepath.Join(t.TempDir(), "compose.yaml")
			require.NoError(t, os.WriteFile(wrong, []byte(strings.Replace(string(content), mistake[0], mistake[1], 1)), 0o600))
			_, err := composed(t, wrong, passwords...)
			require.Error(t, err, mistake[1])
		}
	})

	t.Run("what may be set is in the example", func(t *testing.T) {
		t.Parallel()
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		read := map[string]bool{}
		for _, name := range regexp.MustCompile(`\$\{(\w+)`).FindAllStringSubmatch(string(content), -1) {
			read[name[1]] = true
		}
		example, err := os.ReadFile(filepath.Join(checkout, "deploy", ".env.example"))
		require.NoError(t, err)
		var shown []string
		for _, name := range regexp.MustCompile(`(?m)^(\w+)=`).FindAllStringSubmatch(string(example), -1) {
			shown = append(shown, name[1])
		}
		require.ElementsMatch(t, slices.Collect(maps.Keys(read)), shown)
	})
}
