//go:build race

package desktest

// underRaceDetector reports whether the race detector is on, which makes a test ten times slower.
const underRaceDetector = true
