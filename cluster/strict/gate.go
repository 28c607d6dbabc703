package strict

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// Gate is where the requests of one zone meet its Node. It is safe for concurrent use, and outlives the nodes: without
// one, it says why. A driver opens and closes it, ticks it, and passes messages; requests call Decide.
type Gate struct {
	Name  string
	Limit Limit
	// KeysMost bounds the records of keys: see Config.
	KeysMost int
	// Tag identifies the zone and its settings among the members: nodes with other settings are none of its members.
	Tag uint64
	// Before and After connect the gate with the other way to count requests; nil: there is none. Before is that of
	// Config. After is called for each key when that way begins again, with what was spent, in requests. They are
	// called with the gate's lock held: they must not call the gate.
	Before func(key string) int64
	After  func(key string, requests int64)

	mu      sync.Mutex
	node    *Node
	members []string
	send    func(Envelope)
	wake    func()
	dueUS   int64 // that the driver knows of
	waiting map[uint64]*Ticket
	tickets uint64

	shares        bool // what Share and Among said last
	among         int
	fallback      *Fallback // nil: requests are rejected while there is no lease
	fallbackStats FallbackStats

	closed   atomic.Pointer[string] // why there is no node
	additive atomic.Bool
	retired  bool // it stays additive

	slots *slotGate // of a limit of connections; nil: it has buckets
}

// Ticket is a request that waits for a decision.
type Ticket struct {
	// Decided gets the decision once: whether the request is admitted.
	Decided chan bool
	conn    *Conn // that waits, of a limit of connections
}

// tickets are used again: most requests do not wait, those that do come in bursts.
var tickets = sync.Pool{New: func() any { return &Ticket{Decided: make(chan bool, 1)} }}

// NewGate returns a closed gate. A node opens it when it belongs to a cluster.
func NewGate(name string, limit Limit, keysMost int, tag uint64) *Gate {
	g := &Gate{Name: name, Limit: limit, KeysMost: keysMost, Tag: tag, waiting: map[uint64]*Ticket{}}
	g.Close("zone_sync has not started")
	return g
}

// Open makes a node decide. Members are the names of the seats. send and wake are called with the gate's lock held:
// they must not call the gate.
func (g *Gate) Open(node *Node, members []string, send func(Envelope), wake func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.retired {
		return
	}
	g.end()
	g.node, g.members, g.send, g.wake, g.dueUS = node, members, send, wake, -never
	node.FallBackTo(g.fallback)
	if g.slots != nil {
		for key, k := range g.slots.conns {
			node.Carry(key, k.all(), node.startUS)
		}
	}
	g.closed.Store(nil)
	g.additive.Store(false)
}

// Close ends the node, if there is one. The reason is for the log and the API.
func (g *Gate) Close(reason string) { g.CloseTo(reason, false, 0) }

// CloseTo is Close. Additive means that requests are counted without this gate, as in a zone that is not strict.
func (g *Gate) CloseTo(reason string, additive bool, nowUS int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.retired {
		g.closeTo(reason, additive, nowUS)
	}
}

// Retire closes the gate for good, because the zone is not strict any more: its last requests are counted without it.
func (g *Gate) Retire(nowUS int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closeTo("the zone is not strict any more", true, nowUS)
	g.retired = true
}

// closeTo is CloseTo. Called with mu held.
func (g *Gate) closeTo(reason string, additive bool, nowUS int64) {
	if additive && g.After != nil {
		after := func(key string, amount int64) { g.After(key, (amount+Request-1)/Request) }
		if g.node != nil {
			g.node.EachSpent(nowUS, after)
		}
		if g.fallback != nil {
			g.fallback.settle(nowUS, after)
		}
	}
	g.end()
	if g.slots != nil && additive {
		g.slots.covered = 0 // they count as in a zone that is not strict
	}
	g.closed.Store(&reason)
	g.additive.Store(additive)
}

// Additive reports whether requests are counted without this gate.
func (g *Gate) Additive() bool { return g.additive.Load() }

// end rejects what waits. Called with mu held.
func (g *Gate) end() {
	for _, t := range g.waiting {
		t.conn = nil
		t.Decided <- false
	}
	clear(g.waiting)
	if g.slots != nil {
		g.dropCover()
	}
	g.node = nil
}

// Closed returns why there is no node, "" if there is one.
func (g *Gate) Closed() string {
	if reason := g.closed.Load(); reason != nil {
		return *reason
	}
	return ""
}

// Decide decides on a request. If it is parked, wait for the ticket, and release it.
func (g *Gate) Decide(key string, nowUS int64) (Verdict, *Ticket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.node == nil {
		if g.fallback != nil && !g.additive.Load() {
			return g.fallback.decide(key, nowUS), nil
		}
		return NoLease, nil
	}
	g.tickets++
	verdict := g.node.Decide(key, g.tickets, nowUS)
	var t *Ticket
	if verdict == Parked {
		t = tickets.Get().(*Ticket)
		g.waiting[g.tickets] = t
	}
	g.after()
	return verdict, t
}

// Release gives a ticket back whose decision has been read.
func (t *Ticket) Release() { tickets.Put(t) }

// Receive passes a message to the node.
func (g *Gate) Receive(m Message, nowUS int64) {
	g.with(func(n *Node) { n.Receive(m, nowUS) })
}

// Tick lets time pass, and returns when to call it next.
func (g *Gate) Tick(nowUS int64) (dueUS int64) {
	dueUS = nowUS + idleTickUS
	g.with(func(n *Node) {
		n.Tick(nowUS)
		g.dueUS = n.DueUS()
		dueUS = min(dueUS, g.dueUS)
	})
	return dueUS
}

// idleTickUS is how long a gate waits without anything due.
const idleTickUS = 1_000_000

// Install makes a decided view the node's own.
func (g *Gate) Install(v View, nowUS int64) { g.with(func(n *Node) { n.Install(v, nowUS) }) }

// Follow says which member leads the register: see Node.Follow.
func (g *Gate) Follow(leader Seat, nowUS int64) { g.with(func(n *Node) { n.Follow(leader, nowUS) }) }

// Proposal returns a view that the register shall decide on, once.
func (g *Gate) Proposal() (v View, ok bool) {
	g.with(func(n *Node) { v, ok = n.Proposal() })
	return v, ok
}

func (g *Gate) with(call func(*Node)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.node != nil {
		call(g.node)
		g.after()
	}
}

// after sends what the node has to say, and decides what waited. Called with mu held.
func (g *Gate) after() {
	for _, e := range g.node.Out() {
		g.send(e)
	}
	for _, o := range g.node.Outcomes() {
		if t := g.waiting[o.Ticket]; t != nil {
			delete(g.waiting, o.Ticket)
			if t.conn != nil && o.Admitted {
				g.of(t.conn.key).add(t.conn)
			}
			t.conn = nil
			t.Decided <- o.Admitted
		}
	}
	if due := g.node.DueUS(); due < g.dueUS {
		g.dueUS = due
		g.wake()
	}
}

// String names the zone.
func (g *Gate) String() string { return fmt.Sprintf("zone %q", g.Name) }
