package cluster

import (
	"slices"

	"starling/lib/clock"
	"starling/zone"
)

// How the comparison of zones is shown to the operator. Nodes agree only as far as they have compared: later writes,
// data in flight and the data of a silent peer are unknown.

const (
	// confirmedForMS is how long a confirmed agreement counts while digests differ: on a busy node records are always
	// in flight.
	confirmedForMS = 3 * digestEveryMS
	// agreedForMS is a round of comparison, and some time for its bytes.
	agreedForMS = digestEveryMS + 1000
	// silentBeats is how many heartbeats of a peer may be missing before its contents are unknown; silentSlackMS allows
	// for their transit.
	silentBeats   = 2
	silentSlackMS = 200
)

// comparison is how a zone compares with a peer's. Guarded by Node.mu.
type comparison struct {
	differing   int   // shards, by the last digests
	left        int   // records that the last sketch ignored
	atMS        int64 // monotonic, of the last digests
	isConfirmed bool
	confirmedMS int64 // monotonic; the two agreed in all but fresh records
	agreedMS    int64 // monotonic; the two agreed in all records, and this node's
	agreed      content
	framesLost  bool
	lineage     uint64 // of the peer's zone when the two agreed
	rejected    string // why one of the two rejected records since the two last agreed
	pauseMS     int64  // of this node's repairs that change nothing
	sinceMS     int64  // monotonic, of the first agreement since both connections were established; 0 for none
}

// The states of an agreement.
const (
	saysAlone   = "alone"
	saysAgree   = "agree"
	saysFull    = "full, not comparable"
	saysUnknown = "unknown"
	saysDiffer  = "differ"
)

// gravity orders the states of an agreement, from good to what an operator should check first.
var gravity = map[string]int{saysAlone: 0, saysAgree: 1, saysFull: 2, saysUnknown: 3, saysDiffer: 4}

// differs reports that records differ that are not just in flight.
func (c *comparison) differs(now clock.Reading) bool {
	lately := c.atMS != 0 && !after(now, c.atMS, confirmedForMS)
	return lately && c.differing > 0 && (!c.isConfirmed || after(now, c.confirmedMS, confirmedForMS))
}

// state is the state shown to the operator. mine is the current content of this node's zone.
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

// content distinguishes the contents of a zone at different times. The sum of its digests alone does not: a pair that
// is written and deleted again leaves the sum unchanged, while a peer may have received only one of the two.
type content struct{ sum, changes uint64 }

// contentOf takes a zone's digests; ok is false if it cannot be compared. The changes are counted first: a concurrent
// change makes the next content a different one.
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

// hearing is what the sessions of a peer have told.
type hearing struct {
	silent bool
	readMS int64              // monotonic, of the last bytes of its connection to this node
	ready  map[string]int64   // since when it pushes zones that are ready and can be compared; monotonic
	counts map[string]counted // of zones that it pushes and that cannot be compared
}

// counted is how complete a zone of sums or of counts has what a peer told.
type counted struct {
	ready bool
	lacks int  // shards of which the peer has told more than this node has
	full  bool // and for which it has no room
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
		h = &hearing{ready: make(map[string]int64), counts: make(map[string]counted)}
		of[s.peer.id] = h
	}
	h.silent = h.silent || after(now, s.lastReadMS.Load(), silentBeats*s.beatMS+silentSlackMS)
	if s.Outgoing {
		return
	}
	h.readMS = s.lastReadMS.Load()
	for _, iz := range s.intake.list() {
		if iz == nil {
			continue
		}
		isReady, name := s.their.Zones[iz.index].Ready, iz.state.info.Name
		if _, compared := iz.state.shared.(zone.Comparable); !compared {
			h.counts[name] = iz.counted(isReady)
		} else if isReady && s.comparesDigests() {
			h.ready[name] = max(s.intake.repliedMS, iz.readyMS)
		}
	}
}

func (iz *intakeZone) counted(isReady bool) counted {
	c := counted{ready: isReady, lacks: count(iz.state.shared.Lacks(iz.origin))}
	if living, ok := iz.state.shared.(zone.Living); ok {
		c.full = c.lacks > count(living.Wants(iz.origin))
	}
	return c
}

// countsAgreement is the state of a zone of sums or counts, which have no digests. What this node has of a peer is
// complete or not, and it knows which.
func (h *hearing) countsAgreement(name string, now clock.Reading) (a Agreement, told bool) {
	if h == nil {
		return a, false
	}
	c, told := h.counts[name]
	a = Agreement{State: saysUnknown, DifferingShards: c.lacks, AgeMS: now.MonoMS - h.readMS}
	switch {
	case h.silent || !c.ready:
	case c.lacks == 0:
		a.State = saysAgree
	case c.full:
		a.State = saysFull
	}
	return a, told
}

// agreement is the state of a zone and a peer as shown to the operator. A peer that is heard and ready, and sends no
// digests, has a zone that has evicted or rejected records. Called with Node.mu held.
func (p *peer) agreement(name string, z *shownZone, h *hearing, now clock.Reading) (a Agreement, compared bool) {
	if z.counts {
		return h.countsAgreement(name, now)
	}
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
		Rejected:        c.rejected,
		RepairPauseMS:   c.pauseMS,
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

// shownZone is this node's side of an agreement.
type shownZone struct {
	content content
	full    bool
	counts  bool // it has sums or counts, no digests
}

// sumUpAgreement returns how each zone compares with the connected members, and the state of all together. unreached
// means that members are not connected. A peer that this node does not dial is not counted: otherwise any node that may
// connect could keep the agreement unknown, or differing, for as long as it likes. A member that dials but cannot be
// dialled is not reached.
func (s *Status) sumUpAgreement(unreached bool) {
	for name, z := range s.Zones {
		for _, p := range s.Peers {
			state := saysUnknown
			if d, ok := p.Digests[name]; ok {
				state = d.State
			}
			if p.Pushing && gravity[state] > gravity[z.Agreement] {
				z.Agreement = state
			}
		}
		s.Zones[name] = z
	}
	if s.SumUp(); unreached {
		s.Unreached()
	}
}

// SumUp makes the agreement of the node from those of its zones.
func (s *Status) SumUp() {
	s.Agreement = saysAlone
	for _, z := range s.Zones {
		s.worse(z.Agreement)
	}
	s.Agree = gravity[s.Agreement] <= gravity[saysAgree] && !slices.ContainsFunc(s.Peers, func(p PeerStatus) bool {
		return p.Pushing && len(p.Mismatches) > 0
	})
}

func (s *Status) worse(state string) {
	if gravity[state] > gravity[s.Agreement] {
		s.Agreement = state
	}
}

// Unreached notes that a member is not connected: its contents of each zone are unknown.
func (s *Status) Unreached() {
	for name, z := range s.Zones {
		if gravity[saysUnknown] > gravity[z.Agreement] {
			z.Agreement = saysUnknown
			s.Zones[name] = z
		}
	}
	s.worse(saysUnknown)
	s.Agree = false
}
