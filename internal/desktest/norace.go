//go:build !race

package desktest

// underRaceDetector is described in race.go.
const underRaceDetector = false
