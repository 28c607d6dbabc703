//go:build !race

package sticky_test

const raceDetector = false
