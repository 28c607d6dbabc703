package strict

// ShownKey is a key for the API: what this node holds of it, and, if it owns the key, what it knows of the others.
type ShownKey struct {
	Key  string
	Held Piece
	// Mode is "shared" or "central" of a key that this node owns, "" of others.
	Mode string
	Pool Piece
	// Holders are the capacities that others have, by seat.
	Holders map[Seat]int64
}

// Shown returns the keys that were used last, those that this node owns among them, at most so many.
func (g *Gate) Shown(most int, nowUS int64) (keys []ShownKey) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.node == nil {
		return nil
	}
	n := g.node
	for at := n.holdings.newest(); at != nil && len(keys) < most; at = n.holdings.older(at) {
		at.value.drainTo(nowUS)
		shown := ShownKey{Key: at.value.key, Held: at.value.Piece}
		if p := n.pools[at.value.key]; p != nil {
			p.refresh(nowUS)
			shown.Mode, shown.Pool, shown.Holders = "shared", p.Piece, map[Seat]int64{}
			if p.central {
				shown.Mode = "central"
			}
			for i := range p.book {
				if p.book[i].capacity > 0 {
					shown.Holders[Seat(i)] = p.book[i].capacity
				}
			}
		}
		keys = append(keys, shown)
	}
	return keys
}
