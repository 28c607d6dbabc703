package strict

import "slices"

// Verdict is the decision on a request.
type Verdict uint8

// The verdicts. Parked is followed by an Outcome. NoLease rejects because the node may not decide: it has lost contact
// with the majority, or is not yet a member. With a Fallback, it decides alone instead.
const (
	Admitted Verdict = iota + 1
	Rejected
	Parked
	NoLease
	AdmittedAlone
	RejectedAlone
)

// Admits reports whether a request is admitted by a verdict that is final.
func (v Verdict) Admits() bool { return v == Admitted || v == AdmittedAlone }

// holding is what this node has of a key.
type holding struct {
	key string
	held
	demand demand

	managed bool // the owner has a book entry for it: unknown keys are not managed, and have the default piece
	central bool // the owner decides for every request

	ask    asked
	asking bool     // in the node's list of those that asked
	parked []uint64 // tickets of requests that wait

	untilUS       int64 // reject until then
	listedUS      int64 // the owner knows since then that this node wants more
	listedDemand  int64
	prefetchUS    int64 // no prefetch before
	prefetchPause int64
}

// asked is an ask under way.
type asked struct {
	id       uint64
	owner    Seat
	sentUS   int64
	windowUS int64
	need     int64
	urgent   bool // requests wait for it
}

const (
	// parkedMost bounds the requests of a key that wait for one answer of the owner.
	parkedMost = 64
	// askTimeoutUS is the least time after which waiting requests are rejected; slow networks get more.
	askTimeoutUS      = 50_000
	askTimeoutTrips   = 20
	prefetchPauseUS   = 10_000
	prefetchPauseMost = 2_000_000
	// prefetchAheadUS is how far ahead a node asks for more, in time at the present demand.
	prefetchAheadUS = 20_000
)

// Decide decides on a request. Admission is the moment of the decision.
func (n *Node) Decide(key string, ticket uint64, nowUS int64) Verdict {
	verdict := n.decide(key, ticket, nowUS)
	n.settle(nowUS)
	switch verdict {
	case Admitted:
		n.stats.Admitted++
	case Rejected:
		n.stats.Rejected++
	case NoLease:
		n.stats.NoLease++
	case Parked:
		n.stats.Waited++
	}
	return verdict
}

func (n *Node) decide(key string, ticket uint64, nowUS int64) Verdict {
	if n.slots != nil {
		return n.enter(key, ticket, nowUS)
	}
	if !n.HasLease(nowUS) {
		if n.fallback != nil {
			return n.fallback.decide(key, nowUS)
		}
		return NoLease
	}
	h, known := n.holdings.use(key)
	if !known {
		if h = n.hold(key, nowUS); h == nil {
			return Rejected
		}
	}
	h.demand.note(nowUS)
	n.repay(h, nowUS)
	if h.admit(nowUS) {
		n.prefetch(h, nowUS)
		return Admitted
	}
	if nowUS < h.untilUS || n.listed(h, nowUS) || len(h.parked) >= parkedMost {
		return Rejected
	}
	h.parked = append(h.parked, ticket)
	if h.ask.id == 0 || !h.ask.urgent {
		n.ask(h, int64(len(h.parked)), nowUS)
	}
	return Parked
}

// defaultPiece is what this node has of a key without a record.
func (n *Node) defaultPiece(nowUS int64) held {
	if !n.armed {
		return held{atUS: nowUS}
	}
	h := held{Piece: n.born, atUS: n.armedUS}
	if n.armedUS != never {
		h.Level = h.Capacity
	}
	h.drainTo(nowUS)
	return h
}

// hold makes a record for a key.
func (n *Node) hold(key string, nowUS int64) *holding {
	if n.holdings.size() >= n.cfg.KeysMost && !n.evict(nowUS) {
		return nil
	}
	h := &holding{key: key, held: n.defaultPiece(nowUS), listedUS: never}
	n.began(&h.held, key)
	h.demand.firstGapUS = float64(n.tokenUS(int64(len(n.peers))))
	h.managed = !n.armed
	n.holdings.add(key, h)
	return h
}

// evictLooksAt bounds the search for a record whose end costs nothing.
const evictLooksAt = 8

// evict makes room for a record. A record that says no more than the default piece does is dropped. If there is none,
// this node gives all default pieces up: from now on a key without a record is a key of which it holds nothing, and any
// record can be returned and dropped.
func (n *Node) evict(nowUS int64) bool {
	at := n.holdings.oldest()
	for i := 0; at != nil && i < evictLooksAt; i++ {
		h := at.value
		at = n.holdings.newer(at)
		h.drainTo(nowUS)
		if !h.managed && len(h.parked) == 0 && h.ask.id == 0 && h.Level == 0 {
			n.holdings.remove(h.key)
			n.stats.Evicted++
			return true
		}
	}
	n.disarm(nowUS)
	at = n.holdings.oldest()
	for i := 0; at != nil && i < evictLooksAt; i++ {
		h := at.value
		at = n.holdings.newer(at)
		if len(h.parked) == 0 && h.ask.id == 0 {
			if n.cfg.Broken != ForgottenDefault {
				n.giveBack(h, h.Capacity, 0, nowUS)
			}
			n.holdings.remove(h.key)
			n.stats.Evicted++
			return true
		}
	}
	return false
}

// disarm gives the default pieces of all unknown keys back to their owners, who learn it from the claims.
func (n *Node) disarm(nowUS int64) {
	if !n.armed || n.cfg.Broken == ForgottenDefault {
		return
	}
	n.armed = false
	for at := n.holdings.oldest(); at != nil; at = n.holdings.newer(at) {
		at.value.managed = true
	}
	for _, m := range n.view.Members {
		n.reopen(m.Seat, nowUS)
	}
}

// listed reports whether the owner knows already that this node wants more, and so needs no ask.
func (n *Node) listed(h *holding, nowUS int64) bool {
	return nowUS < h.listedUS+n.listedForUS() && h.demand.perSecond(nowUS) < 2*h.listedDemand
}

// listedForUS is how long a node stays on the owner's list: 30 requests at the rate, and at least a second.
func (n *Node) listedForUS() int64 {
	return max(microsecondsPerSecond, n.tokenUS(30))
}

// tokenUS is the time in which so many requests drain.
func (n *Node) tokenUS(requests int64) int64 {
	return int64(float64(requests) * float64(Request) / float64(max(n.whole.Rate, 1)) * microsecondsPerSecond)
}

// prefetch asks for more before requests have to wait for it.
func (n *Node) prefetch(h *holding, nowUS int64) {
	if h.central || h.Capacity < 4*Request || h.ask.id != 0 || nowUS < h.prefetchUS {
		return
	}
	// free < 1 + demand * prefetchAheadUS, without overflow
	ahead := Request + h.demand.perSecond(nowUS)/(microsecondsPerSecond/prefetchAheadUS)
	if h.free() >= min(h.Capacity/4, ahead) || n.listed(h, nowUS) {
		return
	}
	h.prefetchPause = max(h.prefetchPause, prefetchPauseUS)
	h.prefetchUS = nowUS + h.prefetchPause
	n.ask(h, 0, nowUS)
}

// ask asks the owner for room for so many requests; none is a prefetch.
func (n *Node) ask(h *holding, need, nowUS int64) {
	owner, ok := n.view.owner(h.key, n.cfg.IDs)
	if !ok {
		return
	}
	if !h.asking {
		h.asking = true
		n.waiting = append(n.waiting, h)
	}
	n.askIDs++
	h.managed = true
	trip := n.peers[owner].roundTripUS
	h.ask = asked{
		id: n.askIDs, owner: owner, sentUS: nowUS, windowUS: min(4*trip+1000, n.cfg.LeaseUS),
		need: need, urgent: need > 0,
	}
	n.stats.Asks++
	n.due(nowUS + n.askTimeoutUS(h))
	n.toOwner(owner, Message{
		Kind: Ask, Key: h.key, AskID: h.ask.id, NeedRequests: need, WindowUS: h.ask.windowUS,
		DemandNano: h.demand.perSecond(nowUS),
	}, nowUS)
}

func (n *Node) askTimeoutUS(h *holding) int64 {
	return max(askTimeoutUS, askTimeoutTrips*n.peers[h.ask.owner].roundTripUS/2)
}

// tickAsks rejects requests whose ask was not answered in time.
func (n *Node) tickAsks(nowUS int64) {
	n.waiting = slices.DeleteFunc(n.waiting, func(h *holding) bool {
		if h.ask.id == 0 {
			h.asking = false
			return true
		}
		timeoutUS := h.ask.sentUS + n.askTimeoutUS(h)
		if nowUS < timeoutUS {
			n.due(timeoutUS)
			return false
		}
		h.ask.id = 0
		h.untilUS = nowUS + n.askTimeoutUS(h) // the owner may be gone: do not make every request wait for it
		n.decideParked(h, nowUS, false)
		h.asking = false
		return true
	})
}

// decideParked admits the requests that wait, in their order, while there is room. The others go on waiting or not.
func (n *Node) decideParked(h *holding, nowUS int64, wait bool) {
	lease := n.HasLease(nowUS)
	i := 0
	for ; i < len(h.parked) && lease && h.admit(nowUS); i++ {
		n.outcome(h.parked[i], true)
	}
	rest := h.parked[i:]
	if !wait {
		for _, ticket := range rest {
			n.outcome(ticket, false)
		}
		rest = nil
	}
	h.parked = append(h.parked[:0], rest...)
}

// outcome decides a ticket that waited.
func (n *Node) outcome(ticket uint64, admitted bool) {
	if admitted {
		n.stats.Admitted++
	} else {
		n.stats.Rejected++
	}
	n.outcomes = append(n.outcomes, Outcome{ticket, admitted})
}

// onGrant takes what the owner gives.
func (n *Node) onGrant(m Message, nowUS int64) {
	h, ok := n.holdings.find(m.Key)
	if !ok {
		// The record was returned and evicted meanwhile: so is this.
		if m.Piece.Capacity > 0 {
			n.toOwner(m.From, Message{Kind: Return, Key: m.Key, Piece: m.Piece, Flags: Silent}, nowUS)
		}
		return
	}
	h.take(n.missing(m.Piece, h), nowUS)
	n.repay(h, nowUS)
	h.managed, h.central = true, m.Flags&Central != 0
	answers := h.ask.id != 0 && m.AskID == h.ask.id
	if m.Flags&Forget != 0 {
		h.managed = !n.armed
	}
	if m.Flags&Listed != 0 {
		h.listedUS, h.listedDemand = nowUS, max(h.demand.perSecond(nowUS), 1)
	} else {
		h.listedUS = never
	}
	if m.HoldUS > 0 {
		h.untilUS = nowUS + min(m.HoldUS, n.idleUS())
	}
	if answers && m.Tokens > 0 && nowUS < h.ask.sentUS+h.ask.windowUS {
		n.spend(h, m.Tokens, nowUS)
	}
	need := h.ask.need
	if answers && m.Flags&Pending == 0 {
		h.ask.id = 0
		if need == 0 { // a prefetch
			h.prefetchPause *= 2
			if m.Piece.Capacity > 0 {
				h.prefetchPause = prefetchPauseUS
			}
			h.prefetchPause = min(h.prefetchPause, prefetchPauseMost)
		}
	}
	n.afterGrant(h, answers, m.Flags&Pending != 0, int(need), nowUS)
}

// missing bounds a piece that an owner grants by what this node does not have yet: an owner that made capacity up could
// make this node exceed the limit.
func (n *Node) missing(p Piece, h *holding) Piece {
	return p.within(Piece{Capacity: n.whole.Capacity - h.Capacity, Rate: n.whole.Rate - h.Rate})
}

// spend admits requests that wait with tokens.
func (n *Node) spend(h *holding, tokens, nowUS int64) {
	if !n.HasLease(nowUS) {
		return
	}
	admitted := int(min(max(tokens, 0), int64(len(h.parked))))
	for _, ticket := range h.parked[:admitted] {
		n.outcome(ticket, true)
	}
	h.parked = append(h.parked[:0], h.parked[admitted:]...)
}

// afterGrant decides on the requests that wait. Those that came after the ask was sent get an ask of their own.
func (n *Node) afterGrant(h *holding, answers, wait bool, need int, nowUS int64) {
	before := len(h.parked)
	n.decideParked(h, nowUS, true)
	if h.central && h.Capacity > 0 {
		n.giveBack(h, h.Capacity, 0, nowUS)
	}
	switch {
	case len(h.parked) == 0:
		if h.ask.urgent && before > 0 {
			h.ask.id = 0 // whatever else the answer brings
		}
	case answers && !wait:
		if nowUS < h.untilUS || n.listed(h, nowUS) || before <= need {
			n.decideParked(h, nowUS, false)
		} else {
			n.ask(h, int64(len(h.parked)), nowUS)
		}
	}
}

// giveBack returns capacity to the owner: of its level at least so much that the rest fits.
func (n *Node) giveBack(h *holding, capacity, level, nowUS int64) {
	owner, ok := n.view.owner(h.key, n.cfg.IDs)
	if !ok {
		return
	}
	h.drainTo(nowUS)
	if capacity >= h.Capacity {
		level = h.Level
	}
	m := Message{Kind: Return, Key: h.key, Piece: h.split(capacity, level), DemandNano: h.demand.perSecond(nowUS)}
	if h.demand.silent(nowUS) {
		m.Flags |= Silent
	}
	n.stats.Returns++
	n.toOwner(owner, m, nowUS)
}

// onRecall gives back what this node does not need. It knows its demand better than the owner: if it gets no requests,
// it returns all; if it gets too little, it keeps its fair share; otherwise a quarter more than it uses.
func (n *Node) onRecall(m Message, nowUS int64) {
	h, ok := n.holdings.find(m.Key)
	if !ok {
		if h = n.hold(m.Key, nowUS); h == nil { // without a record, the default piece cannot be given away
			n.toOwner(m.From, Message{Kind: Return, Key: m.Key}, nowUS)
			return
		}
	}
	h.managed = true
	h.drainTo(nowUS)
	keep := int64(0)
	if m.Flags&Central != 0 {
		h.central, h.listedUS = true, never
	} else if h.demand.silent(nowUS) {
		h.listedUS, h.untilUS = never, never
	} else {
		used := n.capacityFor(h.demand.perSecond(nowUS))
		used += used / 4
		if keep = used; used > h.Capacity {
			if keep = m.Keep; h.Capacity <= keep+keep/4 {
				keep = h.Capacity // estimates differ that much all the time
			}
		}
		keep = (keep + Request - 1) / Request * Request
	}
	back := max(h.Capacity-keep, 0)
	n.giveBack(h, back, share(h.Level, back, h.Capacity), nowUS)
}

// capacityFor is the capacity whose share of the rate is a demand.
func (n *Node) capacityFor(perSecond int64) int64 {
	whole := float64(n.whole.Capacity)
	return int64(min(whole*float64(perSecond)/float64(max(n.whole.Rate, 1)), whole))
}
