package postgres

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// programsVariable is the environment variable with the folder of PostgreSQL's programs. It takes precedence.
const programsVariable = "BATON_POSTGRES_BIN"

// debianPrograms matches the folders in which Debian installs the programs of each version.
const debianPrograms = "/usr/lib/postgresql/*/bin"

// ErrMissing means that PostgreSQL's programs are not installed.
var ErrMissing = errors.New("PostgreSQL's server is not installed: install Debian's package postgresql, " +
	"or name the folder of initdb and postgres in " + programsVariable)

// programs returns the folder of initdb and postgres: the one in [programsVariable], else the one in PATH, else the
// newest version of Debian's.
func programs() (string, error) {
	if folder := os.Getenv(programsVariable); folder != "" {
		if !hasPrograms(folder) {
			return "", fmt.Errorf("%s is %s, where initdb and postgres are not: %w", programsVariable, folder, ErrMissing)
		}
		return folder, nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		if folder := filepath.Dir(path); hasPrograms(folder) {
			return folder, nil
		}
	}
	found, err := filepath.Glob(debianPrograms)
	if err != nil {
		return "", fmt.Errorf("look for PostgreSQL: %w", err)
	}
	found = slices.DeleteFunc(found, func(folder string) bool { return !hasPrograms(folder) })
	if len(found) == 0 {
		return "", ErrMissing
	}
	return slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }), nil
}

func hasPrograms(folder string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if info, err := os.Stat(filepath.Join(folder, name)); err != nil || info.IsDir() { //nolint:gosec // the user who runs the program sets the folder
			return false
		}
	}
	return true
}

// version returns the version number in a path such as /usr/lib/postgresql/15/bin.
func version(folder string) int {
	number, err := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
	if err != nil {
		return 0
	}
	return number
}
