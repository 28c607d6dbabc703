package strict

import "math"

// How an owner distributes a key. There are two modes.
//
// Shared: every node that gets requests has a piece with its share of the rate, and decides alone. A piece that is
// empty wastes its rate: a split costs about exp(-(c-1)x)/x of the limit, where c is the requests that fit into a
// piece, and x the demand in units of the limit. Shared is chosen if that is little.
//
// Central: the owner has all of the bucket and decides on every request that is asked for.

const (
	wasteMost  = 0.012 // shared up to this waste
	wasteLeast = 0.006 // … and again from this on
	// modeRestsUS and modeRests are how long a mode stays at least, in time and in requests at the limit.
	modeRestsUS = 500_000
	modeRests   = 10
	// fractionActive: a node counts as active from this part of the mean demand on.
	fractionActive = 0.05
)

// demandOf is the demand of a holder as far as it is known: a report counts for a while, and less and less afterwards.
func (p *pool) demandOf(seat int, nowUS int64) float64 {
	e := &p.book[seat]
	if e.reportedUS == never || e.silent || e.demandNano == 0 {
		return 0
	}
	perSecond := float64(e.demandNano) / float64(Request)
	ageS := float64(nowUS-e.reportedUS) / microsecondsPerSecond
	if ageS <= 10+20/perSecond {
		return perSecond
	}
	return min(perSecond, 20/ageS)
}

// total returns the sum of the demands in units of the limit, and the number of nodes that have a part in it.
func (n *Node) total(p *pool, nowUS int64) (sum, overload float64, active int) {
	var demands [MembersMost]float64
	for i := range p.book {
		demands[i] = p.demandOf(i, nowUS)
		sum += demands[i]
	}
	for i := range p.book {
		if demands[i] > fractionActive*sum/float64(len(p.book)) {
			active++
		}
	}
	return sum, sum * float64(Request) / float64(max(n.whole.Rate, 1)), active
}

// chooseMode changes the mode of a key if the demand says so.
func (n *Node) chooseMode(p *pool, nowUS int64) {
	if p.sinceUS != never && nowUS < p.sinceUS+max(modeRestsUS, n.tokenUS(modeRests)) && p.central {
		return
	}
	_, x, active := n.total(p, nowUS)
	if central := n.betterCentral(p.central, x, active); central != p.central {
		p.central, p.sinceUS = central, nowUS
		p.wakeUS = never
		if central {
			p.round = round{nextUS: never, endedUS: never, endUS: nowUS + n.roundUS()}
			for i := range p.book {
				e := &p.book[i]
				listed := p.listed(i, nowUS, n)
				e.listedUS = never
				switch {
				case !n.reachable(Seat(i)):
				case e.capacity > 0:
					n.recall(p, Seat(i), 0, Central, nowUS)
				case listed && e.askID == 0: // so that it asks again
					n.grant(p, Seat(i), Piece{}, Message{Flags: Central}, nowUS)
				}
			}
		}
	}
}

func (n *Node) betterCentral(isCentral bool, x float64, active int) bool {
	if active <= 1 {
		return false
	}
	c := float64(n.cfg.Limit.Burst+1) / float64(active)
	if c >= 3 && x < 1 {
		return false
	}
	waste := math.Exp(-(c-1)*x) / max(x, 0.01)
	if c < 1 {
		return true
	}
	if isCentral {
		return waste > wasteLeast
	}
	return waste > wasteMost
}

// wantOf is the fair share of a holder, in capacity: in proportion to its demand. Below the limit a tenth stays in the
// pool for those who come later.
func (n *Node) wantOf(p *pool, seat int, sum, overload float64, nowUS int64) int64 {
	if sum <= 0 {
		return 0
	}
	want := float64(n.whole.Capacity) * p.demandOf(seat, nowUS) / sum
	if overload < 1 {
		want *= 0.9
	}
	return n.units(int64(min(want, float64(n.whole.Capacity))))
}

// units rounds capacity up to whole requests if buckets are small, because less is of no use there.
func (n *Node) units(capacity int64) int64 {
	if n.cfg.Limit.Burst+1 < 20*int64(len(n.peers)) {
		return (capacity + Request - 1) / Request * Request
	}
	return capacity
}

// roundUS is how long the owner waits for answers to recalls: ten times the way of a message.
func (n *Node) roundUS() int64 {
	slowest := int64(0)
	for _, m := range n.view.Members {
		slowest = max(slowest, n.peers[m.Seat].roundTripUS)
	}
	return 5*slowest + 1000
}

// share answers an ask in shared mode: with the missing part of the fair share, at most half of the pool. If that is
// not enough, others are asked to give back what they do not need.
func (n *Node) share(p *pool, seat Seat, nowUS int64) {
	sum, overload, active := n.total(p, nowUS)
	e := &p.book[seat]
	need := e.need * Request
	most := max(n.units(p.Capacity/2), need)
	if active <= 1 {
		most = p.Capacity
	}
	give := min(max(n.wantOf(p, int(seat), sum, overload, nowUS)-e.capacity, need), most, p.Capacity)
	part := n.portion(p, give)
	if part.free() >= need && (need > 0 || part.Capacity > 0) {
		e.listedUS = never
		var flags Flags
		if want := n.wantOf(p, int(seat), sum, overload, nowUS); overload > 1 && e.capacity+part.Capacity >= want {
			e.listedUS, flags = nowUS, Listed // it has its share, and will want more all the time
		}
		n.grant(p, seat, part, Message{Flags: flags}, nowUS)
		return
	}
	if need == 0 {
		n.grant(p, seat, part, Message{}, nowUS)
		return
	}
	// The pause between rounds is for those who wait already. Who comes new may be where the demand went.
	if nowUS >= e.wantedUS+max(newAfterUS, 4*n.listedForUS()) {
		p.round.pauseUS = 0
		p.round.nextUS = min(p.round.nextUS, max(nowUS, p.round.endedUS+n.roundUS()))
		n.due(p.round.nextUS)
	}
	e.listedUS, e.wantedUS = nowUS, nowUS
	if p.round.recalled == 0 && nowUS >= p.round.nextUS {
		n.beginRound(p, nowUS)
	}
	flags := Listed
	if p.round.recalled != 0 {
		flags |= Pending
	}
	n.grant(p, seat, part, Message{Flags: flags}, nowUS)
}

// portion takes a piece out of the pool, with its share of the rate, and with as much room as there is: who asks can
// use it now, and a level that stays in the pool drains there.
func (n *Node) portion(p *pool, capacity int64) Piece {
	rate := share(n.whole.Rate, capacity, n.whole.Capacity)
	return p.cut(capacity, rate, max(capacity-max(p.free(), 0), 0))
}

func (n *Node) anyListed(p *pool, nowUS int64) bool {
	for i := range p.book {
		if p.listed(i, nowUS, n) {
			return true
		}
	}
	return false
}

// onlyListed returns the only holder on the list, or -1: it need not be asked to make room for itself.
func (n *Node) onlyListed(p *pool, nowUS int64) int {
	only := -1
	for i := range p.book {
		if p.listed(i, nowUS, n) {
			if only >= 0 {
				return -1
			}
			only = i
		}
	}
	return only
}

func (p *pool) listed(seat int, nowUS int64, n *Node) bool {
	return p.book[seat].listedUS != never && nowUS < p.book[seat].listedUS+n.listedForUS()
}

const (
	// newAfterUS: a holder that got too little less than that ago, or less than four times on the list, and was not
	// silent since, does not come new.
	newAfterUS     = 10_000_000
	recalledAtOnce = 4
	// Those on the list get too little themselves, unless their demand has just ended: they are asked only while the
	// pause between rounds is below so many rounds, or below the time in which they would notice that no more requests
	// come. The pause is short after somebody new came.
	triesListed = 16
	// A round that brings less than this part of the bucket doubles the pause until the next.
	yieldLittle = 50
)

// beginRound recalls from the holders that seem to have the most above their share. Of one that has never said what it
// needs, that is all.
func (n *Node) beginRound(p *pool, nowUS int64) {
	sum, overload, _ := n.total(p, nowUS)
	p.round.yield, p.round.endUS = 0, nowUS+n.roundUS()
	var asked Seats
	only := n.onlyListed(p, nowUS)
	for range recalledAtOnce {
		best, most := -1, int64(0)
		for i := range p.book {
			e := &p.book[i]
			if i == only || asked.has(Seat(i)) || e.capacity == 0 || e.askID != 0 || !n.reachable(Seat(i)) {
				continue
			}
			retries := max(triesListed*n.roundUS(), 2*silentGaps*gapUS(e.demandNano))
			if p.listed(i, nowUS, n) && p.round.pauseUS > retries {
				continue
			}
			want := n.wantOf(p, i, sum, overload, nowUS)
			over := e.capacity - want - want/20
			if e.reportedUS == never || nowUS >= e.reportedUS+min(n.listedForUS(), max(p.round.pauseUS, n.roundUS())) {
				over = max(over, e.capacity/4)
			}
			if over > most {
				best, most = i, over
			}
		}
		if best < 0 {
			break
		}
		asked.add(Seat(best))
		n.recall(p, Seat(best), n.wantOf(p, best, sum, overload, nowUS), 0, nowUS)
	}
	if asked == 0 {
		n.endRound(p, nowUS)
	}
}

// gapUS is the time between two requests at a demand.
func gapUS(demandNano int64) int64 {
	return int64(float64(Request) * microsecondsPerSecond / float64(max(demandNano, 1)))
}

// endRound hands out what came back to those on the list, and answers the asks that wait.
func (n *Node) endRound(p *pool, nowUS int64) {
	least, most := 2*n.roundUS(), max(microsecondsPerSecond/4, n.tokenUS(100))
	if p.round.yield*yieldLittle < n.whole.Capacity {
		p.round.pauseUS = min(max(2*p.round.pauseUS, least), most)
	} else {
		p.round.pauseUS = least
	}
	p.round.endedUS, p.round.nextUS = nowUS, nowUS+p.round.pauseUS
	n.due(p.round.nextUS)
	if p.central {
		for i := range p.book {
			if p.book[i].askID != 0 && n.reachable(Seat(i)) {
				n.lend(p, Seat(i), nowUS)
			}
		}
		return
	}
	sum, overload, _ := n.total(p, nowUS)
	var missing [MembersMost]int64
	var all int64
	for i := range p.book {
		if p.listed(i, nowUS, n) && n.reachable(Seat(i)) {
			want := max(n.wantOf(p, i, sum, overload, nowUS)-p.book[i].capacity, p.book[i].need*Request)
			missing[i] = max(want, 0)
			all += missing[i]
		}
	}
	available := p.Capacity
	for i := range p.book {
		if !n.reachable(Seat(i)) || missing[i] == 0 && p.book[i].askID == 0 {
			continue
		}
		give := int64(0)
		if all > 0 {
			part := float64(available) * min(float64(missing[i])/float64(all), 1)
			give = min(n.units(int64(part)), missing[i], p.Capacity)
		}
		if give == 0 && p.book[i].askID == 0 {
			continue
		}
		part := n.portion(p, give)
		flags := Listed
		if part.free() >= p.book[i].need*Request && part.Capacity > 0 {
			flags, p.book[i].listedUS = 0, never
		}
		n.grant(p, Seat(i), part, Message{Flags: flags}, nowUS)
	}
}
