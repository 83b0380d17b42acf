package devserver

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBinary runs first in `make test`, so that the progress of the one long build is visible. It prints to stderr,
// which is shown while the test runs.
func TestBinary(t *testing.T) {
	t.Parallel()

	path, err := Binary(t.Context(), os.Stderr)
	require.NoError(t, err)
	version, err := readVersion(t.Context(), path)
	require.NoError(t, err)
	if os.Getenv(binaryVariable) == "" {
		require.True(t, atLeast(version, Version), "%s is version %s", path, version)
	}
}

func TestVersionIsThePinnedOne(t *testing.T) {
	t.Parallel()

	pin, err := os.ReadFile("../../tools/go.mod")
	require.NoError(t, err)
	require.Contains(t, string(pin), "github.com/temporalio/cli v"+Version+" ")
}

func TestAtLeast(t *testing.T) {
	t.Parallel()

	for version, want := range map[string]bool{
		"1.5.1": true, "1.5.2": true, "1.6.0": true, "2.0.0": true, "1.10.0": true, "1.5.2-rc.1": true,
		"1.5.0": false, "1.4.9": false, "0.99.99": false, "1.5.1-rc.1": false, "0.0.0-DEV": false, "1.5": false, "": false,
	} {
		require.Equal(t, want, atLeast(version, "1.5.1"), "version %q", version)
	}
}

// Not parallel: PATH and the working directory belong to the whole process.
func TestBinaryInPath(t *testing.T) {
	tests := []struct {
		name   string
		script string
		used   bool
		says   string
	}{
		{name: "of the pinned version", script: "echo temporal version 1.5.1 '(Server 1.29.1, UI 2.42.1)'", used: true},
		{name: "newer", script: "echo temporal version 1.12.0 '(Server 1.33.0, UI 2.50.0)'", used: true},
		{name: "older", script: "echo temporal version 1.1.2 '(Server 1.25.1, UI 2.30.3)'", says: "it is version 1.1.2, and 1.5.1 is the oldest"},
		{name: "of unknown version", script: "echo temporal version 0.0.0-DEV", says: "it is version 0.0.0-DEV"},
		{name: "another program", script: "echo time is an illusion", says: "printed no version"},
		{name: "broken", script: "echo cannot load library >&2; exit 127", says: "cannot load library"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			inPath := Script(t, folder, "temporal", test.script)
			t.Setenv("PATH", folder+":/usr/bin:/bin")
			t.Setenv(binaryVariable, "")
			t.Chdir(folder) // not a checkout, so nothing can be built
			t.Setenv("XDG_CACHE_HOME", t.TempDir())

			var progress bytes.Buffer
			found, err := Binary(t.Context(), &progress)
			if test.used {
				require.NoError(t, err)
				require.Equal(t, inPath, found)
				require.Empty(t, progress.String())
				return
			}
			require.ErrorContains(t, err, "install the Temporal CLI 1.5.1 or newer in PATH")
			require.ErrorContains(t, err, "run this from a checkout")
			require.Contains(t, progress.String(), inPath+" in PATH is not used")
			require.Contains(t, progress.String(), test.says)
		})
	}
}

func TestBinaryNamed(t *testing.T) {
	named := Script(t, t.TempDir(), "mine", "echo temporal version 0.0.0-DEV")
	t.Setenv(binaryVariable, named)
	found, err := Binary(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, named, found, "regardless of its version")

	t.Setenv(binaryVariable, named+"-that-is-not-there")
	_, err = Binary(t.Context(), nil)
	require.ErrorContains(t, err, "BATON_TEMPORAL names "+named+"-that-is-not-there")
	require.ErrorContains(t, err, "correct it, or unset it")
}

func TestToolsAreFoundFromAnyFolderOfTheCheckout(t *testing.T) {
	t.Parallel()

	root := t.TempDir()
	deep := filepath.Join(root, "e2e", "testdata")
	write := func(name, content string) {
		t.Helper()
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o750))
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(content), 0o600))
	}
	require.NoError(t, os.MkdirAll(deep, 0o750))
	write("go.mod", "module example.com/another\n")
	write("tools/go.mod", "module example.com/another/tools\n")
	_, ok := toolsAbove(deep)
	require.False(t, ok, "the checkout of another project")

	write("go.mod", "module "+modulePath+"\n\ngo 1.26.0\n")
	write("e2e/go.mod", "module "+modulePath+"/e2e\n")
	tools, ok := toolsAbove(deep)
	require.True(t, ok)
	require.Equal(t, filepath.Join(root, "tools"), tools)
}

func TestProcessesThatNeedTheBinaryAtOnceBuildItOnce(t *testing.T) {
	t.Parallel()

	p, builds := fakePin(t, `echo example.com/first/package >&2; echo binary >"$out"; chmod +x "$out"`)
	var together sync.WaitGroup
	found, problems := make([]string, 8), make([]error, 8)
	for i := range found {
		together.Go(func() { found[i], problems[i] = p.binary(t.Context()) })
	}
	together.Wait()
	for i := range found {
		require.NoError(t, problems[i])
		require.Equal(t, found[0], found[i])
	}
	require.Equal(t, 1, builds())
	require.FileExists(t, found[0])

	again, err := p.binary(t.Context())
	require.NoError(t, err)
	require.Equal(t, found[0], again)
	require.Equal(t, 1, builds(), "the next process finds it")

	require.NoError(t, os.WriteFile(filepath.Join(p.tools, "go.sum"), []byte("another pin"), 0o600))
	another, err := p.binary(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, found[0], another)
	require.Equal(t, 2, builds(), "another pin is another binary")
}

func TestBuildThatFails(t *testing.T) {
	t.Parallel()

	p, builds := fakePin(t, `echo half >"$out"; echo 'verifying module: checksum mismatch' >&2; exit 1`)
	var progress bytes.Buffer
	p.progress = &progress
	for range 2 {
		_, err := p.binary(t.Context())
		require.ErrorContains(t, err, "the Temporal dev server could not be built in "+p.tools)
		require.ErrorContains(t, err, "install the Temporal CLI 1.5.1 or newer in PATH")
		require.ErrorContains(t, err, "checksum mismatch")
	}
	require.Equal(t, 2, builds(), "half a binary is not taken for a whole one")
	require.Contains(t, progress.String(), "This happens only once")
	left, err := filepath.Glob(filepath.Join(p.cache, "*.building"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestBuildThatIsInterrupted(t *testing.T) {
	t.Parallel()

	running := filepath.Join(t.TempDir(), "running")
	require.NoError(t, syscall.Mkfifo(running, 0o600))
	p, _ := fakePin(t, `echo half >"$out"; echo it runs >`+running+`; exec sleep 600`)
	ctx, interrupt := context.WithCancelCause(t.Context())
	errInterrupted := errors.New("interrupted")
	go func() {
		_, _ = os.ReadFile(running) // returns when the build writes to it
		interrupt(errInterrupted)
	}()
	_, err := p.binary(ctx)
	require.ErrorIs(t, err, errInterrupted)
	left, err := filepath.Glob(filepath.Join(p.cache, "*.building"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestWhatGoBuildPrints(t *testing.T) {
	t.Parallel()

	output := &buildOutput{}
	tell := func(text string) { _, _ = output.Write([]byte(text)) }
	tell("go: downloading example.com/a v1.0.0\ngo: downl")
	tell("oading example.com/b v1.2.0\n")
	require.Equal(t, "downloaded 2 modules", output.summary())
	tell("example.com/a\nexample.com/b/v2\ngolang.org/x/net\n# example.com/c\nc.go:1:2: undefined: x\n")
	require.Equal(t, "compiled 3 packages", output.summary())
	require.Equal(t, []string{"# example.com/c", "c.go:1:2: undefined: x"}, output.complaints())
}

// fakePin returns a pin whose Go command runs the given script as the build; $out is the path of the binary.
func fakePin(t *testing.T, build string) (p pinned, builds func() int) {
	t.Helper()
	folder := t.TempDir()
	counted := filepath.Join(folder, "builds")
	p = pinned{
		tools: filepath.Join(folder, "tools"),
		cache: filepath.Join(folder, "cache"),
		goCommand: Script(t, folder, "go", `if [ "$1" = env ]; then printf 'go1.26\nlinux\namd64\n'; exit; fi
echo build >>`+counted+`
while [ "$1" != -o ]; do shift; done
out=$2
`+build),
	}
	require.NoError(t, os.Mkdir(p.tools, 0o750))
	for _, name := range []string{"go.mod", "go.sum"} {
		require.NoError(t, os.WriteFile(filepath.Join(p.tools, name), []byte(name), 0o600))
	}
	return p, func() int {
		lines, _ := os.ReadFile(counted)
		return strings.Count(string(lines), "build")
	}
}

// Script creates a shell script that replaces another program.
func Script(t *testing.T, folder, name, body string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	syscall.ForkLock.RLock() // a forked child may hold the file open for writing, and running it would fail: text file busy
	defer syscall.ForkLock.RUnlock()
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700)) //nolint:gosec // it must be executable
	return path
}

func TestBinaryOutsideACheckoutIsTheOneBuiltBefore(t *testing.T) {
	cache := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(cache, "baton"), 0o700))
	built := Script(t, filepath.Join(cache, "baton"), "temporal-v"+Version+"-0123456789ab", "echo temporal version "+Version)
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("PATH", "/usr/bin:/bin")
	t.Setenv(binaryVariable, "")
	t.Chdir(t.TempDir())

	found, err := Binary(t.Context(), &bytes.Buffer{})
	require.NoError(t, err)
	require.Equal(t, built, found)
}
