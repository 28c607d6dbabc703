//go:build race

package sticky_test

const raceDetector = true
