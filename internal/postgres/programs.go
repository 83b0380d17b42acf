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

// programsVariable names the folder of PostgreSQL's programs, before all others.
const programsVariable = "BATON_POSTGRES_BIN"

// debianPrograms is where Debian keeps the programs of each version.
const debianPrograms = "/usr/lib/postgresql/*/bin"

// ErrMissing is returned where PostgreSQL's programs are not installed.
var ErrMissing = errors.New("PostgreSQL's server is not installed: install Debian's package postgresql, " +
	"or name the folder of initdb and postgres in " + programsVariable)

// programs returns the folder of initdb and postgres: the one that [programsVariable] names, else the one
// in PATH, else the newest of Debian's.
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
		if info, err := os.Stat(filepath.Join(folder, name)); err != nil || info.IsDir() { //nolint:gosec // whoever starts it names the folder
			return false
		}
	}
	return true
}

// version is the number in /usr/lib/postgresql/15/bin.
func version(folder string) int {
	number, err := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
	if err != nil {
		return 0
	}
	return number
}
