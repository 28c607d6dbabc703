package carrier

import (
	"starling/cluster/strict"
	"starling/logs"
)

// The limit of strict connections is not a part of the tag: a reload changes it in place. So members with different
// limits decide together, and admit as many as the largest of them says. Their operator should know.

// otherLimits are, by seat, the members whose limit of connections in a zone is another one than this node's.
type otherLimits [strict.MembersMost]struct {
	differing
	limit int64
}

// noteLimit notes the limit of connections that a member's message tells.
func (r *strictRunner) noteLimit(gate *strict.Gate, m *strict.Message, nowUS int64) {
	if !gate.Conns() || m.Kind != strict.AskSlots && m.Kind != strict.ReturnSlots {
		return
	}
	others := r.limits[gate]
	if own, _ := gate.ConnLimit(); m.Limit == own {
		if others != nil {
			others[m.From].differing = differing{}
		}
		return
	}
	if others == nil {
		others = new(otherLimits)
		r.limits[gate] = others
	}
	others[m.From].limit = m.Limit
	others[m.From].note(nowUS)
}

// tellLimits names the members with another limit of connections.
func (r *strictRunner) tellLimits(nowUS int64) {
	for gate, others := range r.limits {
		if _, open := r.open[gate]; !open {
			delete(r.limits, gate)
			continue
		}
		own, _ := gate.ConnLimit()
		for seat, member := range r.seats.members {
			if other := &others[seat]; other.lasts(nowUS) && other.limit != own {
				r.tellOnce(logs.Warn, "strict limits: %v: member %s has limit_conn with %d, this node with %d: up to "+
					"%d connections are admitted until all nodes have the same number", gate, member, other.limit,
					own, max(other.limit, own))
			}
		}
	}
}
