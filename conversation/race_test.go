//go:build race

package conversation_test

// underRaceDetector reports whether the race detector is on, which makes the walk ten times slower.
const underRaceDetector = true
