package cluster

// Meetings counts the connected peers, and those of them connected in both directions.
func (n *Node) Meetings() (connected, both int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.peers {
		reached, pushes := p.out != nil && p.out.Established(), p.pushes()
		if reached || pushes {
			connected++
		}
		if reached && pushes {
			both++
		}
	}
	return connected, both
}

// Unreturned counts the peers that this node reaches and that do not connect to it. What they change does not arrive
// here.
func (n *Node) Unreturned() (peers int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.peers {
		if p.out != nil && p.out.Established() && !p.pushes() {
			peers++
		}
	}
	return peers
}
