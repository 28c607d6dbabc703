package cluster

import (
	"fmt"
	"slices"

	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/zone"
)

// This file is repair at the dialer: it decodes differences and sends records.

// maxRepairJobs bounds the pending repair sends of one session: a sketch and the wants of a few.
const maxRepairJobs = 8

// repairJob are records to send, and the message to send after them.
type repairJob struct {
	wanted []zone.Element
	end    *wire.RepairEnd // nil for records that the peer requested by name
}

// wasRejected shows and tells that the peer rejected records of a zone.
func (s *Session) wasRejected(z *zoneState, records, why string) {
	s.node.mu.Lock()
	s.peer.noteRejected(z, fmt.Sprintf("the peer rejected %s of this node: %s", records, why))
	s.node.mu.Unlock()
	s.node.tell(s, Warning, "peer %s rejected %s of zone %q: %s", s.name(), records, z.info.Name, why)
}

// noteRejected keeps why records were rejected, until the two nodes agree again. Called with Node.mu held.
func (p *peer) noteRejected(z *zoneState, why string) {
	if _, compared := z.shared.(zone.Comparable); compared {
		p.comparison(z.info.Name).rejected = why
	}
}

// sketched decodes the difference to the acceptor's sketch. Called with mu held.
func (s *Session) sketched(body []byte, now clock.Reading) error {
	ask, err := wire.ParseSketch(body)
	if err != nil {
		return err
	}
	pz := s.push.find(ask.Zone)
	if pz == nil {
		return s.unlessRetired(ask.Zone, "peer sends a sketch of")
	}
	theirs, err := zone.ParseSketch(ask.Cells)
	if err != nil {
		return err
	}
	compared, ok := pz.state.shared.(zone.Comparable)
	if !ok || len(pz.repairs) >= maxRepairJobs {
		return nil // the acceptor asks again
	}
	if shards := int(ask.Last) - int(ask.First) + 1; shards < zone.Shards && !s.sketching.take(shards, now) {
		return nil // … in its time
	}
	mine := compared.Sketch(int(ask.First), int(ask.Last)-int(ask.First)+1, theirs.Cells())
	if mine == nil {
		return nil
	}
	if mine.Cells() < theirs.Cells() {
		theirs = theirs.Folded(mine.Cells())
	}
	mine.Subtract(theirs)
	here, there, ok := mine.Decode()
	end := &wire.RepairEnd{Zone: ask.Zone, First: ask.First, Last: ask.Last, TooMany: !ok}
	if !ok {
		pz.repairs = append(pz.repairs, repairJob{end: end})
		s.node.driver.Wake(s)
		return nil
	}
	freshAtMS := s.node.clocks.clusterTime(now).WallMS
	if ask.Fresh {
		freshAtMS = never
	}
	sortElements(there)
	here = append(here, compared.Tombstones(there)...) // sketches have none
	their := s.theirZone(pz.state)
	lineage := lineageOf(&their)
	gone := gone{
		here:  s.node.goneHere(pz.state, compared, lineage, now),
		there: s.node.goneThere(pz.state, compared, lineage, now),
	}
	d := divide(here, there, freshAtMS, gone)
	pz.wantKept(&d, s)
	deleted := s.bury(pz, compared, &d, gone, now)
	end.Sent, end.Left = uint64(len(d.send)+deleted), uint64(d.left)
	if len(d.want) > 0 {
		end.Wanted = s.want(pz.state, d.want)
	}
	pz.state.repairSent.Add(int64(len(d.send)))
	pz.repairs = append(pz.repairs, repairJob{wanted: d.send, end: end})
	s.node.driver.Wake(s)
	return nil
}

// division is how a difference is split between the two sides.
type division struct {
	send, want          []zone.Element
	buryHere, buryThere []zone.Element
	left                int
}

// gone is the time through which both held the same, as far as one of them may have forgotten its deletions since.
type gone struct{ here, there int64 }

// never is far from the time of any stamp.
const never = -1 << 40

// divide decides which side sends what: of two versions of a record the newer one is sent, and both if their times do
// not decide. Records written around freshAtMS are ignored, with those they replace; for later stamps, by a clock that
// is ahead, the time of the write is unknown. A record that only one side has and both had, at the time in gone, was
// deleted by the other.
func divide(here, there []zone.Element, freshAtMS int64, gone gone) (d division) {
	fresh := func(e *zone.Element) bool {
		return e != nil && e.MS() > freshAtMS-freshMS && e.MS() <= freshAtMS+freshMS
	}
	sortElements(here)
	sortElements(there)
	for len(here) > 0 || len(there) > 0 {
		var mine, theirs *zone.Element
		if len(there) == 0 || len(here) > 0 && here[0].Key <= there[0].Key {
			mine = &here[0]
		}
		if len(here) == 0 || len(there) > 0 && there[0].Key <= here[0].Key {
			theirs = &there[0]
		}
		if mine != nil {
			here = here[1:]
		}
		if theirs != nil {
			there = there[1:]
		}
		switch {
		case fresh(mine) || fresh(theirs):
			d.left++
			continue
		case theirs == nil && mine.MS() <= gone.there:
			d.buryHere = append(d.buryHere, *mine)
			continue
		case mine == nil && theirs.MS() <= gone.here:
			d.buryThere = append(d.buryThere, *theirs)
			continue
		}
		if mine != nil && (theirs == nil || mine.MS() >= theirs.MS()) {
			d.send = append(d.send, *mine)
		}
		if theirs != nil && (mine == nil || theirs.MS() >= mine.MS()) {
			d.want = append(d.want, *theirs)
		}
	}
	return d
}

func sortElements(list []zone.Element) { slices.SortFunc(list, zone.Element.Compare) }

// reverse finds the session on which the peer of an outgoing one pushes to this node, and the zone's index there.
// Called with mu held.
func (s *Session) reverse(z *zoneState) (back *Session, index uint64) {
	n := s.node
	n.mu.Lock()
	back = s.peer.in[s.their.Incarnation]
	n.mu.Unlock()
	if back == nil || !back.Established() {
		return nil, 0
	}
	for _, iz := range back.intake.list() {
		if iz != nil && iz.state.progress == z.progress {
			return back, iz.index
		}
	}
	return nil, 0
}

// want asks the peer to push records; it returns how many are wanted. A node that does not push to this one, or not
// yet, cannot be asked; the two differ nevertheless.
func (s *Session) want(z *zoneState, elements []zone.Element) uint64 {
	elements = elements[:min(len(elements), wire.MaxWants)]
	back, index := s.reverse(z)
	if back == nil {
		return uint64(len(elements))
	}
	w := wire.Wants{Zone: index}
	for _, e := range elements {
		w.Elements = append(w.Elements, wire.Element(e))
	}
	back.send(wire.TypeWants, w.Append(nil))
	return uint64(len(elements))
}

// wanted reads the acceptor's list of records that it lacks. Called with mu held.
func (s *Session) wanted(body []byte) error {
	w, err := wire.ParseWants(body)
	if err != nil {
		return err
	}
	pz := s.push.find(w.Zone)
	if pz == nil {
		return s.unlessRetired(w.Zone, "peer requests records of")
	}
	if _, ok := pz.state.shared.(zone.Comparable); !ok || len(pz.repairs) >= maxRepairJobs {
		return nil // the next comparison finds them again
	}
	job := repairJob{wanted: make([]zone.Element, len(w.Elements))}
	for i, e := range w.Elements {
		job.wanted[i] = zone.Element(e)
	}
	sortElements(job.wanted)
	pz.state.repairSent.Add(int64(len(job.wanted)))
	pz.repairs = append(pz.repairs, job)
	s.node.driver.Wake(s)
	return nil
}

// agreed notes that the acceptor holds the same as this node. Called with mu held.
func (s *Session) agreed(body []byte, now clock.Reading) error {
	a, err := wire.ParseAgreed(body)
	if err != nil {
		return err
	}
	pz := s.push.find(a.Zone)
	if pz == nil {
		return s.unlessRetired(a.Zone, "peer confirms agreement on")
	}
	their := s.theirZone(pz.state)
	s.node.noteAgreed(s.peer, pz.state, lineageOf(&their), int(min(a.Left, wire.MaxWants)), pz.compared, now)
	return nil
}

// fillRepairs appends records of repairs. Called with mu held.
func (s *Session) fillRepairs(dst []byte, limit int, pz *pushZone, now clock.Reading) []byte {
	if len(pz.repairs) == 0 {
		return dst
	}
	compared := pz.state.shared.(zone.Comparable) // as checked when the job was taken
	local := s.node.clocks.clusterTime(now)
	for len(pz.repairs) > 0 && len(dst) < limit {
		job := &pz.repairs[0]
		if len(job.wanted) > 0 {
			var piece []byte
			piece, job.wanted, _ = compared.AppendRecords(job.wanted, s.push.piece[:0], teachPieceBytes, local)
			s.push.keep(piece)
			if len(piece) > 0 {
				s.push.head = wire.AppendRepairHead(s.push.head[:0], pz.index)
				dst = s.append(dst, wire.TypeRepair, s.push.head, piece)
				pz.sentMS = now.MonoMS
				s.push.digestsDue = true // so that both sides see at once that they agree
			}
			continue
		}
		if job.end != nil {
			dst = s.appendPlain(dst, wire.TypeRepairEnd, job.end.Append(nil))
		}
		pz.repairs = slices.Delete(pz.repairs, 0, 1)
	}
	return dst
}

// keep keeps the buffer of a piece for the next one, unless it was unusually big.
func (p *pusher) keep(piece []byte) {
	if p.piece = piece; cap(piece) > 4*teachPieceBytes {
		p.piece = nil
	}
}
