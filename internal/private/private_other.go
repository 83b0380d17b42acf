//go:build !unix

package private

import "io/fs"

// separates tells whether a file's mode separates users: here its access list does, which it inherits from its folder.
const separates = false

func ours(fs.FileInfo) bool { return true }

// Alone runs what starts a program.
func Alone(start func() error) error { return start() }
