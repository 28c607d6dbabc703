//go:build !race

package testkit

// Race reports that the race detector is on: it allocates, so allocations are not counted then.
const Race = false
