package cluster

import (
	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/zone"
)

// Some zones hold what goes on at other nodes right now: connections. What a node has told ends with the node, and no
// other node can take it back. This file tells such zones which nodes are there.

// heed tells the living zones which peers are connected, and asks these peers for what a zone lacks of them. It does
// not take Session.mu, which a reader holds while it merges.
func (n *Node) heed(now clock.Reading) {
	heard := make(map[*progress]map[zone.Origin]int64)
	timeoutMS := n.settings.Load().TimeoutMS
	var living []*zoneState
	for _, z := range n.table.Load().list {
		if _, ok := z.shared.(zone.Living); ok {
			living = append(living, z)
			heard[z.progress] = make(map[zone.Origin]int64)
		}
	}
	if len(living) == 0 {
		return
	}
	met := n.metAll() // before the sessions: all members are among them
	sessions := n.all()
	for _, s := range sessions {
		for _, iz := range s.intake.list() {
			if iz == nil || heard[iz.state.progress] == nil || s.Ended() != nil {
				continue
			}
			of := heard[iz.state.progress]
			of[iz.origin] = max(of[iz.origin], s.lastReadMS.Load())
		}
	}
	replaced := n.replaced()
	for _, z := range living {
		z.shared.(zone.Living).Heard(heard[z.progress], met, timeoutMS, now)
		for _, origin := range z.ended(heard[z.progress], replaced) {
			z.shared.Disown(origin)
		}
	}
	for _, s := range sessions {
		s.askForLacks(now)
	}
}

// askForLacks asks the peer of an incoming session for what living zones lack of it, if no other request is in flight.
func (s *Session) askForLacks(now clock.Reading) {
	if s.Outgoing || !s.Established() || s.Ended() != nil {
		return
	}
	for _, iz := range s.intake.list() {
		if iz == nil || !iz.state.ready.Load() {
			continue
		}
		living, ok := iz.state.shared.(zone.Living)
		if !ok {
			continue
		}
		wants := wire.ShardSet(living.Wants(iz.origin))
		if !wants.Empty() && !iz.state.isAsking(s, now) {
			iz.state.askFor(s, wire.TeachRequest{Zone: iz.index, Shards: wants}, now)
		}
	}
}

// isAsking reports whether a request to a session's peer is in flight.
func (p *progress) isAsking(s *Session, now clock.Reading) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.asking[s]
	return a != nil && !after(now, a.sinceMS, stallMS)
}

// replaced are the nodes that are gone for certain: another one answers at their address.
func (n *Node) replaced() map[NodeID]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	reached := make(map[string]bool, len(n.peers))
	for _, p := range n.peers {
		if p.out != nil {
			reached[p.outAddress] = true
		}
	}
	ids := make(map[NodeID]bool)
	for id, p := range n.peers {
		if !p.stands() && reached[p.outAddress] {
			ids[id] = true
		}
	}
	return ids
}

// ended are the origins that are not connected and will not come back: their node was replaced, or it is connected with
// another life of the zone.
func (p *progress) ended(connected map[zone.Origin]int64, replaced map[NodeID]bool) (origins []zone.Origin) {
	p.mu.Lock()
	defer p.mu.Unlock()
	alive := make(map[NodeID]bool, len(connected))
	for origin := range connected {
		if in := p.applied[origin]; in != nil {
			alive[in.by] = true
		}
	}
	for origin, in := range p.applied {
		if _, isConnected := connected[origin]; !isConnected && in.by != 0 && (replaced[in.by] || alive[in.by]) {
			origins = append(origins, origin)
		}
	}
	return origins
}
