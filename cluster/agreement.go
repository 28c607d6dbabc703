package cluster

import (
	"starling/lib/clock"
	"starling/zone"
)

// What the operator is shown of how zones compare. Nodes agree only as far as they have looked: what was written since,
// or is on its way, is unknown, and so is all that a silent peer holds.

const (
	// confirmedForMS is how long a confirmed agreement counts while digests differ: records are always on their way on
	// a busy node.
	confirmedForMS = 3 * digestEveryMS
	// agreedForMS is a round of comparison, and some time for its bytes.
	agreedForMS = digestEveryMS + 1000
	// silentBeats is how many heartbeats of a peer may be missing before what it holds is unknown; silentSlackMS is for
	// their way.
	silentBeats   = 2
	silentSlackMS = 200
)

// comparison is how a zone compares with a peer's. Guarded by Node.mu.
type comparison struct {
	differing   int   // shards, by the last digests
	left        int   // records that the last sketch left alone
	atMS        int64 // monotonic, of the last digests
	isConfirmed bool
	confirmedMS int64 // monotonic; the two agreed in all but fresh records
	agreedMS    int64 // monotonic; the two agreed in all records, and this node's
	agreed      content
	framesLost  bool
	lineage     uint64 // of the peer's zone when the two agreed
	sinceMS     int64  // monotonic, of the first agreement since both connections stand; 0 for none
}

// The states of an agreement.
const (
	saysAlone   = "alone"
	saysAgree   = "agree"
	saysFull    = "full, not comparable"
	saysUnknown = "unknown"
	saysDiffer  = "differ"
)

// gravity orders the states of an agreement, from well to what an operator should look at first.
var gravity = map[string]int{saysAlone: 0, saysAgree: 1, saysFull: 2, saysUnknown: 3, saysDiffer: 4}

// differs says that records differ that are not just on their way.
func (c *comparison) differs(now clock.Reading) bool {
	lately := c.atMS != 0 && !after(now, c.atMS, confirmedForMS)
	return lately && c.differing > 0 && (!c.isConfirmed || after(now, c.confirmedMS, confirmedForMS))
}

// state is what the operator is shown. mine is what this node's zone holds now.
func (c *comparison) state(mine content, now clock.Reading) string {
	agreed := c.agreedMS != 0 && !after(now, c.agreedMS, agreedForMS) && c.agreed == mine
	switch {
	case agreed && (c.differing == 0 || c.agreedMS >= c.atMS):
		return saysAgree
	case c.differs(now):
		return saysDiffer
	}
	return saysUnknown
}

// content tells what a zone holds at one time from what it holds at another. The sum of its digests alone does not: a
// pair that is written and deleted again leaves the sum as it was, while a peer may have got only one of the two.
type content struct{ sum, changes uint64 }

// contentOf takes a zone's digests; ok is false where it cannot be compared. The changes are counted first: one that
// comes between makes it another content than the next.
func contentOf(z *zoneState, digests *[zone.Shards]uint64) (c content, ok bool) {
	if compared, isCompared := z.shared.(zone.Comparable); isCompared {
		c.changes = compared.Changes()
	}
	ok = z.shared.Digests(digests)
	for _, shard := range digests {
		c.sum += shard
	}
	return c, ok
}

// hearing is what is heard of a peer on its sessions.
type hearing struct {
	silent bool
	ready  map[string]int64 // since when it pushes zones that are ready and can be compared; monotonic
}

// hear adds what a session tells of its peer.
func (s *Session) hear(of map[NodeID]*hearing, now clock.Reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peer == nil || s.stage != established {
		return
	}
	h := of[s.peer.id]
	if h == nil {
		h = &hearing{ready: make(map[string]int64)}
		of[s.peer.id] = h
	}
	h.silent = h.silent || after(now, s.lastReadMS.Load(), silentBeats*s.beatMS+silentSlackMS)
	if s.Outgoing || !s.comparesDigests() {
		return
	}
	for _, iz := range s.intake.list() {
		if iz != nil && s.their.Zones[iz.index].Ready {
			h.ready[iz.state.info.Name] = max(s.intake.repliedMS, iz.readyMS)
		}
	}
}

// agreement is what the operator is shown of a zone and a peer. A peer that is heard and ready, and sends no digests,
// has a zone that lacks records for want of room. Called with Node.mu held.
func (p *peer) agreement(name string, z *shownZone, h *hearing, now clock.Reading) (a Agreement, compared bool) {
	c := p.compared[name]
	sinceMS, pushed := int64(0), false
	if h != nil {
		sinceMS, pushed = h.ready[name], h.ready[name] != 0
	}
	if c == nil {
		if c = new(comparison); !pushed && !z.full {
			return a, false
		}
	}
	a = Agreement{
		State:           c.state(z.content, now),
		DifferingShards: c.differing,
		FreshRecords:    c.left,
		AgeMS:           now.MonoMS - c.atMS,
	}
	switch {
	case z.full:
		a.State = saysFull
	case h == nil || h.silent:
		a.State = saysUnknown
	case pushed && after(now, max(sinceMS, c.atMS), confirmedForMS):
		a.State = saysFull
	}
	return a, true
}

// shownZone is what this node's side of an agreement is.
type shownZone struct {
	content content
	full    bool
}

// sumUpAgreement tells of each zone how it compares with the connected members, and of all together. unreached says
// that members are not connected. A peer that this node does not dial is in no list of its: whoever may connect could
// keep the agreement unknown, or differing, for as long as it likes. A member that dials and cannot be dialled is not
// reached.
func (s *Status) sumUpAgreement(unreached bool) {
	s.Agreement = saysAlone
	mismatched := false
	for _, p := range s.Peers {
		mismatched = mismatched || p.Pushing && len(p.Mismatches) > 0
	}
	for name, z := range s.Zones {
		if z.Agreement == "" {
			continue
		}
		for _, p := range s.Peers {
			state := saysUnknown
			if d, ok := p.Digests[name]; ok {
				state = d.State
			}
			if p.Pushing && gravity[state] > gravity[z.Agreement] {
				z.Agreement = state
			}
		}
		s.worse(z.Agreement)
		s.Zones[name] = z
	}
	s.Agree = gravity[s.Agreement] <= gravity[saysAgree] && !mismatched
	if unreached {
		s.Unreached()
	}
}

func (s *Status) worse(state string) {
	if gravity[state] > gravity[s.Agreement] {
		s.Agreement = state
	}
}

// Unreached notes that a member is not connected: what it holds is unknown, of each zone that can be compared.
func (s *Status) Unreached() {
	for name, z := range s.Zones {
		if z.Agreement != "" && gravity[saysUnknown] > gravity[z.Agreement] {
			z.Agreement = saysUnknown
			s.Zones[name] = z
		}
	}
	s.worse(saysUnknown)
	s.Agree = false
}
