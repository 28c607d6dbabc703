package cluster

// Learning says whether a zone is about to be taught: a peer that can is there, or one was reached that has not dialled back yet.
func (n *Node) Learning() bool {
	if n.Ready() {
		return false
	}
	n.mu.Lock()
	for _, p := range n.peers {
		if p.out != nil && !p.pushes() {
			n.mu.Unlock()
			return true
		}
	}
	n.mu.Unlock()
	for _, z := range n.table.Load().list {
		if z.hasTeacher() {
			return true
		}
	}
	return false
}

func (z *zoneState) hasTeacher() bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, src := range z.learner.sources {
		if src.ready && !src.stalled {
			return !z.ready.Load()
		}
	}
	return false
}
