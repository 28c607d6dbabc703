package cluster

import (
	"errors"
	"fmt"
	"slices"

	"starling/cluster/wire"
	"starling/lib/clock"
)

// acquainted applies the information of a hello, once for either side. Called with mu held.
func (s *Session) acquainted(h wire.Hello, now clock.Reading) error {
	s.identity.proven = s.identity.certain() && slices.Contains(h.Proof.Subjects, s.identity.subject) &&
		IDOf(h.Proof) == NodeID(h.NodeID)
	p, err := s.node.meet(s, NodeID(h.NodeID), now)
	if err != nil {
		return err
	}
	s.their, s.peer = h, p
	if err := s.node.claimOrigins(s); err != nil {
		return err
	}
	s.peerID.Store(h.NodeID)
	s.decoder.Trust()
	mine := s.node.settings.Load().TimeoutMS
	theirs := int64(min(h.TimeoutMS, maxClockMS))
	s.beatMS = max(min(mine, max(theirs, 1))/heartbeatShare, minBeatMS)
	s.heardClock(h.WallMS, unknownRTT, now)
	s.node.mu.Lock()
	p.version = min(h.Version, wire.Version)
	s.steady = p.steady[h.Incarnation]
	s.node.mu.Unlock()
	return nil
}

const (
	// heartbeatShare: two heartbeats may be lost in a stall before the smaller of the two timeouts is over.
	heartbeatShare = 3
	// minBeatMS bounds the heartbeats to a peer with a tiny timeout.
	minBeatMS = 10
)

// objection returns why a hello is rejected, or "".
func (n *Node) objection(h *wire.Hello) string {
	mine := *n.cluster.Load()
	switch {
	case h.MinVersion > wire.Version || h.Version < wire.MinVersion:
		return fmt.Sprintf(
			"node %s supports protocol versions %d to %d, node %s supports %d to %d: upgrade one of them",
			NodeID(h.NodeID),
			h.MinVersion,
			h.Version,
			n.id,
			wire.MinVersion,
			wire.Version,
		)
	case h.Cluster != mine:
		return fmt.Sprintf(
			"node %s belongs to cluster %q, node %s to cluster %q: set the same zone_sync_cluster on both, or remove "+
				"each from the other's zone_sync_server",
			NodeID(h.NodeID),
			h.Cluster,
			n.id,
			mine,
		)
	case h.NodeID == 0 || h.Incarnation == 0:
		return "node ID and incarnation must not be 0"
	case NodeID(h.NodeID) == n.id && h.Incarnation != n.incarnation:
		return fmt.Sprintf(
			"two running nodes have the ID %s; was a state directory copied? Remove the ID file from one of them",
			n.id,
		)
	}
	return ""
}

// greeted handles the dialer's hello. Called with mu held.
func (s *Session) greeted(f wire.Frame, now clock.Reading) error {
	if f.Type != wire.TypeHello {
		return fmt.Errorf("expected a hello as the first frame, got type %d", f.Type)
	}
	h, err := wire.ParseHello(f.Body)
	if err != nil {
		return err
	}
	n := s.node
	if text := n.objection(&h); text != "" {
		s.reply(wire.Reply{Status: wire.StatusRefused, Text: text}, now)
		s.end(Ending{Reason: wire.ReasonError, Err: errors.New("rejected: " + text)})
		return nil
	}
	if NodeID(h.NodeID) == n.id || n.leadsBack(s, NodeID(h.NodeID)) {
		s.peerID.Store(h.NodeID)
		s.reply(wire.Reply{Status: wire.StatusSelf}, now)
		s.end(Ending{Reason: wire.ReasonSelf, Err: errors.New(leadsToItself), Quiet: true})
		return nil
	}
	if err := s.acquainted(h, now); err != nil {
		n.refuse(s, err)
		s.reply(wire.Reply{Status: wire.StatusRefused, Text: err.Error()}, now)
		s.end(Ending{Reason: wire.ReasonError, Err: err, Quiet: true})
		return nil
	}
	n.driver.Met(s, s.peer.id)
	n.mu.Lock()
	standing, lives := s.peer.in[h.Incarnation], len(s.peer.in)
	var waited *Session
	switch {
	case standing == nil && lives < maxLives:
		s.peer.in[h.Incarnation] = s
	case standing != nil:
		waited, s.peer.waiting[h.Incarnation] = s.peer.waiting[h.Incarnation], s
	}
	n.mu.Unlock()
	if waited != nil {
		waited.leave(wire.ReasonAlias, "a newer connection is waiting to take over")
	}
	if standing == nil && lives >= maxLives {
		return fmt.Errorf("%d incarnations of node %s are already connected", lives, s.peer.id)
	}
	if standing != nil {
		s.stage = waiting
		s.reply(wire.Reply{Status: wire.StatusDuplicate}, now)
		return nil
	}
	s.accept(now)
	return nil
}

// handleWaiting handles messages of the dialer of a duplicate. Called with mu held.
func (s *Session) handleWaiting(f wire.Frame, now clock.Reading) error {
	switch {
	case f.Type == wire.TypeReady:
		return s.theirZoneReady(f.Body, now)
	case f.Type == wire.TypeReply && s.Outgoing:
		s.stage = greeting
		return s.greetedBack(f, now)
	case f.Type != wire.TypeTakeover || s.Outgoing:
		return nil
	}
	n := s.node
	n.mu.Lock()
	standing := s.peer.in[s.their.Incarnation]
	var passedOver *Session
	if standing != nil {
		passedOver, standing.successor = standing.successor, s
	} else {
		s.peer.in[s.their.Incarnation] = s
	}
	n.mu.Unlock()
	if passedOver != nil && passedOver != s {
		passedOver.leave(wire.ReasonAlias, "a newer connection takes over")
	}
	if standing == nil {
		s.accept(now)
		return nil
	}
	standing.end(Ending{Reason: wire.ReasonAlias, Err: errors.New("replaced by a new connection"), Quiet: true})
	return nil
}

// takeOver continues after the session that blocked this one has ended.
func (s *Session) takeOver(now clock.Reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage == waiting && s.Ended() == nil {
		s.accept(now)
	}
}

// reply answers a hello. Called with mu held.
func (s *Session) reply(r wire.Reply, now clock.Reading) {
	r.Hello = s.node.hello(s.table, now)
	s.queueMu.Lock()
	if !s.intake.opened {
		s.intake.opened = true
		s.control = append(s.control, wire.Preamble...)
	}
	s.queueMu.Unlock()
	s.send(wire.TypeReply, r.Append(nil))
}

// replied reports whether the acceptor has opened its direction. Called with queueMu held.
func (s *Session) replied() bool { return s.intake.opened }

// accept establishes an incoming session, which has its place among the peer's: it tells where each journal must
// continue. It counts as established only when the zones know it as a source; otherwise they could conclude that no
// node can teach them. Called with mu held.
func (s *Session) accept(now clock.Reading) {
	n := s.node
	resumes := s.take(n.pair(s, s.their.Zones, now), now)
	s.stage = established
	s.decoder.WantRecords()
	n.mu.Lock()
	s.peer.inAddress = s.Address
	n.changed(now)
	n.mu.Unlock()
	s.intake.repliedMS = now.MonoMS
	s.reply(wire.Reply{Status: wire.StatusAccepted, Resumes: resumes}, now)
	n.tell(s, Notice, "accepted peer %s", s.name())
	s.learnFrom(resumes, now)
	s.stand()
	for _, z := range n.table.Load().list {
		n.decideReady(z, now)
	}
}

// take starts to receive zones that are newly shared, and tells where each journal must continue. Called with mu held.
func (s *Session) take(shared []*zoneState, now clock.Reading) (resumes []wire.Resume) {
	list := slices.Grow(slices.Clone(s.intake.list()), len(shared))[:len(shared)]
	for i, z := range shared {
		if z == nil || list[i] != nil || s.intake.retired[uint64(i)] {
			continue
		}
		their := &s.their.Zones[i]
		list[i] = &intakeZone{
			state:  z,
			index:  uint64(i),
			origin: originOfWire(their.Origin),
			begun:  !their.Ready && !their.Covered,
		}
		resumes = append(
			resumes,
			wire.Resume{Zone: uint64(i), Sequence: z.begins(originOfWire(their.Origin), s.peer.id, s.identity, now)},
		)
	}
	s.intake.zones.Store(&list)
	return resumes
}

// learnFrom makes the session a source of zones that it has just started to receive. Called with mu held.
func (s *Session) learnFrom(resumes []wire.Resume, now clock.Reading) {
	for _, resume := range resumes {
		z, their := s.intake.list()[resume.Zone].state, &s.their.Zones[resume.Zone]
		s.node.addSource(z, s, resume.Zone, their, now)
		// The previous connection may have ended while it taught what had been lost.
		if lacks := wire.ShardSet(z.shared.Lacks(originOfWire(their.Origin))); !lacks.Empty() {
			z.askFor(s, wire.TeachRequest{Zone: resume.Zone, Shards: lacks}, now)
		}
	}
}

// stand makes an established session one that counts.
func (s *Session) stand() {
	s.stands.Store(true)
	s.stood.Store(true)
}

// greetedBack handles the reply to this node's hello. Called with mu held.
func (s *Session) greetedBack(f wire.Frame, now clock.Reading) error {
	if f.Type != wire.TypeReply {
		return fmt.Errorf("expected a reply to the hello, got a frame of type %d", f.Type)
	}
	r, err := wire.ParseReply(f.Body)
	if err != nil {
		return err
	}
	n := s.node
	switch {
	case r.Status == wire.StatusSelf:
		s.peerID.Store(uint64(n.id))
		s.end(Ending{Reason: wire.ReasonSelf, Err: errors.New(leadsToItself), Quiet: true})
		return nil
	case n.leadsBack(s, NodeID(r.Hello.NodeID)):
		s.peerID.Store(uint64(n.id))
		s.leaveItself()
		return nil
	case r.Status == wire.StatusRefused:
		s.reachedAnyway(r.Hello, now)
		s.end(
			Ending{
				Reason: wire.ReasonError,
				Err:    errors.New("peer rejected this node: " + printable(r.Text)),
				Theirs: true,
			},
		)
		return nil
	}
	if text := n.objection(&r.Hello); text != "" {
		return errors.New(text)
	}
	if err := s.acquainted(r.Hello, now); err != nil {
		n.refuse(s, err)
		s.sayGoodbye(wire.ReasonError, err.Error())
		s.end(Ending{Reason: wire.ReasonError, Err: err, Quiet: true})
		return nil
	}
	if s.leftAsAlias() {
		return nil
	}
	if r.Status == wire.StatusDuplicate {
		return s.duplicate()
	}
	return s.start(&r, now)
}

// reachedAnyway takes from a rejection which node answers at an address of the list. If each of two nodes takes another
// node for the other one, both reject, and only this corrects them. Called with mu held.
func (s *Session) reachedAnyway(h wire.Hello, now clock.Reading) {
	if s.node.objection(&h) != "" || NodeID(h.NodeID) == s.node.id {
		return
	}
	if err := s.acquainted(h, now); err != nil {
		s.node.refuse(s, err)
	}
}

// leftAsAlias ends a connection to an already connected node, whatever that node says: a node that answers at an
// address does not take over the connection to another address. The connection to the address where the node was
// reached first stays. Called with mu held.
func (s *Session) leftAsAlias() bool {
	n := s.node
	n.mu.Lock()
	standing, isFirst := s.peer.out, s.peer.reached.address == s.Address
	n.mu.Unlock()
	switch {
	case standing == nil || standing.Ended() != nil:
		return false
	case isFirst && standing.Address != s.Address:
		standing.leave(wire.ReasonAlias, fmt.Sprintf("node is reconnected at its first address, %s", s.Address))
		return false
	}
	s.leave(wire.ReasonAlias, fmt.Sprintf("node is already connected at %s", standing.Address))
	return true
}

// duplicate takes over from a connection that this node has lost and the acceptor still has. Called with mu held.
func (s *Session) duplicate() error {
	s.stage = waiting
	s.send(wire.TypeTakeover, nil)
	return nil
}

// refuse reports a rejected peer to the operator.
func (n *Node) refuse(s *Session, err error) {
	n.tell(s, Problem, "rejected peer %s: %v", s.Address, err)
}

// start establishes an outgoing session. Called with mu held.
func (s *Session) start(r *wire.Reply, now clock.Reading) error {
	n := s.node
	if err := s.startPush(r, now); err != nil {
		return err
	}
	s.stage = established
	s.stand()
	if s.answersAwait() {
		n.delivered.able.Add(1)
	}
	s.beat(now) // before all records, which expire by the clock that it shows
	n.mu.Lock()
	replaced := s.peer.out
	n.changed(now)
	n.nowMet(s.peer)
	s.peer.out, s.peer.outAddress = s, s.Address
	s.leaving = s.peer.leaving
	n.mu.Unlock()
	if replaced != nil && replaced != s {
		replaced.end(Ending{Reason: wire.ReasonAlias, Err: errors.New("replaced by a new connection"), Quiet: true})
	}
	n.tell(s, Notice, "connected to peer %s", s.name())
	s.heardClock(s.their.WallMS, unknownRTT, now)
	for _, z := range n.table.Load().list {
		n.decideReady(z, now)
	}
	n.driver.Wake(s)
	return nil
}
