package strict

import "slices"

// pool is what the owner has of a key, and its book of what others have.
type pool struct {
	key string
	at  int // in the list of pools
	held
	book []entry // by seat
	lent []lent  // tokens, by the time at which they end

	central   bool
	sinceUS   int64 // the mode was chosen then
	touchedUS int64

	wakeUS    int64 // central: when the nodes that are refused now may ask again …
	wakeCount int64 // … and the demand of those that were told so

	round round
}

// entry is the owner's view of one holder. The holder has at most that much.
type entry struct {
	capacity, rate int64
	demandNano     int64
	reportedUS     int64 // never: nothing is known
	silent         bool
	listedUS       int64 // wants more since; never if it does not
	wantedUS       int64 // when it was put on the list
	askID          uint64
	need           int64 // requests that wait for the round to end
	windowUS       int64 // after which tokens of the ask are void
}

// unknown is the entry of a holder that has said nothing.
var unknown = entry{reportedUS: never, listedUS: never, wantedUS: never}

// lent are tokens that come back as spent.
type lent struct {
	untilUS int64
	amount  int64
}

// round is a recall from several holders.
type round struct {
	recalled Seats // who has not answered yet
	endUS    int64
	nextUS   int64
	endedUS  int64
	pauseUS  int64
	yield    int64
}

// poolOf returns the pool of a key, and makes it if there is none: then all members that have default pieces have them,
// and the pool has the rest.
func (n *Node) poolOf(key string, nowUS int64) *pool {
	if p := n.pools[key]; p != nil {
		return p
	}
	if len(n.pools) >= n.cfg.KeysMost {
		return nil
	}
	return n.makePool(key, nowUS)
}

// makePool makes the pool of a key that has none.
func (n *Node) makePool(key string, nowUS int64) *pool {
	p := n.newPool(key, nowUS)
	p.Piece = n.whole
	for i := range p.book {
		if n.hasDefault(Seat(i)) {
			p.book[i].capacity, p.book[i].rate = n.born.Capacity, n.born.Rate
			p.Capacity -= n.born.Capacity
			p.Rate -= n.born.Rate
		}
	}
	if n.fullUS != never {
		p.Level, p.atUS = p.Capacity, n.fullUS
		p.drainTo(nowUS)
	}
	n.began(&p.held, key)
	return p
}

func (n *Node) newPool(key string, nowUS int64) *pool {
	p := &pool{key: key, book: make([]entry, len(n.peers)), sinceUS: never, touchedUS: nowUS}
	p.atUS = nowUS
	for i := range p.book {
		p.book[i] = unknown
	}
	p.round.nextUS, p.round.endedUS = never, never
	p.at = len(n.poolList)
	n.pools[key] = p
	n.poolList = append(n.poolList, p)
	return p
}

func (n *Node) dropPool(p *pool) {
	last := n.poolList[len(n.poolList)-1]
	n.poolList[p.at], last.at = last, p.at
	n.poolList = n.poolList[:len(n.poolList)-1]
	delete(n.pools, p.key)
}

// hasDefault reports whether a member has its default piece of keys that its claim did not list.
func (n *Node) hasDefault(seat Seat) bool {
	return n.claims[seat] != nil && n.claims[seat].Armed
}

// refresh drains the pool and takes back tokens whose time is over. They count as spent.
func (p *pool) refresh(nowUS int64) {
	p.drainTo(nowUS)
	i := 0
	for ; i < len(p.lent) && p.lent[i].untilUS <= nowUS; i++ {
		p.take(Piece{Capacity: p.lent[i].amount, Level: p.lent[i].amount}, nowUS)
	}
	p.lent = slices.Delete(p.lent, 0, i)
}

// tokens is the number of whole requests that the pool has room for.
func (p *pool) tokens() int64 { return max(p.free(), 0) / Request }

// onAsk answers a holder that wants more.
func (n *Node) onAsk(m Message, nowUS int64) {
	p := n.poolOf(m.Key, nowUS)
	if p == nil { // full of keys: the holder goes on with what it has
		n.toHolder(m.From, Message{Kind: Grant, Key: m.Key, AskID: m.AskID, HoldUS: microsecondsPerSecond}, nowUS)
		return
	}
	p.touchedUS = nowUS
	p.refresh(nowUS)
	p.report(m.From, m, nowUS)
	n.chooseMode(p, nowUS)
	e := &p.book[m.From]
	e.askID, e.need = m.AskID, min(max(m.NeedRequests, 0), parkedMost)
	e.windowUS = min(max(m.WindowUS, 0), n.cfg.LeaseUS)
	if p.central {
		n.lend(p, m.From, nowUS)
	} else {
		n.share(p, m.From, nowUS)
	}
}

// report notes what a holder says about its demand.
func (p *pool) report(seat Seat, m Message, nowUS int64) {
	e := &p.book[seat]
	e.demandNano, e.reportedUS = max(m.DemandNano, 0), nowUS
	if e.silent = m.Flags&Silent != 0; e.silent {
		e.listedUS, e.wantedUS = never, never
	}
	if m.Kind == Ask && e.demandNano == 0 {
		e.demandNano = 1
	}
}

// onReturn takes a piece back. The book bounds it: a holder cannot return more than it has.
func (n *Node) onReturn(m Message, nowUS int64) {
	p := n.pools[m.Key]
	if p == nil {
		if p = n.poolOf(m.Key, nowUS); p == nil {
			return
		}
	}
	p.refresh(nowUS)
	p.report(m.From, m, nowUS)
	e, back := &p.book[m.From], m.Piece
	if back.Capacity < 0 || back.Rate < 0 || back.Capacity > e.capacity || back.Rate > e.rate {
		n.stats.Excess++
		back.Capacity, back.Rate = min(max(back.Capacity, 0), e.capacity), min(max(back.Rate, 0), e.rate)
	}
	back.Level = min(max(back.Level, 0), back.Capacity)
	e.capacity -= back.Capacity
	e.rate -= back.Rate
	p.take(back, nowUS)
	if p.round.recalled.has(m.From) {
		p.round.recalled.remove(m.From)
		p.round.yield += back.Capacity
		n.chooseMode(p, nowUS)
		if p.round.recalled == 0 {
			n.endRound(p, nowUS)
		}
	}
}

// grant gives a holder a part of the pool. It is in the book before it is sent.
func (n *Node) grant(p *pool, seat Seat, part Piece, m Message, nowUS int64) {
	e := &p.book[seat]
	e.capacity += part.Capacity
	e.rate += part.Rate
	m.Kind, m.Key, m.Piece, m.AskID = Grant, p.key, part, e.askID
	if m.Flags&Pending == 0 {
		e.need, e.askID = 0, 0
	}
	n.stats.Grants++
	n.toHolder(seat, m, nowUS)
}

// reachable reports whether an owner may send pieces to a holder.
func (n *Node) reachable(seat Seat) bool {
	_, member := n.view.Of(seat)
	return member && n.peers[seat].down.open
}

// recall asks holders to give back what they do not need, or all.
func (n *Node) recall(p *pool, seat Seat, keep int64, flags Flags, nowUS int64) {
	p.round.recalled.add(seat)
	n.stats.Recalls++
	n.toHolder(seat, Message{Kind: Recall, Key: p.key, Keep: keep, Flags: flags}, nowUS)
}

// idleUS is how long nobody asked for a key before the owner gives the default pieces back and forgets it.
func (n *Node) idleUS() int64 {
	return max(10*microsecondsPerSecond, 2*n.tokenUS(n.cfg.Limit.Burst+1))
}

// poolsPerTick bounds the work of one tick.
const poolsPerTick = 256

// tickPools ends rounds that were not answered, begins the next for those who wait, and forgets idle keys. It visits
// some of the pools each time.
func (n *Node) tickPools(nowUS int64) {
	if !n.ready || len(n.poolList) == 0 {
		return
	}
	n.due(nowUS + n.cfg.LeaseUS/changeStepsPerLease)
	for range min(poolsPerTick, len(n.poolList)) {
		if n.poolNext--; n.poolNext < 0 || n.poolNext >= len(n.poolList) {
			n.poolNext = len(n.poolList) - 1
		}
		n.tickPool(n.poolList[n.poolNext], nowUS)
		if len(n.poolList) == 0 {
			break
		}
	}
}

func (n *Node) tickPool(p *pool, nowUS int64) {
	p.refresh(nowUS)
	if p.round.recalled != 0 {
		if nowUS >= p.round.endUS {
			p.round.recalled = 0
			n.endRound(p, nowUS)
		}
		return
	}
	if !p.central && nowUS >= p.round.nextUS && n.anyListed(p, nowUS) {
		n.beginRound(p, nowUS)
		return
	}
	if nowUS >= p.touchedUS+n.idleUS() {
		n.retire(p, nowUS)
	}
}

// retire brings an idle key back to where it has no record: first all pieces come back, then the default pieces go out.
func (n *Node) retire(p *pool, nowUS int64) {
	for i := range p.book {
		if !n.reachable(Seat(i)) {
			if _, member := n.view.Of(Seat(i)); member {
				return
			}
		}
	}
	complete := true
	for i := range p.book {
		if p.book[i].capacity > 0 && n.reachable(Seat(i)) {
			complete = false
			n.recall(p, Seat(i), 0, 0, nowUS)
		}
	}
	if !complete {
		p.round.endUS = nowUS + n.roundUS()
		p.touchedUS = nowUS - n.idleUS() + n.idleUS()/4 // holders that still need it keep some: try again later
		return
	}
	if p.Level > 0 || p.Capacity < n.whole.Capacity || len(p.lent) > 0 {
		return
	}
	for i := range p.book {
		seat := Seat(i)
		if !n.reachable(seat) {
			continue
		}
		m, part := Message{Flags: Forget}, Piece{}
		if n.hasDefault(seat) {
			part = p.cut(n.born.Capacity, n.born.Rate, 0)
		}
		n.grant(p, seat, part, m, nowUS)
	}
	n.dropPool(p)
	n.stats.Unmanaged++
}
