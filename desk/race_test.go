//go:build race

package desk

// underRaceDetector reports whether the race detector is on, which makes a test ten times slower.
const underRaceDetector = true
