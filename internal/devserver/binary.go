package devserver

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/baton-transfers/baton/internal/sleep"
)

// modulePath identifies a checkout of this project.
const modulePath = "github.com/baton-transfers/baton"

// binaryVariable is the environment variable that names the program to run, of any version.
const binaryVariable = "BATON_TEMPORAL"

// versionTimeout allows for a machine that starts many programs at once: printing the version can take more than
// ten seconds there.
const versionTimeout = time.Minute

// Binary returns the path of the Temporal CLI that runs the dev server. It uses the first of these: the program in
// BATON_TEMPORAL; `temporal` in PATH, if its version is [Version] or newer; the program that was built earlier from
// the checkout's tools folder. Otherwise it builds that program, which takes minutes, happens once, and is reported
// on progress. It downloads nothing but Go modules.
//
// If several processes need the program at the same time, one builds it and the others wait. When ctx ends, the
// build is canceled, and the next call starts it again.
func Binary(ctx context.Context, progress io.Writer) (string, error) {
	if named := os.Getenv(binaryVariable); named != "" {
		if _, err := readVersion(ctx, named); err != nil {
			return "", fmt.Errorf("%s names %s, which does not run as the Temporal CLI: correct it, or unset it: %w",
				binaryVariable, named, err)
		}
		return named, nil
	}
	if found, ok := inPath(ctx, progress); ok {
		return found, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("there is no folder to keep the Temporal dev server in: set HOME or XDG_CACHE_HOME: %w", err)
	}
	tools, err := toolsFolder()
	if err != nil {
		if built, ok := builtBefore(ctx, filepath.Join(cache, "baton")); ok {
			return built, nil
		}
		return "", err
	}
	goCommand, err := exec.LookPath("go")
	if err != nil {
		return "", fmt.Errorf("building the Temporal dev server needs Go: put `go` in PATH, or install the Temporal CLI %s or newer: %w", Version, err)
	}
	return pinned{goCommand: goCommand, tools: tools, cache: filepath.Join(cache, "baton"), progress: progress}.binary(ctx)
}

// builtBefore finds a program that a checkout has built, for callers outside of a checkout.
func builtBefore(ctx context.Context, cache string) (string, bool) {
	found, err := filepath.Glob(filepath.Join(cache, "temporal-v"+Version+"-*"))
	if err != nil {
		return "", false
	}
	for _, path := range found {
		if version, err := readVersion(ctx, path); err == nil && version == Version {
			return path, true
		}
	}
	return "", false
}

// inPath looks in PATH for a `temporal` that is new enough.
func inPath(ctx context.Context, progress io.Writer) (string, bool) {
	found, err := exec.LookPath("temporal")
	if err != nil {
		return "", false
	}
	version, err := readVersion(ctx, found)
	switch {
	case err != nil:
		say(progress, "%s in PATH is not used, because it does not print its version: %v", found, err)
		return "", false
	case !atLeast(version, Version):
		say(progress, "%s in PATH is not used: it is version %s, and %s is the oldest supported", found, version, Version)
		return "", false
	}
	return found, true
}

var versionLine = regexp.MustCompile(`^temporal version v?(\d+\.\d+\.\d+\S*)`)

// readVersion runs a Temporal CLI to read its version, such as 1.5.1.
func readVersion(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, path, "--version")
	command.WaitDelay = time.Second // a process that the program started may keep the output open
	output, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("run %s --version: %w%s", path, err, quoteLog(lastLines(string(output))))
	}
	match := versionLine.FindSubmatch(output)
	if match == nil {
		return "", fmt.Errorf("%s --version printed no version of the Temporal CLI%s", path, quoteLog(lastLines(string(output))))
	}
	return string(match[1]), nil
}

// atLeast reports whether a version is the wanted one or newer. A pre-release comes before its release.
func atLeast(version, wanted string) bool {
	version, preRelease, _ := strings.Cut(version, "-")
	have, want := numbers(version), numbers(wanted)
	for i := range want {
		if i >= len(have) {
			return false
		}
		if have[i] != want[i] {
			return have[i] > want[i]
		}
	}
	return preRelease == ""
}

func numbers(version string) []int {
	var all []int
	for part := range strings.SplitSeq(version, ".") {
		number, err := strconv.Atoi(part)
		if err != nil {
			break
		}
		all = append(all, number)
	}
	return all
}

// toolsFolder returns the tools folder of the checkout that contains the working directory or the running program.
func toolsFolder() (string, error) {
	var starts []string
	if working, err := os.Getwd(); err == nil {
		starts = append(starts, working)
	}
	if executable, err := os.Executable(); err == nil {
		if resolved, err := filepath.EvalSymlinks(executable); err == nil {
			executable = resolved
		}
		starts = append(starts, filepath.Dir(executable))
	}
	for _, start := range starts {
		if tools, ok := toolsAbove(start); ok {
			return tools, nil
		}
	}
	return "", fmt.Errorf("no Temporal dev server was found: install the Temporal CLI %s or newer in PATH, "+
		"name one in %s, or run this from a checkout of %s, which builds it", Version, binaryVariable, modulePath)
}

func toolsAbove(folder string) (string, bool) {
	for {
		if isCheckout(folder) {
			return filepath.Join(folder, "tools"), true
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", false
		}
		folder = parent
	}
}

func isCheckout(folder string) bool {
	file, err := os.Open(filepath.Join(folder, "go.mod"))
	if err != nil {
		return false
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if strings.TrimSpace(lines.Text()) == "module "+modulePath {
			_, err := os.Stat(filepath.Join(folder, "tools", "go.mod"))
			return err == nil
		}
	}
	return false
}

// pinned is the dev server that a tools folder pins. It is built into a cache folder.
type pinned struct {
	goCommand string
	tools     string
	cache     string
	progress  io.Writer
}

func (p pinned) binary(ctx context.Context) (string, error) {
	target, err := p.target(ctx)
	if err != nil {
		return "", err
	}
	if isProgram(target) {
		return target, nil
	}
	if err := os.MkdirAll(p.cache, 0o750); err != nil {
		return "", p.cannotKeep(err)
	}
	release, err := p.lock(ctx, target+".lock")
	if err != nil {
		return "", err
	}
	defer release()
	if isProgram(target) {
		return target, nil // another process built it in the meantime
	}
	if err := p.build(ctx, target); err != nil {
		return "", err
	}
	return target, nil
}

// target returns the path of the binary. The name depends on the pinned version, Go and the platform, so that a
// binary is never outdated.
func (p pinned) target(ctx context.Context) (string, error) {
	sum := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(p.tools, name))
		if err != nil {
			return "", fmt.Errorf("read what pins the Temporal dev server: %w", err)
		}
		sum.Write(content)
	}
	command := exec.CommandContext(ctx, p.goCommand, "env", "GOVERSION", "GOOS", "GOARCH")
	command.Dir = p.tools
	platform, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("ask `go env` for its version: %w%s", err, quoteLog(standardError(err)))
	}
	sum.Write(platform)
	return filepath.Join(p.cache, fmt.Sprintf("temporal-v%s-%s", Version, hex.EncodeToString(sum.Sum(nil))[:12])), nil
}

// lock waits until no other process builds the same binary, and then prevents other processes from building it.
func (p pinned) lock(ctx context.Context, name string) (release func(), err error) {
	told := false
	for {
		held, err := tryLock(name)
		if err == nil {
			return func() { _ = held.Close() }, nil
		}
		if !errors.Is(err, errLocked) {
			return nil, p.cannotKeep(err)
		}
		if !told {
			say(p.progress, "Another process is building the Temporal dev server %s: waiting for it.", Version)
			told = true
		}
		if sleep.For(ctx, lockPoll) != nil {
			return nil, fmt.Errorf("wait for another process to build the Temporal dev server: %w", context.Cause(ctx))
		}
	}
}

func (p pinned) cannotKeep(err error) error {
	return fmt.Errorf("the Temporal dev server cannot be kept in %s: make that folder writable, "+
		"set XDG_CACHE_HOME to one that is, or name a Temporal CLI in %s: %w", p.cache, binaryVariable, err)
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o100 != 0
}
