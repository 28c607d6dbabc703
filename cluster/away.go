package cluster

import (
	"fmt"
	"math"
	"slices"

	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/lib/plural"
	"starling/zone"
)

// Deletions outlive their tombstones. A tombstone lives for an hour; a node that was disconnected for longer could
// bring back pairs that the other deleted. Both remember when they last agreed: a record written before then that one
// of them lacks was deleted there; so the other deletes it too, with a tombstone that spreads on its side. Pairs only:
// a session may be missing because no request used it there.
//
// That holds only if all earlier writes had reached both. So an agreement is recorded only while all members are
// connected and agree; a disconnected member may hold unknown writes. And stamps order earlier writes only by clocks
// that are not behind: an agreement extends to the time of the slowest clock, and not beyond the previous agreement if
// a clock has fallen behind since. Zones with state keep agreements over restarts (zone.Remembering).

// agreement is the time through which two lineages of a zone have held the same.
type agreement struct {
	mine      uint64
	throughMS int64 // cluster time
	notedMS   int64 // monotonic; 0 in an earlier run of the process
	recallsMS int64 // cluster time at which an earlier run noted it
	keptMS    int64 // monotonic, of when the zone was last told to keep it
}

type agreementKey struct {
	zone    string
	lineage uint64 // of the peer's zone
}

const (
	// maxAgreements bounds the agreements kept; the oldest is evicted first, and the pairs whose deletion it proves
	// come back then.
	maxAgreements = 4096
	// keepAgreedEveryMS is how often a zone keeps an agreement on disk while its records change.
	keepAgreedEveryMS = 10_000
)

// lineageOf is a zone's lineage in a hello: older releases send none, and their zones get a new one with each run.
func lineageOf(z *wire.Zone) uint64 {
	if z.Lineage != 0 {
		return z.Lineage
	}
	return z.Origin
}

// lineage is that of a zone of this node.
func (z *zoneState) lineage() uint64 {
	if r, ok := z.shared.(zone.Remembering); ok {
		return r.Lineage()
	}
	return uint64(z.origin)
}

// told is the lineage in the hello: none if it equals the origin.
func (z *zoneState) told() uint64 {
	if lineage := z.lineage(); lineage != uint64(z.origin) {
		return lineage
	}
	return 0
}

// recall restores the agreements that a zone kept from before the process started.
func (n *Node) recall(z *zoneState) {
	r, ok := z.shared.(zone.Remembering)
	if !ok {
		return
	}
	throughMS := int64(0)
	n.mu.Lock()
	for _, a := range r.Agreed() {
		if a.ThroughMS == dropped {
			continue
		}
		if throughMS = max(throughMS, a.ThroughMS); len(n.agreements) < maxAgreements {
			recalled := agreement{mine: r.Lineage(), throughMS: a.ThroughMS, recallsMS: max(a.NotedMS, a.ThroughMS)}
			n.agreements[agreementKey{z.info.Name, a.Lineage}] = recalled
		}
	}
	n.mu.Unlock()
	r.TellDeletions(throughMS) // the unsent changes of the previous process are lost with it
}

// remember records through when all members hold the same, if they do, and returns what the zone must keep. mine is the
// content of this node. untilMS is how far agreements extend now if that is less than before, else 0. Called with
// Node.mu held.
func (n *Node) remember(z *zoneState, mine content, now clock.Reading) (keep []zone.Agreement, untilMS int64) {
	agreeing, throughMS := n.allAgree(z, now)
	if len(agreeing) == 0 {
		return nil, 0
	}
	if mine != z.content {
		z.content, z.changedMS = mine, now.MonoMS
	}
	for _, theirs := range agreeing {
		key := agreementKey{z.info.Name, theirs}
		a, known := n.agreements[key]
		if !known && len(n.agreements) >= maxAgreements {
			n.forgetOldestAgreement()
		}
		if throughMS < a.throughMS-ownStepMS {
			untilMS, a.keptMS = throughMS, 0
		}
		a.mine, a.throughMS, a.notedMS = z.lineage(), throughMS, now.MonoMS
		// Contents unchanged since an agreement that covers them need not be kept again.
		changing := !after(now, z.changedMS, n.settings.Load().TimeoutMS+freshMS+confirmedForMS+keepAgreedEveryMS)
		if a.keptMS == 0 || changing && after(now, a.keptMS, keepAgreedEveryMS) {
			a.keptMS = now.MonoMS
			nowMS := n.clocks.clusterTime(now).WallMS
			keep = append(keep, zone.Agreement{Lineage: theirs, ThroughMS: throughMS, NotedMS: nowMS})
		}
		n.agreements[key] = a
	}
	return keep, untilMS
}

// agreedUntil ends agreements through a future time now: later writes were not known to both.
func (n *Node) agreedUntil(nowMS int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for key, a := range n.agreements {
		a.throughMS = min(a.throughMS, nowMS)
		n.agreements[key] = a
	}
}

func (n *Node) forgetOldestAgreement() {
	var oldest agreementKey
	at := int64(math.MaxInt64)
	for key, a := range n.agreements {
		if a.throughMS < at {
			oldest, at = key, a.throughMS
		}
	}
	delete(n.agreements, oldest)
}

// allAgree returns the lineages of a zone on all other members, and the time through which all hold the same; none
// unless all are connected and agree. The loss of a peer is noticed only after the timeout: its writes within it may be
// unknown here. And each must have agreed since all were connected, or one could have brought records that another
// lacks. Called with Node.mu held.
func (n *Node) allAgree(z *zoneState, now clock.Reading) (lineages []uint64, throughMS int64) {
	oldestMS, latestMS := now.MonoMS, int64(0)
	for _, p := range n.peers {
		if p.out == nil && len(p.in) == 0 {
			continue
		}
		c := p.compared[z.info.Name]
		if p.out == nil || !p.pushes() || c == nil || c.sinceMS == 0 {
			return nil, 0
		}
		oldestMS, latestMS = min(oldestMS, c.confirmedMS), max(latestMS, c.sinceMS)
		lineages = append(lineages, c.lineage)
	}
	if n.expected < 0 || len(lineages) < n.expected || oldestMS < latestMS || after(now, oldestMS, confirmedForMS) {
		return nil, 0
	}
	slices.Sort(lineages)
	return lineages, n.clocks.earliest(now) - (now.MonoMS - oldestMS) - n.settings.Load().TimeoutMS - freshMS
}

// agreedSlackMS is by how much the two sides' records of an agreement may differ: one may have missed the last one, or
// not kept it.
const agreedSlackMS = 60_000

// nothingGone is before all stamps; dropped is how an agreement on disk says it.
const (
	nothingGone = math.MinInt64
	dropped     = 0
)

// agreedThrough is the time through which this node and a lineage held the same, or nothingGone if they never did. If a
// member's clock has fallen behind since then, what it writes now is stamped earlier, so only what is stamped before
// its clock fell counts. That stays so when the clock is right again, and after a restart.
func (n *Node) agreedThrough(z *zoneState, theirs uint64, now clock.Reading) int64 {
	throughMS, fell := n.lowerAgreement(z, theirs, now)
	if r, ok := z.shared.(zone.Remembering); ok && fell {
		r.AgreedUntil(max(throughMS, dropped))
	}
	return throughMS
}

// lowerAgreement is agreedThrough in memory; fell means that the copy on disk must follow.
func (n *Node) lowerAgreement(z *zoneState, theirs uint64, now clock.Reading) (throughMS int64, fell bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := agreementKey{z.info.Name, theirs}
	a, known := n.agreements[key]
	if !z.info.Kind.Buries || !known || a.mine != z.lineage() {
		return nothingGone, false
	}
	throughMS = a.throughMS
	earliestMS := n.clocks.earliest(now)
	switch {
	case a.notedMS != 0:
		throughMS = min(throughMS, earliestMS-(now.MonoMS-a.notedMS)) // it cannot have fallen before
	case earliestMS <= throughMS:
		throughMS = nothingGone // nothing tells when it fell
	}
	if throughMS == a.throughMS {
		return throughMS, false
	}
	if throughMS == nothingGone {
		delete(n.agreements, key)
	} else {
		a.throughMS = throughMS
		n.agreements[key] = a
	}
	for other, b := range n.agreements { // the disk is lowered for all of the zone, and kept anew when they agree next
		if other.zone == key.zone {
			b.keptMS = 0
			n.agreements[other] = b
		}
	}
	return throughMS, true
}

// goneThere is the time through which records that the other side lacks count as deleted there, or nothingGone if the
// two agreed within a tombstone lifetime, or never. Tombstones that the other side evicted earlier are its own concern:
// it buries the records that it is sent.
func (n *Node) goneThere(z *zoneState, compared zone.Comparable, theirs uint64, now clock.Reading) int64 {
	throughMS := n.agreedThrough(z, theirs, now)
	if throughMS != nothingGone && n.apartMS(z, theirs, now) > compared.TombstoneLifeMS() {
		return throughMS
	}
	return nothingGone
}

// apartMS is how long ago this node and a lineage held the same, by the monotonic clock if that was in this run:
// cluster time may have moved since. The time through which they agreed does not tell it: that is of the slowest
// clock, which may be behind by more than a tombstone lives. After a restart, cluster time is all there is: if it was
// ahead when they agreed, the result is too small, and a deletion may be undone; if it was behind, the result is too
// large.
func (n *Node) apartMS(z *zoneState, theirs uint64, now clock.Reading) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.agreements[agreementKey{z.info.Name, theirs}]
	if a.notedMS != 0 {
		return now.MonoMS - a.notedMS
	}
	return n.clocks.clusterTime(now).WallMS - a.recallsMS
}

// goneHere is the same for records that are missing here: this node may also have evicted tombstones, to make room,
// since the two agreed.
func (n *Node) goneHere(z *zoneState, compared zone.Comparable, theirs uint64, now clock.Reading) int64 {
	if throughMS := n.agreedThrough(z, theirs, now); throughMS != nothingGone && compared.GaveUpMS() > throughMS {
		return throughMS
	}
	return n.goneThere(z, compared, theirs, now)
}

// calmMS is how long after a connection was made or lost a peer may not have received a deletion that others sent
// before: they send the missed frames as soon as they are connected.
const calmMS = 5000

// calmAtLastMS is for how long records of a peer are in doubt at most, even if other members come and go all the time,
// or tombstones are evicted within seconds all the time.
const calmAtLastMS = 60_000

// trust decides how to treat records from the session's peer that are missing here. Called with mu held.
func (s *Session) trust(iz *intakeZone, compared zone.Comparable, now clock.Reading) zone.Trust {
	n := s.node
	nowMS, gaveUpMS := n.clocks.clusterTime(now).WallMS, compared.GaveUpMS()
	n.mu.Lock()
	// A member that is lost, here or to the peer, may alone have a deletion, if its tombstone was evicted here within
	// the minute before.
	misses := gaveUpMS > nowMS-2*calmAtLastMS && (n.misses(now) || s.restless)
	calm := n.calm(now) && !misses
	flightMS := int64(calmMS)
	if len(n.peers) > 1 { // it may wait on a stalled connection of two others, until they give that up
		flightMS += n.settings.Load().TimeoutMS
	}
	n.mu.Unlock()
	// A deletion of the last seconds may be in flight to the peer, however calm it is here, and its tombstone is gone.
	inFlight := gaveUpMS > nowMS-flightMS
	return zone.Trust{
		GoneMS: n.goneHere(iz.state, compared, lineageOf(&s.their.Zones[iz.index]), now),
		Doubts: (inFlight || !calm) && !iz.mending.doubtsForLong(now),
	}
}

// calm reports whether no connection was made or lost in the last seconds, and no peer was silent. Called with Node.mu
// held.
func (n *Node) calm(now clock.Reading) bool { return after(now, n.changedMS, calmMS) }

// misses reports whether a member was lost within the last minute and is not back. Called with Node.mu held.
func (n *Node) misses(now clock.Reading) bool {
	for _, p := range n.peers {
		if p.losses > 0 && !p.stands() && !after(now, p.lastSeenMS, calmAtLastMS) {
			return true
		}
	}
	return false
}

// doubt notes that records of the peer were left out.
func (m *memory) doubt(now clock.Reading) {
	if m.doubtedMS == 0 || after(now, m.doubtedMS, repairStallMS) {
		m.doubtsSinceMS = now.MonoMS
	}
	m.doubtedMS = now.MonoMS
}

// doubtTaught notes that taught records of the peer were left out. They are taught again after a few seconds, however
// often that changed nothing: a longer pause would end the time that doubts last at most.
func (m *memory) doubtTaught(now clock.Reading) {
	m.doubt(now)
	m.pauseMS = min(m.pauseMS, 2*repairPauseMS)
}

// doubtsForLong reports whether the peer has sent records for a minute that were in doubt each time. The cause may
// never end, and the peer's records must not wait forever.
func (m *memory) doubtsForLong(now clock.Reading) bool {
	return m.doubtedMS != 0 && !after(now, m.doubtedMS, repairStallMS) && after(now, m.doubtsSinceMS, calmAtLastMS)
}

// theirZone is the description of a shared zone in the peer's hello. Called with mu held.
func (s *Session) theirZone(z *zoneState) wire.Zone {
	for _, their := range s.their.Zones {
		if their.Name == z.info.Name {
			return their
		}
	}
	return wire.Zone{}
}

// bury deletes records that the acceptor deleted long ago, and sends it this node's old deletions. Records that were
// written later than their stamps tell stay, and are sent: otherwise the two would differ forever. deleted counts the
// records that are deleted on one of the two. Called with mu held.
func (s *Session) bury(
	pz *pushZone,
	compared zone.Comparable,
	d *division,
	gone gone,
	now clock.Reading,
) (deleted int) {
	if len(d.buryHere)+len(d.buryThere) == 0 {
		return 0
	}
	buried, kept := compared.Bury(d.buryHere, gone.there, s.node.clocks.clusterTime(now))
	d.send = append(d.send, kept...)
	sortElements(d.send)
	deleted = len(d.buryHere) - len(kept) + len(d.buryThere)
	if deleted > 0 {
		s.node.tell(s, Notice,
			"zone %q: peer %s was disconnected longer than the tombstone lifetime; deleted %s that it had "+
				"deleted, sent it %s", pz.state.info.Name, s.name(), plural.Of(buried, "record", "records"),
			plural.Of(len(d.buryThere), "deletion", "deletions"))
	}
	if len(d.buryThere) == 0 {
		return deleted
	}
	w := wire.Wants{Zone: pz.index}
	for _, e := range d.buryThere[:min(len(d.buryThere), wire.MaxWants)] {
		w.Elements = append(w.Elements, wire.Element(e))
	}
	pz.noteNamed(w.Elements)
	s.send(wire.TypeBury, w.Append(nil))
	return deleted
}

// wantKept requests the records that the acceptor kept although this node named them in a Bury: they were written later
// than their stamps tell, or it does not know them to be as old as the agreement. This node decides again when they
// arrive.
func (pz *pushZone) wantKept(d *division, s *Session) {
	if len(d.buryThere) == 0 || len(pz.named) == 0 {
		return
	}
	if back, _ := s.reverse(pz.state); back == nil {
		return // it cannot be asked
	}
	bury := d.buryThere[:0]
	for _, e := range d.buryThere {
		if _, kept := pz.named[e]; kept {
			d.want = append(d.want, e)
		} else {
			bury = append(bury, e)
		}
	}
	d.buryThere = bury
}

// noteNamed notes the elements of a Bury; at most the last wire.MaxWants.
func (pz *pushZone) noteNamed(elements []wire.Element) {
	if pz.named == nil || len(pz.named)+len(elements) > wire.MaxWants {
		pz.named = make(map[zone.Element]struct{}, len(elements))
	}
	for _, e := range elements {
		pz.named[zone.Element(e)] = struct{}{}
	}
}

// buryWhat deletes records that the dialer deleted long ago, if this node knows of the agreement. Called with mu held.
func (s *Session) buryWhat(body []byte, now clock.Reading) error {
	w, err := wire.ParseWants(body)
	if err != nil {
		return fmt.Errorf("bury: %w", err)
	}
	iz, err := s.zone(w.Zone)
	if err != nil {
		return err
	}
	compared, ok := iz.state.shared.(zone.Comparable)
	if !ok {
		return nil
	}
	// the dialer knows what it has forgotten
	throughMS := s.node.agreedThrough(iz.state, lineageOf(&s.their.Zones[iz.index]), now)
	if throughMS == nothingGone {
		return nil
	}
	var elements []zone.Element
	for _, e := range w.Elements {
		if e := zone.Element(e); e.MS() <= throughMS+agreedSlackMS {
			elements = append(elements, e)
		}
	}
	sortElements(elements)
	// the dialer finds those that stay in the next comparison, and requests them
	buried, _ := compared.Bury(elements, throughMS, s.node.clocks.clusterTime(now))
	s.node.tell(s, Notice,
		"zone %q: peer %s was disconnected longer than the tombstone lifetime; deleted %s that it had deleted",
		iz.state.info.Name, s.name(), plural.Of(buried, "record", "records"))
	return nil
}
