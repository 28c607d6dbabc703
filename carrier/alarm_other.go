//go:build !linux

package carrier

import "time"

// alarm sleeps with the runtime's timers.
type alarm struct{ rung chan struct{} }

func newAlarm() *alarm { return &alarm{rung: make(chan struct{}, 1)} }

// sleep waits that long, or until ring.
func (a *alarm) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.rung:
	}
}

// ring ends the current sleep, or the next one if there is none.
func (a *alarm) ring() {
	select {
	case a.rung <- struct{}{}:
	default:
	}
}

func (a *alarm) close() {}
