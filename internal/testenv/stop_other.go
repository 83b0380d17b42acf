//go:build !unix

package testenv

// Stop returns [ErrNoStop].
func (p *Process) Stop() error { return ErrNoStop }

// Continue returns [ErrNoStop].
func (p *Process) Continue() error { return ErrNoStop }
