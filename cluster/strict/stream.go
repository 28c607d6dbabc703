package strict

import "slices"

// A holder has one stream to each owner, and an owner one back: messages that move pieces have a session and a sequence
// in it. A message that is lost, repeated or late is thereby noticed, and voids the stream: the holder begins the next
// session with a claim, which says all that it holds of the owner's keys. What the owner's book has above that was
// lost, and comes back to the pool as spent. Messages of other views and sessions are void.
type stream struct {
	session   uint32
	open      bool // of the owner's side: the holder's claim has come
	sent, got uint64
	askedUS   int64 // when a claim was last asked for
}

// toOwner sends a message in the stream of a holder.
func (n *Node) toOwner(owner Seat, m Message, nowUS int64) {
	up := &n.peers[owner].up
	up.sent++
	m.View, m.Session, m.Sequence = n.view.Number, up.session, up.sent
	n.leaveAll(owner, &m, nowUS)
	n.send(owner, m, nowUS)
}

// toHolder sends a message in the stream of an owner. The caller has checked that it is open.
func (n *Node) toHolder(holder Seat, m Message, nowUS int64) {
	down := &n.peers[holder].down
	down.sent++
	m.View, m.Session, m.Sequence = n.view.Number, down.session, down.sent
	n.leaveAll(holder, &m, nowUS)
	n.send(holder, m, nowUS)
}

// earlyMost bounds the messages that wait for a view or for claims: one takeover has a claim, and asks of a few keys,
// from each member. What does not fit is noticed as lost.
const earlyMost = 4096

// onStream handles the messages that move pieces.
func (n *Node) onStream(m Message, nowUS int64) {
	if m.View > n.view.Number {
		n.keepEarly(m)
		return
	}
	if m.View != n.view.Number && n.cfg.Broken != OldViewAccepted || !n.member() || !n.takes(m.Kind) {
		return
	}
	if _, ok := n.view.Of(m.From); !ok {
		return
	}
	p := &n.peers[m.From]
	switch m.Kind {
	case Claim:
		n.onClaim(m, nowUS)
	case Resync:
		if m.Session == p.up.session {
			n.reopen(m.From, nowUS)
		}
	case Ask, Return, AskSlots, ReturnSlots:
		if n.inOrder(&p.down, m, nowUS) {
			n.fromHolder(m, nowUS)
		}
	case Grant, Recall, GrantSlots, RecallSlots:
		if m.View != n.view.Number { // only with OldViewAccepted
			p.up.got = m.Sequence - 1
			m.Session = p.up.session
		}
		if m.Session != p.up.session || m.Sequence <= p.up.got {
			return
		}
		if m.Sequence != p.up.got+1 {
			n.reopen(m.From, nowUS)
			return
		}
		p.up.got = m.Sequence
		n.fromOwner(m, nowUS)
	}
}

// takes reports whether messages of a kind are for this kind of limit.
func (n *Node) takes(k Kind) bool {
	return k == Claim || k == Resync || k.slots() == (n.slots != nil)
}

// fromOwner handles what an owner sent.
func (n *Node) fromOwner(m Message, nowUS int64) {
	switch m.Kind {
	case Grant:
		n.onGrant(m, nowUS)
	case Recall:
		n.onRecall(m, nowUS)
	case GrantSlots:
		n.onGrantSlots(m, nowUS)
	default:
		n.onRecallSlots(m, nowUS)
	}
}

// keepEarly keeps a message of a later view, if there is room: each peer has its part, and one claim.
func (n *Node) keepEarly(m Message) {
	of := 0
	n.early = slices.DeleteFunc(n.early, func(e Message) bool {
		replaced := e.From == m.From && e.Kind == Claim && m.Kind == Claim
		if e.From == m.From && !replaced {
			of++
		}
		return replaced
	})
	if of < earlyMost/len(n.peers) && len(m.Holdings) <= n.claimMost() {
		n.early = append(n.early, m)
	}
}

// fromHolder handles what a holder sent, or keeps it until all members have claimed.
func (n *Node) fromHolder(m Message, nowUS int64) {
	switch {
	case !n.ready:
		if len(n.deferred) < earlyMost {
			n.deferred = append(n.deferred, m)
		}
	case m.Kind == Ask:
		n.onAsk(m, nowUS)
	case m.Kind == AskSlots:
		n.onAskSlots(m, nowUS)
	case m.Kind == ReturnSlots:
		n.onReturnSlots(m, nowUS)
	default:
		n.onReturn(m, nowUS)
	}
}

// inOrder reports whether the next message of a holder's stream has come.
func (n *Node) inOrder(down *stream, m Message, nowUS int64) bool {
	if down.open && m.Session == down.session {
		if m.Sequence <= down.got {
			return false
		}
		if m.Sequence == down.got+1 {
			down.got = m.Sequence
			return true
		}
	} else if m.Session < down.session {
		return false
	}
	n.askForClaim(m.From, m.Session, nowUS)
	return false
}

// askForClaim asks a holder to begin a new session, once per round trip.
func (n *Node) askForClaim(holder Seat, session uint32, nowUS int64) {
	p := &n.peers[holder]
	if nowUS < p.down.askedUS+2*p.roundTripUS {
		return
	}
	p.down.askedUS = nowUS
	p.down.open = false
	n.stats.Resyncs++
	n.send(holder, Message{Kind: Resync, View: n.view.Number, Session: session}, nowUS)
}

// reopen begins a new session with an owner.
func (n *Node) reopen(owner Seat, nowUS int64) {
	up := &n.peers[owner].up
	up.session++
	up.sent, up.got = 0, 0
	n.claim(owner, nil, nowUS)
	if n.slots != nil {
		n.askSlotsAgain(owner, nowUS)
	}
	for _, h := range n.waiting {
		if h.ask.id != 0 && h.ask.owner == owner {
			n.ask(h, int64(len(h.parked)), nowUS)
		}
	}
}

// claim tells an owner what this node holds of its keys, and hands over pools that are the owner's now.
func (n *Node) claim(owner Seat, pools []Holding, nowUS int64) {
	m := Message{Kind: Claim, Armed: n.armed, Holdings: pools}
	for h := n.holdings.oldest(); h != nil; h = n.holdings.newer(h) {
		if !h.value.managed {
			continue
		}
		if of, ok := n.view.owner(h.value.key, n.cfg.IDs); ok && of == owner {
			h.value.drainTo(nowUS)
			m.Holdings = append(m.Holdings, Holding{
				Key: h.value.key, Piece: h.value.Piece, DemandNano: h.value.demand.perSecond(nowUS),
			})
		}
	}
	if n.slots != nil {
		m.Holdings = n.claimSlots(owner)
	}
	n.stats.Claims++
	n.toOwner(owner, m, nowUS)
}

// compare looks whether the peer of a ping sent messages that have not come.
func (n *Node) compare(m Message, nowUS int64) {
	if m.View != n.view.Number || !n.member() {
		return
	}
	p := &n.peers[m.From]
	if s := m.State; s.UpSession != 0 && (s.UpSession > p.down.session || !p.down.open ||
		s.UpSession == p.down.session && s.UpSent > p.down.got) {
		n.askForClaim(m.From, s.UpSession, nowUS)
	}
	if s := m.State; s.DownSession == p.up.session && s.DownSent > p.up.got {
		n.reopen(m.From, nowUS)
	}
}
