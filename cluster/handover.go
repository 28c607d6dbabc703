package cluster

// What the driver must know while another process takes over from this one.

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
