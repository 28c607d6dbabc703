package cluster

import (
	"cmp"
	"fmt"
	"math"

	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/lib/plural"
	"starling/zone"
)

// Repair finds the records in which two nodes differ, for any reason, and sends only these. One of the two compares:
// the acceptor, when digests differ, sends a sketch of its zone; the dialer decodes the difference, sends what the
// acceptor lacks, and requests what it lacks itself on the connection of the other direction. If too much differs,
// sketches of ever fewer shards follow, and if even one shard cannot be decoded, teaching.

const (
	// freshMS: records written within it are probably in flight, and are ignored.
	freshMS = 2000
	// repairStallMS is how long an answer to a sketch may take: a few thousand records behind a full connection.
	repairStallMS = 10_000
	// repairPauseMS and repairPauseMaxMS bound the pauses between repairs that change nothing, such as of records that
	// a peer rejects.
	repairPauseMS    = 1000
	repairPauseMaxMS = 64_000
	// repairToldMS is the pause at which the log says so: four such repairs in a row.
	repairToldMS = 8 * repairPauseMS
	// narrower is the factor by which the range of shards of a sketch shrinks after a failure to decode.
	narrower = 4
)

// mending is the repair of one zone with one peer. This node drives it as the acceptor; at most one is active for each
// zone of a session. The fields below active are reset when a repair starts. Guarded by the session's mu.
type mending struct {
	active      bool
	fresh       bool
	sinceMS     int64         // monotonic, of the last sketch
	shards      wire.ShardSet // that differed at the start
	first, last int           // shard range of the sketch in flight
	width       int           // shards in each sketch; it only shrinks during a repair
	won         int           // records that replaced something on this node
	deleted     int           // records deleted on this node within this repair
	doubted     int           // records left out for now
	sent        uint64        // records that the peer sent
	wanted      uint64        // records that the peer lacks
	left        uint64        // records ignored because they are fresh

	memory
}

// memory is the state kept between repairs: the back-off and the counts for the log.
type memory struct {
	notBeforeMS          int64 // monotonic; no repair starts before
	pauseMS              int64 // back-off: it doubles while repairs change nothing
	lastSent, lastWanted uint64
	// from and to count the records since the last line in the log, at loggedMS.
	from, to uint64
	loggedMS int64 // monotonic, 0 for never
	// doubtedMS is when records of the peer were last left out, doubtsSinceMS since when that went on without a long
	// pause; monotonic, 0 for never.
	doubtedMS, doubtsSinceMS int64
}

// repairs reports whether the two ends of a session may repair a zone, and returns it as a comparable one. Both must be
// ready, or neither: nodes that start together have no teacher, also while they wait for a disconnected member.
func (s *Session) repairs(z *zoneState, theirReady bool) (zone.Comparable, bool) {
	compared, ok := z.shared.(zone.Comparable)
	if !ok || s.node.features&s.their.Features&wire.FeatureRepair == 0 {
		return compared, false
	}
	if !theirReady {
		return compared, !z.ready.Load() && !z.hasTeacher()
	}
	return compared, z.ready.Load()
}

// compares reports whether this node is the one that compares with the session's peer: of two that push to each other
// the one with the lower id, else both would send sketches.
func (s *Session) compares() (yes bool, reverse *Session) {
	n := s.node
	n.mu.Lock()
	defer n.mu.Unlock()
	out := s.peer.out
	if out == nil || !out.Established() {
		return true, nil
	}
	return n.id < s.peer.id, out
}

// comparesDigests reports whether both ends compute digests over the same contents.
func (s *Session) comparesDigests() bool {
	return s.their.Features&(wire.FeatureRepair|wire.FeatureTombstoneSketches) != wire.FeatureTombstoneSketches
}

// digests compares the dialer's content with this node's.
func (s *Session) digests(body []byte, now clock.Reading) error {
	d, err := wire.ParseDigests(body)
	if err != nil {
		return err
	}
	iz, err := s.zone(d.Zone)
	if err != nil {
		return err
	}
	var mine [zone.Shards]uint64
	if !s.comparesDigests() {
		return nil
	}
	held, ok := contentOf(iz.state, &mine)
	if !ok {
		return nil
	}
	var differing wire.ShardSet
	for i, sum := range mine {
		if sum != d.Shards[i] {
			differing.Add(i)
		}
	}
	s.compare(iz, held, differing, now)
	return nil
}

// compare follows a comparison of a zone, of which this node held so much, with the dialer's. Called with mu held.
func (s *Session) compare(iz *intakeZone, held content, differing wire.ShardSet, now clock.Reading) {
	iz.mine = held
	s.node.compared(s.peer, iz.state, count(differing), now)
	compared, ok := s.repairs(iz.state, s.their.Zones[iz.index].Ready)
	switch {
	case !ok:
	case differing.Empty():
		iz.mending.pauseMS = 0
		s.agree(iz, 0, now)
	default:
		s.considerRepair(iz, compared, differing, now)
	}
}

// agree notes that the two zones hold the same, and tells the dialer.
func (s *Session) agree(iz *intakeZone, left uint64, now clock.Reading) {
	s.node.noteAgreed(s.peer, iz.state, lineageOf(&s.their.Zones[iz.index]), int(left), iz.mine, now)
	s.send(wire.TypeAgreed, wire.Agreed{Zone: iz.index, Left: left}.Append(nil))
}

// compared notes the result of a comparison of digests.
func (n *Node) compared(p *peer, z *zoneState, differing int, now clock.Reading) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := p.comparison(z.info.Name)
	c.differing, c.atMS = differing, now.MonoMS
}

// comparison finds or makes the comparison state of a zone. Called with Node.mu held.
func (p *peer) comparison(zone string) *comparison {
	if p.compared == nil {
		p.compared = make(map[string]*comparison)
	}
	c := p.compared[zone]
	if c == nil {
		c = &comparison{}
		p.compared[zone] = c
	}
	return c
}

// considerRepair starts a repair if one is due. Called with mu held.
func (s *Session) considerRepair(iz *intakeZone, compared zone.Comparable, differing wire.ShardSet, now clock.Reading) {
	m := &iz.mending
	mine, reverse := s.compares()
	lost := s.node.framesLost(s.peer, iz.state, false)
	if !mine {
		if lost {
			reverse.digestsNow.Store(true) // the other side begins when it sees them
			s.node.driver.Wake(reverse)
		}
		return
	}
	if m.active && !after(now, m.sinceMS, repairStallMS) || !lost && now.MonoMS < m.notBeforeMS {
		return
	}
	*m = mending{active: true, fresh: lost, shards: differing, width: zone.Shards, memory: m.memory}
	s.askRepair(iz, compared, sketchCells(count(differing)), now)
}

// sketchCells is the sketch size for a number of differing shards. If n records fall into shards at random,
// 256*(1-e^(-n/256)) shards differ; each record may exist in two versions.
func sketchCells(differing int) int {
	if differing >= zone.Shards-1 {
		return zone.MaxSketchCells
	}
	n := -zone.Shards * math.Log(1-float64(differing)/zone.Shards)
	return zone.SketchCells(2 * int(math.Ceil(n)))
}

// askRepair sends the sketch of the next shards that differ. Called with mu held.
func (s *Session) askRepair(iz *intakeZone, compared zone.Comparable, cells int, now clock.Reading) {
	m := &iz.mending
	m.last = min(m.first+m.width, zone.Shards) - 1
	m.sinceMS = now.MonoMS
	if m.width < zone.Shards && !s.sketching.take(m.last-m.first+1, now) {
		m.active, m.notBeforeMS = false, now.MonoMS+repairStallMS // the next digests start again
		return
	}
	sketch := compared.Sketch(m.first, m.last-m.first+1, cells)
	if sketch == nil {
		m.active = false
		return
	}
	ask := wire.Sketch{
		Zone:  iz.index,
		First: uint8(m.first),
		Last:  uint8(m.last),
		Fresh: m.fresh,
		Cells: sketch.Append(nil),
	}
	s.send(wire.TypeSketch, ask.Append(nil))
}

// mend merges records that the dialer sent.
func (s *Session) mend(f wire.Frame, now clock.Reading) error {
	r, err := wire.ParseRepair(f.Body)
	if err != nil {
		return err
	}
	iz, err := s.zone(r.Zone)
	if err != nil {
		return err
	}
	compared, ok := iz.state.shared.(zone.Comparable)
	if !ok {
		return nil
	}
	n := s.node
	applied, err := compared.Mend(r.Payload, s.trust(iz, compared, now), s.arrival(now))
	if err != nil {
		return fmt.Errorf("repair of zone %q: %w", iz.state.info.Name, err)
	}
	iz.mending.won += applied.Won + applied.Cleared + applied.Buried
	iz.mending.deleted += applied.Deleted
	if applied.Doubted > 0 {
		iz.mending.doubted += applied.Doubted
		iz.mending.doubt(now)
	}
	iz.state.merged.Add(int64(applied.Won + applied.Cleared))
	n.cameLate(applied.Won+applied.Cleared, now)
	iz.state.repaired.Add(int64(applied.Won + applied.Cleared))
	s.refused(iz, applied, now)
	return nil
}

// repairEnd continues after the answer to a sketch.
func (s *Session) repairEnd(body []byte, now clock.Reading) error {
	r, err := wire.ParseRepairEnd(body)
	if err != nil {
		return err
	}
	iz, err := s.zone(r.Zone)
	if err != nil {
		return err
	}
	compared, ok := iz.state.shared.(zone.Comparable) // readiness may have changed since it began
	m := &iz.mending
	if !ok || !m.active || int(r.First) != m.first || int(r.Last) != m.last {
		return nil // an answer to a repair that was given up
	}
	m.sent, m.wanted, m.left = m.sent+r.Sent, m.wanted+r.Wanted, m.left+r.Left
	if r.TooMany {
		if m.width == 1 {
			s.teachInstead(iz, now)
			return nil
		}
		m.width = max(m.width/narrower, 1)
	} else {
		m.first = m.last + 1
	}
	for m.first < zone.Shards && !m.differs() {
		m.first += m.width
	}
	if m.first >= zone.Shards {
		s.repairDone(iz, now)
		return nil
	}
	s.askRepair(iz, compared, zone.MaxSketchCells, now)
	return nil
}

// differs reports whether a shard of the next sketch differed at the start.
func (m *mending) differs() bool {
	for shard := m.first; shard < min(m.first+m.width, zone.Shards); shard++ {
		if m.shards.Has(shard) {
			return true
		}
	}
	return false
}

// teachInstead gives up: one shard alone differs in thousands of records, so the others will too. Both sides are taught
// the differing shards.
func (s *Session) teachInstead(iz *intakeZone, now clock.Reading) {
	m := &iz.mending
	var rest wire.ShardSet
	for shard := m.first; shard < zone.Shards; shard++ {
		if m.shards.Has(shard) {
			rest.Add(shard)
		}
	}
	s.node.tell(s, Notice, "zone %q differs from peer %s in too many records to repair; resyncing %s",
		iz.state.info.Name, s.name(), plural.Of(count(rest), "shard", "shards"))
	iz.state.askFor(s, wire.TeachRequest{Zone: iz.index, Shards: rest, Both: true}, now)
	m.sent++ // something is to change
	s.repairDone(iz, now)
}

// repairDone records the result.
func (s *Session) repairDone(iz *intakeZone, now clock.Reading) {
	m, n := &iz.mending, s.node
	m.active = false
	if m.fresh {
		n.framesLost(s.peer, iz.state, true)
	}
	agreed := m.sent+m.wanted <= uint64(m.deleted) // recent deletions are in flight, like other fresh records
	switch {
	case agreed:
		m.pauseMS = 0
	case m.doubted > 0:
		m.pauseMS = repairPauseMS // it is a matter of seconds
	case m.won == 0 && m.sent == m.lastSent && m.wanted == m.lastWanted:
		m.pauseMS = min(max(2*m.pauseMS, repairPauseMS), repairPauseMaxMS) // the same again, without any change
		s.changesNothing(iz)
	default:
		m.pauseMS = 0
		s.showPause(iz)
		iz.state.repairs.Add(1)
		m.from, m.to = m.from+m.sent, m.to+m.wanted
		if m.loggedMS == 0 || after(now, m.loggedMS, reportEveryMS) {
			n.tell(s, Info, "repaired zone %q with peer %s: received %s, sent %d", iz.state.info.Name, s.name(),
				plural.Of(m.from, "record", "records"), m.to)
			m.from, m.to, m.loggedMS = 0, 0, now.MonoMS
		}
	}
	m.lastSent, m.lastWanted = m.sent, m.wanted
	m.notBeforeMS = now.MonoMS + m.pauseMS
	if agreed {
		s.agree(iz, m.left, now)
	}
}

// changesNothing shows that repairs of a zone change nothing, and tells it once.
func (s *Session) changesNothing(iz *intakeZone) {
	m := &iz.mending
	why := cmp.Or(s.showPause(iz), "look for rejected records in the log of the peer")
	if m.pauseMS == repairToldMS {
		s.node.tell(s, Warning, "zone %q differs from peer %s in %s, and repairs change nothing: %s; this node "+
			"tries again ever more seldom, at least every %v", iz.state.info.Name, s.name(),
			plural.Of(m.sent+m.wanted, "record", "records"), why, ms(repairPauseMaxMS))
	}
}

// showPause shows how long repairs of a zone pause, and returns why records of it were rejected.
func (s *Session) showPause(iz *intakeZone) (rejected string) {
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	c := s.peer.comparison(iz.state.info.Name)
	c.pauseMS = iz.mending.pauseMS
	return c.rejected
}

// noteAgreed notes that two nodes agree, except for so many ignored records. compared is the content of this node at
// that time.
func (n *Node) noteAgreed(p *peer, z *zoneState, theirs uint64, left int, compared content, now clock.Reading) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := p.comparison(z.info.Name)
	c.left, c.isConfirmed, c.confirmedMS = left, true, now.MonoMS
	c.rejected, c.pauseMS = "", 0
	if left == 0 {
		c.agreedMS, c.agreed = now.MonoMS, compared
	}
	if c.lineage = theirs; c.sinceMS == 0 {
		c.sinceMS = now.MonoMS
	}
	n.caughtUp(p, z.info.Name, left, now)
	z.agreedAnew = true
}

// followAgreements does what follows if all members agree on a zone. It looks at all of them, so it runs once for all
// agreements since the last Tick.
func (n *Node) followAgreements(z *zoneState, now clock.Reading) {
	n.mu.Lock()
	anew := z.agreedAnew
	z.agreedAnew = false
	n.mu.Unlock()
	if !anew {
		return
	}
	remembering, _ := z.shared.(zone.Remembering)
	var mine content
	if remembering != nil {
		mine, _ = contentOf(z, new([zone.Shards]uint64))
	}
	n.mu.Lock()
	var keep []zone.Agreement
	var untilMS int64
	if remembering != nil {
		keep, untilMS = n.remember(z, mine, now)
	}
	forgetMS, sinceMS := n.knownToAll(z, now)
	n.mu.Unlock()
	if untilMS != 0 {
		remembering.AgreedUntil(untilMS)
	}
	for _, a := range keep {
		remembering.KeepAgreed(a)
	}
	if comparable, ok := z.shared.(zone.Comparable); ok && forgetMS != nothingGone {
		comparable.ForgetThrough(forgetMS, sinceMS)
	}
}

// framesLost reports whether frames of a zone are known to be lost between this node and a peer; then fresh records are
// repaired too.
func (n *Node) framesLost(p *peer, z *zoneState, forget bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := p.comparison(z.info.Name)
	lost := c.framesLost
	if forget {
		c.framesLost = false
	}
	return lost
}

// loseFrames notes that frames were lost between this node and a peer.
func (n *Node) loseFrames(p *peer, z *zoneState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p.comparison(z.info.Name).framesLost = true
}
