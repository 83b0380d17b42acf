// Package private restricts files with customers' data to the user who runs the program.
//
// Must not import: other packages of Baton.
package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	mode      fs.FileMode = 0o600
	forOthers fs.FileMode = 0o077
	writable  fs.FileMode = 0o022
)

// suffixes are those of the files that SQLite keeps next to a database. New ones get the database's mode.
var suffixes = []string{"", "-wal", "-shm", "-journal"}

// Database creates an empty SQLite database if it is missing, with access for this user only, independent of the umask
// is. It removes other users' access to an existing database and to the files next to it, and returns the files
// that it changed. It refuses a folder in which other users could replace the files.
func Database(path string) (narrowed []string, err error) {
	narrowed, err = Existing(path)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, mode)
	if errors.Is(err, fs.ErrPermission) {
		return narrowed, nil // the existing file is read-only: SQLite reports that
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be created: give this user access to its folder, or name another place: %w", path, err)
	}
	return narrowed, errors.Join(file.Chmod(mode), file.Close())
}

// Existing does what [Database] does, but creates no file.
func Existing(path string) (narrowed []string, err error) {
	if err := checkFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil && target != path {
		if err := checkFolder(filepath.Dir(target)); err != nil {
			return nil, err
		}
		path = target // SQLite keeps its other files next to the target of the link
	}
	for _, suffix := range suffixes {
		changed, err := narrow(path + suffix)
		if err != nil {
			return nil, err
		}
		if changed {
			narrowed = append(narrowed, path+suffix)
		}
	}
	return narrowed, nil
}

// Write replaces the file's content, with access for this user only. It also does so for a file that other users
// may read, whose mode [os.WriteFile] would keep. It replaces a link instead of following it.
func Write(path string, content []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // with mode 0600
	if err != nil {
		return fmt.Errorf("create a file beside %s: %w", path, err)
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(file.Name())))
	}
	return nil
}

// checkFolder refuses a folder that other users can write to. In a sticky folder such as /tmp they cannot replace
// this user's files.
func checkFolder(folder string) error {
	info, err := os.Stat(folder)
	if err != nil {
		return fmt.Errorf("the folder of the database cannot be used: create it, or name another place: %w", err)
	}
	if !separates || info.Mode().Perm()&writable == 0 || info.Mode()&fs.ModeSticky != 0 {
		return nil
	}
	return fmt.Errorf("other users can write to the folder %s and replace the database: run `chmod go-w %s`, or name another folder", folder, folder)
}

// narrow removes other users' access to a file, if it exists.
func narrow(path string) (changed bool, err error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%s cannot be used: name another place for the database: %w", path, err)
	case info.IsDir() || !separates:
		return false, nil
	case !info.Mode().IsRegular():
		return false, fmt.Errorf("%s is not a regular file: remove it, or name another place for the database", path)
	case !ours(info):
		return false, fmt.Errorf("%s belongs to another user: run `chown` on it, or name another place for the database", path)
	case info.Mode().Perm()&forOthers == 0:
		return false, nil
	}
	if err := os.Chmod(path, info.Mode().Perm()&^forOthers); err != nil {
		return false, fmt.Errorf("other users can read %s: run `chmod 600 %s`: %w", path, path, err)
	}
	return true, nil
}
