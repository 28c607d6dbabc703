//go:build race

package harness

// Raced says that the tests, and so the program, are built with the race detector.
const Raced = true
