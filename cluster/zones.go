package cluster

import (
	"fmt"
	"slices"

	"starling/cluster/wire"
	"starling/lib/clock"
)

// A reload may add zones, remove some, or restart one. Each established connection is told: the dialer changes its list
// with Zones, the acceptor tells with Shares what it accepts. An index lives once: from its offer, in the hello or a
// Zones, until either side removes the zone. So frames that cross with a change are about an index that is retired, and
// are dropped; none can be mistaken for one of another zone or another life of it.

// offers are the zones that the dialer of a session has named, by index; nil is retired. It is replaced, not changed:
// announceReady reads it without locks.
type offers struct{ list []*zoneState }

// wire is the table in the form of a hello.
func (t *zoneTable) wire() (list []wire.Zone) {
	for _, z := range t.list {
		list = append(list, z.wire())
	}
	return list
}

func (z *zoneState) wire() wire.Zone {
	return wire.Zone{
		Name: z.info.Name, Kind: z.info.Kind.Number, Expression: z.info.Expression,
		Bytes: uint64(z.info.Bytes), TimeoutMS: uint64(z.info.TimeoutMS), RateMilli: uint64(z.info.RateMilli),
		Origin: uint64(
			z.origin,
		), Incarnation: z.info.Incarnation, Lineage: z.told(), Ready: z.ready.Load(), Covered: z.covered(),
	}
}

// followsZones reports whether both sides can change their zones while the session is established. Called with mu held.
func (s *Session) followsZones() bool {
	return s.node.features&s.their.Features&wire.FeatureZones != 0
}

// rezone tells the other side of a session what a reload changed, or ends the session so that the next hello does.
func (s *Session) rezone(now clock.Reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stage == over || s.Ended() != nil:
	case s.stage != established || !s.followsZones():
		s.leave(wire.ReasonReload, "configuration changed")
	case s.Outgoing:
		s.pairAsDialer(now)
		s.offer(nil, false)
	default:
		s.share(now)
	}
}

// retired reports whether an index of this dialer was offered and then withdrawn. Called with mu held.
func (s *Session) retired(index uint64) bool {
	list := s.offers.Load().list
	return index < uint64(len(list)) && list[index] == nil
}

// unlessRetired is the error for a zone that is not pushed. Called with mu held.
func (s *Session) unlessRetired(index uint64, what string) error {
	if s.retired(index) {
		return errRetired
	}
	return fmt.Errorf("%s zone number %d, which is not shared", what, index)
}

// offer updates the list that the acceptor knows. again are indexes to be offered again, because the acceptor may
// accept them now; if answers is set the acceptor waits for the answer, even if nothing changes. Called with mu held.
func (s *Session) offer(again map[uint64]bool, answers bool) {
	table := s.node.table.Load()
	list := slices.Clone(s.offers.Load().list)
	change := wire.Zones{Answered: s.push.answered}
	live := make(map[string]bool)
	for i, z := range list {
		if z == nil {
			continue
		}
		mine := table.byName[z.info.Name]
		if mine == nil || mine.progress != z.progress || mine.info != z.info || again[uint64(i)] {
			change.Removed = append(change.Removed, uint64(i))
			list[i] = nil
			s.unpush(uint64(i), z)
			continue
		}
		live[z.info.Name] = true
	}
	first := len(list)
	for _, z := range table.list {
		if !live[z.info.Name] {
			list, change.Added = append(list, z), append(change.Added, z.wire())
		}
	}
	switch {
	case len(list) > wire.MaxZones:
		s.leave(
			wire.ReasonReload,
			fmt.Sprintf("%d zones were offered on this connection; reconnecting to restart the numbering", first),
		)
		return
	case len(change.Removed)+len(change.Added) == 0 && !answers:
		return
	}
	s.queueMu.Lock()
	if s.ending == nil {
		s.control = wire.AppendFrame(s.control, wire.TypeZones, change.Append(nil), nil)
	}
	s.offers.Store(&offers{list}) // with the frame queued: an index is announced only after that
	s.queueMu.Unlock()
	for i, z := range list[first:] {
		if z.ready.Load() && !change.Added[i].Ready {
			// it became ready meanwhile, and was announced by the previous list
			s.send(wire.TypeReady, wire.Ready{Zone: uint64(first + i)}.Append(nil))
		}
	}
	s.node.driver.Wake(s)
}

// unpush stops pushing a zone, if it was pushed. Called with mu held.
func (s *Session) unpush(index uint64, z *zoneState) {
	s.push.zones = slices.DeleteFunc(slices.Clone(s.push.zones), func(pz *pushZone) bool { return pz.index == index })
	z.deliveries.without(s)
	s.node.forgetComparison(s.peer, z.info.Name)
}

// sharesChanged follows what the acceptor accepts.
func (s *Session) sharesChanged(body []byte, now clock.Reading) error {
	m, err := wire.ParseShares(body)
	if err != nil {
		return err
	}
	if !s.followsZones() {
		return nil
	}
	s.their.Zones = m.Zones
	if err := s.node.claimOrigins(s); err != nil {
		return err
	}
	list := slices.Clone(s.offers.Load().list)
	for _, index := range m.Stopped {
		switch {
		case index >= uint64(len(list)):
			return fmt.Errorf("peer stops zone number %d; this node offered %d zones", index, len(list))
		case list[index] != nil:
			s.unpush(index, list[index])
			list[index] = nil
		}
	}
	s.offers.Store(&offers{list})
	for _, resume := range m.Resumes {
		if err := s.pushFrom(resume, now); err != nil {
			return err
		}
		s.push.digestsDue = true
	}
	shared := s.pairAsDialer(now)
	if m.Asks {
		s.push.answered++
		again := make(map[uint64]bool)
		for i, z := range list {
			if z != nil && uint64(i) < m.Known && shared[z.info.Name] && s.push.find(uint64(i)) == nil {
				again[uint64(i)] = true
			}
		}
		s.offer(again, true)
	}
	s.node.driver.Wake(s)
	return nil
}

// pairAsDialer tells the operator what is not shared with the acceptor, and returns the names of the shared zones.
// Called with mu held.
func (s *Session) pairAsDialer(now clock.Reading) map[string]bool {
	names := make(map[string]bool)
	for _, z := range s.node.pair(s, s.their.Zones, now) {
		if z != nil {
			names[z.info.Name] = true
		}
	}
	return names
}

// share tells the dialer this node's current zones, and asks it to offer those that may be accepted. Called with mu
// held.
func (s *Session) share(now clock.Reading) {
	n := s.node
	table := n.table.Load()
	m := wire.Shares{Asks: true, Known: uint64(len(s.their.Zones)), Zones: table.wire()}
	for i, iz := range s.intake.list() {
		if iz == nil {
			continue
		}
		mine := table.byName[iz.state.info.Name]
		if mine == nil || mine.progress != iz.state.progress || n.mismatch(mine.info, &s.their.Zones[i]) != "" {
			s.stopTaking(uint64(i), now)
			m.Stopped = append(m.Stopped, uint64(i))
		}
	}
	n.pair(s, s.their.Zones, now)
	s.asked.Add(1)
	s.send(wire.TypeShares, m.Append(nil))
}

// stopTaking retires an index of the dialer. Called with mu held.
func (s *Session) stopTaking(index uint64, now clock.Reading) {
	s.their.Zones[index] = wire.Zone{}
	if s.intake.retired == nil {
		s.intake.retired = make(map[uint64]bool)
	}
	s.intake.retired[index] = true
	list := slices.Clone(s.intake.list())
	iz := list[index]
	list[index] = nil
	s.intake.zones.Store(&list)
	if iz != nil {
		iz.state.dropSource(s, now)
		s.node.forgetComparison(s.peer, iz.state.info.Name)
	}
}

// zonesChanged follows the dialer's list.
func (s *Session) zonesChanged(body []byte, now clock.Reading) error {
	change, err := wire.ParseZones(body)
	if err != nil {
		return err
	}
	known := len(s.their.Zones)
	switch {
	case !s.followsZones():
		return nil
	case known+len(change.Added) > wire.MaxZones:
		return fmt.Errorf(
			"peer offered %d zones on one connection; at most %d are allowed",
			known+len(change.Added),
			wire.MaxZones,
		)
	}
	for _, index := range change.Removed {
		if index >= uint64(known) {
			return fmt.Errorf("peer withdraws zone number %d; it offered %d zones", index, known)
		}
		s.stopTaking(index, now)
	}
	n := s.node
	s.their.Zones = append(s.their.Zones, change.Added...)
	if err := n.claimOrigins(s); err != nil {
		return err
	}
	resumes := s.take(n.pair(s, s.their.Zones, now), now)
	table := n.table.Load()
	m := wire.Shares{Known: uint64(len(s.their.Zones)), Zones: table.wire(), Resumes: resumes}
	s.send(wire.TypeShares, m.Append(nil))
	// before the answer counts: a zone without a known source could conclude that no node can teach it
	s.learnFrom(resumes, now)
	s.answered.Store(min(change.Answered, s.asked.Load()))
	for _, z := range table.list {
		n.decideReady(z, now)
	}
	return nil
}

// hasAnswered reports whether the dialer has offered its zones since this node's zones last changed.
func (s *Session) hasAnswered() bool { return s.answered.Load() == s.asked.Load() }

// forgetComparison drops what is known of how a zone compares: it is a different one from now on, or its connection is
// as good as new.
func (n *Node) forgetComparison(p *peer, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := p.compared[name]
	switch {
	case c == nil:
	case n.table.Load().byName[name] == nil:
		delete(p.compared, name)
	default:
		*c = comparison{framesLost: c.framesLost}
	}
}
