package cluster

// Learning reports whether a zone will soon know more: a peer that can teach it is connected, one was reached that has
// not dialled back yet, or one that started from its own state has not been compared with.
func (n *Node) Learning() bool {
	ready, met := n.Ready(), n.metAll() // before the comparisons: they begin when a zone becomes ready
	if n.comparing() {
		return true
	}
	if ready {
		return false
	}
	n.mu.Lock()
	for _, p := range n.peers {
		if p.out != nil && (met || !p.pushes()) { // if all were met, it is about to be ready
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

// comparing reports whether a peer that started from a state file, as this node may have, has records that are not here
// yet: if all start at once, no node teaches, and their differences are left to repair. The two must have agreed in all
// records once: a comparison that ignored fresh ones may have ignored those of the files.
func (n *Node) comparing() bool {
	for _, s := range n.all() {
		if !s.Outgoing && s.comparing() {
			return true
		}
	}
	return false
}

func (s *Session) comparing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != established {
		return false
	}
	for _, iz := range s.intake.list() {
		if iz == nil || !iz.begun || !s.node.leavesToRepair(s, iz.state) {
			continue
		}
		s.node.mu.Lock()
		c := s.peer.comparison(iz.state.info.Name)
		agreed := c.sinceMS != 0 && c.agreedMS >= c.sinceMS
		s.node.mu.Unlock()
		if !agreed {
			return true
		}
	}
	return false
}
