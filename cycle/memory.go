package cycle

import (
	"context"
	"sync"
	"time"

	"starling/plan"
	"starling/zone"
)

// Go gives memory back to the system little by little, and only after its collector ran, which the garbage of an idle
// process does not bring about for minutes. A zone that was cleared is gigabytes that other programs could use.

const (
	// lookEvery is how often zones are asked for their size.
	lookEvery = time.Second
	// giveBackFrom is what zones must have lost for a forced collection, and giveBackShare the share of what they had:
	// the work is a walk over all that is left, so it is done for a large part only.
	giveBackFrom  = 64 << 20
	giveBackShare = 4

	// sessionBytes is about what a UDP session costs, and giveBackSessions what they must have lost.
	sessionBytes     = 4 << 10
	giveBackSessions = 8 << 20
)

// memoryWatch follows how much memory zones, or sessions, use.
type memoryWatch struct {
	mu      sync.Mutex
	highest int64 // since memory was given back last
}

// look says whether it is worth it to give memory back.
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

// watchMemory gives the memory of zones that have become smaller, and of UDP sessions that have ended, back to the
// system, until ctx ends.
func (h *Host) watchMemory(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
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
