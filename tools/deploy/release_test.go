package deploy

import (
	"bytes"
	"debug/elf"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/stretchr/testify/require"
)

// TestSameBytes builds the worker from this checkout, and in another folder from the files that a container's build
// gets. Both programs are equal, byte for byte, and need no system library.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	seen := t.TempDir()
	copyContext(t, seen)
	here, there := filepath.Join(t.TempDir(), "here"), filepath.Join(t.TempDir(), "there")
	release(t, checkout, here)
	release(t, seen, there)

	program, err := os.ReadFile(filepath.Join(here, "worker"))
	require.NoError(t, err)
	other, err := os.ReadFile(filepath.Join(there, "worker"))
	require.NoError(t, err)
	require.True(t, bytes.Equal(program, other), "the worker depends on the folder that it is built in, or on a file that .dockerignore leaves out")
	top, err := filepath.Abs(checkout)
	require.NoError(t, err)
	require.False(t, bytes.Contains(program, []byte(top)), "the worker names the folder that it was built in")
	executable, err := elf.NewFile(bytes.NewReader(program))
	require.NoError(t, err)
	libraries, err := executable.ImportedLibraries()
	require.NoError(t, err)
	require.Empty(t, libraries, "an image without a C library can't run it")
	require.Equal(t, licences(t, here), licences(t, there))
}

// release builds the worker in a checkout, like the container's build.
func release(t *testing.T, folder, to string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "run", "-C", filepath.Join(folder, "tools", "release"), ".",
		"--version", "0.0.0", "--platform", "linux/amd64", "--program", "worker", "--folder", to)
	output, err := command.CombinedOutput()
	require.NoError(t, err, string(output))
}

// copyContext copies the files of the checkout that a container's build gets.
func copyContext(t *testing.T, to string) {
	t.Helper()
	ignored, err := os.ReadFile(filepath.Join(checkout, ".dockerignore"))
	require.NoError(t, err)
	patterns, err := ignorefile.ReadAll(bytes.NewReader(ignored))
	require.NoError(t, err)
	left, err := patternmatcher.New(patterns)
	require.NoError(t, err)
	for _, name := range tracked(t) {
		out, err := left.MatchesOrParentMatches(name)
		require.NoError(t, err)
		content, err := os.ReadFile(filepath.Join(checkout, name))
		if out || os.IsNotExist(err) { // deleted, but still in the index
			continue
		}
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o750))
		require.NoError(t, os.WriteFile(filepath.Join(to, name), content, 0o600))
	}
}

// tracked returns the files of the repository, including new files that are not ignored.
func tracked(t *testing.T) []string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	command.Dir = checkout
	output, err := command.Output()
	require.NoError(t, err)
	return strings.Split(strings.TrimSuffix(string(output), "\x00"), "\x00")
}

// licences returns the licences next to a program.
func licences(t *testing.T, folder string) []string {
	t.Helper()
	var names []string
	require.NoError(t, filepath.WalkDir(filepath.Join(folder, "licences"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, relErr := filepath.Rel(folder, path)
			names, err = append(names, name), relErr
		}
		return err
	}))
	require.NotEmpty(t, names)
	return names
}

// TestNobodysMachine finds traces of the machine that a file was written on: the folder of the checkout, the home
// folder, or the host that packages came from.
func TestNobodysMachine(t *testing.T) {
	t.Parallel()
	top, err := filepath.Abs(checkout)
	require.NoError(t, err)
	var traces []string
	if filepath.Dir(top) != "/" { // a folder like /src identifies no machine
		traces = append(traces, top+"/")
	}
	if home, err := os.UserHomeDir(); err == nil && home != "/" {
		traces = append(traces, home+"/")
	}
	traces = append(traces, hosts(t, "go", "env", "GOPROXY")...)
	if _, err := exec.LookPath("npm"); err == nil {
		traces = append(traces, hosts(t, "npm", "config", "get", "registry")...)
	}
	for _, name := range tracked(t) {
		content, err := os.ReadFile(filepath.Join(checkout, name))
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		for _, trace := range traces {
			require.False(t, bytes.Contains(content, []byte(trace)), "%s names a folder or a host of this machine: %s", name, strings.Repeat("*", len(trace)))
		}
	}
}

// hosts returns the hosts of the addresses that a command prints.
func hosts(t *testing.T, name string, args ...string) []string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), name, args...).Output()
	require.NoError(t, err)
	var found []string
	for address := range strings.FieldsFuncSeq(string(output), func(r rune) bool { return strings.ContainsRune(",| \n", r) }) {
		if at, err := url.Parse(address); err == nil && at.Host != "" {
			found = append(found, at.Host)
		}
	}
	return found
}

// TestLicencesAreListed compares docs/licences.md with the modules that the programs contain now.
func TestLicencesAreListed(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join(checkout, "docs", "licences.md"))
	require.NoError(t, err)
	listed := map[string]string{} // version by module or package path
	for _, row := range regexp.MustCompile(`(?m)^\| (\S+/\S+) \| (\S+) \|`).FindAllStringSubmatch(string(content), -1) {
		listed[row[1]] = row[2]
	}
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}",
		"./worker", "./gateway", "./starter")
	command.Dir, command.Env = checkout, append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	output, err := command.Output()
	require.NoError(t, err)
	made := map[string]string{}
	for line := range strings.Lines(string(output)) {
		if path, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			made[path] = version
		}
	}
	require.NotEmpty(t, made)
	moduleOf := func(name string) string {
		for made[name] == "" && strings.Contains(name, "/") {
			name = path.Dir(name)
		}
		return name
	}
	of := map[string]string{}
	for name, version := range listed {
		of[moduleOf(name)] = version
	}
	require.Equal(t, made, of, "`make licences` lists them anew")
}
