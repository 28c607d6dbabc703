package strict

import "slices"

// change is the state of a proposer. One node at a time should be it, for speed; safety needs none: a majority
// consents, and the register decides each number once.
type change struct {
	leading  bool
	sinceUS  int64 // leading since
	nextUS   int64
	target   View
	consents Seats
	askedUS  int64
	lockedUS int64 // since when somebody waits for a view that was consented to
	proposal *View
}

const (
	// foundingUS is how long the first view waits for members that are not there yet.
	foundingUS = 2_000_000
	// changeStepsPerLease is how often the proposer looks what should change.
	changeStepsPerLease = 16
)

// Lead makes the node the one that proposes views, or no longer.
func (n *Node) Lead(leading bool, nowUS int64) {
	if leading != n.change.leading {
		n.change = change{leading: leading, sinceUS: nowUS, nextUS: nowUS}
		n.due(nowUS)
	}
}

// Follow says which member leads the register, which decides on proposals; -1: none is known. That member proposes, if
// this node hears it: it saves a message. Otherwise, it may have other settings of the zone, and hear none of its
// members; then the first seat that this node hears proposes. Several proposers cost messages, and no more.
func (n *Node) Follow(leader Seat, nowUS int64) {
	proposer := leader
	for seat := Seat(0); leader >= 0 && int(seat) < len(n.peers) && !n.hears(proposer, nowUS); seat++ {
		proposer = seat
	}
	n.Lead(proposer == n.cfg.Self, nowUS)
}

// hears reports whether a member has pinged this node lately, or is this node.
func (n *Node) hears(seat Seat, nowUS int64) bool {
	return seat == n.cfg.Self || n.peers[seat].seenUS >= nowUS-n.cfg.LeaseUS/2
}

// Proposal returns a view to which a majority consented, once: the caller has the register decide on it, as the one
// after the view with the number before. If the register has already decided on that number, the proposal is void.
func (n *Node) Proposal() (View, bool) {
	if p := n.change.proposal; p != nil {
		n.change.proposal = nil
		return *p, true
	}
	return View{}, false
}

// tickChange proposes a view if the present one is not right.
func (n *Node) tickChange(nowUS int64) {
	c := &n.change
	if !c.leading {
		return
	}
	stepUS := n.pingUS() * pingsPerLease / changeStepsPerLease
	defer func() { n.due(c.nextUS) }()
	if nowUS < c.nextUS {
		return
	}
	c.nextUS = nowUS + stepUS
	target := n.wanted(nowUS)
	if target.sameProcesses(&n.view) && !n.locked(nowUS) || len(target.Members) < n.majority() {
		c.target = View{}
		return
	}
	if n.view.Number == 0 && len(target.Members) < len(n.peers) && nowUS < n.startUS+foundingUS {
		return
	}
	if c.target.Number != target.Number || !c.target.sameProcesses(&target) || nowUS >= c.askedUS+n.cfg.LeaseUS {
		c.target, c.consents, c.askedUS = target, 0, nowUS
	}
	excluded := n.excludedBy(&target)
	for i := range n.peers {
		if !c.consents.has(Seat(i)) {
			n.send(Seat(i), Message{Kind: Exclude, View: n.view.Number, Excluded: excluded}, nowUS)
		}
	}
}

// excludedBy lists the processes of the view that a target lacks.
func (n *Node) excludedBy(target *View) (excluded []Member) {
	for _, m := range n.view.Members {
		if !target.has(m.Seat, m.Incarnation) {
			excluded = append(excluded, m)
		}
	}
	return excluded
}

// wanted is the view as it should be: members stay unless a majority could give them up; processes that ping and are
// no members join if all members hear them.
func (n *Node) wanted(nowUS int64) View {
	fresh := nowUS - n.cfg.LeaseUS/2
	var processes, newcomers []Member
	for i := range n.peers {
		seat, p := Seat(i), &n.peers[i]
		current, isMember := n.view.Of(seat)
		incarnation, present := p.incarnation, p.seenUS >= fresh && p.seenView == n.view.Number
		if seat == n.cfg.Self {
			incarnation, present = n.cfg.Incarnation, true
		}
		switch {
		case isMember && current.Incarnation == incarnation && (seat == n.cfg.Self || !n.givenUp(seat, nowUS)):
			processes = append(processes, current)
		case isMember && current.Incarnation != incarnation && !present && !n.givenUp(seat, nowUS):
			processes = append(processes, current)
		case present && (!isMember || current.Incarnation != incarnation):
			newcomers = append(newcomers, Member{Seat: seat, Incarnation: incarnation})
		}
	}
	for _, m := range newcomers {
		if m.Seat == n.cfg.Self {
			processes = append(processes, m)
		}
	}
	for _, m := range newcomers {
		if m.Seat != n.cfg.Self && n.heardByAll(m.Seat, processes, nowUS) {
			processes = append(processes, m)
		}
	}
	return n.view.next(processes)
}

// heardByAll reports whether a process and each of some others hear each other directly. Owners wait for the claims of
// all members, and nobody passes on what two processes tell each other before they have met.
func (n *Node) heardByAll(seat Seat, others []Member, nowUS int64) bool {
	return !slices.ContainsFunc(others, func(m Member) bool {
		return n.hears(m.Seat, nowUS) && !(n.heardLately(seat, m.Seat, nowUS) && n.heardLately(m.Seat, seat, nowUS))
	})
}

// heardLately reports whether one node has heard another in the last lease, as far as this node knows. Nodes that want
// for CPU miss a ping now and then.
func (n *Node) heardLately(who, whom Seat, nowUS int64) bool {
	at := n.peers[whom].heardUS
	if who != n.cfg.Self {
		at = n.peers[who].hears[whom]
	}
	return at >= nowUS-n.cfg.LeaseUS
}

// givenUp reports whether a majority could consent to a member's exclusion now, as far as this node knows.
func (n *Node) givenUp(seat Seat, nowUS int64) bool {
	votes := 0
	for i := range n.peers {
		if p := &n.peers[i]; Seat(i) == n.cfg.Self && n.silent(seat, nowUS) ||
			Seat(i) != n.cfg.Self && p.seenUS >= nowUS-n.cfg.LeaseUS/2 && p.state.Silent.has(seat) {
			votes++
		}
	}
	return votes >= n.majority()
}

// locked reports whether somebody has waited for a while for the view that it consented to. Any next view frees it.
func (n *Node) locked(nowUS int64) bool {
	c, waits := &n.change, n.answer.promises != 0
	for i := range n.peers {
		p := &n.peers[i]
		waits = waits || p.state.Promised && p.seenView == n.view.Number && p.seenUS >= nowUS-n.cfg.LeaseUS/2
	}
	if !waits {
		c.lockedUS = 0
	} else if c.lockedUS == 0 {
		c.lockedUS = nowUS
	}
	return waits && nowUS >= c.lockedUS+n.cfg.LeaseUS/2
}

// onExclude consents if no promise of this node is in the way, and makes it not give new ones: until a later view is
// installed, it does not answer those that are to be excluded.
func (n *Node) onExclude(m Message, nowUS int64) {
	if m.View != n.view.Number || nowUS < n.startUS+n.giveUpUS() && len(n.peers) > 1 && !n.harmless(&m) {
		return
	}
	for _, x := range m.Excluded {
		if !n.silent(x.Seat, nowUS) || x.Seat == n.cfg.Self && x.Incarnation == n.cfg.Incarnation {
			return
		}
	}
	for _, x := range m.Excluded {
		n.answer.promises.add(x.Seat)
	}
	n.send(m.From, Message{Kind: Consent, View: m.View, Excluded: m.Excluded}, nowUS)
}

// harmless reports whether a view excludes nobody: what this seat's process before answered does not matter then. Where
// leases are long, waiting for one would be felt. The first view of a new list replaces that of the list before.
func (n *Node) harmless(m *Message) bool {
	return n.slots != nil && len(m.Excluded) == 0 && !(n.cfg.NeverEmpty && n.view.Number == 0)
}

// onConsent proposes the view once a majority has consented.
func (n *Node) onConsent(m Message, nowUS int64) {
	c := &n.change
	if !c.leading || c.target.Number != n.view.Number+1 || m.View != n.view.Number {
		return
	}
	if !slices.Equal(m.Excluded, n.excludedBy(&c.target)) || c.consents.has(m.From) {
		return
	}
	c.consents.add(m.From)
	votes := 0
	for i := range n.peers {
		if c.consents.has(Seat(i)) {
			votes++
		}
	}
	if votes == n.majority() {
		proposal := c.target
		c.proposal = &proposal
		n.due(nowUS)
	}
}
