//go:build race

package e2e

// buildFlags build the programs under test like the tests: with the race detector.
var buildFlags = []string{"-race"}
