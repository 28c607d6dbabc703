package cache

import (
	"time"

	"starling/lib/clock"
)

// maxWaiting bounds the requests that wait for another's response, for all keys of a cache together: each holds its
// connection, and all of them go on at once when the wait ends. Beyond it they are passed to the server.
const maxWaiting = 10_000

// Lock makes this request the one that fetches the response of a key, for at most age; false if another one is.
func (t *Ticket) Lock(age time.Duration, now clock.Reading) bool {
	c := t.c
	c.mu.Lock()
	defer c.mu.Unlock()
	e := t.e
	if e.updating && e.lockUntilMS > now.MonoMS {
		return false
	}
	e.updating, e.lockUntilMS = true, now.MonoMS+age.Milliseconds()
	t.updating, t.lockUntilMS = true, e.lockUntilMS
	return true
}

// Wait returns a channel that is closed when the request that fetches the response has ended, and the time at which it
// is given up; false if there is nothing to wait for, or too many wait. The caller calls Waited afterwards.
func (t *Ticket) Wait(now clock.Reading) (ended <-chan struct{}, untilMS int64, ok bool) {
	c := t.c
	if c.waiting.Add(1) > maxWaiting {
		c.waiting.Add(-1)
		return nil, 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := t.e
	if e.wait == nil {
		e.wait = make(chan struct{})
		if !e.updating {
			close(e.wait)
			ended, e.wait = e.wait, nil
			return ended, now.MonoMS, true
		}
	}
	return e.wait, e.lockUntilMS, true
}

// Waited ends a wait.
func (t *Ticket) Waited() { t.c.waiting.Add(-1) }
