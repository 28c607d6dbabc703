package carrier

import (
	"slices"

	"starling/cluster/strict"
	"starling/lib/plural"
	"starling/logs"
)

// fallen is a zone whose node has lost contact with the majority.
type fallen struct {
	sinceUS  int64
	told     bool
	admitted uint64 // by itself, before
}

// fallenUS is for how long contact must be lost before the log says so, or three leases if that is longer. A short
// pause of the machine is not worth two lines.
const fallenUS = 500_000

// fallenToldUS is how long the log waits. A lease of connections is long, and a node without it has ended them.
func (r *strictRunner) fallenToldUS(gate *strict.Gate) int64 {
	if gate.Conns() {
		return max(fallenUS, r.leaseOf(gate)/2)
	}
	return max(fallenUS, 3*r.leaseUS)
}

// fallBack tells the gates how many members share the limits; 0: this node must admit nothing by itself.
func fallBack(gates []*strict.Gate, members int) {
	for _, gate := range gates {
		gate.Among(members)
	}
}

// membersOfList is the number of configured members.
func (r *strictRunner) membersOfList() int {
	r.carrier.mu.Lock()
	defer r.carrier.mu.Unlock()
	return len(r.carrier.members)
}

// tellFallen logs which zones have lost contact with the majority, and which have it again. Closed zones are logged by
// closeAll.
func (r *strictRunner) tellFallen(nowUS int64) {
	for gate := range r.fallen {
		if !slices.Contains(r.config.Gates, gate) {
			delete(r.fallen, gate)
		}
	}
	for _, gate := range r.config.Gates {
		s, f := gate.Status(nowUS), r.fallen[gate]
		switch {
		case s.State == "waiting" && f == nil:
			r.fallen[gate] = &fallen{sinceUS: nowUS, admitted: s.Fallback.Admitted}
		case s.State == "waiting" && !f.told && nowUS >= f.sinceUS+r.fallenToldUS(gate):
			f.told = true
			r.carrier.logf(logs.Warn, "strict limits: %v %s: this node does not reach the majority of the members",
				gate, withoutMajority(gate))
		case s.State != "waiting" && f != nil:
			if delete(r.fallen, gate); f.told && s.State == "member" {
				r.carrier.logf(logs.Notice, "strict limits: %v decides with the other members again; alone, this node "+
					"admitted %s", gate, admittedAlone(gate, s.Fallback.Admitted-f.admitted))
			}
		}
	}
}

// admittedAlone is a number of what a zone counts.
func admittedAlone(gate *strict.Gate, count uint64) string {
	if gate.Conns() {
		return plural.Of(count, "connection", "connections")
	}
	return plural.Of(count, "request", "requests")
}

// withoutMajority says what a zone does with requests while this node cannot decide with the others.
func withoutMajority(gate *strict.Gate) string {
	if gate.Shares() {
		return "admits this node's share of the limit only"
	}
	if gate.Conns() {
		return "rejects new connections"
	}
	return "rejects requests"
}
