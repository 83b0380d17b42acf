//go:build !race

package desk

// underRaceDetector is described in race_test.go.
const underRaceDetector = false
