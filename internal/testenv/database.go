package testenv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// fileParts are the suffixes of a SQLite database's files. The last two files may be missing.
var fileParts = []string{"", "-wal", "-shm"}

// CopyDatabase replaces a SQLite database with a copy of another. No process may have either open.
func CopyDatabase(from, to string) error {
	for _, part := range fileParts {
		content, err := os.ReadFile(from + part)
		switch {
		case errors.Is(err, fs.ErrNotExist) && part != "":
			err = os.RemoveAll(to + part)
		case err == nil:
			err = os.WriteFile(to+part, content, 0o600) //nolint:gosec // tests name their own files
		}
		if err != nil {
			return fmt.Errorf("copy %s: %w", from+part, err)
		}
	}
	return nil
}
