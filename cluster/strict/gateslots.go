package strict

import (
	"cmp"
	"slices"
)

// This file is the part of a Gate that keeps a limit of connections. It knows each connection, because it must be able
// to end them all, and because they outlive the nodes: a new node is told of them.

// Conn is a connection that a Gate counts.
type Conn struct {
	key            string
	end            func()
	next, previous *Conn // of its key
	isIn           bool
}

// keyConns are the connections of a key.
type keyConns struct {
	count   int64
	first   *Conn
	carried int64 // that another zone counts: they cannot be ended
}

func (k *keyConns) add(c *Conn) {
	c.isIn, c.next, c.previous = true, k.first, nil
	if k.first != nil {
		k.first.previous = c
	}
	k.first = c
	k.count++
}

func (k *keyConns) remove(c *Conn) {
	if c.previous != nil {
		c.previous.next = c.next
	} else {
		k.first = c.next
	}
	if c.next != nil {
		c.next.previous = c.previous
	}
	c.isIn, c.next, c.previous = false, nil, nil
	k.count--
}

// all is the number of connections of a key.
func (k *keyConns) all() int64 { return k.count + k.carried }

// slotGate is what a Gate has for a limit of connections.
type slotGate struct {
	limit   int64
	conns   map[string]*keyConns
	covered int64 // when the lease ends that connections have of a node that is gone; 0: there is none
	ended   uint64
	alone   FallbackStats
}

// NewConnGate returns the closed gate of a limit of connections.
func NewConnGate(name string, limit int64, keysMost int, tag uint64) *Gate {
	g := NewGate(name, Limit{}, keysMost, tag)
	g.slots = &slotGate{limit: limit, conns: map[string]*keyConns{}}
	return g
}

// Conns reports whether the gate keeps a limit of connections.
func (g *Gate) Conns() bool { return g.slots != nil }

// ConnLimit is the limit of connections of each key, and for how many keys a node has room.
func (g *Gate) ConnLimit() (limit int64, keysMost int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.slots.limit, g.KeysMost
}

// Relimit changes the limit and the room for keys. Connections above a smaller limit stay open.
func (g *Gate) Relimit(limit int64, keysMost int, nowUS int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.slots.limit, g.KeysMost = limit, keysMost
	if g.node != nil {
		g.node.cfg.KeysMost = keysMost
		g.node.SetLimit(limit, nowUS)
		g.after()
	}
}

// Enter decides on a connection. end ends it, from any goroutine; it may be called after Leave. An admitted connection
// must leave; if it is parked, it counts from the moment when the ticket says that it is admitted.
func (g *Gate) Enter(key string, end func(), nowUS int64) (Verdict, *Conn, *Ticket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := &Conn{key: key, end: end}
	if g.additive.Load() {
		g.carry(c, nowUS)
		return Admitted, c, nil
	}
	if g.node == nil || !g.node.HasLease(nowUS) {
		return g.enterAlone(c, nowUS)
	}
	g.tickets++
	verdict := g.node.Decide(key, g.tickets, nowUS)
	var t *Ticket
	switch verdict {
	case Admitted:
		g.of(key).add(c)
	case Parked:
		t = tickets.Get().(*Ticket)
		t.conn = c
		g.waiting[g.tickets] = t
	}
	g.after()
	return verdict, c, t
}

// enterAlone decides without the other members: a node with a share admits that many.
func (g *Gate) enterAlone(c *Conn, nowUS int64) (Verdict, *Conn, *Ticket) {
	s := g.slots
	if !g.shares || g.among <= 0 {
		return NoLease, c, nil
	}
	if k := s.conns[c.key]; s.share(g.among) == 0 || k != nil && k.all() >= s.share(g.among) ||
		k == nil && len(s.conns) >= g.KeysMost {
		s.alone.Rejected++
		return RejectedAlone, c, nil
	}
	s.alone.Admitted++
	g.carry(c, nowUS)
	return AdmittedAlone, c, nil
}

// share is how many connections of a key a node admits alone.
func (s *slotGate) share(among int) int64 { return s.limit / int64(max(among, 1)) }

func (g *Gate) of(key string) *keyConns {
	k := g.slots.conns[key]
	if k == nil {
		k = &keyConns{}
		g.slots.conns[key] = k
	}
	return k
}

// carry counts a connection without a slot.
func (g *Gate) carry(c *Conn, nowUS int64) {
	g.of(c.key).add(c)
	if g.node != nil {
		g.node.Carry(c.key, 1, nowUS)
		g.after()
	}
}

// Leave tells that a connection has ended.
func (g *Gate) Leave(c *Conn, nowUS int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.isIn {
		g.slots.conns[c.key].remove(c)
		g.left(c.key, nowUS)
	}
}

func (g *Gate) left(key string, nowUS int64) {
	if g.slots.conns[key].all() == 0 {
		delete(g.slots.conns, key)
	}
	if g.node != nil {
		g.node.Leave(key, nowUS)
		g.after()
	}
}

// Add and Take count connections that were opened while the zone was not strict, and that cannot be ended.
func (g *Gate) Add(key string, count, nowUS int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.of(key).carried += count
	if g.node != nil {
		g.node.Carry(key, count, nowUS)
		g.after()
	}
}

// Take takes one of them back.
func (g *Gate) Take(key string, nowUS int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if k := g.slots.conns[key]; k != nil && k.carried > 0 {
		k.carried--
		g.left(key, nowUS)
	}
}

// dropCover notes until when the connections of a node that ends have a lease. Called with mu held.
func (g *Gate) dropCover() {
	if g.node == nil {
		return
	}
	if untilUS, covered := g.node.DropCover(); covered {
		g.slots.covered = max(g.slots.covered, untilUS)
	}
}

// Fence returns what ends the connections whose lease has ended; the caller calls that at once, without locks. It also
// returns when to look again. It must be called in time whatever else a driver waits for, as a disk: that is why it is
// not a part of Tick.
func (g *Gate) Fence(nowUS int64) (dueUS int64, ends []func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.slots
	dueUS, fence, leased := -never, false, false
	if g.node != nil {
		fence = g.node.TakeFence(nowUS)
		if leased = g.node.HasLease(nowUS); leased {
			dueUS = g.node.answer.untilUS
		}
		dueUS = min(dueUS, nowUS+g.node.cfg.LeaseUS/2)
	}
	switch {
	case s.covered == 0:
	case leased: // the node has claimed them
		s.covered = 0
	case nowUS >= s.covered:
		fence, s.covered = true, 0
	default:
		dueUS = min(dueUS, s.covered)
	}
	if !fence {
		return dueUS, nil
	}
	keep := int64(0)
	if g.shares && g.among > 0 {
		keep = s.share(g.among)
	}
	return dueUS, g.endsBeyond(keep)
}

// EndAll returns what ends all connections: nobody will look after them any more.
func (g *Gate) EndAll() []func() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.slots.covered = 0
	return g.endsBeyond(0)
}

// endsBeyond are the ends of all connections but so many of each key, those that were opened last first.
func (g *Gate) endsBeyond(keep int64) (ends []func()) {
	for _, k := range g.slots.conns {
		excess := k.all() - keep
		for c := k.first; c != nil && excess > 0; c = c.next {
			if c.end != nil {
				ends = append(ends, c.end)
				excess--
			}
		}
	}
	g.slots.ended += uint64(len(ends))
	return ends
}

// ShownConns is a key for the API: the connections of this node, and, if it owns the key, who has how many slots.
type ShownConns struct {
	Key         string
	Open, Slots int64
	Owner       Seat // -1 if the node is in no view
	Owned       bool
	Granted     int64 // to all members, if it is owned
	Holders     map[Seat]int64
}

// before orders keys from the most connections of this node on, then from the most slots.
func (k ShownConns) before(other ShownConns) int {
	return cmp.Or(
		cmp.Compare(other.Open, k.Open), cmp.Compare(other.Granted, k.Granted), cmp.Compare(k.Key, other.Key),
	)
}

// ShownConns returns the keys with the most connections of this node, and those that it only owns after them, at most
// so many. It looks at every key while connections wait for the lock, so it describes only those that it returns.
func (g *Gate) ShownConns(most int) (keys []ShownConns) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.node
	consider := func(key string, open, granted int64) {
		k := ShownConns{Key: key, Open: open, Owner: -1, Granted: granted}
		i, _ := slices.BinarySearchFunc(keys, k, ShownConns.before)
		if i == most || slices.ContainsFunc(keys, func(other ShownConns) bool { return other.Key == key }) {
			return
		}
		keys = slices.Insert(keys[:min(len(keys), most-1)], i, k)
	}
	for key, k := range g.slots.conns {
		consider(key, k.all(), n.granted(key))
	}
	if n == nil {
		return keys
	}
	if len(keys) < most { // the others have no connection here
		for h := n.slots.held.newest(); h != nil; h = n.slots.held.older(h) {
			consider(h.key, 0, n.granted(h.key))
		}
		for key, p := range n.slots.pools {
			consider(key, 0, p.sum)
		}
	}
	for i := range keys {
		n.describe(&keys[i])
	}
	return keys
}

// granted are the slots of a key that this node has granted, if it owns that.
func (n *Node) granted(key string) int64 {
	if n != nil {
		if p := n.slots.pools[key]; p != nil {
			return p.sum
		}
	}
	return 0
}

// describe adds who has how many slots of a key.
func (n *Node) describe(k *ShownConns) {
	if h, ok := n.slots.held.find(k.Key); ok {
		k.Slots = h.slots
	}
	if owner, ok := n.view.owner(k.Key, n.cfg.IDs); ok {
		k.Owner = owner
	}
	p := n.slots.pools[k.Key]
	if p == nil {
		return
	}
	k.Owned, k.Holders = true, map[Seat]int64{}
	for seat, has := range p.book {
		if has > 0 {
			k.Holders[Seat(seat)] = has
		}
	}
}
