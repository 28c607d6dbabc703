package h2client

import (
	"sync"
	"time"
)

// waiter is what one goroutine sleeps on. It is used with the wire's lock held.
type waiter struct {
	wake  chan struct{} // holds one signal
	timer *time.Timer   // made at its first use
	until time.Time     // when the wait fails; zero: never
}

func newWaiter() waiter { return waiter{wake: make(chan struct{}, 1)} }

// signal wakes the sleeper to check again. A redundant signal does no harm.
func (k *waiter) signal() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// sleep releases the lock and waits for a signal; false once the deadline has passed.
func (k *waiter) sleep(lock sync.Locker) bool {
	var expired <-chan time.Time
	if !k.until.IsZero() {
		left := time.Until(k.until)
		if left <= 0 {
			return false
		}
		if k.timer == nil {
			k.timer = time.NewTimer(left)
		} else {
			k.timer.Reset(left)
		}
		expired = k.timer.C
	}
	lock.Unlock()
	defer lock.Lock()
	select {
	case <-k.wake:
		if expired != nil {
			k.timer.Stop()
		}
	case <-expired: // the loop around finds out: the deadline may have moved meanwhile
	}
	return true
}
