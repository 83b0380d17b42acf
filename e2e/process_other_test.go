//go:build !unix

package e2e

import "testing"

func (p *process) freeze(t *testing.T) {
	t.Helper()
	t.Skip("stopping and continuing a process needs Unix signals")
}

func (p *process) thaw(*testing.T) {}
