//go:build unix

package private_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/private"
)

func modeOf(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Mode().Perm()
}

func TestFilesAreForTheirUserAlone(t *testing.T) { //nolint:paralleltest // it changes the umask
	before := syscall.Umask(0)
	defer syscall.Umask(before)
	folder := t.TempDir()
	require.NoError(t, os.Chmod(folder, 0o755)) //nolint:gosec // the case
	path := filepath.Join(folder, "desk.db")
	narrowed, err := private.Database(path)
	require.NoError(t, err)
	require.Empty(t, narrowed)
	require.Equal(t, os.FileMode(0o600), modeOf(t, path))

	require.NoError(t, os.Chmod(path, 0o644))                         //nolint:gosec // the case
	require.NoError(t, os.WriteFile(path+"-wal", []byte("x"), 0o664)) //nolint:gosec // the case
	link := filepath.Join(t.TempDir(), "link.db")
	require.NoError(t, os.Chmod(filepath.Dir(link), 0o755)) //nolint:gosec // the case
	require.NoError(t, os.Symlink(path, link))
	narrowed, err = private.Database(link)
	require.NoError(t, err)
	require.Equal(t, []string{path, path + "-wal"}, narrowed)
	require.Equal(t, os.FileMode(0o600), modeOf(t, path+"-wal"))

	for _, mode := range []os.FileMode{0o775, 0o757, 0o777} {
		require.NoError(t, os.Chmod(folder, mode))
		for _, name := range []string{path, link, filepath.Join(folder, "new.db")} {
			_, err = private.Database(name)
			require.ErrorContains(t, err, "run `chmod go-w "+folder+"`", "%v %s", mode, name)
		}
	}
	require.NoFileExists(t, filepath.Join(folder, "new.db"))
	require.NoError(t, os.Chmod(folder, 0o777|os.ModeSticky))
	_, err = private.Database(path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path+"-wal"))
	require.NoError(t, os.Symlink("/dev/null", path+"-wal"))
	_, err = private.Database(path)
	require.ErrorContains(t, err, "is not a regular file")
}

func TestAlone(t *testing.T) { //nolint:paralleltest // it changes the umask
	before := syscall.Umask(0)
	defer syscall.Umask(before)
	path := filepath.Join(t.TempDir(), "a")
	require.NoError(t, private.Alone(func() error { return os.WriteFile(path, nil, 0o666) })) //nolint:gosec // the case
	require.Equal(t, os.FileMode(0o600), modeOf(t, path))
	require.NoError(t, os.WriteFile(path+"b", nil, 0o666)) //nolint:gosec // the case
	require.Equal(t, os.FileMode(0o666), modeOf(t, path+"b"))
}

// TestWriteIsForThisUserAlone covers existing files that other users may read, and links to them.
func TestWriteIsForThisUserAlone(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	wide, elsewhere, link := filepath.Join(folder, "wide"), filepath.Join(folder, "elsewhere"), filepath.Join(folder, "link")
	for _, path := range []string{wide, elsewhere} {
		require.NoError(t, os.WriteFile(path, []byte("before"), 0o600))
		require.NoError(t, os.Chmod(path, 0o644)) //nolint:gosec // the mode under test
	}
	require.NoError(t, os.Symlink(elsewhere, link))
	for _, path := range []string{wide, link, filepath.Join(folder, "new")} {
		require.NoError(t, private.Write(path, []byte("a history")))
		info, err := os.Lstat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode(), path)
	}
	kept, err := os.ReadFile(elsewhere)
	require.NoError(t, err)
	require.Equal(t, "before", string(kept))
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, 4, "nothing is left beside them")
}
