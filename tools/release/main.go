// Command release builds the files that users get: the three programs for each platform, with the licences of
// everything in them. It makes archives with checksums (`make release`), or puts the files into a folder
// (deploy/Containerfile). The same commit and the same Go version produce the same bytes, in any folder and on any
// machine. It is a separate module that uses only the standard library, so that it also runs in the container's
// build.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], "../..", os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// release describes what is built, and from which checkout.
type release struct {
	checkout string
	// programs are the folders of the programs. [fileOf] returns the names of their files.
	programs []string
	// version is the release's version, such as 0.1.0. It is empty for a build that is not a release.
	version string
	log     io.Writer
}

func run(ctx context.Context, args []string, checkout string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.SetOutput(stderr)
	version := flags.String("version", "", "the release's version, as 0.1.0; empty for a build of no release")
	platforms := flags.String("platform", "linux/amd64,linux/arm64", "what to build for")
	programs := flags.String("program", "worker,gateway,starter", "the folders of the programs to build")
	folder := flags.String("folder", "", "lay the programs of one platform into this folder, over making archives")
	out := flags.String("out", filepath.Join(checkout, "bin", "release"), "where the archives go")
	if err := flags.Parse(args); err != nil {
		return err
	}
	checkout, err := filepath.Abs(checkout)
	if err != nil {
		return fmt.Errorf("find the checkout: %w", err)
	}
	r := release{checkout: checkout, programs: strings.Split(*programs, ","), version: *version, log: stderr}
	wanted := strings.Split(*platforms, ",")
	switch {
	case *folder != "" && len(wanted) != 1:
		return errors.New("a folder holds the programs of one platform: name it with --platform, as linux/arm64")
	case *folder != "":
		return r.lay(ctx, wanted[0], *folder)
	case *version == "":
		return errors.New("a release has a version: name it with --version, as 0.1.0")
	}
	sums, err := r.archives(ctx, wanted, *out)
	if err != nil {
		return err
	}
	_, err = io.WriteString(stdout, sums)
	return err
}

// archives makes one archive for each platform, and SHA256SUMS. It returns the text of SHA256SUMS.
func (r release) archives(ctx context.Context, platforms []string, out string) (_ string, err error) {
	date, err := r.date(ctx)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // released files are readable by everyone
		return "", fmt.Errorf("make the folder of the archives: %w", err)
	}
	work, err := os.MkdirTemp("", "baton-release-")
	if err != nil {
		return "", fmt.Errorf("make a folder to build in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	var sums strings.Builder
	for _, platform := range platforms {
		name := fmt.Sprintf("baton_%s_%s", r.version, strings.ReplaceAll(platform, "/", "_"))
		if err := r.lay(ctx, platform, filepath.Join(work, name)); err != nil {
			return "", err
		}
		sum, err := pack(filepath.Join(work, name), filepath.Join(out, name+".tar.gz"), date)
		if err != nil {
			return "", fmt.Errorf("pack %s: %w", name, err)
		}
		fmt.Fprintf(&sums, "%s  %s.tar.gz\n", sum, name)
	}
	if err := os.WriteFile(filepath.Join(out, "SHA256SUMS"), []byte(sums.String()), 0o644); err != nil { //nolint:gosec // as above
		return "", fmt.Errorf("write the checksums: %w", err)
	}
	return sums.String(), nil
}

// date returns the modification time of the files in the archives: SOURCE_DATE_EPOCH, or else the commit's date.
func (r release) date(ctx context.Context) (time.Time, error) {
	seconds := os.Getenv("SOURCE_DATE_EPOCH")
	if seconds == "" {
		output, err := r.command(ctx, nil, "git", "log", "-1", "--format=%ct")
		if err != nil {
			return time.Time{}, fmt.Errorf("tell the commit's date; SOURCE_DATE_EPOCH may say another: %w", err)
		}
		seconds = strings.TrimSpace(string(output))
	}
	epoch, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH has to be seconds since 1970: %w", err)
	}
	return time.Unix(epoch, 0).UTC(), nil
}

// lay builds the programs for a platform into a folder and puts the licences next to them.
func (r release) lay(ctx context.Context, platform, folder string) error {
	system, architecture, ok := strings.Cut(platform, "/")
	if !ok {
		return fmt.Errorf("%q is not a platform: write it as linux/amd64", platform)
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return fmt.Errorf("find the folder: %w", err)
	}
	// These variables can change the bytes of a program, so they are fixed, and do not come from the environment.
	environment := []string{
		"GOOS=" + system, "GOARCH=" + architecture, "CGO_ENABLED=0", "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=", "GOFLAGS=", "GOWORK=off",
	}
	for _, program := range r.programs {
		fmt.Fprintf(r.log, "build %s for %s\n", fileOf(program), platform)
		// The program contains neither its folder (-trimpath) nor the state of the checkout (-buildvcs).
		_, err := r.command(ctx, environment, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", r.linked(),
			"-o", filepath.Join(folder, fileOf(program)), "./"+program)
		if err != nil {
			return fmt.Errorf("build %s for %s: %w", program, platform, err)
		}
	}
	return r.layLicences(ctx, environment, folder)
}

// fileOf returns the name of a program's file. It is the folder's name, except that the command line is called baton.
func fileOf(program string) string {
	if program == "starter" {
		return "baton"
	}
	return program
}

// linked returns the linker's flags: no debug tables, and the version. Builds that are not releases are identified
// by their digest; see internal/build.
func (r release) linked() string {
	const variables = "github.com/baton-transfers/baton/internal/build."
	flags := "-s -w -buildid="
	if r.version != "" {
		flags += " -X " + variables + "version=" + r.version + " -X " + variables + "id=" + r.version
	}
	return flags
}

// layLicences copies the licences and notices of everything in the programs: of Baton, of Go, of each module, and
// of the pages' libraries.
func (r release) layLicences(ctx context.Context, environment []string, folder string) error {
	modules, err := r.modules(ctx, environment)
	if err != nil {
		return err
	}
	root, err := r.command(ctx, nil, "go", "env", "GOROOT")
	if err != nil {
		return fmt.Errorf("find Go: %w", err)
	}
	licences := filepath.Join(folder, "licences")
	if err := copyLicences(r.checkout, folder); err != nil {
		return err
	}
	if err := copyLicences(strings.TrimSpace(string(root)), filepath.Join(licences, "go")); err != nil {
		return err
	}
	for _, module := range modules {
		if module.Path == unlicensed {
			continue
		}
		if err := copyLicences(module.Dir, filepath.Join(licences, filepath.FromSlash(module.Path+"@"+module.Version))); err != nil {
			return err
		}
	}
	libraries, err := filepath.Glob(filepath.Join(r.checkout, "internal", "web", "assets", "vendor", "*", "LICENSE"))
	if err != nil || len(libraries) == 0 {
		return fmt.Errorf("find the licences of the pages' libraries: %w", cmp.Or(err, os.ErrNotExist))
	}
	for _, library := range libraries {
		from := filepath.Dir(library)
		if err := copyLicences(from, filepath.Join(licences, "web", filepath.Base(from))); err != nil {
			return err
		}
	}
	return nil
}

// module is a Go module that the programs contain, and the folder of its files.
type module struct{ Path, Version, Dir string }

// modules returns the modules that the programs contain, except Baton itself.
func (r release) modules(ctx context.Context, environment []string) ([]module, error) {
	args := []string{"list", "-deps", "-json=Module"}
	for _, program := range r.programs {
		args = append(args, "./"+program)
	}
	output, err := r.command(ctx, environment, "go", args...)
	if err != nil {
		return nil, fmt.Errorf("list the modules: %w", err)
	}
	var modules []module
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var dependency struct {
			Module *struct {
				module
				Main bool
			}
		}
		if err := decoder.Decode(&dependency); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("list the modules: %w", err)
		}
		if found := dependency.Module; found != nil && !found.Main && !slices.Contains(modules, found.module) {
			modules = append(modules, found.module)
		}
	}
	return modules, nil
}

// unlicensed has no licence file; docs/licences.md says why it is used.
const unlicensed = "github.com/nexus-rpc/nexus-proto-annotations"

// kinds are the prefixes, in upper case, of the names of files that must be included.
var kinds = []string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT", "PATENTS"}

// copyLicences copies the licence and notice files of a folder. It returns an error if there are none: then the
// folder's contents cannot be released.
func copyLicences(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("find the licence: %w", err)
	}
	found := false
	for _, entry := range entries {
		named := func(kind string) bool { return strings.HasPrefix(strings.ToUpper(entry.Name()), kind) }
		if !entry.Type().IsRegular() || filepath.Ext(entry.Name()) == ".go" || !slices.ContainsFunc(kinds, named) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(from, entry.Name()))
		if err != nil {
			return fmt.Errorf("read a licence: %w", err)
		}
		if err := os.MkdirAll(to, 0o755); err != nil { //nolint:gosec // released files are readable by everyone
			return fmt.Errorf("make the folder of a licence: %w", err)
		}
		if err := os.WriteFile(filepath.Join(to, entry.Name()), content, 0o644); err != nil { //nolint:gosec // as above
			return fmt.Errorf("write a licence: %w", err)
		}
		found = true
	}
	if !found {
		return fmt.Errorf("%s has no licence among its files: look where it is, and whether it may be released", filepath.Base(from))
	}
	return nil
}

// command runs a program in the checkout and returns what it prints.
func (r release) command(ctx context.Context, environment []string, name string, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = r.checkout
	command.Env = append(os.Environ(), environment...)
	command.Stderr = r.log
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", name, args[0], err)
	}
	return output, nil
}
