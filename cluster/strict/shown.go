package strict

import (
	"cmp"
	"slices"
)

// ShownKey is a key for the API: what this node holds of it, and, if it owns the key, what it knows of the others.
type ShownKey struct {
	Key  string
	Held Piece
	// Owner distributes the bucket; -1 if the node is in no view.
	Owner Seat
	// Mode is "shared" or "central" of a key that this node owns, "" of others.
	Mode string
	Pool Piece
	// Holders are the capacities that others have, by seat.
	Holders map[Seat]int64
	usedUS  int64
}

// Used is the level that this node knows of: of its own piece, and of the pool if it owns the key.
func (k *ShownKey) Used() int64 { return k.Held.Level + k.Pool.Level }

// shownLooksAt bounds the keys that are looked at while requests wait for the gate's lock.
const shownLooksAt = 1000

// Shown returns the keys that were used last, those that this node only owns among them, at most so many.
func (g *Gate) Shown(most int, nowUS int64) []ShownKey {
	keys := g.look(nowUS)
	slices.SortFunc(keys, func(a, b ShownKey) int {
		return cmp.Or(cmp.Compare(b.usedUS, a.usedUS), cmp.Compare(a.Key, b.Key))
	})
	return keys[:min(len(keys), most)]
}

// Fullest returns the keys of which most is used as far as this node knows, at most so many.
func (g *Gate) Fullest(most int, nowUS int64) []ShownKey {
	keys := slices.DeleteFunc(g.look(nowUS), func(k ShownKey) bool { return k.Used() <= 0 })
	slices.SortFunc(keys, func(a, b ShownKey) int {
		return cmp.Or(cmp.Compare(b.Used(), a.Used()), cmp.Compare(a.Key, b.Key))
	})
	return keys[:min(len(keys), most)]
}

// look describes keys that this node holds or owns, or decides on alone, those that were used last if it has many.
func (g *Gate) look(nowUS int64) (keys []ShownKey) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fallback != nil && g.decidesAlone(nowUS) {
		return g.fallback.look(nowUS)
	}
	n := g.node
	if n == nil {
		return nil
	}
	for at := n.holdings.newest(); at != nil && len(keys) < shownLooksAt; at = n.holdings.older(at) {
		at.value.drainTo(nowUS)
		k := ShownKey{Key: at.key, Held: at.value.Piece, usedUS: at.value.demand.lastUS}
		if p := n.pools[at.key]; p != nil {
			n.lookAt(p, &k, nowUS)
		}
		keys = append(keys, k)
	}
	for _, p := range n.poolList[:min(len(n.poolList), shownLooksAt)] {
		if _, held := n.holdings.find(p.key); !held {
			k := ShownKey{Key: p.key, usedUS: p.touchedUS}
			n.lookAt(p, &k, nowUS)
			keys = append(keys, k)
		}
	}
	for i := range keys {
		keys[i].Owner = -1
		if owner, ok := n.view.owner(keys[i].Key, n.cfg.IDs); ok {
			keys[i].Owner = owner
		}
	}
	return keys
}

// lookAt describes the pool of a key, and the book of its owner.
func (n *Node) lookAt(p *pool, k *ShownKey, nowUS int64) {
	p.refresh(nowUS)
	k.Mode, k.Pool, k.Holders = "shared", p.Piece, map[Seat]int64{}
	if p.central {
		k.Mode = "central"
	}
	for i := range p.book {
		if p.book[i].capacity > 0 {
			k.Holders[Seat(i)] = p.book[i].capacity
		}
	}
}

// look describes the keys on which a node decides alone.
func (f *Fallback) look(nowUS int64) (keys []ShownKey) {
	for at := f.buckets.newest(); at != nil && len(keys) < shownLooksAt; at = f.buckets.older(at) {
		if at.value.sinceUS != f.sinceUS {
			continue
		}
		at.value.drainTo(nowUS)
		keys = append(keys, ShownKey{Key: at.key, Held: at.value.Piece, Owner: -1, usedUS: at.value.atUS})
	}
	return keys
}
