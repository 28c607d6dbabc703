package carrier

import (
	"fmt"
	"slices"
	"strings"

	"starling/cluster/strict"
	"starling/zone"
)

// seating is the list of members, sorted, and this node's place in it.
type seating struct {
	hash      uint64
	members   []string // as configured
	addresses []string // at which they are dialled
	self      strict.Seat
	seals     *seals
}

func (s *seating) of(address string) (strict.Seat, bool) {
	i := slices.Index(s.addresses, address)
	return strict.Seat(i), i >= 0 && strict.Seat(i) != s.self
}

// hashOf identifies a list: see PROTOCOL.md.
func hashOf(members []string) uint64 {
	return zone.KeyHash([]byte(strings.Join(members, "\n") + "\n"))
}

// seating is the list with this node's place in it, -1 as long as it has not found itself, or why the list is no good.
func (r *strictRunner) seating() (s *seating, why string) {
	c := r.carrier
	c.mu.Lock()
	members, link := slices.Clone(c.members), c.link
	c.mu.Unlock()
	s = &seating{self: -1}
	byName, byAddress := map[string]string{}, map[string]Member{}
	for _, m := range members {
		if m.member.Resolve || len(m.targets) != 1 {
			return nil, fmt.Sprintf("zone_sync_server %s must be one address, without \"resolve\": all nodes need the "+
				"same list", m.member)
		}
		s.members = append(s.members, m.member.String())
		address := m.targets[0].key()
		if first, twice := byAddress[address]; twice {
			return nil, fmt.Sprintf("zone_sync_server %s and %s are one address, %s: a member has one place in the "+
				"list, so remove one of them on all nodes", first, m.member, address)
		}
		byName[m.member.String()], byAddress[address] = address, m.member
	}
	slices.Sort(s.members)
	selves := c.Selves()
	if link != nil { // the other process has found them
		selves = append(selves, link.Selves...)
	}
	for i, member := range s.members {
		s.addresses = append(s.addresses, byName[member])
		if slices.Contains(selves, byName[member]) {
			s.self = strict.Seat(i)
		}
	}
	if len(s.members) > strict.MembersMost {
		return nil, fmt.Sprintf("the list has %d members, more than %d", len(s.members), strict.MembersMost)
	}
	s.hash = hashOf(s.members)
	if old := r.seats; s.self < 0 && old != nil && old.hash == s.hash {
		s.self = old.self // an address is dialled anew now and then
	}
	return s, ""
}

// older lists the members that run a release without strict limits, as far as this node has met them.
func (r *strictRunner) older(s *seating) (members []string) {
	for i, address := range s.addresses {
		if connected, keeps := r.carrier.node.KeepsStrict(address); connected {
			if r.old[address] = !keeps; keeps {
				delete(r.old, address)
			}
		}
		if r.old[address] && strict.Seat(i) != s.self {
			members = append(members, s.members[i])
		}
	}
	return members
}

// wrote is when a member last sent a letter of the register; 0: never.
type wrote struct{ sameUS, otherUS int64 } // with the list of this node, with another one

func (w *wrote) note(same bool, nowUS int64) {
	if same {
		w.sameUS = nowUS
	} else {
		w.otherUS = nowUS
	}
}

// differs reports whether the member's last letters were those of another list.
func (w *wrote) differs(nowUS, leaseUS int64) bool {
	return w.otherUS > max(w.sameUS, nowUS-max(muteUS, 5*leaseUS))
}

// muteUS is for how long a connected member must have sent no letter before it counts as one without a register. A
// member without a group announces itself every 200 ms, or 4/3 of a longer lease.
const muteUS = 2_000_000

// unfounded says why nothing can be decided yet: which members are missing, and what to do about those that are
// connected and take no part.
func (r *strictRunner) unfounded(nowUS int64) string {
	s := r.seats
	r.mu.Lock()
	letters := r.wrote
	r.mu.Unlock()
	var absent, other, mute []string
	for i, address := range s.addresses {
		connected, _ := r.carrier.node.KeepsStrict(address)
		switch w, met := &letters[i], &r.metUS[i]; {
		case strict.Seat(i) == s.self:
		case !connected:
			*met = 0
			absent = append(absent, s.members[i])
		case *met == 0:
			*met = nowUS
		case w.differs(nowUS, r.leaseUS):
			other = append(other, s.members[i])
		case nowUS-max(*met, w.sameUS) >= max(muteUS, 5*r.leaseUS):
			mute = append(mute, s.members[i])
		}
	}
	var whys []string
	add := func(members []string, format string) {
		if len(members) > 0 {
			whys = append(whys, fmt.Sprintf(format, strings.Join(members, ", ")))
		}
	}
	add(other, "connected with another list of zone_sync_server: %s (make the lists the same and reload)")
	add(mute, "connected and silent: %s (make its list of zone_sync_server the same, add the \"strict\" zones of this "+
		"node and zone_sync_strict_state there and reload; if it has them, its log says what is wrong)")
	add(absent, "missing: %s")
	if len(whys) == 0 {
		return "the members are about to agree on their list"
	}
	return "a new list of members takes effect when all of them are connected and have it; " + strings.Join(whys, "; ")
}
