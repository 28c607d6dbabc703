package strict

// Before a zone becomes strict, and after it was, its requests are counted in another way: each node decides for
// itself, and adds up what the others tell it. Then each node has the whole bucket.
//
// When a zone becomes strict, each piece and each pool begins with its share of the level that this node knows of the
// whole bucket. If all nodes know the same level, the shares add up to it, and drain as fast. When the zone is not
// strict any more, each node adds the level of what it has, so that the sum is the level of all pieces. A level that is
// left from before the zone was strict is then counted twice, which is on the safe side.

// levelBefore is the share of a piece in what was counted before. It is looked up when the key gets a record: until
// then, more can be learned from other nodes, and the level drains at the whole rate.
func (n *Node) levelBefore(key string, capacity int64) int64 {
	if n.cfg.Before == nil || n.cfg.Broken == BeforeForgotten {
		return 0
	}
	level := min(n.cfg.Before(key), n.whole.Capacity)
	if level <= 0 || capacity <= 0 {
		return 0
	}
	return min(share(capacity, level, n.whole.Capacity)+1, capacity)
}

// began gives a piece of a key that had no record the level of what was counted before.
func (n *Node) began(h *held, key string) {
	h.Level = max(h.Level, n.levelBefore(key, h.Capacity))
}

// EachSpent visits what this node knows to be spent of each key that has a record: the levels of its piece and its
// pool, and the tokens that it lent.
func (n *Node) EachSpent(nowUS int64, visit func(key string, amount int64)) {
	for at := n.holdings.oldest(); at != nil; at = n.holdings.newer(at) {
		at.value.drainTo(nowUS)
		amount := at.value.Level
		if p := n.pools[at.key]; p != nil {
			amount += p.spent(nowUS)
		}
		if amount > 0 {
			visit(at.key, amount)
		}
	}
	for _, p := range n.poolList {
		if _, held := n.holdings.find(p.key); held {
			continue
		}
		if amount := p.spent(nowUS); amount > 0 {
			visit(p.key, amount)
		}
	}
}

// spent is the level of a pool with the tokens that it lent.
func (p *pool) spent(nowUS int64) int64 {
	p.refresh(nowUS)
	amount := p.Level
	for _, l := range p.lent {
		amount += l.amount
	}
	return amount
}
