//go:build !unix

package child

import "os/exec"

// bindToParent does nothing on systems without Unix processes. A child outlives a killed parent there, and must be
// stopped manually.
func bindToParent(*exec.Cmd) (watch func(pid int) (release func(), err error)) {
	return func(int) (func(), error) { return func() {}, nil }
}
