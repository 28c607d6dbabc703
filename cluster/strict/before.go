package strict

import "math"

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

// left is a level that went away from this node, in a piece or a pool.
type left struct {
	key    string
	amount int64
	atUS   int64
}

// leftFor is for how many leases what left counts at the end of strict limits: a node that ends is noticed after one,
// and the claims of the next view take less than another.
const leftFor = 2

// leave notes a level that goes to another node. If strict limits end before it has arrived, nobody else knows of it.
func (n *Node) leave(key string, amount, nowUS int64) {
	if amount <= 0 || n.cfg.Broken == UnderWayForgotten {
		return
	}
	i := 0
	for ; i < len(n.left) && n.left[i].atUS < nowUS-leftFor*n.cfg.LeaseUS; i++ {
	}
	if i > len(n.left)/2 || len(n.left) >= 2*n.cfg.KeysMost {
		n.left = append(n.left[:0], n.left[max(i, 1):]...)
	}
	n.left = append(n.left, left{key, amount, nowUS})
}

// leaveAll notes what a message takes along to another node.
func (n *Node) leaveAll(to Seat, m *Message, nowUS int64) {
	if to == n.cfg.Self {
		return
	}
	n.leave(m.Key, m.Piece.Level, nowUS)
	for i := range m.Holdings {
		if h := &m.Holdings[i]; h.Pool {
			n.leave(h.Key, h.Piece.Level, nowUS)
		}
	}
}

// underWay is what left this node lately, and what came to it with pools that it has not taken over yet. The rest may
// have arrived and count there, too, which is on the safe side.
func (n *Node) underWay(nowUS int64) map[string]int64 {
	under := make(map[string]int64)
	for _, l := range n.left {
		if l.atUS >= nowUS-leftFor*n.cfg.LeaseUS {
			under[l.key] = min(under[l.key]+l.amount, n.whole.Capacity)
		}
	}
	if n.ready || n.cfg.Broken == UnderWayForgotten {
		return under
	}
	for _, m := range n.claims {
		if m == nil {
			continue
		}
		for _, h := range m.Holdings {
			if h.Pool {
				under[h.Key] = min(under[h.Key]+h.Piece.within(n.whole).Level, n.whole.Capacity)
			}
		}
	}
	return under
}

// endTogetherUS bounds the time between the ends of two nodes that is looked at: their operator reloads all right after
// each other.
const endTogetherUS = 5_000_000

// firstEndUS is when the first of the other nodes can have ended: it has not been heard since. What that one has spent
// drains at the whole rate until this one ends, too, and not at its part of it. So this node's levels should not have
// drained meanwhile.
func (n *Node) firstEndUS(nowUS int64) int64 {
	firstUS := nowUS
	if n.cfg.Broken == DrainForgotten {
		return firstUS
	}
	for i := range n.peers {
		if at := n.peers[i].heardUS; Seat(i) != n.cfg.Self && at >= nowUS-endTogetherUS {
			firstUS = min(firstUS, at)
		}
	}
	return firstUS
}

// since is the level of a piece with what can have drained of it since a time, if it was used lately. That can be more
// than its capacity: what drained was spent again.
func (h *held) since(firstUS, usedUS, nowUS int64) int64 {
	h.drainTo(nowUS)
	if usedUS < firstUS-endTogetherUS || h.Rate <= 0 {
		return h.Level
	}
	const much = math.MaxInt64 / 2
	drained := held{Piece: Piece{Capacity: much, Rate: h.Rate, Level: much}, atUS: firstUS}
	drained.drainTo(nowUS)
	return h.Level + much - drained.Level
}

// EachSpent visits what this node knows to be spent of each key: the levels of its piece and its pool, the tokens that
// it lent, and what is on its way between two nodes.
func (n *Node) EachSpent(nowUS int64, visit func(key string, amount int64)) {
	under, firstUS := n.underWay(nowUS), n.firstEndUS(nowUS)
	tell := func(key string, amount int64) {
		amount = min(amount+under[key], n.whole.Capacity)
		delete(under, key)
		if amount > 0 {
			visit(key, amount)
		}
	}
	for at := n.holdings.oldest(); at != nil; at = n.holdings.newer(at) {
		amount := at.value.since(firstUS, at.value.demand.lastUS, nowUS)
		if p := n.pools[at.key]; p != nil {
			amount += p.spentSince(firstUS, nowUS)
		}
		tell(at.key, amount)
	}
	for _, p := range n.poolList {
		if _, held := n.holdings.find(p.key); !held {
			tell(p.key, p.spentSince(firstUS, nowUS))
		}
	}
	for key, amount := range under {
		visit(key, amount)
	}
}

// spent is the level of a pool with the tokens that it lent.
func (p *pool) spent(nowUS int64) int64 {
	p.refresh(nowUS)
	return p.Level + p.lentOut()
}

func (p *pool) spentSince(firstUS, nowUS int64) int64 {
	p.refresh(nowUS)
	return p.since(firstUS, p.touchedUS, nowUS) + p.lentOut()
}

func (p *pool) lentOut() (amount int64) {
	for _, l := range p.lent {
		amount += l.amount
	}
	return amount
}
