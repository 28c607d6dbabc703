package cluster

import (
	"sync"
	"sync/atomic"

	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/zone"
)

// allShards is every shard of a zone.
var allShards = [zone.Shards / 64]uint64(wire.All)

// zoneState is the cluster's state of a zone. It is immutable; a reload that changes the zone's settings makes another
// one with the same progress.
type zoneState struct {
	shared zone.Shared
	info   zone.Info
	*progress
}

// progress is how far one life of a zone has come: the frames applied of each origin, and the shards taught.
type progress struct {
	origin zone.Origin
	// preloaded means that the zone had records before its journal began, from a state file.
	preloaded bool
	ready     atomic.Bool
	// repairs counts those that changed something; repaired and repairSent the records received and sent by them.
	repairs, repaired, repairSent atomic.Int64
	// merged are the records that came from others and were accepted.
	merged atomic.Int64

	// content is the zone's content when all members last agreed, changedMS when it was last a different one
	// (monotonic). Guarded by Node.mu.
	content   content
	changedMS int64

	forgetting forgetting
	deliveries deliveries
	questions  questions
	// agreedAnew means that a peer has agreed since the last Tick. Guarded by Node.mu.
	agreedAnew bool

	mu      sync.Mutex
	applied map[zone.Origin]*inflow
	learner learner
	asking  map[*Session]*asking
}

// inflow is the received part of one origin's journal.
type inflow struct {
	last  uint64 // the last frame applied
	first uint64 // the first frame received while the zone was not ready, 0 for none
	gap   bool   // frames are missing between the taught ones and first
	used  int64  // monotonic ms of the last change
	by    NodeID // who brought it
	// taught is the last frame that others had when they taught the zone; later frames came from the node that key
	// names.
	taught uint64
	key    string
}

// maxOrigins bounds the origins kept of a zone. Each start of each node makes one; the least recently used are evicted
// first, and a node that returns after that is taught instead of resumed.
const maxOrigins = wire.MaxFrontier

func newProgress(origin zone.Origin, preloaded bool, now clock.Reading) *progress {
	return &progress{
		origin: origin, preloaded: preloaded, applied: make(map[zone.Origin]*inflow),
		asking: make(map[*Session]*asking),
		learner: learner{
			missing:      wire.All,
			sources:      make(map[*Session]*source),
			aloneSinceMS: now.MonoMS,
			decidedMS:    now.MonoMS,
			toldMS:       now.MonoMS,
		},
	}
}

// inflowOf finds or makes the state of an origin that a node has. A node with more lives than allowed evicts its own
// oldest. Called with mu held.
func (p *progress) inflowOf(origin zone.Origin, by NodeID, now clock.Reading) *inflow {
	in := p.applied[origin]
	if in == nil {
		if len(p.applied) >= maxOrigins || p.broughtBy(by) >= maxLives {
			p.forgetOldest(by)
		}
		in = &inflow{}
		p.applied[origin] = in
	}
	in.used, in.by = now.MonoMS, by
	return in
}

func (p *progress) broughtBy(by NodeID) (origins int) {
	for _, in := range p.applied {
		if in.by == by {
			origins++
		}
	}
	return origins
}

// forgetOldest evicts the least recently used origin, of one node if that has any.
func (p *progress) forgetOldest(by NodeID) {
	var oldest zone.Origin
	used, found := int64(0), false
	for origin, in := range p.applied {
		if mine := in.by == by; mine && !found || mine == found && (oldest == 0 || in.used < used) {
			oldest, used, found = origin, in.used, mine
		}
	}
	delete(p.applied, oldest)
}

// begins notes which peer an origin belongs to from now on, and returns where its journal should continue. If another
// peer claimed it before, that was no journal of it: it continues at the position of the others.
func (z *zoneState) begins(origin zone.Origin, by NodeID, who identity, now clock.Reading) uint64 {
	z.mu.Lock()
	in := z.inflowOf(origin, by, now)
	if in.key != "" && in.key != who.key {
		z.shared.Disown(origin)
		in.last, in.first, in.gap = in.taught, 0, false
	}
	in.key = who.key
	if living, ok := z.shared.(zone.Living); ok {
		living.Began(origin, in.last, now)
	}
	z.mu.Unlock()
	return z.resume(origin)
}

// resume returns where an origin's journal should continue: after the last frame applied, or, in a zone that is being
// taught, from the oldest frame kept: frames contained in the taught shards are skipped there.
func (p *progress) resume(origin zone.Origin) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if in := p.applied[origin]; in != nil && in.last > 0 {
		// beyond that the origin could not read it; it is ahead of any journal, so it overran
		return min(in.last+1, zone.MaxSequence-1)
	}
	if !p.ready.Load() {
		return 0
	}
	return 1
}

// frontier is what a teacher has applied of each origin, including its own journal. It omits an origin whose frames it
// lacks: the node being taught must get them from the origin.
func (z *zoneState) frontier() []wire.Applied {
	z.mu.Lock()
	defer z.mu.Unlock()
	list := make([]wire.Applied, 0, len(z.applied)+1)
	list = append(list, wire.Applied{Origin: uint64(z.origin), Sequence: z.shared.Journal().Head() - 1})
	for origin, in := range z.applied {
		if origin != z.origin && len(list) < wire.MaxFrontier && z.shared.Lacks(origin) == [zone.Shards / 64]uint64{} {
			list = append(list, wire.Applied{Origin: uint64(origin), Sequence: in.last})
		}
	}
	return list
}

// covered reports that the journal still has everything that the zone ever held.
func (z *zoneState) covered() bool { return !z.preloaded && z.shared.Journal().Tail() <= 1 }
