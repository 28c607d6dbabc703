package cluster

import (
	"starling/lib/clock"
	"starling/zone"
)

// seen is how far a peer had come with a zone when the connection to it was lost.
type seen struct {
	origin zone.Origin // of the zone here; a different one is another life of it
	acked  uint64      // the last frame of the journal that the peer acknowledged
	merged int64       // records that this node had from others
}

// atLeast is how many records of a zone with so many records a peer lacks if it lacks that share of the shards, at
// least one if there are any.
func atLeast(records int64, shards int) int64 {
	if shards == 0 {
		return 0
	}
	return max(records*int64(shards)/zone.Shards, min(records, 1))
}

// lacks returns how many records a connected peer lacks: those in frames that it has not acknowledged, those of shards
// still to be taught, and if a comparison found differences, those of the differing shards. Called with Session.mu
// held.
func (s *Session) lacks(pz *pushZone, now clock.Reading) int64 {
	z := pz.state
	records := z.shared.Stats().Records
	teaching := count(pz.taught)
	if pz.shard >= 0 {
		teaching++
	}
	lacking := z.shared.Journal().RecordsAfter(pz.acked) + atLeast(records, teaching)
	for _, job := range pz.repairs {
		lacking += int64(len(job.wanted))
	}
	if _, compared := z.shared.(zone.Comparable); compared && lacking == 0 {
		lacking = atLeast(records, s.node.differing(s.peer, z, now))
	}
	return min(lacking, records)
}

// differing is how many shards of a zone differ from a peer's by the last comparison.
func (n *Node) differing(p *peer, z *zoneState, now clock.Reading) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := p.compared[z.info.Name]
	if c == nil {
		return 0
	}
	if c.differs(now) {
		return c.differing
	}
	return 0
}

// seenByPeer is how far the peer has come with each zone. During a teach or a repair that is unknown. Called with mu
// held.
func (s *Session) seenByPeer() map[string]seen {
	all := make(map[string]seen, len(s.push.zones))
	for _, pz := range s.push.zones {
		if pz.shard < 0 && pz.taught.Empty() && len(pz.repairs) == 0 {
			all[pz.state.info.Name] = seen{origin: pz.state.origin, acked: pz.acked, merged: pz.state.merged.Load()}
		}
	}
	return all
}

// lackedBy returns how many records a disconnected peer lacks. If that is unknown, it may lack all. Called with Node.mu
// held.
func (p *peer) lackedBy(z *zoneState, records int64) int64 {
	at, known := p.seen[z.info.Name]
	journal := z.shared.Journal()
	if !known || at.origin != z.origin || at.acked+1 < journal.Tail() {
		return records
	}
	return min(journal.RecordsAfter(at.acked)+z.merged.Load()-at.merged, records)
}

// Absent adds to a status what the members at these addresses lack, none of which is connected: what is known of the
// peer that was last met there, else everything. An empty address is a member of which not even that is known.
func (n *Node) Absent(status *Status, addresses []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, address := range addresses {
		var last *peer
		for _, p := range n.peers {
			if address != "" && p.outAddress == address && p.out == nil &&
				(last == nil || p.lastSeenMS > last.lastSeenMS) {
				last = p
			}
		}
		for _, z := range n.table.Load().list {
			shown, there := status.Zones[z.info.Name]
			if !there {
				continue
			}
			lacking := shown.RecordsTotal
			if last != nil {
				lacking = last.lackedBy(z, shown.RecordsTotal)
			}
			shown.RecordsPending = max(shown.RecordsPending, min(lacking, shown.RecordsTotal))
			status.Zones[z.info.Name] = shown
		}
	}
}
