package cluster

import (
	"fmt"
	"sort"

	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/lib/plural"
	"starling/zone"
)

// teachPieceBytes is the size of one taught piece: the most that the journal's frames wait for on a busy connection.
const teachPieceBytes = 64 << 10

// maxHeadBytes is more than a frame has around its payload.
const maxHeadBytes = 64

// pusher is the sending half of an outgoing session.
type pusher struct {
	zones      []*pushZone
	compress   wire.Compressor
	squeeze    bool // the peer reads s2
	head       []byte
	piece      []byte
	digestsMS  int64 // monotonic, of the last digests sent
	digestsDue bool
	answered   uint64     // changes of the acceptor's zones that this node has followed
	asks       []wire.Ask // of the acceptor, not yet answered; at most maxAnswers
	hasteMS    int64      // the smallest gap before digests that do not wait for their turn
	sums       []wire.Sum
}

// pushZone is the replication progress of one peer for one zone: its cursor into the journal, and the full pass in
// progress. acked < cursor always holds; the frames between are in flight. Neither goes back while the session lasts.
type pushZone struct {
	state *zoneState
	index uint64 // of the zone in this node's hello; it never changes
	// cursor is the next frame to send. If the journal no longer has it, the peer was overrun: the cursor jumps ahead,
	// and the gap is announced with lost-to before any later frame.
	cursor uint64
	acked  uint64 // the last acknowledged frame
	// sentMS is when the last frame sent was flushed, or something else was sent; ackedMS is until when all that was
	// flushed is acknowledged, at the last look. Monotonic.
	sentMS, ackedMS int64
	// marks are when frames in flight were flushed, in their order: the journal may not keep these for so long.
	marks []mark
	// sentRecords and ackedRecords are the journal's records through cursor and acked; the latter is too low as long as
	// that frame is no longer kept.
	sentRecords, ackedRecords int64
	// waits means that frames wait for an acknowledgement.
	waits bool
	// bareTo is the first frame that is sent whole. Earlier ones are from before a deletion that is forgotten by now:
	// only their deletions are sent, and the rest is left to repair.
	bareTo uint64
	// lostTo is the first frame of which an acknowledgement tells that the peer has what is in it.
	lostTo uint64
	// asked is the last frame that the peer was asked to acknowledge at once, askedKept and kept the last that it was
	// asked to keep on disk, and that it keeps. owed is the last frame that was awaited when the peer was left out.
	asked, askedKept, kept, owed uint64
	// compared is the content described by the last digests or sum sent.
	compared content
	// digestsDue means that the digests of its shards must be sent.
	digestsDue bool

	begin  *wire.TeachBegin // pending; sent before the next piece
	taught wire.ShardSet    // shards still to send; it excludes the current one
	shard  int              // the shard being sent, -1 if none
	within uint64           // the position in it, as TeachShard returned it

	repairs []repairJob // at most maxRepairJobs
	// named are the elements of Burys sent; those that still differ later were kept by the acceptor.
	named map[zone.Element]struct{}
}

// startPush places the cursors where the peer wants them. Called with mu held.
func (s *Session) startPush(r *wire.Reply, now clock.Reading) error {
	s.push.squeeze = s.their.Features&wire.FeatureS2 != 0
	s.push.zones = nil
	s.node.pair(s, s.their.Zones, now)
	for _, resume := range r.Resumes {
		if err := s.pushFrom(resume, now); err != nil {
			return err
		}
	}
	s.push.digestsMS, s.push.digestsDue, s.push.hasteMS = now.MonoMS, true, quietMS
	return nil
}

// pushFrom starts to push one zone. Called with mu held.
func (s *Session) pushFrom(resume wire.Resume, now clock.Reading) error {
	offered := s.offers.Load().list
	switch {
	case resume.Zone >= uint64(len(offered)):
		return fmt.Errorf("peer requests zone number %d; this node offered %d zones", resume.Zone, len(offered))
	case offered[resume.Zone] == nil || s.push.find(resume.Zone) != nil:
		return nil // it was withdrawn meanwhile
	}
	z := offered[resume.Zone]
	pz := &pushZone{state: z, index: resume.Zone, shard: -1}
	overrun := pz.resume(resume.Sequence)
	switch {
	case overrun:
		s.overrun(pz)
		pz.tellDeletions()
	case pz.cursor < pz.bareTo && !s.node.leavesToRepair(s, z):
		s.overrun(pz)
	case pz.cursor < pz.bareTo:
		s.node.loseFrames(s.peer, z)
	case resume.Sequence > 1 || !z.preloaded:
	case s.node.leavesToRepair(s, z):
		s.node.loseFrames(s.peer, z)
	default:
		pz.request(wire.All)
	}
	pz.look(now)
	s.push.zones = append(s.push.zones, pz)
	s.delivered(pz, now)
	return nil
}

// resume places the cursor at the requested frame, or reports that the ring was overrun.
func (pz *pushZone) resume(wanted uint64) (overrun bool) {
	journal := pz.state.shared.Journal()
	tail, head := journal.Tail(), journal.Head()
	pz.bareTo = pz.state.oldestForLate()
	switch {
	case wanted == 0: // it is being taught and skips what it knows
		pz.cursor, pz.lostTo = tail, tail
	case wanted > head || wanted < tail:
		pz.cursor, overrun = head, true
	default:
		pz.cursor = wanted
	}
	pz.acked = max(pz.cursor, 1) - 1
	return overrun
}

// tellDeletions goes back to the oldest frame kept, although its records are left to repair: a peer that was overrun
// needs its deletions if they are forgotten. Called after overrun, which decided that repair will do.
func (pz *pushZone) tellDeletions() {
	if _, ok := pz.state.shared.(zone.Comparable); !ok || !pz.taught.Empty() {
		return
	}
	pz.bareTo = pz.cursor
	pz.cursor = max(pz.state.shared.Journal().Tail(), 1)
	pz.acked = pz.cursor - 1
	pz.begin.LostTo = pz.cursor
}

// oldestForLate is the oldest frame kept that may be sent to a late peer: one from before a deletion that is forgotten
// by now could bring back what was deleted.
func (z *zoneState) oldestForLate() uint64 {
	journal := z.shared.Journal()
	tail, head := journal.Tail(), journal.Head()
	compared, ok := z.shared.(zone.Comparable)
	if !ok {
		return tail
	}
	return tail + uint64(sort.Search(int(head-tail), func(i int) bool {
		_, _, flushedMS, kept := journal.Frame(tail + uint64(i))
		return kept && !compared.Outdated(flushedMS)
	}))
}

// overrun gives up the frames before the journal's head. Repair finds the registers that the peer lacks; otherwise
// everything is taught: costs in the lost frames are forfeited by the peer, but the levels it is taught contain most of
// them. Called with mu held.
func (s *Session) overrun(pz *pushZone) {
	pz.cursor = pz.state.shared.Journal().Head()
	pz.lostTo = pz.cursor
	pz.acked = pz.cursor - 1 // no peer will acknowledge the frames given up
	pz.marks = pz.marks[:0]
	shards := wire.All
	if s.repairsOverruns(pz.state) {
		shards = wire.ShardSet{}
		s.digestsNow.Store(true)
	}
	pz.request(shards)
	pz.begin.LostTo = pz.cursor
}

// leavesToRepair reports whether repair must send a peer the records that were in a zone before its journal began.
// Repair distinguishes records missing there from those deleted while this node was away; teaching would bring the
// latter back. The two need not be ready yet.
func (n *Node) leavesToRepair(s *Session, z *zoneState) bool {
	var sums [zone.Shards]uint64
	_, ok := z.shared.(zone.Comparable)
	return ok && n.features&s.their.Features&wire.FeatureRepair != 0 && z.shared.Digests(&sums)
}

// repairsOverruns reports whether the records that a peer lost of a zone are left to repair. Called with mu held.
func (s *Session) repairsOverruns(z *zoneState) bool {
	// It is unknown here whether the peer is ready: it may not have been at its hello. If it is not, others teach it.
	var sums [zone.Shards]uint64
	if _, ok := s.repairs(z, true); !ok || !z.shared.Digests(&sums) {
		return false
	}
	s.node.loseFrames(s.peer, z)
	return true
}

// request adds shards to those being taught.
func (pz *pushZone) request(shards wire.ShardSet) {
	if pz.begin == nil {
		pz.begin = &wire.TeachBegin{Zone: pz.index}
	}
	for i := range shards {
		pz.taught[i] |= shards[i]
	}
	if pz.shard >= 0 && shards.Has(pz.shard) {
		pz.shard = -1 // from its beginning again
	}
}

// find returns the zone with an index of this node's hello, nil if it is not shared with the peer.
func (p *pusher) find(index uint64) *pushZone {
	for _, pz := range p.zones {
		if pz.index == index {
			return pz
		}
	}
	return nil
}

// handlePush handles messages of an acceptor. Called with mu held.
func (s *Session) handlePush(f wire.Frame, now clock.Reading) error {
	switch f.Type {
	case wire.TypeAck:
		return s.acked(f.Body, now)
	case wire.TypeKept:
		return s.keptThrough(f.Body, now)
	case wire.TypeAsk:
		return s.askedFor(f.Body)
	case wire.TypeTeachRequest:
		return s.teachRequested(f.Body, now)
	case wire.TypeReport:
		return s.reported(f.Body, now)
	case wire.TypeSketch:
		return s.sketched(f.Body, now)
	case wire.TypeWants:
		return s.wanted(f.Body)
	case wire.TypeAgreed:
		return s.agreed(f.Body, now)
	case wire.TypeShares:
		return s.sharesChanged(f.Body, now)
	case wire.TypeDigestRequest:
		return s.digestsRequested(f.Body)
	case wire.TypeViewRequest:
		s.view.due = true
		s.node.viewsDue.Store(true)
	}
	return nil // of a later version
}

func (s *Session) teachRequested(body []byte, now clock.Reading) error {
	t, err := wire.ParseTeachRequest(body)
	if err != nil {
		return err
	}
	pz := s.push.find(t.Zone)
	if pz == nil {
		return s.unlessRetired(t.Zone, "peer requests a resync of")
	}
	if t.Merge || pz.state.ready.Load() {
		pz.request(t.Shards)
		s.node.driver.Wake(s)
	}
	if back, index := s.reverse(pz.state); t.Both && back != nil {
		pz.state.askFor(back, wire.TeachRequest{Zone: index, Shards: t.Shards}, now)
	}
	return nil
}

func (s *Session) reported(body []byte, now clock.Reading) error {
	r, err := wire.ParseReport(body)
	if err != nil {
		return err
	}
	pz := s.push.find(r.Zone)
	if pz == nil {
		return s.unlessRetired(r.Zone, "peer reports on")
	}
	why, reissued := "its zone is full (increase the zone size), the records were stamped while this node's clock was "+
		"ahead, or its release does not accept their contents; see its error log", 0
	if compared, ok := pz.state.shared.(zone.Comparable); ok {
		s.node.watchClock(now) // knows by how much, if time went back
		reissued = compared.Reissue(s.node.clocks.clusterTime(now))
	}
	if r.AheadMS > maxAheadMS {
		why = fmt.Sprintf("this node's clock is %v ahead of the cluster; correct it", ms(r.AheadMS))
	}
	if reissued > 0 && r.AheadMS <= maxAheadMS {
		why = "this node's clock was too far ahead"
	}
	if reissued > 0 {
		why += "; restamped and resent " + plural.Of(reissued, "record", "records")
	}
	s.wasRejected(pz.state, plural.Of(r.Records, "record", "records"), why)
	return nil
}

// maxAheadMS is how far ahead of cluster time a stamp may be.
const maxAheadMS = 60_000

// fill appends frames until dst is about limit long: the journals first, then taught pieces. Called with mu held.
func (s *Session) fill(dst []byte, limit int, now clock.Reading) []byte {
	dst = s.fillAnswers(dst, now)
	for _, pz := range s.push.zones {
		if pz.begin != nil && pz.begin.LostTo > 0 {
			dst = s.fillBegin(dst, pz) // before the frames that continue from there
		}
		dst = s.fillFrames(dst, limit, pz, now)
	}
	dst = s.fillAwait(dst)
	for _, pz := range s.push.zones {
		dst = s.fillTaught(dst, limit, pz, now)
	}
	for _, pz := range s.push.zones {
		dst = s.fillRepairs(dst, limit, pz, now)
	}
	if (s.push.digestsDue || s.compareNow.Load() || s.digestsNow.Load()) && len(dst) < limit {
		s.push.digestsDue = false
		s.compareNow.Store(false)
		s.push.digestsMS = now.MonoMS
		dst = s.fillComparison(dst, s.digestsNow.Swap(false))
	}
	for _, pz := range s.push.zones {
		if pz.digestsDue && len(dst) < limit {
			dst = s.fillDigests(dst, pz)
		}
	}
	return dst
}

// append appends a frame of records; the payload of a part of a zone that has none is empty.
func (s *Session) append(dst []byte, t wire.Type, head, payload []byte) []byte {
	s.node.traffic.msgsOut.Add(1)
	start := len(dst)
	if s.push.squeeze {
		dst = s.push.compress.AppendFrame(dst, t, head, payload)
	} else {
		dst = wire.AppendFrame(dst, t, head, payload)
	}
	if len(payload) > 0 {
		s.node.traffic.updates.Add(1)
		s.node.traffic.updateBytes.Add(int64(len(dst) - start))
	}
	return dst
}

// appendPlain appends a frame that is too small, or too random, to be worth compressing.
func (s *Session) appendPlain(dst []byte, t wire.Type, body []byte) []byte {
	s.node.traffic.msgsOut.Add(1)
	return wire.AppendFrame(dst, t, body, nil)
}

// fillFrames appends the journal frames after the peer's cursor. Called with mu held.
func (s *Session) fillFrames(dst []byte, limit int, pz *pushZone, now clock.Reading) []byte {
	journal := pz.state.shared.Journal()
	for len(dst) < limit && pz.cursor < journal.Head() {
		if pz.waits = pz.isAhead(); pz.waits {
			break
		}
		payload, records, flushedMS, ok := journal.Frame(pz.cursor)
		if !ok {
			s.lostOnTheWay(pz, now)
			s.overrun(pz)
			pz.tellDeletions()
			s.node.tell(s, Warning,
				"peer %s is too slow for zone %q: buffers overflowed, repairing or resyncing it; consider raising "+
					"zone_sync_buffers", s.name(), pz.state.info.Name)
			dst = s.fillBegin(dst, pz) // before the frames that continue from there
			continue
		}
		if pz.cursor < pz.bareTo {
			payload = pz.state.shared.(zone.Comparable).Deletions(payload) // only these have bareTo
		}
		age := uint64(max(now.MonoMS-flushedMS, 0))
		s.push.head = wire.AppendDataHead(s.push.head[:0], pz.index, pz.cursor, age)
		dst = s.append(dst, wire.TypeData, s.push.head, payload)
		pz.countSent(records, flushedMS)
		pz.cursor++
	}
	return dst
}

// fillBegin appends the TeachBegin message before the next piece. Called with mu held.
func (s *Session) fillBegin(dst []byte, pz *pushZone) []byte {
	if pz.begin == nil {
		return dst
	}
	pz.begin.Frontier = pz.state.frontier()
	dst = s.appendPlain(dst, wire.TypeTeachBegin, pz.begin.Append(nil))
	pz.begin = nil
	return dst
}

// fillTaught appends taught pieces of a zone. Called with mu held.
func (s *Session) fillTaught(dst []byte, limit int, pz *pushZone, now clock.Reading) []byte {
	if pz.begin == nil && pz.taught.Empty() && pz.shard < 0 {
		return dst
	}
	z := pz.state
	dst = s.fillBegin(dst, pz)
	local := s.node.clocks.clusterTime(now)
	head := z.shared.Journal().Head()
	for len(dst) < limit && (pz.shard >= 0 || !pz.taught.Empty()) {
		if pz.shard < 0 {
			pz.shard, pz.within = first(&pz.taught), 0
			pz.taught.Remove(pz.shard)
		}
		shard := pz.shard
		piece, next, done := z.shared.TeachShard(shard, pz.within, s.push.piece[:0], teachPieceBytes, local)
		s.push.keep(piece)
		pz.within = next
		if done {
			pz.shard = -1
		}
		if len(piece)+maxHeadBytes > wire.MaxFrameBytes {
			s.node.tell(s, Problem,
				"shard %d of zone %q has %d bytes, too many to resync to peer %s: reduce the zone size", shard,
				z.info.Name, len(piece), s.name())
			piece = nil
		}
		s.push.head = wire.AppendTeachHead(s.push.head[:0], pz.index, uint8(shard), done)
		dst = s.append(dst, wire.TypeTeach, s.push.head, piece)
		pz.sentMS = now.MonoMS
	}
	if z.shared.Journal().Head() != head {
		s.node.wakeOutgoing() // cutting shards of buckets has flushed them
	}
	return dst
}

func first(s *wire.ShardSet) int {
	for shard := range zone.Shards {
		if s.Has(shard) {
			return shard
		}
	}
	return -1
}

// fillComparison describes what this node holds: by sums if the peer understands them, and by digests if the two are
// known to differ. Called with mu held.
func (s *Session) fillComparison(dst []byte, differ bool) []byte {
	switch {
	case !s.comparesDigests():
	case s.beginsWithSums() && !differ:
		return s.fillSums(dst)
	default:
		for _, pz := range s.push.zones {
			pz.digestsDue = true
		}
	}
	return dst
}

// fillDigests appends the digests of a zone, if it can be compared. Called with mu held.
func (s *Session) fillDigests(dst []byte, pz *pushZone) []byte {
	var sums [zone.Shards]uint64
	pz.digestsDue = false
	mine, ok := contentOf(pz.state, &sums)
	if !ok || !s.comparesDigests() {
		return dst
	}
	pz.compared = mine
	return s.appendPlain(dst, wire.TypeDigests, wire.Digests{Zone: pz.index, Shards: &sums}.Append(nil))
}

// behind reports whether the peer has not yet acknowledged everything, or is still to be taught or repaired.
func (s *Session) behind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != established {
		return false
	}
	for _, pz := range s.push.zones {
		sending := pz.shard >= 0 || !pz.taught.Empty() || len(pz.repairs) > 0
		if sending || pz.acked+1 < pz.state.shared.Journal().Head() {
			return true
		}
	}
	return false
}

// announceReady tells the peer of an outgoing session that this node may teach a zone.
func (s *Session) announceReady(z *zoneState) {
	if !s.Outgoing {
		return
	}
	for i, mine := range s.offers.Load().list {
		if mine != nil && mine.progress == z.progress {
			s.send(wire.TypeReady, wire.Ready{Zone: uint64(i)}.Append(nil))
			s.compareNow.Store(true) // what is left to repair need not wait
		}
	}
}
