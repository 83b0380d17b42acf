package desktest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/desk"
)

// emptyDesk returns the content of an SQLite file with an empty desk. Creating the tables takes longer than many
// tests do, so that they are created once and copied.
var emptyDesk = sync.OnceValues(func() (_ []byte, err error) {
	folder, err := os.MkdirTemp("", "desk")
	if err != nil {
		return nil, err //nolint:wrapcheck // the error names the folder
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	path := filepath.Join(folder, "desk.db")
	if _, _, err := desk.Migrate(context.Background(), path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// SQLite creates an empty desk in a file of its own, and returns the file's path.
func SQLite(t testing.TB) string {
	t.Helper()
	content, err := emptyDesk()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "desk.db")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}
