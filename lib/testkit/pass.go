package testkit

import (
	"testing/synctest"
	"time"
)

// Pass lets the virtual time of a synctest bubble go on, and then waits until the bubble has done what was due.
func Pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
