package cycle

import (
	"context"
	"sync"
	"time"

	"starling/plan"
	"starling/zone"
)

// Go returns memory to the system slowly, and only after its collector ran, which the garbage of an idle process does
// not trigger for minutes. A cleared zone is gigabytes that other programs could use.

const (
	// lookEvery is the interval of checking the size of zones.
	lookEvery = time.Second
	// giveBackFrom is how much zones must have shrunk for a forced collection, and giveBackShare the share of what they
	// had: a collection visits everything that is left, so it is run only for a large part.
	giveBackFrom  = 64 << 20
	giveBackShare = 4

	// sessionBytes is the approximate cost of a UDP session, and giveBackSessions how many must have ended.
	sessionBytes     = 4 << 10
	giveBackSessions = 8 << 20
)

// memoryWatch follows the memory of zones or sessions.
type memoryWatch struct {
	mu      sync.Mutex
	highest int64 // since memory was last returned
}

// look reports whether returning memory pays.
func (w *memoryWatch) look(used, from int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.highest = max(w.highest, used)
	if lost := w.highest - used; lost < from || lost < w.highest/giveBackShare {
		return false
	}
	w.highest = used
	return true
}

// tickZones removes what has ended in the zones of the running configuration. A cluster ticks its zones itself, and
// more often.
func (h *Host) tickZones() {
	c := h.Current()
	if c == nil {
		return
	}
	now := c.plan.Clock.Now()
	for _, z := range c.plan.Zones.All() {
		kept, ok := z.Value.(interface{ Unwrap() zone.Shared })
		if !ok {
			continue
		}
		if one := kept.Unwrap(); one != nil { // nil for connections of this node alone: their counts just go to zero
			one.Tick(now)
		}
	}
}

// watchMemory removes what has ended in zones, and returns the memory of shrunk zones and of ended UDP sessions to the
// system, until ctx ends.
func (h *Host) watchMemory(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			h.tickZones()
			h.lookAtMemory()
		}
	}
}

func (h *Host) lookAtMemory() {
	c := h.Current()
	if c == nil {
		return
	}
	zones := h.memory.look(bytesOfZones(c.plan), giveBackFrom)
	sessions := h.sessions.look(h.datagrams.Sessions()*h.sessionBytes, giveBackSessions)
	if zones || sessions {
		h.giveBack()
	}
}

func bytesOfZones(p *plan.Plan) (used int64) {
	for _, z := range p.Zones.All() {
		if counted, ok := z.Value.(interface{ Stats() zone.Stats }); ok {
			used += counted.Stats().Bytes
		}
	}
	return used
}
