package carrier

import (
	"strings"

	"starling/lib/clock"
	"starling/logs"
)

// closeAll closes the gates, and tells the operator why no zone is strict.
func (r *strictRunner) closeAll(why string, additive bool) {
	r.close(why, additive)
	for _, gate := range r.config.Gates {
		how := withoutMajority(gate)
		if additive {
			how = "only adds requests up after the fact"
		}
		r.tellOnce(logs.Warn, "strict limits: %v %s: %s", gate, how, why)
	}
}

// close closes the gates, and tells nothing.
func (r *strictRunner) close(why string, additive bool) {
	for _, gate := range r.config.Gates {
		if gate.Closed() != why {
			gate.CloseTo(why, additive, clock.SteadyUS())
		}
	}
}

// unseated is a list in which this node has not found itself.
type unseated struct {
	hash    uint64
	sinceUS int64
}

// unseatedToldUS is for how long a node must not have found itself before the log says so. It dials itself at once; a
// busy machine, or a peer that answers in its place at first, makes it take longer.
const unseatedToldUS = 5_000_000

// closeUnseated closes the zones of a node that has not found itself in the list.
func (r *strictRunner) closeUnseated(s *seating, nowUS int64) {
	if r.unseated.hash != s.hash || r.unseated.sinceUS == 0 {
		r.unseated = unseated{s.hash, nowUS}
	}
	list := strings.Join(s.members, ", ")
	r.close("this node has not found itself in the list of zone_sync_server yet: "+list, false)
	if nowUS < r.unseated.sinceUS+unseatedToldUS {
		return
	}
	for _, gate := range r.config.Gates {
		r.tellOnce(logs.Warn, "strict limits: %v %s: none of the addresses in the list of zone_sync_server leads to "+
			"this node: %s; add its address to the list, on all nodes alike; if it is there, the log says why it "+
			"cannot be dialled", gate, withoutMajority(gate), list)
	}
}
