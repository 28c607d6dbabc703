package strict

// A limit of connections needs other rules than a bucket: a connection lasts, and nothing drains. With Config.Slots, a
// node keeps such a limit. Leases, views, streams and claims are those of pieces; what differs is here and in
// slotsowner.go:
//
//   - A node has slots of a key, which the key's owner granted, and opens a connection in a free one. The owner has
//     the rest. Only free slots are returned, so a connection is never without one.
//   - A node whose lease ends must end its connections (TakeFence), within FenceUS. The others consent to its
//     exclusion FenceUS later than they would for pieces. So what a node that left had is free when the next view is
//     decided: what nobody claims is free.
//   - A node claims its connections if it has fewer slots than these: they were opened while the zone was not strict,
//     or alone. Then a key can be above its limit, and nothing is granted until it is below.
//
// docs/decisions/2026-11-29-strict-connections.md has the proof.

const (
	// SlotsMost bounds the limit of a key.
	SlotsMost = 1<<16 - 1
	// FenceUS is how long a node may take to end its connections once its lease has ended.
	FenceUS = 1_000_000
	// SlotKeysMost bounds KeysMost of a limit of connections.
	SlotKeysMost = 1 << 16
	// slotsKeepUS is how long a slot stays free before it is returned.
	slotsKeepUS = 1_000_000
	// refusedUS is how long a key stays refused after its owner had no slot: a flood must not ask for each request.
	refusedUS = 10_000
	// slotsPingUS is the longest pause between pings: leases are long here, and nodes that come should not wait.
	slotsPingUS = 250_000
	// slotsLookAt bounds the keys that are looked at in one tick.
	slotsLookAt = 256
)

// slots is what a Node has of a limit of connections.
type slots struct {
	limit  int64
	held   recency[*heldSlots] // the one to look at next is the oldest
	asking []*heldSlots
	pools  map[string]*slotPool
	rounds []*slotPool // with asks that wait
	// unclaimed are owners of keys with carried connections of which these do not know.
	unclaimed Seats
	covered   bool // the connections have a lease
	fence     bool // … or had one, and must be ended
}

// heldSlots is what this node has of a key.
type heldSlots struct {
	key         string
	slots, open int64
	made        int64 // of slots: no owner granted them within the limit, so they end with a connection
	least       int64 // free slots since the last look, at least
	lookUS      int64
	ask         asked
	asking      bool // in the list of those that asked
	parked      []uint64
	untilUS     int64 // refuse until then
}

// free is how many connections can be opened without the owner.
func (h *heldSlots) free() int64 { return max(h.slots-h.open, 0) }

func newSlots(limit int64) *slots {
	s := &slots{limit: limit, pools: map[string]*slotPool{}}
	s.held.init()
	return s
}

// enter decides on a connection.
func (n *Node) enter(key string, ticket uint64, nowUS int64) Verdict {
	s := n.slots
	if !n.HasLease(nowUS) {
		return NoLease
	}
	h, known := s.held.find(key)
	if !known {
		if s.held.size() >= n.cfg.KeysMost {
			return Rejected
		}
		h = n.holdSlots(key, nowUS)
	}
	if h.free() > 0 {
		h.enter()
		return Admitted
	}
	if nowUS < h.untilUS || len(h.parked) >= parkedMost {
		return Rejected
	}
	h.parked = append(h.parked, ticket)
	if h.ask.id == 0 {
		n.askSlots(h, nowUS)
	}
	return Parked
}

func (h *heldSlots) enter() {
	h.open++
	h.least = min(h.least, h.free())
}

func (n *Node) holdSlots(key string, nowUS int64) *heldSlots {
	h := &heldSlots{key: key, lookUS: nowUS + slotsKeepUS}
	n.slots.held.add(key, h)
	n.due(h.lookUS)
	return h
}

// Leave tells that a connection has ended, which was admitted or carried.
func (n *Node) Leave(key string, nowUS int64) {
	h, ok := n.slots.held.find(key)
	if !ok || h.open == 0 {
		return
	}
	h.open--
	if h.made > 0 && h.free() > 0 {
		h.made--
		n.returnSlots(h, 1, nowUS)
	}
	n.admitParked(h, nowUS)
	n.settle(nowUS)
}

// Carry counts connections that were opened without a slot: while the zone was not strict, or alone. It reports whether
// there was room for the key.
func (n *Node) Carry(key string, count, nowUS int64) bool {
	h, ok := n.slots.held.find(key)
	if !ok {
		if n.slots.held.size() >= 2*SlotKeysMost {
			return false
		}
		h = n.holdSlots(key, nowUS)
	}
	h.open += count
	h.least = min(h.least, h.free())
	if owner, owned := n.view.owner(key, n.cfg.IDs); owned && n.member() && h.open > h.slots {
		n.slots.unclaimed.add(owner)
		n.settle(nowUS)
	}
	return true
}

// claimCarried tells owners what there is. A claim has all keys of an owner, so without a lease, when each connection
// that is admitted alone is carried, it waits: once the lease is back, one claim tells of them all.
func (n *Node) claimCarried(nowUS int64) {
	owners := n.slots.unclaimed
	if owners == 0 || !n.HasLease(nowUS) {
		return
	}
	n.slots.unclaimed = 0
	for _, m := range n.view.Members {
		if owners.has(m.Seat) {
			n.reopen(m.Seat, nowUS)
		}
	}
}

// SetLimit changes the limit of all keys. Slots were granted within another one, so they are returned: free ones now,
// the others when their connection ends.
func (n *Node) SetLimit(limit, nowUS int64) {
	s := n.slots
	if limit == s.limit {
		return
	}
	if s.limit = limit; n.cfg.Broken == AnyLimitTaken {
		return
	}
	for at := s.held.oldest(); at != nil; at = s.held.newer(at) {
		h := at.value
		if h.slots > 0 {
			n.returnSlots(h, h.free(), nowUS)
		}
		h.untilUS, h.made = never, h.slots
	}
	for _, p := range s.pools {
		p.emptyUS = never
	}
	if n.ready {
		n.recallAbove(nowUS)
	}
	n.settle(nowUS)
}

// askSlots asks the owner for slots for the connections that wait.
func (n *Node) askSlots(h *heldSlots, nowUS int64) {
	owner, ok := n.view.owner(h.key, n.cfg.IDs)
	if !ok {
		return
	}
	if !h.asking {
		h.asking = true
		n.slots.asking = append(n.slots.asking, h)
	}
	n.askIDs++
	h.ask = asked{id: n.askIDs, owner: owner, sentUS: nowUS, need: int64(len(h.parked))}
	n.stats.Asks++
	n.due(nowUS + n.slotsTimeoutUS(h))
	n.toOwner(owner, Message{
		Kind: AskSlots, Key: h.key, AskID: h.ask.id, Slots: h.ask.need, Limit: n.slots.limit,
	}, nowUS)
}

// slotsTimeoutUS is how long a connection waits for the owner's answer.
func (n *Node) slotsTimeoutUS(h *heldSlots) int64 {
	return max(askTimeoutUS, askTimeoutTrips*n.peers[h.ask.owner].roundTripUS/2)
}

// onGrantSlots takes what the owner of a key grants.
func (n *Node) onGrantSlots(m Message, nowUS int64) {
	s := n.slots
	if owner, known := n.view.owner(m.Key, n.cfg.IDs); !known || owner != m.From {
		return
	}
	got := min(max(m.Slots, 0), SlotsMost)
	h, ok := s.held.find(m.Key)
	if foreign := m.Limit > s.limit && n.cfg.Broken != AnyLimitTaken; !ok || foreign {
		n.toOwner(m.From, Message{Kind: ReturnSlots, Key: m.Key, Slots: got, Limit: s.limit}, nowUS)
		if got = 0; !ok {
			return
		}
	}
	got = min(got, max(s.limit-h.slots, 0)) // an owner that makes slots up cannot make others exceed the limit
	h.slots += got
	n.admitParked(h, nowUS)
	if h.ask.id == 0 || m.AskID != h.ask.id {
		return
	}
	h.ask.id = 0
	switch {
	case len(h.parked) == 0:
	case got >= h.ask.need:
		n.askSlots(h, nowUS) // for those that came later
	default:
		h.untilUS = nowUS + min(max(m.HoldUS, 0), refusedUS)
		n.refuseParked(h)
	}
}

// admitParked admits those that wait into free slots.
func (n *Node) admitParked(h *heldSlots, nowUS int64) {
	i := 0
	for ; i < len(h.parked) && h.free() > 0 && n.HasLease(nowUS); i++ {
		h.enter()
		n.outcome(h.parked[i], true)
	}
	h.parked = append(h.parked[:0], h.parked[i:]...)
}

func (n *Node) refuseParked(h *heldSlots) {
	for _, ticket := range h.parked {
		n.outcome(ticket, false)
	}
	h.parked = h.parked[:0]
}

// onRecallSlots returns what is free.
func (n *Node) onRecallSlots(m Message, nowUS int64) {
	if owner, known := n.view.owner(m.Key, n.cfg.IDs); !known || owner != m.From {
		return
	}
	h, ok := n.slots.held.find(m.Key)
	if !ok {
		n.toOwner(m.From, Message{Kind: ReturnSlots, Key: m.Key, Limit: n.slots.limit}, nowUS)
		return
	}
	back := h.free()
	if n.cfg.Broken == UsedReturned {
		back = h.slots
	}
	n.returnSlots(h, back, nowUS)
}

// returnSlots gives free slots back to the owner, and tells it the limit of this node.
func (n *Node) returnSlots(h *heldSlots, back, nowUS int64) {
	owner, ok := n.view.owner(h.key, n.cfg.IDs)
	if !ok || !n.member() {
		return
	}
	h.slots -= back
	h.least = min(h.least, h.free())
	n.stats.Returns++
	n.toOwner(owner, Message{Kind: ReturnSlots, Key: h.key, Slots: back, Limit: n.slots.limit}, nowUS)
}

// tickSlots does what is due.
func (n *Node) tickSlots(nowUS int64) {
	s := n.slots
	kept := s.asking[:0]
	for _, h := range s.asking {
		if h.ask.id != 0 && nowUS >= h.ask.sentUS+n.slotsTimeoutUS(h) {
			h.ask.id = 0
			h.untilUS = nowUS + refusedUS
			n.refuseParked(h)
		}
		if h.asking = h.ask.id != 0; h.asking {
			n.due(h.ask.sentUS + n.slotsTimeoutUS(h))
			kept = append(kept, h)
		}
	}
	clear(s.asking[len(kept):])
	s.asking = kept
	n.tickRounds(nowUS)
	n.returnUnused(nowUS)
	if n.answer.untilUS > nowUS && n.majority() > 1 {
		n.due(n.answer.untilUS)
	}
}

// returnUnused returns the slots that were free for a while, and forgets keys of which nothing is left.
func (n *Node) returnUnused(nowUS int64) {
	s := n.slots
	for range slotsLookAt {
		at := s.held.oldest()
		if at == nil {
			return
		}
		h := at.value
		if nowUS < h.lookUS {
			n.due(h.lookUS)
			return
		}
		if h.least > 0 {
			n.returnSlots(h, h.least, nowUS)
		}
		h.least, h.lookUS = h.free(), nowUS+slotsKeepUS
		if h.slots == 0 && h.open == 0 && h.ask.id == 0 && len(h.parked) == 0 {
			s.held.remove(h.key)
			continue
		}
		s.held.use(h.key)
	}
	n.due(nowUS)
}

// loseSlots drops the slots of a process that is no member any more, or is one anew.
func (n *Node) loseSlots() {
	s := n.slots
	for at := s.held.oldest(); at != nil; at = s.held.newer(at) {
		at.value.slots, at.value.made, at.value.least, at.value.ask.id = 0, 0, 0, 0
		n.refuseParked(at.value)
	}
	s.unclaimed = 0
	s.endLease()
}

func (s *slots) endLease() {
	s.fence = s.fence || s.covered
	s.covered = false
}

// followCover notes when the lease begins and ends.
func (n *Node) followCover(nowUS int64) {
	if n.HasLease(nowUS) {
		n.slots.covered = true
	} else {
		n.slots.endLease()
	}
}

// TakeFence reports, once each time, that the connections of this node must be ended: its lease has ended.
func (n *Node) TakeFence(nowUS int64) bool {
	n.followCover(nowUS)
	fence := n.slots.fence
	n.slots.fence = false
	return fence && n.cfg.Broken != NotFenced
}

// DropCover is called before a node is dropped whose connections live on: it returns whether they have its lease, and
// until when; then they must be ended, unless another node has claimed them.
func (n *Node) DropCover() (untilUS int64, covered bool) {
	s := n.slots
	untilUS, covered = n.answer.untilUS, s.covered || s.fence
	if s.fence {
		untilUS = 1 // it has ended before
	}
	s.covered, s.fence = false, false
	return max(untilUS, 1), covered
}

// claimSlots lists what this node holds of an owner's keys.
func (n *Node) claimSlots(owner Seat) (list []Holding) {
	s := n.slots
	for at := s.held.oldest(); at != nil; at = s.held.newer(at) {
		h := at.value
		if of, ok := n.view.owner(h.key, n.cfg.IDs); !ok || of != owner {
			continue
		}
		if h.open > h.slots {
			h.made += h.open - h.slots
			h.slots = h.open
		}
		h.least = min(h.least, h.free())
		if h.slots > 0 {
			list = append(list, Holding{Key: h.key, Piece: Piece{Capacity: h.slots, Rate: s.limit}})
		}
	}
	return list
}

// handSlotsOver sends each owner its claim after a change of the view, and asks again. The owners know nothing yet.
func (n *Node) handSlotsOver(nowUS int64) {
	s := n.slots
	s.pools, s.rounds, s.unclaimed = map[string]*slotPool{}, nil, 0
	for _, m := range n.view.Members {
		n.claim(m.Seat, nil, nowUS)
	}
	for _, h := range s.asking {
		if h.ask.id != 0 {
			n.askSlots(h, nowUS)
		}
	}
}

// askSlotsAgain sends the asks to an owner again, in its new stream.
func (n *Node) askSlotsAgain(owner Seat, nowUS int64) {
	for _, h := range n.slots.asking {
		if h.ask.id != 0 && h.ask.owner == owner {
			n.askSlots(h, nowUS)
		}
	}
}
