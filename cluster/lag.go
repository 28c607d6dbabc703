package cluster

import (
	"cmp"
	"math"
	"slices"

	"starling/lib/clock"
	"starling/zone"
)

// A member may hold what was deleted here, and not know that it was: one that is disconnected, one that is connected
// and silent, and every other one as far as frames are in flight to it. This file tells each zone what that can be, so
// that it evicts the deletions of these records last. zone/DESIGN.md says why that is enough.

// lag is what a peer may hold of a zone although it was deleted since the two held the same: records that had appeared
// by heldMS, or by maybeMS at the latest, and that were deleted after knownMS. Cluster time.
type lag struct{ knownMS, heldMS, maybeMS int64 }

const (
	// heldSlackMS is by how much the clocks of members differ unnoticed.
	heldSlackMS = clockNoiseMS
	// maybeSlackMS covers what happens between two looks.
	maybeSlackMS = zoneTickEveryMS + heldSlackMS
	// knownSlackMS is longer than a change waits for a flush.
	knownSlackMS = 50
	// hadSlackMS lets HadMS be no earlier than what the peer acknowledged.
	hadSlackMS = knownSlackMS + heldSlackMS
	// diskMS is how much of what it acknowledged a member with state loses if it crashes.
	diskMS = 1000
	// unknown is before all deletions.
	unknown = math.MinInt64 / 2
)

// fellBehind notes that a peer lost frames of a zone, or its connection: it has what was flushed until ackedMS, may
// hold what it was sent until heldMS, and what others sent until maybeMS (all monotonic). Called with Node.mu held.
func (n *Node) fellBehind(p *peer, name string, ackedMS, heldMS, maybeMS int64, now clock.Reading) {
	if p.lags == nil {
		p.lags = make(map[string]lag)
	}
	originMS := n.clocks.clusterTime(now).WallMS - now.MonoMS
	l := lag{originMS + ackedMS - knownSlackMS, originMS + heldMS + heldSlackMS, originMS + maybeMS + heldSlackMS}
	if before, known := p.lags[name]; known {
		l = lag{min(l.knownMS, before.knownMS), max(l.heldMS, before.heldMS), max(l.maybeMS, before.maybeMS)}
	}
	p.lags[name] = l
}

// leftBehind notes that a session with a peer is lost. Called with Node.mu held.
func (n *Node) leftBehind(s *Session, p *peer, now clock.Reading) {
	readMS := s.lastReadMS.Load()
	for _, z := range n.table.Load().list {
		at, known := s.reached[z.info.Name]
		if !known {
			at = reach{ackedMS: readMS}
		}
		n.fellBehind(p, z.info.Name, min(at.ackedMS, readMS), max(at.sentMS, readMS), now.MonoMS+noticedMS, now)
	}
}

// lostOnTheWay notes that frames were overwritten before they were sent. What others send still arrives, if the peer is
// not silent. Called with mu held.
func (s *Session) lostOnTheWay(pz *pushZone, now clock.Reading) {
	n, readMS := s.node, s.lastReadMS.Load()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fellBehind(s.peer, pz.state.info.Name, min(pz.look(now), readMS), pz.sentMS, max(pz.sentMS, readMS), now)
}

// nowMet notes that a peer was reached: where it never held the same as this node, it may hold what it had when this
// node last heard of a member. Called with Node.mu held.
func (n *Node) nowMet(p *peer) {
	for _, z := range n.table.Load().list {
		if _, known := p.lags[z.info.Name]; !known && p.compared[z.info.Name] == nil {
			if p.lags == nil {
				p.lags = make(map[string]lag)
			}
			p.lags[z.info.Name] = n.lagOfStrangers()
		}
	}
}

// lagOfStrangers is what a member may hold that was never met, or not for long. Called with Node.mu held.
func (n *Node) lagOfStrangers() lag { return lag{unknown, n.heardMS, n.lostMS + noticedMS} }

// reachedBy returns, by name, how far each zone has come to the peer. Called with mu held.
func (s *Session) reachedBy(now clock.Reading) map[string]reach {
	all := make(map[string]reach, len(s.push.zones))
	for _, pz := range s.push.zones {
		all[pz.state.info.Name] = reach{ackedMS: pz.look(now), sentMS: pz.sentMS}
	}
	return all
}

// caughtUp notes that a peer holds the same as this node, except so many fresh records: what it held when it fell
// behind is not fresh for long. Called with Node.mu held.
func (n *Node) caughtUp(p *peer, name string, left int, now clock.Reading) {
	behind, known := p.lags[name]
	if !known || p.out == nil || !p.pushes() {
		return
	}
	if left == 0 || n.clocks.clusterTime(now).WallMS > behind.heldMS+2*freshMS {
		delete(p.lags, name)
	}
}

// reach is how far a zone's changes have come to a connected peer. Monotonic: it has acknowledged all that was flushed
// until ackedMS, and may have got what was sent until sentMS.
type reach struct {
	peer            *peer
	ackedMS, sentMS int64
	// maybeMS is until when it may have got what others sent.
	maybeMS int64
}

// reaches returns how far each zone has come, by name, to the connected peers.
func (n *Node) reaches(now clock.Reading) map[string][]reach {
	all := make(map[string][]reach)
	for _, s := range n.all() {
		if s.Outgoing {
			s.reaches(all, now)
		}
	}
	return all
}

func (s *Session) reaches(all map[string][]reach, now clock.Reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != established {
		return
	}
	readMS := s.lastReadMS.Load()
	isSilent := after(now, readMS, s.beatMS+calmSlackMS)
	for _, pz := range s.push.zones {
		r := reach{peer: s.peer, ackedMS: pz.look(now), sentMS: pz.sentMS, maybeMS: max(pz.sentMS, readMS)}
		isDone := r.ackedMS == now.MonoMS
		switch {
		case isSilent && isDone: // it may have stopped up to a heartbeat after it was heard
			r.ackedMS, r.sentMS, r.maybeMS = readMS, r.maybeMS, r.maybeMS+s.beatMS
		case isSilent:
			r.ackedMS = min(r.ackedMS, readMS)
		case isDone:
			r.sentMS, r.maybeMS = now.MonoMS, now.MonoMS
		}
		all[pz.state.info.Name] = append(all[pz.state.info.Name], r)
	}
}

// look returns until when the peer has acknowledged all that was flushed; monotonic.
func (pz *pushZone) look(now clock.Reading) int64 {
	journal := pz.state.shared.Journal()
	if pz.acked+1 >= journal.Head() {
		pz.ackedMS = now.MonoMS
	} else if _, _, flushedMS, kept := journal.Frame(pz.acked + 1); kept {
		pz.ackedMS = flushedMS
	}
	return pz.ackedMS
}

// mark is when a frame was flushed; monotonic.
type mark struct {
	sequence  uint64
	flushedMS int64
}

const (
	// maxMarks bounds the marks of a zone and a peer; the last one moves on if there are so many.
	maxMarks = 32
	// markEveryMS lets them cover half a second, and is fine compared to knownSlackMS.
	markEveryMS = 16
)

// mark notes when the frame at the cursor was flushed.
func (pz *pushZone) mark(flushedMS int64) {
	last := len(pz.marks) - 1
	switch at := (mark{pz.cursor, flushedMS}); {
	case last < 0 || last+1 < maxMarks && flushedMS-pz.marks[last].flushedMS >= markEveryMS:
		pz.marks = append(pz.marks, at)
	case last+1 == maxMarks:
		pz.marks[last] = at
	}
}

// countSent notes that the frame at the cursor is sent.
func (pz *pushZone) countSent(records int, flushedMS int64) {
	through, _ := pz.state.shared.Journal().RecordsThrough(pz.cursor)
	if pz.acked+1 == pz.cursor || pz.cursor < pz.bareTo { // no other records are in flight
		pz.ackedRecords = through - int64(records)
	}
	pz.sentMS, pz.sentRecords = max(pz.sentMS, flushedMS), max(pz.sentRecords, through)
	pz.mark(flushedMS)
}

// countAcked follows acked.
func (pz *pushZone) countAcked() {
	done := 0
	for ; done < len(pz.marks) && pz.marks[done].sequence <= pz.acked; done++ {
		pz.ackedMS = max(pz.ackedMS, pz.marks[done].flushedMS)
	}
	pz.marks = slices.Delete(pz.marks, 0, done)
	if pz.acked+1 >= pz.cursor {
		pz.ackedRecords = pz.sentRecords
	} else if records, kept := pz.state.shared.Journal().RecordsThrough(pz.acked); kept {
		pz.ackedRecords = records
	}
}

// isAhead reports whether so many records are in flight to the peer that the next ones wait for an acknowledgement. A
// frame of which only the deletions are sent does not wait.
func (pz *pushZone) isAhead() bool {
	compared, ok := pz.state.shared.(zone.Comparable)
	return ok && pz.acked+1 < pz.cursor && pz.cursor >= pz.bareTo &&
		pz.sentRecords-pz.ackedRecords >= compared.MaxUnacked()
}

// protect tells a zone which deletions members may need.
func (n *Node) protect(z *zoneState, reaches []reach, now clock.Reading) {
	compared, ok := z.shared.(zone.Comparable)
	if !ok {
		return
	}
	n.mu.Lock()
	lags := n.lags(z, reaches, now)
	alone := n.expected == 0 && len(n.sessions) == 0
	n.mu.Unlock()
	compared.Protect(fewLags(lags))
	if local := n.clocks.clusterTime(now); alone {
		compared.ForgetThrough(local.WallMS-n.settings.Load().TimeoutMS-inFlightMS, local.MonoMS)
	}
}

// lags returns what the members may hold, in no particular order. Called with Node.mu held.
func (n *Node) lags(z *zoneState, reaches []reach, now clock.Reading) (lags []zone.Lag) {
	originMS := n.clocks.clusterTime(now).WallMS - now.MonoMS
	for _, r := range reaches {
		lags = append(lags, n.lagOf(z, r.peer, lag{
			originMS + r.ackedMS - knownSlackMS, originMS + r.sentMS + heldSlackMS, originMS + r.maybeMS + maybeSlackMS,
		}))
	}
	connected := 0
	var absent []zone.Lag
	for _, p := range n.peers {
		behind, known := p.lags[z.info.Name]
		switch {
		case p.out == nil || !p.pushes():
			if !known {
				behind = n.lagOfStrangers()
			}
			absent = append(absent, n.lagOf(z, p, behind))
			continue
		case known:
			lags = append(lags, n.lagOf(z, p, behind))
		}
		connected++
	}
	missing := n.expected - connected
	if n.expected >= 0 && missing <= 0 {
		return lags // all members are connected; the others have left
	}
	if n.expected < 0 || len(absent) < missing { // one of them was never met
		absent = append(absent, n.lagOf(z, nil, n.lagOfStrangers()))
	}
	return append(lags, absent...)
}

// lagOf describes the lag of a peer, nil for a stranger, to a zone. Called with Node.mu held.
func (n *Node) lagOf(z *zoneState, p *peer, l lag) zone.Lag {
	of := zone.Lag{
		SureMS: l.knownMS - diskMS, KnownMS: l.knownMS, HadMS: l.knownMS + hadSlackMS, HeldMS: l.heldMS,
		MaybeMS: l.maybeMS,
	}
	if p != nil {
		of.ThroughMS = n.heldSame(z, p)
	}
	return of
}

// heldSame is the time through which this node and a peer held the same, 0 if that is unknown. Called with Node.mu
// held.
func (n *Node) heldSame(z *zoneState, p *peer) int64 {
	c := p.compared[z.info.Name]
	if c == nil {
		return 0
	}
	return n.agreements[agreementKey{z.info.Name, c.lineage}].throughMS // of nobody: 0
}

// fewLags joins lags that are about the same, and the latest ones if there are still too many.
func fewLags(lags []zone.Lag) (few []zone.Lag) {
	slices.SortFunc(lags, func(a, b zone.Lag) int {
		return cmp.Or(
			cmp.Compare(a.HeldMS, b.HeldMS), cmp.Compare(a.KnownMS, b.KnownMS), cmp.Compare(a.MaybeMS, b.MaybeMS),
			cmp.Compare(a.ThroughMS, b.ThroughMS),
		)
	})
	for _, l := range lags {
		last := len(few) - 1
		if last < 0 || last+1 < zone.MaxLags && !isAbout(few[last], l) {
			few = append(few, l)
			continue
		}
		of := &few[last]
		of.ThroughMS = min(of.ThroughMS, l.ThroughMS)
		of.SureMS, of.KnownMS = min(of.SureMS, l.SureMS), min(of.KnownMS, l.KnownMS)
		of.HadMS, of.HeldMS = max(of.HadMS, l.HadMS), max(of.HeldMS, l.HeldMS)
		of.MaybeMS = max(of.MaybeMS, l.MaybeMS)
	}
	return few
}

func isAbout(a, b zone.Lag) bool {
	return !far(a.HeldMS-b.HeldMS, heldSlackMS) && !far(a.KnownMS-b.KnownMS, heldSlackMS)
}
