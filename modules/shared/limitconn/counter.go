package limitconn

import (
	"sync/atomic"

	"starling/cluster/strict"
	"starling/lib/clock"
	"starling/lib/conncount"
	"starling/plan"
	"starling/zone"
	"starling/zone/kinds"
)

// Counter counts the connections or requests in progress of one zone: those of this node, or with sync those of all
// nodes. It stays when a reload keeps the zone.
type Counter struct {
	Counts *conncount.Counts
	local  *conncount.Zone
	shared *kinds.Conn // nil without sync
	// gate decides together with the other nodes, if the zone is strict; shared counts, too.
	gate    *strict.Gate
	noLease atomic.Uint64 // connections rejected because this node may not decide
}

// newCounter makes the counter of a zone. before is the one that it replaces, or nil: its figures continue.
func newCounter(z *plan.Zone, key string, gate *strict.Gate, before *Counter) *Counter {
	c := &Counter{Counts: new(conncount.Counts), gate: gate}
	if before != nil {
		c.Counts = before.Counts
	}
	if z.Sync {
		c.shared = kinds.NewConn(kinds.ConnConfig{Name: z.Name, Expression: key, Bytes: z.Bytes})
	} else {
		c.local = conncount.New(z.Bytes)
	}
	return c
}

// Ticket is one counted connection, for Leave.
type Ticket uint64

// Enter counts a connection of a key unless that has reached its limit. Only Entered must be followed by Leave. The key
// must not be longer than conncount.MaxKeyBytes.
func (c *Counter) Enter(key []byte, limit uint32) (Ticket, conncount.Verdict) {
	if c.shared == nil {
		t, verdict := c.local.Enter(key, limit)
		return Ticket(t), verdict
	}
	t, verdict := c.shared.Enter(key, limit)
	switch verdict {
	case kinds.Passed:
		return Ticket(t), conncount.Entered
	case kinds.NoRoom:
		return 0, conncount.Full
	}
	return 0, conncount.Rejected
}

// Leave undoes one Enter. Each ticket is valid for one Leave.
func (c *Counter) Leave(t Ticket) {
	if c.shared == nil {
		c.local.Leave(conncount.Ticket(t))
		return
	}
	c.shared.Leave(kinds.Ticket(t))
}

// resize changes the size. Keys that have counts stay, whatever the size.
func (c *Counter) resize(bytes int64) {
	if c.shared == nil {
		c.local.Resize(bytes)
		return
	}
	c.shared.SetBytes(bytes)
}

// isShared reports whether it counts with the other nodes.
func (c *Counter) isShared() bool { return c.shared != nil }

// heir is the memory of the counter, for the one that it replaces.
func (c *Counter) heir() conncount.Heir {
	if c.gate != nil {
		return strictHeir{c}
	}
	if c.shared == nil {
		return c.local
	}
	return c.shared
}

// carryFrom counts what another counter counts, for as long as its connections live.
func (c *Counter) carryFrom(before *Counter) {
	if before.gate != nil {
		before.gate.Retire(clock.SteadyUS())
	}
	if before.shared == nil {
		before.local.Follow(c.heir())
		return
	}
	before.shared.Follow(c.heir())
}

// Unwrap returns the zone that the nodes of the cluster share, or nil.
func (c *Counter) Unwrap() zone.Shared {
	if c.shared == nil {
		return nil
	}
	return c.shared
}

// Memory is the use of the zone, for /slabs.
func (c *Counter) Memory() plan.Memory {
	if c.shared == nil {
		m := c.local.Memory()
		return plan.Memory{UsedBytes: m.UsedBytes, Records: m.Keys, Refused: int64(m.Refused)}
	}
	stats := c.shared.Stats()
	return plan.Memory{UsedBytes: stats.Bytes, Records: stats.Records, Refused: stats.Refused}
}

// heldBy are the keys with the most connections.
func (c *Counter) heldBy() held {
	out := held{Keys: []heldKey{}, Strict: c.showStrict()}
	if c.shared == nil {
		for _, h := range c.local.Fullest(shownKeys) {
			out.Keys = append(out.Keys, newHeldKey(h.Key, h.Count, nil))
		}
		return out
	}
	for _, h := range c.shared.Fullest(shownKeys) {
		out.Keys = append(out.Keys, newHeldKey(h.Key, h.All, &h.Own))
	}
	return out
}
