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

// seating finds this node's place in the list, or why it has none.
func (r *strictRunner) seating() (s *seating, why string) {
	c := r.carrier
	c.mu.Lock()
	members, link := slices.Clone(c.members), c.link
	c.mu.Unlock()
	s = &seating{self: -1}
	byName := map[string]string{}
	for _, m := range members {
		if m.member.Resolve || len(m.targets) != 1 {
			return nil, fmt.Sprintf("zone_sync_server %s must be one address, without \"resolve\": all nodes need the "+
				"same list", m.member)
		}
		s.members = append(s.members, m.member.String())
		byName[m.member.String()] = m.targets[0].key()
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
	if s.self < 0 {
		return nil, "this node has not found itself in the list of zone_sync_server yet"
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

// unfounded says why nothing can be decided yet.
func (r *strictRunner) unfounded() string {
	var absent []string
	for i, address := range r.seats.addresses {
		if connected, _ := r.carrier.node.KeepsStrict(address); !connected && strict.Seat(i) != r.seats.self {
			absent = append(absent, r.seats.members[i])
		}
	}
	if len(absent) == 0 {
		return "the members are about to agree on their list"
	}
	return "a new list of members takes effect when all of them are connected; missing: " + strings.Join(absent, ", ")
}
