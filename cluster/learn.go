package cluster

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"

	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/lib/plural"
	"starling/zone"
)

// The initial sync of a new node. It asks every ready node that pushes to it for a share of the shards, a few at a
// time, so that quick teachers give more. It is ready when it has all of them, or when no node can teach it.

const (
	// AloneMS is how long a node waits for a teacher before it is ready with the records it has.
	AloneMS = 5000
	// shareShards is how many shards are requested from a teacher at a time; another share is requested when half is
	// left, so the line never idles.
	shareShards = 32
	// stallMS is how long a teacher may take for a share: it holds 1/8 of the zone.
	stallMS = 10_000
	// stoppedMS between two ticks means that the process was stopped, by SIGSTOP or with its machine.
	stoppedMS = 1000
)

// learner is the state of the initial sync of a zone. It is unused once the zone is ready. Guarded by progress.mu.
type learner struct {
	// missing are the shards that no peer has sent completely. The zone becomes ready when it is empty, or when there
	// is no peer to sync from for AloneMS.
	missing      wire.ShardSet
	sources      map[*Session]*source
	aloneSinceMS int64 // monotonic; since then no ready source has existed
	decidedMS    int64 // monotonic, of the last call of decideReady
	toldMS       int64 // monotonic, of the last line about its progress, or its beginning
	// frontier is, for each origin, the last frame that all teachers had applied. Its journal resumes there.
	frontier    map[zone.Origin]uint64
	hasFrontier bool
}

// source is an incoming session that shares the zone.
type source struct {
	index   uint64 // of the zone in the dialer's hello
	origin  zone.Origin
	ready   bool          // the dialer's zone is ready, so it can send shards
	covered bool          // as in the dialer's hello
	stalled bool          // it sent nothing for stallMS; it gets no further requests
	asked   wire.ShardSet // requested and not yet complete; empty if stalled
	sinceMS int64         // monotonic, of the last progress
}

// addSource notes that a session shares a zone that is still to be taught.
func (n *Node) addSource(z *zoneState, s *Session, index uint64, their *wire.Zone, now clock.Reading) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.ready.Load() {
		return
	}
	z.learner.sources[s] = &source{
		index: index, origin: zone.Origin(their.Origin), ready: their.Ready, covered: their.Covered,
		sinceMS: now.MonoMS,
	}
	z.askForShares(now)
}

// sourceReady notes that the other side of a session may teach from now on.
func (z *zoneState) sourceReady(s *Session, now clock.Reading) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if src := z.learner.sources[s]; src != nil {
		src.ready = true
		z.askForShares(now)
	}
}

// dropSource forgets a session; its pending shards are requested from others.
func (z *zoneState) dropSource(s *Session, now clock.Reading) {
	z.mu.Lock()
	defer z.mu.Unlock()
	delete(z.asking, s)
	if _, was := z.learner.sources[s]; was {
		delete(z.learner.sources, s)
		z.askForShares(now)
	}
}

// askForShares requests another share from every teacher that has little left to do. Called with mu held.
func (z *zoneState) askForShares(now clock.Reading) {
	free := z.learner.missing
	for _, src := range z.learner.sources {
		for i := range free {
			free[i] &^= src.asked[i]
		}
	}
	for _, s := range slices.SortedFunc(maps.Keys(z.learner.sources), bySerial) {
		src := z.learner.sources[s]
		if !src.ready || src.stalled || count(src.asked) > shareShards/2 || free.Empty() {
			continue
		}
		var share wire.ShardSet
		for shard := 0; shard < zone.Shards && count(share) < shareShards; shard++ {
			if free.Has(shard) {
				share.Add(shard)
				free.Remove(shard)
				src.asked.Add(shard)
			}
		}
		src.sinceMS = now.MonoMS
		s.send(wire.TypeTeachRequest, wire.TeachRequest{Zone: src.index, Shards: share}.Append(nil))
	}
}

// teachBegins merges a teacher's positions into the frontier: the journals continue after the frames that all teachers
// had applied.
func (z *zoneState) teachBegins(s *Session, begin *wire.TeachBegin) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.ready.Load() || z.learner.sources[s] == nil || !z.learner.sources[s].ready {
		return
	}
	theirs := make(map[zone.Origin]uint64, len(begin.Frontier))
	for _, a := range begin.Frontier {
		theirs[zone.Origin(a.Origin)] = a.Sequence
	}
	z.forfeitGaps(theirs) // before its first piece: held frames are not in it
	if !z.learner.hasFrontier {
		z.learner.frontier, z.learner.hasFrontier = theirs, true
		return
	}
	for origin, sequence := range z.learner.frontier {
		z.learner.frontier[origin] = min(sequence, theirs[origin])
	}
}

// forfeitGaps gives up the frames between the taught part of each origin and its first received frame, also if the
// origin is not connected now: it is asked to teach them on its next connection. Called with mu held.
func (z *zoneState) forfeitGaps(taught map[zone.Origin]uint64) {
	for origin, in := range z.applied {
		if in.first > taught[origin]+1 && !in.gap {
			in.gap = true
			z.shared.Forfeit(origin, in.first)
		}
	}
}

// learnt notes that a shard has been taught to its end, and reports whether it was the last one.
func (z *zoneState) learnt(s *Session, shard int, now clock.Reading) (all bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	src := z.learner.sources[s]
	if z.ready.Load() || src == nil || !src.ready {
		return false
	}
	z.learner.missing.Remove(shard)
	src.asked.Remove(shard)
	src.sinceMS = now.MonoMS
	if z.learner.missing.Empty() {
		return true
	}
	z.askForShares(now)
	return false
}

// decideReady decides whether a zone is ready, because it was taught or because no node can teach it.
func (n *Node) decideReady(z *zoneState, now clock.Reading) {
	if z.ready.Load() || n.rezoning.Load() {
		return
	}
	met := n.metAll()
	z.mu.Lock()
	if after(now, z.learner.decidedMS, stoppedMS) {
		z.learner.aloneSinceMS = now.MonoMS // the process was stopped: its teacher may be back in a moment
	}
	z.learner.decidedMS = now.MonoMS
	teachers := 0
	for s, src := range z.learner.sources {
		if src.ready && !src.stalled && !src.asked.Empty() && after(now, src.sinceMS, stallMS) {
			src.stalled, src.asked = true, wire.ShardSet{}
			n.tell(s, Warning, "peer %s sent no resync data of zone %q for %d s; asking other peers", s.name(),
				z.info.Name, stallMS/1000)
		}
		if src.ready && !src.stalled {
			teachers++
		}
	}
	taught := z.learner.missing.Empty()
	if teachers > 0 {
		z.learner.aloneSinceMS = now.MonoMS
		z.askForShares(now)
	}
	alone := teachers == 0 && (met || after(now, z.learner.aloneSinceMS, AloneMS))
	if !taught && !alone || z.ready.Load() {
		progress := z.progressLine(teachers, now)
		z.mu.Unlock()
		if progress != "" {
			n.event(Notice, "%s", progress)
		}
		return
	}
	repaired := n.becomeReady(z, taught, now)
	z.mu.Unlock()
	for _, s := range repaired {
		n.loseFrames(s.peer, z)
	}
	z.shared.Release(n.clocks.clusterTime(now))
	how := "no peer to sync from"
	if connected := n.connected(); connected > 0 {
		how += fmt.Sprintf(": %s ready before; all compare their records now",
			plural.Of(connected, "connected peer was not", "connected peers were not"))
	}
	if taught {
		if compared, ok := z.shared.(zone.Comparable); ok {
			compared.MayLackDeletions(n.clocks.clusterTime(now).WallMS - inFlightMS)
		}
		how = "synced from its peers"
	}
	n.event(Info, "zone %q is ready: %s", z.info.Name, how)
	n.announceReady(z)
}

// becomeReady sets where the journals continue, and requests a full pass wherever frames may be missing between the
// taught and the received ones. It returns the sessions whose zones are left to repair instead. Called with z.mu held.
func (n *Node) becomeReady(z *zoneState, taught bool, now clock.Reading) (repaired []*Session) {
	z.ready.Store(true)
	if !taught {
		z.learner.frontier = nil // shards that were not taught to their end must come from the journals
	}
	z.forfeitGaps(z.learner.frontier)
	for s, src := range z.learner.sources {
		in := z.applied[src.origin]
		switch {
		case !taught && !src.covered && n.leavesToRepair(s, z):
			repaired = append(repaired, s)
		case in != nil && in.gap || !taught && !src.covered:
			z.ask(s, wire.TeachRequest{Zone: src.index, Shards: wire.All}, now)
		}
	}
	for origin, sequence := range z.learner.frontier {
		if origin == z.origin {
			continue
		}
		in := z.applied[origin]
		if in == nil {
			in = &inflow{}
			z.applied[origin] = in
		}
		in.last, in.taught = max(in.last, sequence), sequence
	}
	z.learner = learner{}
	return repaired
}

// metAll reports whether every expected member is connected in both directions, and has offered its zones since those
// of this node changed.
func (n *Node) metAll() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	met := 0
	for _, p := range n.peers {
		if p.isMet() {
			met++
		}
	}
	return n.expected >= 0 && met >= n.expected
}

// connected is how many peers are connected.
func (n *Node) connected() (peers int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.peers {
		if p.out != nil || len(p.in) > 0 {
			peers++
		}
	}
	return peers
}

// announceReady tells the peers that this node may teach the zone.
func (n *Node) announceReady(z *zoneState) {
	for _, s := range n.all() {
		s.announceReady(z)
	}
}

// Ready reports whether all zones are ready: taught, or alone long enough.
func (n *Node) Ready() bool {
	for _, z := range n.table.Load().list {
		if !z.ready.Load() {
			return false
		}
	}
	return true
}

func count(s wire.ShardSet) int {
	total := 0
	for _, word := range s {
		total += bits.OnesCount64(word)
	}
	return total
}
