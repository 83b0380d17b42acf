//go:build !unix

package child

import "os/exec"

// bindToParent does nothing where there are no Unix processes: the child outlives a parent that is killed there, and is
// stopped by hand.
func bindToParent(*exec.Cmd) (watch func(pid int) (release func(), err error)) {
	return func(int) (func(), error) { return func() {}, nil }
}
