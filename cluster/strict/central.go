package strict

// perishableFrom is the bucket size from which on tokens end by themselves, so that nobody has to return them. In a
// smaller bucket, a token that is lent for the window is a large part of the bucket: there it is returned at once.
const perishableFrom = 4 * Request

// lend answers an ask in central mode with tokens, and says when to ask again if there are too few.
func (n *Node) lend(p *pool, seat Seat, nowUS int64) {
	e := &p.book[seat]
	give := min(max(e.need, 0), p.tokens())
	m := Message{Flags: Central}
	var part Piece
	if n.whole.Capacity >= perishableFrom {
		if give > 0 {
			m.Tokens = give
			p.Capacity -= give * Request
			// The holder counts the window from its ask on, this node from later on, and for longer.
			until := nowUS + longerUS(e.windowUS)
			if last := len(p.lent); last > 0 {
				until = max(until, p.lent[last-1].untilUS)
			}
			p.lent = append(p.lent, lent{until, give * Request})
		}
	} else if give > 0 {
		part = p.cut(give*Request, 0, 0)
	}
	if give < e.need {
		m.HoldUS = n.holdUS(p, seat, nowUS)
	}
	n.grant(p, seat, part, m, nowUS)
}

// wakes is how much demand is allowed to ask for one free token, in units of the limit: less wastes time until somebody
// asks, which a large bucket bears, more wastes messages.
func (n *Node) wakes() float64 {
	if n.whole.Capacity >= perishableFrom {
		return 8
	}
	return 25
}

// holdUS is how long a holder that was refused should not ask. Holders are told different times, so that not all ask
// for the same token.
func (n *Node) holdUS(p *pool, seat Seat, nowUS int64) int64 {
	tokenUS := n.tokenUS(1)
	free := nowUS + p.whenFreeUS(tokenUS)
	if len(p.lent) > 0 && p.Capacity < Request {
		free = max(p.lent[0].untilUS, nowUS)
	}
	if p.wakeUS < free {
		p.wakeUS, p.wakeCount = free, 0
	}
	hold := p.wakeUS - nowUS
	p.wakeCount += p.book[seat].demandNano
	if float64(p.wakeCount) >= n.wakes()*float64(n.whole.Rate) {
		p.wakeUS, p.wakeCount = p.wakeUS+tokenUS, 0
	}
	return max(min(hold, 64*tokenUS), 1)
}
