// Package testkit holds helpers that the tests of several packages share.
package testkit

import (
	"testing"
	"time"
)

// pollEvery is short enough to be unnoticed and long enough to leave the processor to the awaited work.
const pollEvery = 2 * time.Millisecond

// Eventually waits until check returns nil, and fails the test with its last error after limit. The last check begins
// after the limit, so that a machine that stood still for so long fails nothing. It is for conditions of other
// processes or sockets; inside one process prefer channels or synctest.
func Eventually(t testing.TB, limit time.Duration, check func() error) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for over := false; ; {
		err := check()
		if err == nil {
			return
		}
		if over {
			t.Fatalf("still not so after %v: %v", limit, err)
		}
		select {
		case <-deadline.C:
			over = true
		case <-tick.C:
		}
	}
}
