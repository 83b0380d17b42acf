//go:build !race

package conversation_test

// underRaceDetector is described in race_test.go.
const underRaceDetector = false
