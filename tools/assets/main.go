// Command assets copies the npm libraries of the pages and their tests, each with its licence, to the folders from
// which they are embedded. It installs exactly what internal/web/assets/package-lock.json specifies into a temporary
// folder, and runs no script of any package. `make assets` runs it, and `make drift` compares. It is a separate module
// because building Baton does not need it.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, "../..", os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The folders of the copies, relative to the top of the repository. Other files in these folders are removed.
const (
	ofPages = "internal/web/assets/vendor"
	ofTests = "e2e/testdata/axe"
)

// library is an npm package and the files copied from it.
type library struct {
	name  string
	files []string
	// to is the folder of the copies, relative to the top of the repository.
	to string
}

var libraries = []library{
	{"htmx.org", []string{"dist/htmx.min.js", "LICENSE"}, ofPages + "/htmx"},
	{"htmx-ext-sse", []string{"dist/sse.min.js", "LICENSE"}, ofPages + "/htmx-ext-sse"},
	{"idiomorph", []string{"dist/idiomorph-ext.min.js", "LICENSE"}, ofPages + "/idiomorph"},
	{"uplot", []string{"dist/uPlot.iife.min.js", "dist/uPlot.min.css", "LICENSE"}, ofPages + "/uplot"},
	{"axe-core", []string{"axe.min.js", "LICENSE", "LICENSE-3RD-PARTY.txt"}, ofTests},
}

func run(ctx context.Context, root string, log io.Writer) (err error) {
	modules, err := os.MkdirTemp("", "baton-assets-")
	if err != nil {
		return fmt.Errorf("make a folder for npm: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(modules)) }()
	if err := install(ctx, filepath.Join(root, "internal/web/assets"), modules, log); err != nil {
		return err
	}

	if err := errors.Join(os.RemoveAll(filepath.Join(root, ofPages)), os.RemoveAll(filepath.Join(root, ofTests))); err != nil {
		return fmt.Errorf("remove the copies of before: %w", err)
	}
	for _, l := range libraries {
		for _, file := range l.files {
			from := filepath.Join(modules, "node_modules", l.name, file)
			if err := put(from, filepath.Join(root, l.to, filepath.Base(file))); err != nil {
				return fmt.Errorf("copy %s of %s: %w", file, l.name, err)
			}
		}
	}
	return writeList(root, modules)
}

// install makes npm install what the lockfile in the folder specifies.
func install(ctx context.Context, folder, modules string, log io.Writer) error {
	if _, err := exec.LookPath("npm"); err != nil {
		return fmt.Errorf("install npm (Debian's package npm, or nodejs.org), which copies the pages' libraries: %w", err)
	}
	for _, file := range []string{"package.json", "package-lock.json", ".npmrc"} {
		if err := put(filepath.Join(folder, file), filepath.Join(modules, file)); err != nil {
			return fmt.Errorf("copy %s: %w", file, err)
		}
	}
	command := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	command.Dir = modules
	command.Stdout, command.Stderr = log, log
	if err := command.Run(); err != nil {
		return fmt.Errorf("npm ci: %w", err)
	}
	return nil
}

// put copies a file and creates the folder if necessary.
func put(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("make its folder: %w", err)
	}
	if err := os.WriteFile(to, content, 0o644); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// writeList writes the list of the copied files with their versions and licences.
func writeList(root, modules string) error {
	var list strings.Builder
	list.WriteString("# Libraries of the pages\n\n" +
		"Copied by `make assets` from the packages that `../package-lock.json` pins, and written anew with this list: change\n" +
		"`../package.json` (`npm install --package-lock-only NAME@VERSION` in that folder), run it, and commit what has changed.\n" +
		"`make drift` fails where a file isn't what the lockfile says.\n\n" +
		"| package | version | licence | files |\n|---|---|---|---|\n")
	for _, l := range libraries {
		content, err := os.ReadFile(filepath.Join(modules, "node_modules", l.name, "package.json"))
		if err != nil {
			return fmt.Errorf("read what %s is: %w", l.name, err)
		}
		var is struct {
			Version string `json:"version"`
			License string `json:"license"`
		}
		if err := json.Unmarshal(content, &is); err != nil {
			return fmt.Errorf("read what %s is: %w", l.name, err)
		}
		to, err := filepath.Rel(ofPages, l.to)
		if err != nil {
			return fmt.Errorf("name the folder of %s: %w", l.name, err)
		}
		var files []string
		for _, file := range l.files {
			name := filepath.ToSlash(filepath.Join(to, filepath.Base(file)))
			files = append(files, fmt.Sprintf("[%s](%s)", filepath.Base(file), name))
		}
		slices.Sort(files)
		fmt.Fprintf(&list, "| %s | %s | %s | %s |\n", l.name, is.Version, cmp.Or(is.License, "its LICENSE"), strings.Join(files, ", "))
	}
	if err := os.WriteFile(filepath.Join(root, ofPages, "README.md"), []byte(list.String()), 0o644); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	return nil
}
