//go:build unix

package private

import (
	"io/fs"
	"os"
	"sync"
	"syscall"
)

// separates tells whether a file's mode separates users.
const separates = true

// ours tells whether the file belongs to the user who runs this program. Root may use everybody's.
func ours(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return !ok || os.Geteuid() == 0 || int(stat.Uid) == os.Geteuid()
}

var umask sync.Mutex

// Alone runs what starts a program whose files are for this user alone. Files that this process creates meanwhile are too.
func Alone(start func() error) error {
	umask.Lock()
	defer umask.Unlock()
	before := syscall.Umask(int(forOthers))
	defer syscall.Umask(before)
	return start()
}
