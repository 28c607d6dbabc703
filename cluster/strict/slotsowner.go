package strict

import (
	"slices"
	"strings"
)

// slotPool is a key that this node owns.
type slotPool struct {
	key      string
	book     []int64 // slots, by seat
	limits   []int64 // that those have who have slots
	sum      int64
	waiting  []slotAsk
	recalled Seats // that have not answered a recall
	endUS    int64 // the round ends, whoever has answered
	inRounds bool
	emptyUS  int64 // until then nothing will be free
}

// slotAsk is an ask that waits.
type slotAsk struct {
	seat        Seat
	id          uint64
	need, limit int64
}

func (n *Node) newSlotPool(key string) *slotPool {
	seats := len(n.peers)
	return &slotPool{key: key, book: make([]int64, seats), limits: make([]int64, seats), emptyUS: never}
}

func (n *Node) slotPoolOf(key string) *slotPool {
	p := n.slots.pools[key]
	if p == nil {
		p = n.newSlotPool(key)
		n.slots.pools[key] = p
	}
	return p
}

// set notes how many slots a member has.
func (p *slotPool) set(seat Seat, count int64) {
	p.sum += count - p.book[seat]
	p.book[seat] = count
}

// within is the limit for grants to an ask: the least of those that holders have. While members are reloaded one after
// the other, a slot that was granted within the smaller limit stays within it.
func (n *Node) within(p *slotPool, a slotAsk) int64 {
	limit := min(a.limit, n.slots.limit)
	for i, has := range p.book {
		if has > 0 && n.cfg.Broken != AnyLimitTaken {
			limit = min(limit, p.limits[i])
		}
	}
	return limit
}

// forgetSlotPool forgets a key of which nobody has a slot.
func (n *Node) forgetSlotPool(p *slotPool) {
	if p.sum == 0 && len(p.waiting) == 0 && p.recalled == 0 && n.slots.pools[p.key] == p {
		delete(n.slots.pools, p.key)
	}
}

// onAskSlots answers a holder, at once if that can be.
func (n *Node) onAskSlots(m Message, nowUS int64) {
	if owner, ok := n.view.owner(m.Key, n.cfg.IDs); !ok || owner != n.cfg.Self || len(m.Key) > KeyBytesMost {
		return
	}
	ask := slotAsk{seat: m.From, id: m.AskID, need: min(max(m.Slots, 1), parkedMost), limit: m.Limit}
	if n.slots.pools[m.Key] == nil && len(n.slots.pools) >= n.cfg.KeysMost*len(n.peers) {
		n.grantSlots(n.newSlotPool(m.Key), ask, 0, nowUS)
		return
	}
	p := n.slotPoolOf(m.Key)
	p.waiting = slices.DeleteFunc(p.waiting, func(a slotAsk) bool { return a.seat == ask.seat })
	p.waiting = append(p.waiting, ask)
	n.serveSlots(p, nowUS)
}

// serveSlots grants what is free, and recalls what others may not need if that is not enough.
func (n *Node) serveSlots(p *slotPool, nowUS int64) {
	p.waiting = slices.DeleteFunc(p.waiting, func(a slotAsk) bool {
		if free := n.within(p, a) - p.sum; free >= a.need {
			// With some more, so that not every connection needs an ask.
			n.grantSlots(p, a, min(free, a.need+free/int64(4*len(n.peers))), nowUS)
			return true
		}
		return false
	})
	switch {
	case len(p.waiting) == 0 || p.recalled != 0:
	case nowUS < p.emptyUS:
		n.endSlotRound(p, nowUS)
	default:
		n.recallSlots(p, nowUS)
	}
	n.forgetSlotPool(p)
}

// recallSlots asks all others that have slots to give back what is free.
func (n *Node) recallSlots(p *slotPool, nowUS int64) {
	for i, has := range p.book {
		alone := len(p.waiting) == 1 && p.waiting[0].seat == Seat(i)
		if has == 0 || alone || !n.reachable(Seat(i)) {
			continue
		}
		p.recalled.add(Seat(i))
		n.stats.Recalls++
		n.toHolder(Seat(i), Message{Kind: RecallSlots, Key: p.key}, nowUS)
	}
	if p.recalled == 0 {
		n.endSlotRound(p, nowUS)
		return
	}
	p.endUS = nowUS + n.roundUS()
	n.due(p.endUS)
	if !p.inRounds {
		p.inRounds = true
		n.slots.rounds = append(n.slots.rounds, p)
	}
}

// endSlotRound gives what is free to those that wait, and nothing to the others.
func (n *Node) endSlotRound(p *slotPool, nowUS int64) {
	p.recalled = 0
	waiting := p.waiting
	p.waiting = nil
	for _, a := range waiting {
		give := min(max(n.within(p, a)-p.sum, 0), a.need)
		if give < a.need && p.emptyUS <= nowUS {
			p.emptyUS = nowUS + refusedUS
		}
		n.grantSlots(p, a, give, nowUS)
	}
}

// grantSlots answers an ask.
func (n *Node) grantSlots(p *slotPool, a slotAsk, give, nowUS int64) {
	if !n.reachable(a.seat) {
		return
	}
	n.stats.Grants++
	m := Message{Kind: GrantSlots, Key: p.key, AskID: a.id, Slots: give, Limit: n.within(p, a)}
	p.set(a.seat, p.book[a.seat]+give)
	p.limits[a.seat] = a.limit
	if give < a.need {
		m.HoldUS = max(p.emptyUS-nowUS, 0)
	}
	n.toHolder(a.seat, m, nowUS)
}

// onReturnSlots takes free slots back.
func (n *Node) onReturnSlots(m Message, nowUS int64) {
	p := n.slots.pools[m.Key]
	if p == nil {
		return
	}
	p.limits[m.From] = m.Limit
	if back := min(max(m.Slots, 0), p.book[m.From]); back > 0 {
		p.set(m.From, p.book[m.From]-back)
		p.emptyUS = never
	}
	p.recalled.remove(m.From)
	n.roundMayEnd(p, nowUS)
}

func (n *Node) roundMayEnd(p *slotPool, nowUS int64) {
	if p.inRounds && p.recalled == 0 {
		n.endSlotRound(p, nowUS)
	} else if p.recalled != 0 {
		n.serveSlots(p, nowUS)
	}
	n.forgetSlotPool(p)
}

// tickRounds ends the rounds in which somebody does not answer.
func (n *Node) tickRounds(nowUS int64) {
	s := n.slots
	s.rounds = slices.DeleteFunc(s.rounds, func(p *slotPool) bool {
		if p.recalled != 0 && nowUS < p.endUS {
			n.due(p.endUS)
			return false
		}
		p.inRounds = false
		n.endSlotRound(p, nowUS)
		n.forgetSlotPool(p)
		return true
	})
}

// takeSlotsOver makes the book from the claims of all members: what nobody claims is free.
func (n *Node) takeSlotsOver(nowUS int64) {
	for _, member := range n.view.Members {
		if m := n.claims[member.Seat]; m != nil && n.cfg.Broken != ClaimsForgotten {
			n.noteSlots(member.Seat, m)
		}
	}
	n.becomeReady(nowUS)
	n.recallAbove(nowUS)
}

func (n *Node) noteSlots(seat Seat, m *Message) {
	for _, h := range m.Holdings {
		if of, ok := n.view.owner(h.Key, n.cfg.IDs); ok && of == n.cfg.Self {
			p := n.slotPoolOf(h.Key)
			p.set(seat, min(max(h.Piece.Capacity, 0), SlotsMost))
			p.limits[seat] = h.Piece.Rate
		}
	}
}

// recallAbove asks for the free slots of keys that are above the limit: members carried connections along, or the limit
// was lowered.
func (n *Node) recallAbove(nowUS int64) {
	var above []*slotPool
	for _, p := range n.slots.pools {
		if p.sum > n.slots.limit && p.recalled == 0 && n.cfg.Broken != AnyLimitTaken {
			above = append(above, p)
		}
	}
	inOrder(above)
	for _, p := range above {
		n.recallSlots(p, nowUS)
	}
}

// inOrder sorts keys: the simulator must find the same messages again.
func inOrder(list []*slotPool) {
	slices.SortFunc(list, func(a, b *slotPool) int { return strings.Compare(a.key, b.key) })
}

// reconcileSlots takes a holder's new claim for what it has: what is missing was lost on the way, and is free.
func (n *Node) reconcileSlots(seat Seat, nowUS int64) {
	m := n.claims[seat]
	var had []*slotPool
	for _, p := range n.slots.pools {
		if p.book[seat] > 0 || p.recalled.has(seat) {
			had = append(had, p)
		}
		p.waiting = slices.DeleteFunc(p.waiting, func(a slotAsk) bool { return a.seat == seat })
	}
	inOrder(had)
	for _, p := range had {
		p.set(seat, 0)
	}
	n.noteSlots(seat, m)
	m.Holdings = nil
	for _, p := range had {
		p.recalled.remove(seat)
		n.roundMayEnd(p, nowUS)
	}
	n.recallAbove(nowUS)
}
