//go:build !unix

package e2e

import "testing"

func (p *process) freeze(t *testing.T) {
	t.Helper()
	t.Skip("Windows cannot freeze a process: there is no SIGSTOP")
}

func (p *process) thaw(*testing.T) {}
