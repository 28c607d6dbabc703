package cluster

import "starling/cluster/wire"

// While another process takes over from this one, each is a node of the cluster, with an ID of its own. Both are
// reached at this node's address, where one of them accepts, but each reaches the other over the link between the two
// only: at the address, the same node would answer under a second identity, and after the handover it is this node.

// leadsBack reports whether a connection over the network has reached another process of this node.
func (n *Node) leadsBack(s *Session, id NodeID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peers[id]
	return !s.Sibling && p != nil && p.sibling
}

// becomeSibling ends the connections that reached another process of this node over the network, before it was known.
// Called with Node.mu held.
func (p *peer) becomeSibling() {
	p.sibling = true
	for _, s := range p.in {
		s.leaveItself()
	}
	for _, s := range p.waiting {
		s.leaveItself()
	}
	if p.out != nil {
		p.out.leaveItself()
	}
}

// leaveItself ends a connection whose other side is this node, unless it is the one between its processes.
func (s *Session) leaveItself() {
	if !s.Sibling {
		s.leave(wire.ReasonSelf, leadsToItself)
	}
}

const leadsToItself = "the address leads to this node itself"

// Pushes reports whether a peer is connected and pushes its changes to this node.
func (n *Node) Pushes(id NodeID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peers[id]
	return p != nil && p.pushes()
}

// DrainedTo reports whether all changes have been sent to and acknowledged by the peer of an outgoing session.
func (n *Node) DrainedTo(s *Session) bool {
	for _, z := range n.table.Load().list {
		if z.shared.Stats().Pending > 0 {
			return false
		}
	}
	return s.Established() && !s.behind()
}
