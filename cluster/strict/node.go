package strict

import (
	"fmt"
	"math"
	"slices"
)

// Limit is what a zone allows for each key.
type Limit struct {
	Rate  int64 // amount per second
	Burst int64 // requests beyond the first that may come at once
}

// capacity is the size of the bucket of a key: one request, and the burst.
func (l Limit) capacity() int64 { return (l.Burst + 1) * Request }

// slower is the rate at which the nodes together drain: less by what clocks can be too fast, against a true time.
func (l Limit) slower() int64 { return max(l.Rate-share(l.Rate, 2*driftPPM, 1_000_000)-1, 0) }

// BurstMost bounds the burst, so that amounts fit into 63 bits.
const BurstMost = 1_000_000_000

// Config is what a node starts with.
type Config struct {
	Self        Seat
	IDs         []uint64 // of the configured members, by seat: the same on all nodes
	Incarnation uint64   // differs from those of all earlier processes in the seat
	Limit       Limit
	LeaseUS     int64 // how long a member may act after a majority confirmed that it is one
	KeysMost    int   // records of keys, as a holder and again as an owner
	// OwnViews means that the register tells every node of each view, so that nodes do not tell each other: a peer
	// cannot make a view up then.
	OwnViews bool
	// NeverEmpty means that buckets count as full in the first view, too: something may have been spent before.
	NeverEmpty bool
	// Before returns the level that a key's bucket has now from requests which were counted in another way, without
	// this package. Buckets begin with that level. nil: nothing was counted.
	Before func(key string) int64
	// Slots makes it a limit of connections, so many for each key, instead of a bucket: Limit and Before are unused.
	Slots  int64
	Broken Mutant
}

// Check reports what New cannot work with.
func (c Config) Check() error {
	switch {
	case len(c.IDs) == 0 || len(c.IDs) > MembersMost:
		return fmt.Errorf("strict limits need 1 to %d members, there are %d", MembersMost, len(c.IDs))
	case int(c.Self) < 0 || int(c.Self) >= len(c.IDs):
		return fmt.Errorf("seat %d is not one of the %d members", c.Self, len(c.IDs))
	case c.Limit.Burst < 0 || c.Limit.Burst > BurstMost:
		return fmt.Errorf("the burst of a strict limit must be 0 to %d, it is %d", int64(BurstMost), c.Limit.Burst)
	case c.Slots < 0 || c.Slots > SlotsMost || c.Slots > 0 && c.KeysMost > SlotKeysMost:
		return fmt.Errorf("a strict limit of connections must be 1 to %d for at most %d keys: %d, %d", SlotsMost,
			SlotKeysMost, c.Slots, c.KeysMost)
	case c.Limit.Rate <= 0 && c.Slots == 0 || c.KeysMost <= 0 || c.LeaseUS <= 0:
		return fmt.Errorf("rate, keys and lease must be above 0: %d, %d, %d", c.Limit.Rate, c.KeysMost, c.LeaseUS)
	}
	return nil
}

// Mutant breaks one rule on purpose: the simulator has to notice each of them.
type Mutant uint8

// The mutants.
const (
	Whole             Mutant = iota // nothing is broken
	EarlyConsent                    // a node gives another up after 0.3 leases instead of a whole one
	EmptyTakeover                   // pieces of nodes that left come back empty, as if they had not been spent
	PromiseBroken                   // a node answers a member to whose exclusion it consented
	LeaseIgnored                    // a node admits requests without a lease
	LostCountedEmpty                // pieces lost on the way come back empty
	OldViewAccepted                 // messages of an earlier view count
	ClaimsNotAwaited                // a new owner acts before all members have said what they hold
	ForgetfulNewcomer               // a process that joins later takes default pieces
	ForgottenDefault                // a record that is evicted leaves its default piece behind
	BeforeForgotten                 // buckets begin without what was counted before
	UnderWayForgotten               // what is on its way when strict limits end is not counted
	DrainForgotten                  // what has drained twice when strict limits end is not counted
	GenerousFallback                // a node that lost contact begins with another burst
	FenceForgotten                  // a node gives another up before that one had time to end its connections
	NotFenced                       // connections stay open when the lease has ended
	UsedReturned                    // slots in use are returned
	ClaimsForgotten                 // a new owner takes all slots for free
	AnyLimitTaken                   // slots that were granted within a larger limit stay
)

// The clocks that a lease depends on are the monotonic clocks of two machines. They may differ by driftPPM each.
const driftPPM = 200

// longerUS is how long a node waits for a time that another node counts: 0.1 % longer, which is more than both clocks
// can differ.
func longerUS(us int64) int64 { return us + us/1000 + 1 }

// Node decides on requests of one zone, as one of the cluster's members. It is pure: time is an argument, messages are
// passed in and out. It is not safe for concurrent use.
type Node struct {
	cfg     Config
	whole   Piece // of a key: all capacity and rate
	born    Piece // the default piece of each member
	startUS int64

	view    View
	births  uint64 // this process's birth in the view, 0 if it is no member
	armed   bool   // unknown keys have their default piece …
	armedUS int64  // … which was full then, or always empty before (never)

	peers  []peer
	answer lease
	change change

	holdings recency[*holding]
	pools    map[string]*pool
	poolList []*pool
	poolNext int
	claims   []*Message // of the members, until all have come
	ready    bool       // all have
	fullUS   int64      // pools of keys without a record were full then
	left     []left     // levels that went to other nodes lately, the oldest first

	askIDs   uint64
	waiting  []*holding // that have asked
	early    []Message  // of later views
	deferred []Message  // of this view, until all claims have come
	out      []Envelope
	local    []Message // to this node itself
	outcomes []Outcome
	stats    Stats
	fallback *Fallback // nil: requests are rejected without a lease
	slots    *slots    // of a limit of connections; nil: there are pieces
	dueUS    int64
}

// Envelope is a message on its way to the next node.
type Envelope struct {
	Hop Seat
	Message
}

// Stats count what a node did. Those that Waited are counted again when they are Admitted or Rejected.
type Stats struct {
	Admitted, Rejected, Waited, NoLease, Asks, Grants, Recalls, Returns, Claims, Resyncs, Relayed uint64
	Views, Evicted, Unmanaged, Excess                                                             uint64
}

// never is before any time.
const never = math.MinInt64 / 4

// New returns a node that begins at a time of its clock. The configuration must pass Check.
func New(cfg Config, nowUS int64) *Node {
	n := &Node{cfg: cfg, startUS: nowUS, pools: map[string]*pool{}, fullUS: never, armedUS: never, dueUS: nowUS}
	members := int64(len(cfg.IDs))
	n.whole = Piece{Capacity: cfg.Limit.capacity(), Rate: cfg.Limit.slower()}
	units := (cfg.Limit.Burst + 1) / (2 * members)
	if units == 0 && 5*(cfg.Limit.Burst+1) > 6*members {
		units = 1
	}
	n.born = Piece{Capacity: units * Request, Rate: share(n.whole.Rate, units*Request, n.whole.Capacity)}
	n.peers = make([]peer, members)
	n.claims = make([]*Message, members)
	for i := range n.peers {
		n.peers[i] = peer{
			heardUS: never, answeredUS: never, confirmedUS: never, seenUS: never, roundTripUS: firstRoundTripUS,
			hears: slices.Repeat([]int64{never}, int(members)),
		}
	}
	n.holdings.init()
	if cfg.Slots > 0 {
		n.slots = newSlots(cfg.Slots)
	}
	return n
}

// View returns the view that the node has installed.
func (n *Node) View() View { return n.view }

// Stats returns the counters.
func (n *Node) Stats() Stats { return n.stats }

// majority is more than half of the configured members, whether they run or not.
func (n *Node) majority() int { return len(n.cfg.IDs)/2 + 1 }

// member reports whether this process is a member of its view.
func (n *Node) member() bool { return n.births != 0 }

// Out returns the messages to send and forgets them.
func (n *Node) Out() []Envelope {
	out := n.out
	n.out = n.out[len(n.out):]
	return out
}

// Outcomes returns the decisions on requests that waited, and forgets them.
func (n *Node) Outcomes() []Outcome {
	outcomes := n.outcomes
	n.outcomes = n.outcomes[len(n.outcomes):]
	return outcomes
}

// DueUS is when Tick wants to be called next.
func (n *Node) DueUS() int64 { return n.dueUS }

// due makes the next tick come no later.
func (n *Node) due(us int64) { n.dueUS = min(n.dueUS, us) }

// Tick does what is due.
func (n *Node) Tick(nowUS int64) {
	if nowUS < n.dueUS {
		return
	}
	n.dueUS = nowUS + n.cfg.LeaseUS
	n.tickLease(nowUS)
	n.tickChange(nowUS)
	if n.slots != nil {
		n.tickSlots(nowUS)
	} else {
		n.tickAsks(nowUS)
		n.tickPools(nowUS)
	}
	n.settle(nowUS)
	if n.fallback != nil && !n.fallback.active {
		n.fallback.forget(nowUS)
	}
}

// Receive takes a message of another node.
func (n *Node) Receive(m Message, nowUS int64) {
	if int(m.From) < 0 || int(m.From) >= len(n.peers) || int(m.To) < 0 || int(m.To) >= len(n.peers) {
		return
	}
	if m.To != n.cfg.Self {
		if !m.Kind.Direct() {
			n.stats.Relayed++
			n.out = append(n.out, Envelope{m.To, m})
		}
		return
	}
	n.handle(m, nowUS)
	n.settle(nowUS)
}

// settle claims what is not claimed yet, handles the messages of this node to itself, and notes what became of its
// lease.
func (n *Node) settle(nowUS int64) {
	if n.slots != nil {
		n.claimCarried(nowUS)
	}
	for len(n.local) > 0 {
		m := n.local[0]
		n.local = n.local[1:]
		n.handle(m, nowUS)
	}
	n.followFallback(nowUS)
	if n.slots != nil {
		n.followCover(nowUS)
	}
}

func (n *Node) handle(m Message, nowUS int64) {
	switch m.Kind {
	case Ping:
		n.onPing(m, nowUS)
	case Pong:
		n.onPong(m, nowUS)
	case Tell:
		if !n.cfg.OwnViews {
			n.Install(m.Decided, nowUS)
		}
	case Exclude:
		n.onExclude(m, nowUS)
	case Consent:
		n.onConsent(m, nowUS)
	default:
		n.onStream(m, nowUS)
	}
}

// send sends a message on the way that works: directly, or through a node that hears the receiver if this one does not.
func (n *Node) send(to Seat, m Message, nowUS int64) {
	m.From, m.To = n.cfg.Self, to
	if to == n.cfg.Self {
		n.local = append(n.local, m)
		return
	}
	hop := to
	if !m.Kind.Direct() {
		hop = n.hop(to, nowUS)
	}
	n.out = append(n.out, Envelope{hop, m})
}

// hop is the next node on the way to another.
func (n *Node) hop(to Seat, nowUS int64) Seat {
	fresh := nowUS - n.cfg.LeaseUS/2
	if n.peers[to].heardUS >= fresh || n.peers[to].heardUS == never {
		return to
	}
	for i := range n.peers {
		via := &n.peers[i]
		if Seat(i) != to && via.heardUS >= fresh && via.state.Hears.has(to) {
			return Seat(i)
		}
	}
	return to
}

// Owns reports whether this node owns a key in its view.
func (n *Node) Owns(key string) bool {
	owner, ok := n.view.owner(key, n.cfg.IDs)
	return ok && n.member() && owner == n.cfg.Self
}

// Ready reports whether this node may spend its pieces, and distributes the keys that it owns.
func (n *Node) Ready(nowUS int64) bool { return n.ready && n.HasLease(nowUS) }
