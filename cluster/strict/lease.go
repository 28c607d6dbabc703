package strict

// peer is what a node knows of another member.
type peer struct {
	heardUS     int64 // when something came from it directly
	answeredUS  int64 // when this node last answered a ping of it: the promise of a lease begins
	confirmedUS int64 // when the last ping was sent that it answered: this node's lease begins
	roundTripUS int64
	state       PingState
	hears       []int64 // by seat, when this member last said that it hears that one
	incarnation uint64  // of the process that pinged last …
	seenUS      int64   // … when it did, …
	seenView    uint64  // … and in which view it was
	up, down    stream
}

// firstRoundTripUS is assumed before the first answer.
const firstRoundTripUS = 1000

// lease is this node's right to spend its pieces and to act as an owner.
type lease struct {
	untilUS  int64
	nextUS   int64 // the next ping
	promises Seats // members that this node does not answer, because it consented to their exclusion
}

// pingsPerLease leaves room for two lost pings.
const pingsPerLease = 4

// HasLease reports whether the node may spend its pieces: a majority of the configured members has answered pings of
// the last LeaseUS. Each of them has promised not to give this node up for that long.
func (n *Node) HasLease(nowUS int64) bool {
	return n.member() && nowUS < n.answer.untilUS || n.cfg.Broken == LeaseIgnored
}

// renew computes the end of the lease: the lease of the slowest of the fastest majority. This node confirms itself.
func (n *Node) renew() {
	need := n.majority() - 1
	if need == 0 {
		n.answer.untilUS = -never
		return
	}
	var latest [MembersMost]int64
	count := 0
	for i := range n.peers {
		at := n.peers[i].confirmedUS
		if Seat(i) == n.cfg.Self || count == need && at <= latest[need-1] {
			continue
		}
		j := min(count, need-1)
		for ; j > 0 && latest[j-1] < at; j-- {
			latest[j] = latest[j-1]
		}
		latest[j] = at
		count = min(count+1, need)
	}
	if count == need {
		n.answer.untilUS = latest[need-1] + n.cfg.LeaseUS
	}
}

// tickLease pings all configured members.
func (n *Node) tickLease(nowUS int64) {
	if nowUS >= n.answer.nextUS {
		n.answer.nextUS = nowUS + n.pingUS()
		for i := range n.peers {
			if Seat(i) != n.cfg.Self {
				n.ping(Seat(i), nowUS)
			}
		}
		n.renew()
	}
	n.due(n.answer.nextUS)
}

// pingUS is the pause between pings.
func (n *Node) pingUS() int64 {
	if n.slots != nil {
		return min(n.cfg.LeaseUS/pingsPerLease, slotsPingUS)
	}
	return n.cfg.LeaseUS / pingsPerLease
}

func (n *Node) ping(to Seat, nowUS int64) {
	p := &n.peers[to]
	state := PingState{Promised: n.answer.promises != 0}
	for i := range n.peers {
		if n.peers[i].heardUS >= nowUS-n.cfg.LeaseUS/2 || Seat(i) == n.cfg.Self {
			state.Hears.add(Seat(i))
		}
		if Seat(i) != n.cfg.Self && n.silent(Seat(i), nowUS) {
			state.Silent.add(Seat(i))
		}
	}
	if n.member() {
		if _, ok := n.view.Of(to); ok {
			state.UpSession, state.UpSent = p.up.session, p.up.sent
			if p.down.open {
				state.DownSession, state.DownSent = p.down.session, p.down.sent
			}
		}
	}
	n.out = append(n.out, Envelope{to, Message{
		Kind: Ping, From: n.cfg.Self, To: to, View: n.view.Number, Incarnation: n.cfg.Incarnation, SentUS: nowUS,
		State: state,
	}})
}

// onPing answers a member, and tells one that is behind about the view. The answer is a promise: until a lease has
// passed, this node does not consent to the sender's exclusion.
func (n *Node) onPing(m Message, nowUS int64) {
	p := &n.peers[m.From]
	p.heardUS, p.seenUS, p.incarnation, p.seenView, p.state = nowUS, nowUS, m.Incarnation, m.View, m.State
	for i := range p.hears {
		if m.State.Hears.has(Seat(i)) {
			p.hears[i] = nowUS
		}
	}
	if m.View < n.view.Number && !n.cfg.OwnViews {
		n.send(m.From, Message{Kind: Tell, View: n.view.Number, Decided: n.view}, nowUS)
	}
	promised := n.answer.promises.has(m.From) && n.cfg.Broken != PromiseBroken
	known := n.view.has(m.From, m.Incarnation) || m.View > n.view.Number
	if n.member() && known && !promised {
		p.answeredUS = nowUS
		n.out = append(n.out, Envelope{m.From, Message{
			Kind: Pong, From: n.cfg.Self, To: m.From, View: n.view.Number, Incarnation: m.Incarnation, SentUS: m.SentUS,
		}})
	}
	n.compare(m, nowUS)
}

// onPong extends the lease.
func (n *Node) onPong(m Message, nowUS int64) {
	p := &n.peers[m.From]
	if m.Incarnation != n.cfg.Incarnation || m.SentUS > nowUS {
		return
	}
	p.heardUS = nowUS
	if m.SentUS > p.confirmedUS {
		p.confirmedUS = m.SentUS
		p.roundTripUS += (nowUS - m.SentUS - p.roundTripUS) / 8
		n.renew()
	}
}

// giveUpUS is how long after an answer to a member nothing of it is left: its lease has ended, and its connections.
func (n *Node) giveUpUS() int64 {
	if n.slots != nil && n.cfg.Broken != FenceForgotten {
		return longerUS(n.cfg.LeaseUS + FenceUS)
	}
	return longerUS(n.cfg.LeaseUS)
}

// silent reports whether no promise of this node to a member is left.
func (n *Node) silent(seat Seat, nowUS int64) bool {
	waitUS := n.giveUpUS()
	if n.cfg.Broken == EarlyConsent {
		waitUS = n.cfg.LeaseUS * 3 / 10
	}
	return nowUS >= max(n.peers[seat].answeredUS, n.startUS)+waitUS
}
