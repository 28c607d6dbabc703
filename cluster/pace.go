package cluster

import (
	"sync"
	"sync/atomic"
	"time"
)

// The pacing of flushes. Lag makes shared limits inexact, so a change is sent at once if the node was quiet, and under
// load as often as possible while flushing stays a small part of one core.
const (
	// minGap lets the changes of a busy moment share a frame and a system call.
	minGap = 250 * time.Microsecond
	// maxGap bounds the stretching: beyond it the cost is in the records, and waiting saves none of it.
	maxGap = 5 * time.Millisecond
	// costShare is the inverse of the part of a core that flushing and writing may use: 5 %.
	costShare = 20
	// awaitedGap is maxGap while answers to clients wait for flushes: a fifth of the time that they wait by default.
	awaitedGap = time.Millisecond
	// awaitedFor is how long that lasts after the last one.
	awaitedFor = time.Second
	// costMemory is how many flushes the average of their cost covers.
	costMemory = 8
)

// pacer decides when the dirty lists are flushed. Times are monotonic, since any fixed moment.
type pacer struct {
	dirty  atomic.Bool
	urgent atomic.Bool
	// spent collects the time that writers used since the last flush, in nanoseconds.
	spent atomic.Int64

	mu       sync.Mutex
	flushed  bool // the first flush has no predecessor to keep a gap to
	last     time.Duration
	cost     time.Duration // moving average of a flush with its writes
	interval time.Duration
	awaited  time.Duration // until when answers probably wait for flushes
}

// wait returns how long the next flush should wait, and false if nothing is dirty.
func (p *pacer) wait(now time.Duration) (time.Duration, bool) {
	if !p.dirty.Load() {
		return 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	since := now - p.last
	if !p.flushed || p.urgent.Load() {
		return 0, true
	}
	gap := p.gap()
	if now < p.awaited {
		gap = min(gap, awaitedGap)
	}
	return max(gap-since, 0), true
}

// served notes that somebody waited for a flush: more may follow.
func (p *pacer) served(now time.Duration) {
	p.mu.Lock()
	p.awaited = now + awaitedFor
	p.mu.Unlock()
}

// gap is the time between two flushes under load.
func (p *pacer) gap() time.Duration {
	return min(max(minGap, costShare*p.cost), maxGap, max(p.interval, minGap))
}

// began takes the dirty mark: changes from now on request another flush.
func (p *pacer) began(now time.Duration) {
	p.dirty.Store(false)
	p.urgent.Store(false)
	p.mu.Lock()
	p.last, p.flushed = now, true
	p.mu.Unlock()
}

// ended adds the cost of a flush, with that of the writes since the previous one, to the average.
func (p *pacer) ended(cost time.Duration) {
	cost += time.Duration(p.spent.Swap(0))
	p.mu.Lock()
	p.cost += (cost - p.cost) / costMemory
	p.mu.Unlock()
}

func (p *pacer) setInterval(interval time.Duration) {
	p.mu.Lock()
	p.interval = interval
	p.mu.Unlock()
}
