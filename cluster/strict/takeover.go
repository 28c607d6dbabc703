package strict

// Install makes a decided view the node's own. It is called with every view that the register decides, in any order;
// nodes tell each other, too.
//
// From then on messages of earlier views are void. What a member holds of a key is what it has now; it tells the owners
// in its claims. Processes that left had no lease when the view was decided, so what they had cannot be spent. What
// nobody claims comes back as spent once all members have claimed.
func (n *Node) Install(v View, nowUS int64) {
	if v.Number <= n.view.Number {
		return
	}
	self, isMember := v.Of(n.cfg.Self)
	isMember = isMember && self.Incarnation == n.cfg.Incarnation
	first := v.Number == 1 && !n.cfg.NeverEmpty
	if !isMember || self.Birth != n.births {
		n.lose(nowUS)
	}
	n.view, n.births = v, 0
	n.stats.Views++
	n.answer.promises = 0
	n.change.target, n.change.consents, n.change.proposal, n.change.lockedUS = View{}, 0, nil, 0
	n.change.nextUS = nowUS
	n.forgetClaims(nowUS)
	n.ready, n.deferred = false, nil
	for i := range n.peers {
		up := n.peers[i].up.session
		n.peers[i].up, n.peers[i].down = stream{session: up + 1}, stream{askedUS: never}
	}
	for _, m := range v.Members {
		if m.Birth == v.Number { // it has not pinged as a member yet
			n.peers[m.Seat].answeredUS = nowUS
		}
	}
	if isMember {
		n.births = self.Birth
		if v.Founding && self.Birth == v.Number || n.cfg.Broken == ForgetfulNewcomer {
			n.armed, n.armedUS = true, nowUS
			if first {
				n.armedUS = never
			}
		}
		n.fullUS = nowUS
		if first {
			n.fullUS = never
		}
		n.handOver(nowUS)
	}
	n.answer.nextUS = nowUS
	n.due(nowUS)
	if n.change.leading && !n.cfg.OwnViews {
		for i := range n.peers {
			if Seat(i) != n.cfg.Self {
				n.send(Seat(i), Message{Kind: Tell, View: v.Number, Decided: v}, nowUS)
			}
		}
	}
	n.replay(nowUS)
	n.settle(nowUS)
}

// forgetClaims drops the claims of the view before. Pools in them that were not taken over come back as spent.
func (n *Node) forgetClaims(nowUS int64) {
	for _, m := range n.claims {
		if m != nil && !n.ready {
			n.leaveAll(-1, m, nowUS)
		}
	}
	clear(n.claims)
}

// lose drops all that a process had that is no member any more, or is one anew.
func (n *Node) lose(nowUS int64) {
	if n.slots != nil {
		n.loseSlots()
		return
	}
	for at := n.holdings.oldest(); at != nil; at = n.holdings.newer(at) {
		at.value.ask.id = 0
		at.value.drainTo(nowUS)
		n.leave(at.key, at.value.Level, nowUS)
		at.value.held = held{atUS: nowUS}
		n.decideParked(at.value, nowUS, false)
	}
	for _, p := range n.poolList {
		n.leave(p.key, p.spent(nowUS), nowUS)
	}
	n.holdings.init()
	n.pools = map[string]*pool{}
	n.poolList, n.waiting = nil, nil
	n.armed = false
}

// handOver sends each owner its claim. Pools whose key has another owner now go along; the others stay, with an empty
// book.
func (n *Node) handOver(nowUS int64) {
	if n.slots != nil {
		n.handSlotsOver(nowUS)
		return
	}
	pools := make([][]Holding, len(n.peers))
	for i := len(n.poolList) - 1; i >= 0; i-- {
		p := n.poolList[i]
		p.refresh(nowUS)
		n.leave(p.key, p.lentOut(), nowUS)
		owner, _ := n.view.owner(p.key, n.cfg.IDs)
		if owner != n.cfg.Self {
			pools[owner] = append(pools[owner], Holding{Key: p.key, Piece: p.Piece, Pool: true})
			n.dropPool(p)
			continue
		}
		for i := range p.book {
			p.book[i].capacity, p.book[i].rate, p.book[i].askID, p.book[i].need = 0, 0, 0, 0
			p.book[i].listedUS = never
			if _, ok := n.view.Of(Seat(i)); !ok {
				p.book[i] = unknown
			}
		}
		p.lent, p.round.recalled = nil, 0
	}
	for _, m := range n.view.Members {
		n.claim(m.Seat, pools[m.Seat], nowUS)
	}
	for at := n.holdings.oldest(); at != nil; at = n.holdings.newer(at) {
		at.value.untilUS, at.value.listedUS = never, never
	}
	for _, h := range n.waiting {
		if h.ask.id != 0 {
			n.ask(h, int64(len(h.parked)), nowUS)
		}
	}
}

// onClaim begins a holder's stream. Before all members have claimed, the claims are kept; afterwards what is missing
// from the book was lost on the way.
func (n *Node) onClaim(m Message, nowUS int64) {
	down := &n.peers[m.From].down
	if m.Session <= down.session || len(m.Holdings) > n.claimMost() {
		return
	}
	*down = stream{session: m.Session, open: true, got: m.Sequence, askedUS: never}
	had := n.claims[m.From]
	if n.ready && n.slots != nil {
		n.claims[m.From] = &m
		n.reconcileSlots(m.From, nowUS)
		return
	}
	if n.ready {
		// Pools of keys that had none begin with what the holder had before this claim.
		for _, h := range m.Holdings {
			if of, ok := n.view.owner(h.Key, n.cfg.IDs); ok && of == n.cfg.Self && n.pools[h.Key] == nil {
				n.makePool(h.Key, nowUS)
			}
		}
	}
	n.claims[m.From] = &m
	if n.ready {
		if had != nil && had.Armed && !m.Armed {
			n.fullUS = nowUS
		}
		n.reconcile(m.From, nowUS)
		return
	}
	for _, member := range n.view.Members {
		if n.claims[member.Seat] == nil && (n.cfg.Broken != ClaimsNotAwaited || member.Seat == n.cfg.Self) {
			return
		}
	}
	n.takeOver(nowUS)
}

// claimMost bounds the keys of a claim.
func (n *Node) claimMost() int {
	if n.slots != nil {
		return 2 * SlotKeysMost
	}
	return 2 * n.cfg.KeysMost
}

// claimed returns what a member holds of a key according to its claim.
func (n *Node) claimed(seat Seat, listed map[string]Holding, key string) Piece {
	if h, ok := listed[key]; ok {
		return h.Piece
	}
	if n.hasDefault(seat) {
		return n.born
	}
	return Piece{}
}

// holdings of a claim, by key; a pool is none.
func (m *Message) byKey() map[string]Holding {
	listed := make(map[string]Holding, len(m.Holdings))
	for _, h := range m.Holdings {
		if !h.Pool {
			listed[h.Key] = h
		}
	}
	return listed
}

// takeOver computes the pools from the claims of all members.
func (n *Node) takeOver(nowUS int64) {
	if n.slots != nil {
		n.takeSlotsOver(nowUS)
		return
	}
	if n.fullUS != never {
		n.fullUS = nowUS
	}
	for _, member := range n.view.Members {
		m := n.claims[member.Seat]
		if m == nil {
			continue
		}
		for _, h := range m.Holdings {
			if of, ok := n.view.owner(h.Key, n.cfg.IDs); !ok || of != n.cfg.Self {
				continue
			}
			p := n.pools[h.Key]
			if p == nil {
				p = n.newPool(h.Key, nowUS)
			}
			if h.Pool {
				p.take(h.Piece.within(n.whole), nowUS)
			}
		}
	}
	for _, member := range n.view.Members {
		m := n.claims[member.Seat]
		if m == nil {
			continue
		}
		listed := m.byKey()
		for _, p := range n.poolList {
			e, has := &p.book[member.Seat], n.claimed(member.Seat, listed, p.key).within(n.whole)
			e.capacity, e.rate = has.Capacity, has.Rate
			if h, ok := listed[p.key]; ok {
				e.demandNano, e.reportedUS = max(h.DemandNano, 0), nowUS
			}
		}
	}
	for _, p := range n.poolList {
		missing := Piece{Capacity: n.whole.Capacity - p.Capacity, Rate: n.whole.Rate - p.Rate}
		for i := range p.book {
			missing.Capacity -= p.book[i].capacity
			missing.Rate -= p.book[i].rate
		}
		n.recover(p, missing, n.cfg.Broken == EmptyTakeover, nowUS)
	}
	n.becomeReady(nowUS)
}

// becomeReady begins to distribute the keys that this node owns.
func (n *Node) becomeReady(nowUS int64) {
	n.ready = true
	for _, m := range n.claims {
		if m != nil {
			m.Holdings = nil
		}
	}
	deferred := n.deferred
	n.deferred = nil
	for _, m := range deferred {
		if down := n.peers[m.From].down; down.open && down.session == m.Session {
			n.fromHolder(m, nowUS)
		}
	}
	n.due(nowUS)
}

// within bounds a piece of a peer by what there can be.
func (p Piece) within(whole Piece) Piece {
	p.Capacity = min(max(p.Capacity, 0), whole.Capacity)
	return Piece{p.Capacity, min(max(p.Rate, 0), whole.Rate), min(max(p.Level, 0), p.Capacity)}
}

// recover adds what nobody has to the pool. It may have been spent at any time until now, so it is full.
func (n *Node) recover(p *pool, missing Piece, empty bool, nowUS int64) {
	if missing.Capacity < 0 || missing.Rate < 0 {
		n.stats.Excess++
	}
	missing.Capacity, missing.Rate = max(missing.Capacity, 0), max(missing.Rate, 0)
	missing.Level = missing.Capacity
	if empty {
		missing.Level = 0
	}
	p.take(missing, nowUS)
}

// reconcile takes back what a holder lost.
func (n *Node) reconcile(seat Seat, nowUS int64) {
	m := n.claims[seat]
	listed := m.byKey()
	m.Holdings = nil
	for _, p := range n.poolList {
		p.refresh(nowUS)
		e, has := &p.book[seat], n.claimed(seat, listed, p.key).within(n.whole)
		missing := Piece{Capacity: e.capacity - has.Capacity, Rate: e.rate - has.Rate}
		n.recover(p, missing, n.cfg.Broken == LostCountedEmpty, nowUS)
		e.capacity, e.rate = min(has.Capacity, e.capacity), min(has.Rate, e.rate)
		if p.round.recalled.has(seat) {
			p.round.recalled.remove(seat)
			if p.round.recalled == 0 {
				n.endRound(p, nowUS)
			}
		}
	}
}

// replay handles the messages that came before their view.
func (n *Node) replay(nowUS int64) {
	early := n.early
	n.early = nil
	for _, m := range early {
		n.onStream(m, nowUS)
	}
}
