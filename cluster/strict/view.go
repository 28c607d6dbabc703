package strict

import (
	"slices"

	"starling/zone"
)

// Seat is the position of a node in the sorted list of configured members, which is the same on all nodes.
type Seat int

// MembersMost bounds the configured members: sets of seats are words of 64 bits, and every member pings every other
// four times per lease.
const MembersMost = 64

// Member is one process of a configured member in a view.
type Member struct {
	Seat        Seat
	Incarnation uint64 // of the process
	Birth       uint64 // the number of the first view that has had it without interruption
}

// View is the set of nodes that hold pieces, as the cluster agreed on it. Views are numbered without gaps, and each
// number is decided once, by a replicated register outside this package. The zero View is that before the first.
type View struct {
	Number  uint64
	Members []Member // by seat
	// Founding views have no member in common with the view before: no piece survived, so all nodes get default pieces.
	Founding bool
}

// Of returns the member in a seat.
func (v *View) Of(seat Seat) (Member, bool) {
	i, found := slices.BinarySearchFunc(v.Members, seat, func(m Member, s Seat) int { return int(m.Seat - s) })
	if !found {
		return Member{}, false
	}
	return v.Members[i], true
}

// has reports whether the view has a process in a seat.
func (v *View) has(seat Seat, incarnation uint64) bool {
	m, ok := v.Of(seat)
	return ok && m.Incarnation == incarnation
}

// Seats is a set of seats.
type Seats uint64

func (s Seats) has(seat Seat) bool { return s>>uint(seat)&1 == 1 }
func (s *Seats) add(seat Seat)     { *s |= 1 << uint(seat) }
func (s *Seats) remove(seat Seat)  { *s &^= 1 << uint(seat) }

// owner returns the seat that owns a key in the view: that with the highest score for it (rendezvous hashing, Thaler
// and Ravishankar 1998), so a change of the view moves only the keys of the node that came or went.
func (v *View) owner(key string, ids []uint64) (Seat, bool) {
	hash := zone.KeyHash([]byte(key))
	var best uint64
	owner, found := Seat(0), false
	for _, m := range v.Members {
		if score := scramble(hash ^ scramble(ids[m.Seat])); !found || score > best {
			best, owner, found = score, m.Seat, true
		}
	}
	return owner, found
}

// scramble is the finalizer of splitmix64 (Steele, Lea, Flood 2014).
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// next returns the view after v with the given processes. Members that stay keep their birth.
func (v *View) next(processes []Member) View {
	after := View{Number: v.Number + 1, Founding: true}
	for _, m := range processes {
		m.Birth = after.Number
		if old, ok := v.Of(m.Seat); ok && old.Incarnation == m.Incarnation {
			m.Birth, after.Founding = old.Birth, false
		}
		after.Members = append(after.Members, m)
	}
	slices.SortFunc(after.Members, func(a, b Member) int { return int(a.Seat - b.Seat) })
	return after
}

// sameProcesses reports whether two views have the same processes.
func (v *View) sameProcesses(w *View) bool {
	return slices.EqualFunc(v.Members, w.Members, func(a, b Member) bool {
		return a.Seat == b.Seat && a.Incarnation == b.Incarnation
	})
}
