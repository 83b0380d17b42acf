package postgres

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// account is the user that runs PostgreSQL's programs if this process is root, because they refuse to run as root.
type account struct {
	uid, gid uint32
	other    bool
}

func newAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	found, err := user.Lookup("postgres")
	if err != nil {
		return account{}, fmt.Errorf("PostgreSQL doesn't run as root, and there is no user postgres: install Debian's package postgresql, "+
			"or run this as another user: %w", err)
	}
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("read the number of user postgres: %w", err)
	}
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("read the group of user postgres: %w", err)
	}
	return account{uid: uint32(uid), gid: uint32(gid), other: true}, nil
}

// own changes the owner of a file or folder to the account.
func (a account) own(path string) error {
	if !a.other {
		return nil
	}
	if err := os.Chown(path, int(a.uid), int(a.gid)); err != nil {
		return fmt.Errorf("give %s to user postgres: %w", path, err)
	}
	return nil
}

// prepare makes the command run as the account.
func (a account) prepare(command *exec.Cmd) {
	if a.other {
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: a.uid, Gid: a.gid}}
	}
}

// finish requests PostgreSQL's fast shutdown: it disconnects clients, and no recovery is needed at the next start.
func finish(process *os.Process) { _ = process.Signal(syscall.SIGINT) } // fails only if the process has already ended
