package cluster

import (
	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/zone"
)

// A node whose zone may lack records of a peer asks the peer to teach it. One request is in flight at a time, per
// session and zone: a peer whose every frame gives a reason must not get a request for each.

// asking is a request to merge a peer's records. Guarded by progress.mu.
type asking struct {
	shards  wire.ShardSet // still to be taught
	again   wire.ShardSet // to be requested when those are complete
	sinceMS int64         // monotonic, of the last shard
}

// ask requests that a session's peer teach shards of a zone, which is index in its hello, and reports whether the
// request was sent. If one is in flight, the shards are requested after it; a request without an answer for stallMS is
// given up. Called with mu held.
func (p *progress) ask(s *Session, request wire.TeachRequest, now clock.Reading) bool {
	a := p.asking[s]
	if a != nil && !after(now, a.sinceMS, stallMS) {
		for i := range request.Shards {
			a.again[i] |= request.Shards[i]
		}
		return false
	}
	p.asking[s] = &asking{shards: request.Shards, sinceMS: now.MonoMS}
	request.Merge = true
	s.send(wire.TypeTeachRequest, request.Append(nil))
	return true
}

// askFor is ask for callers that do not hold mu.
func (p *progress) askFor(s *Session, request wire.TeachRequest, now clock.Reading) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ask(s, request, now)
}

// answered notes that a shard was taught to its end; deferred shards are requested when all are complete.
func (p *progress) answered(s *Session, index uint64, shard int, now clock.Reading) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.asking[s]
	if a == nil {
		return
	}
	a.shards.Remove(shard)
	a.sinceMS = now.MonoMS
	if !a.shards.Empty() {
		return
	}
	delete(p.asking, s)
	if !a.again.Empty() {
		p.ask(s, wire.TeachRequest{Zone: index, Shards: a.again}, now)
	}
}

// arrival is how a frame of an origin relates to the last one that counts.
type arrival struct {
	last   uint64 // the last one that counts
	fresh  bool   // the frame was not seen before
	gap    bool   // frames before it are lost, or were not in the taught shards
	madeUp bool   // the gap to the last one is larger than any journal
}

// arrived notes a frame before it is applied. An origin knows its own journal: it overrides other nodes' claims of
// frames far beyond this one, and its own claim to skip more than it can hold is not believed.
func (p *progress) arrived(origin zone.Origin, by NodeID, sequence uint64, now clock.Reading) arrival {
	p.mu.Lock()
	defer p.mu.Unlock()
	in := p.inflowOf(origin, by, now)
	switch {
	case in.last > sequence+zone.MaxFrames:
		in.last = sequence - 1
		return arrival{fresh: true, gap: true}
	case sequence <= in.last:
		return arrival{}
	case sequence > in.last+zone.MaxFrames && (in.last > 0 || p.ready.Load()):
		return arrival{last: in.last, madeUp: true}
	case p.ready.Load():
		return arrival{fresh: true, gap: sequence > in.last+1}
	}
	if in.first == 0 {
		in.first = sequence
		in.gap = p.learner.hasFrontier && sequence > p.learner.frontier[origin]+1
		return arrival{fresh: true, gap: in.gap}
	}
	return arrival{fresh: true}
}
