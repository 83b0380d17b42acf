package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// pack writes a folder into an archive and returns the archive's SHA-256. The archive depends only on the date and
// on the files' names, their bytes and whether they are executable.
func pack(folder, archive string, date time.Time) (_ string, err error) {
	file, err := os.Create(archive)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	sum := sha256.New()
	compressed := gzip.NewWriter(io.MultiWriter(file, sum))
	files := tar.NewWriter(compressed)
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(filepath.Dir(folder), path)
		if err != nil {
			return fmt.Errorf("name %s in the archive: %w", path, err)
		}
		return add(files, path, filepath.ToSlash(name), date)
	})
	if err = errors.Join(err, files.Close(), compressed.Close()); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func add(files *tar.Writer, path, name string, date time.Time) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read what is packed: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("read what is packed: %w", err)
	}
	mode := int64(0o644)
	if info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	if err := files.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content)), ModTime: date, Format: tar.FormatUSTAR}); err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	if _, err := files.Write(content); err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	return nil
}
