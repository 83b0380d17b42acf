//go:build !race

package e2e

// buildFlags build the programs under test as the tests are built: without the race detector.
var buildFlags []string
