//go:build unix

package private

import (
	"io/fs"
	"os"
	"sync"
	"syscall"
)

// separates reports whether a file's mode controls the access of other users.
const separates = true

// ours reports whether the file belongs to the user who runs this program. Root may use all files.
func ours(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return !ok || os.Geteuid() == 0 || int(stat.Uid) == os.Geteuid()
}

var umask sync.Mutex

// Alone calls a function that starts a program whose files only this user may access. Files that this process
// creates during the call are restricted too.
func Alone(start func() error) error {
	umask.Lock()
	defer umask.Unlock()
	before := syscall.Umask(int(forOthers))
	defer syscall.Umask(before)
	return start()
}
