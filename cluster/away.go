package cluster

import (
	"fmt"
	"math"

	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/zone"
)

// Deletions outlive their tombstones. A tombstone lives for an hour; nodes that did not reach each other for longer could bring back to one
// what it deleted. Both remember when they last agreed: what was written before, and one of them lacks, it once had and deleted; so the
// other deletes it too, by a tombstone that spreads on its side. Pairs only: a session may be missing because nobody touched it there.

// agreement is when two lives of a zone last held the same.
type agreement struct {
	mine, theirs zone.Origin
	wallMS       int64 // cluster time
}

type agreementKey struct {
	peer NodeID
	zone string
}

// maxAgreements bounds what is remembered; the oldest goes first, and what it would have told comes back then.
const maxAgreements = 4096

// remember notes that a peer and this node hold the same. Called with Node.mu held.
func (n *Node) remember(peer NodeID, z *zoneState, theirs zone.Origin, now clock.Reading) {
	if z.info.Kind != zone.KindKeyval {
		return
	}
	key := agreementKey{peer, z.info.Name}
	if _, known := n.agreements[key]; !known && len(n.agreements) >= maxAgreements {
		oldest, at := key, int64(math.MaxInt64)
		for k, a := range n.agreements {
			if a.wallMS < at {
				oldest, at = k, a.wallMS
			}
		}
		delete(n.agreements, oldest)
	}
	n.agreements[key] = agreement{mine: z.origin, theirs: theirs, wallMS: n.clocks.clusterTime(now).WallMS}
}

// agreedSlackMS is by how much the two sides' memories of an agreement may differ: one of them may have missed the last one.
const agreedSlackMS = 3 * digestEveryMS

// nothingGone is before all stamps.
const nothingGone = math.MinInt64

// goneThrough is the time through which records that one side lacks count as deleted there, or nothingGone if the two agreed within the
// life of a tombstone, or never in these lives.
func (n *Node) goneThrough(p *peer, z *zoneState, compared zone.Comparable, theirs zone.Origin, now clock.Reading) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, known := n.agreements[agreementKey{p.id, z.info.Name}]
	away := n.clocks.clusterTime(now).WallMS - a.wallMS
	if !known || a.mine != z.origin || a.theirs != theirs || away <= compared.TombstoneLifeMS() {
		return nothingGone
	}
	return a.wallMS - freshMS
}

// theirZone is what the peer's hello says of a shared zone. Called with mu held.
func (s *Session) theirZone(z *zoneState) wire.Zone {
	for _, their := range s.their.Zones {
		if their.Name == z.info.Name {
			return their
		}
	}
	return wire.Zone{}
}

// bury deletes what the acceptor deleted long ago, and tells it what this node did. Called with mu held.
func (s *Session) bury(pz *pushZone, compared zone.Comparable, d division, now clock.Reading) {
	buried := compared.Bury(d.buryHere, s.node.clocks.clusterTime(now))
	s.node.event(Notice, "zone %q: peer %s was away for longer than a deletion is remembered; %d records that it deleted are deleted here, it is told of %d",
		pz.state.info.Name, s.name(), buried, len(d.buryThere))
	if len(d.buryThere) == 0 {
		return
	}
	w := wire.Wants{Zone: pz.index}
	for _, e := range d.buryThere[:min(len(d.buryThere), wire.MaxWants)] {
		w.Elements = append(w.Elements, wire.Element(e))
	}
	s.send(wire.TypeBury, w.Append(nil))
}

// buryWhat deletes what the dialer deleted long ago, if this node remembers the agreement too. Called with mu held.
func (s *Session) buryWhat(body []byte, now clock.Reading) error {
	w, err := wire.ParseWants(body)
	if err != nil {
		return fmt.Errorf("bury: %w", err)
	}
	iz, err := s.zone(w.Zone)
	if err != nil {
		return err
	}
	compared, ok := iz.state.shared.(zone.Comparable)
	if !ok {
		return nil
	}
	throughMS := s.node.goneThrough(s.peer, iz.state, compared, iz.origin, now)
	if throughMS == nothingGone {
		return nil
	}
	var elements []zone.Element
	for _, e := range w.Elements {
		if e := zone.Element(e); e.MS() <= throughMS+agreedSlackMS {
			elements = append(elements, e)
		}
	}
	sortElements(elements)
	buried := compared.Bury(elements, s.node.clocks.clusterTime(now))
	s.node.event(Notice, "zone %q: peer %s was away for longer than a deletion is remembered; %d records that it deleted are deleted here",
		iz.state.info.Name, s.name(), buried)
	return nil
}
