package limitconn

import (
	"math"
	"strings"

	"starling/cluster/strict"
	"starling/conf"
	"starling/lib/clock"
	"starling/lib/conncount"
	"starling/lib/longkey"
	"starling/plan"
	"starling/side"
	"starling/zone"
	"starling/zone/kinds"
)

// strictKeyBytes is about what a key costs, as a holder and as an owner.
const strictKeyBytes = 1 << 10

// strictKeys is for how many keys a zone has room.
func strictKeys(bytes int64) int {
	return int(min(max(bytes/strictKeyBytes, 1), strict.SlotKeysMost))
}

// usedLimit is a limit_conn and where it is.
type usedLimit struct {
	Limit
	node *conf.Node
}

// newGate makes the gate of a zone, nil if it is not strict. All nodes with the same zone get the same tag, whatever
// the limit: that can differ while they are reloaded.
func newGate[C side.Subject](s *side.Side[C], z *Zone[C], limit int64, keys int) *strict.Gate {
	if !z.strict {
		return nil
	}
	tag := zone.KeyHash([]byte(strings.Join([]string{use(s), z.Name, z.Key.Text()}, "\n") + "\n"))
	gate := strict.NewConnGate(z.Name, limit, keys, tag)
	gate.Share(z.share)
	return gate
}

// limitOf is the limit of a strict zone; one that is not used has any.
func (r *part[C]) limitOf(z *plan.Zone) int64 {
	for _, l := range r.used {
		if l.zone == z {
			return int64(l.most)
		}
	}
	return 1
}

// checkStrict checks that a strict zone has one limit.
func (r *part[C]) checkStrict() (problems conf.Problems) {
	first := map[*plan.Zone]usedLimit{}
	for _, l := range r.used {
		z, declared := l.zone.Value.(*Zone[C])
		if !declared || !z.strict {
			continue // a zone that is missing is reported elsewhere
		}
		before, used := first[l.zone]
		if !used {
			first[l.zone] = l
		} else if before.most != l.most {
			problems = append(problems, conf.At(l.node, "limit_conn with the strict zone \"%s\" must have the same "+
				"number everywhere: %d here, %d in %s:%d", z.Name, l.most, before.most, before.node.File,
				before.node.Line))
		}
	}
	return problems
}

// Strict is one connection that a strict zone counts.
type Strict struct {
	counter *Counter
	conn    *strict.Conn
	ticket  kinds.Ticket
}

// IsStrict reports whether the zone must never be exceeded: use EnterStrict.
func (c *Counter) IsStrict() bool { return c.gate != nil }

// EnterStrict is Enter of a strict zone. It waits while the owner of the key is asked. end ends the connection; it is
// called, from any goroutine, if this node loses contact to the majority. why says why it is rejected.
func (c *Counter) EnterStrict(
	key []byte,
	limit uint32,
	end func(),
) (in *Strict, verdict conncount.Verdict, why string) {
	decision, conn, ticket := c.gate.Enter(string(longkey.Fit(key, strict.KeyBytesMost)), end, clock.SteadyUS())
	if decision == strict.Parked {
		decision = strict.Rejected
		if <-ticket.Decided { // the gate decides in time, whatever happens to the owner
			decision = strict.Admitted
		}
		ticket.Release()
	}
	switch decision {
	case strict.Admitted, strict.AdmittedAlone:
	case strict.NoLease:
		c.noLease.Add(1)
		if why = c.gate.Closed(); why == "" {
			why = "this node does not reach the majority of the members"
		}
		return nil, conncount.Rejected, why
	case strict.RejectedAlone:
		return nil, conncount.Rejected, "this node does not reach the majority of the members, and its share of the " +
			"limit is used up"
	default:
		return nil, conncount.Rejected, "the cluster's limit is reached"
	}
	most := uint32(math.MaxUint32) // the gate has decided
	if c.gate.Additive() {
		most = limit
	}
	t, counted := c.shared.Enter(key, most)
	if counted == kinds.Passed {
		return &Strict{c, conn, t}, conncount.Entered, ""
	}
	c.gate.Leave(conn, clock.SteadyUS())
	if counted == kinds.NoRoom {
		return nil, conncount.Full, ""
	}
	return nil, conncount.Rejected, "the limit is reached as far as this node knows"
}

// Leave undoes EnterStrict, once.
func (s *Strict) Leave() {
	s.counter.gate.Leave(s.conn, clock.SteadyUS())
	s.counter.shared.Leave(s.ticket)
}

// strictHeir counts the connections of a zone that was not strict.
type strictHeir struct{ c *Counter }

// Add is that of conncount.Heir.
func (h strictHeir) Add(key []byte, n uint32) bool {
	if !h.c.shared.Add(key, n) {
		return false
	}
	h.c.gate.Add(string(longkey.Fit(key, strict.KeyBytesMost)), int64(n), clock.SteadyUS())
	return true
}

// Take is that of conncount.Heir.
func (h strictHeir) Take(key []byte) {
	h.c.shared.Take(key)
	h.c.gate.Take(string(longkey.Fit(key, strict.KeyBytesMost)), clock.SteadyUS())
}
