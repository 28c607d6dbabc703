package carrier

import (
	"sync/atomic"
	"time"
)

// flusher moves changes into the journals when the core says that it is time.
type flusher struct {
	carrier *Carrier
	soon    chan struct{}
	urgent  atomic.Bool
	alarm   *alarm
}

func newFlusher(c *Carrier) *flusher {
	return &flusher{carrier: c, soon: make(chan struct{}, 1), alarm: newAlarm()}
}

// poke is called by the core for the first change after a flush.
func (f *flusher) poke(urgent bool) {
	select {
	case f.soon <- struct{}{}:
	default:
	}
	if urgent {
		f.urgent.Store(true)
		f.alarm.ring()
	}
}

// run flushes until the carrier is closed.
func (f *flusher) run() {
	defer f.alarm.close()
	for {
		select {
		case <-f.soon:
		case <-f.carrier.ctx.Done():
			return
		}
		for f.carrier.ctx.Err() == nil {
			wait, dirty := f.carrier.node.NextFlush(time.Since(f.carrier.start))
			if !dirty {
				break
			}
			if wait > 0 && !f.urgent.Swap(false) {
				f.alarm.sleep(wait)
				continue
			}
			f.now()
		}
	}
}

// now flushes without asking.
func (f *flusher) now() {
	c := f.carrier
	before := time.Now()
	c.node.Flush(before.Sub(c.start), c.clock.Now())
	c.node.Spent(time.Since(before), 0)
}

func (f *flusher) stop() { f.alarm.ring() }
