package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/lib/plural"
	"starling/zone"
)

// Acknowledgements are sent per ackFrames frames or after ackMS, so that they cost next to nothing under load.
const (
	ackFrames = 64
	ackMS     = 10
)

// reportEveryMS bounds how often a dialer is told that its records are rejected, and how often a repair is logged.
const reportEveryMS = 10_000

// intake is the receiving half of an incoming session.
type intake struct {
	opened bool // the preamble is queued; guarded by queueMu
	// repliedMS is when the dialer was told that it is accepted; monotonic.
	repliedMS int64
	// zones are indexed as the dialer does. A session of the other direction reads them without this one's lock.
	zones   atomic.Pointer[[]*intakeZone]
	retired map[uint64]bool // indexes of zones that were once shared
	unacked int             // frames
	ackNow  bool            // the dialer waits for an acknowledgement
	// keep are zones that the dialer wants to be on disk, through these frames.
	keep map[*intakeZone]uint64
	// asked are the questions that the dialer has not answered, by number; at most maxQuestions.
	asked   map[uint64]*question
	sinceMS int64 // monotonic, of the first of them
	// strictPart is what has come of a strict message of several frames.
	strictPart []byte
}

// list is the zones by the dialer's index, nil for those not shared. It is replaced, not changed.
func (in *intake) list() []*intakeZone {
	if list := in.zones.Load(); list != nil {
		return *list
	}
	return nil
}

// errRetired means that a frame is about a zone that is no longer shared, which the other side did not know yet.
var errRetired = errors.New("zone is no longer shared")

// intakeZone is one zone of the dialer, by the index of its hello.
type intakeZone struct {
	state    *zoneState
	index    uint64
	origin   zone.Origin
	last     uint64  // the last frame applied on this session
	mine     content // of this node, compared last
	readyMS  int64   // monotonic, of when the dialer's zone became ready
	acked    uint64
	refused  int   // records, since the last report
	ahead    int   // of these, because of their stamps
	invalid  int   // of these, because of their contents
	fault    error // of the first of these
	reportMS int64 // monotonic, of the last report
	begun    bool  // the dialer's zone had started from a state file and was not ready at the hello
	mending  mending
}

func originOfWire(v uint64) zone.Origin { return zone.Origin(v) }

// handleIntake handles messages of a dialer. Called with mu held.
func (s *Session) handleIntake(f wire.Frame, now clock.Reading) error {
	switch f.Type {
	case wire.TypeData:
		return s.data(f, now)
	case wire.TypeTeachBegin:
		return s.teachBegin(f.Body, now)
	case wire.TypeTeach:
		return s.teach(f, now)
	case wire.TypeReady:
		return s.theirZoneReady(f.Body, now)
	case wire.TypeDigests:
		return s.digests(f.Body, now)
	case wire.TypeSums:
		return s.sums(f.Body, now)
	case wire.TypeRepair:
		return s.mend(f, now)
	case wire.TypeBury:
		return s.buryWhat(f.Body, now)
	case wire.TypeRepairEnd:
		return s.repairEnd(f.Body, now)
	case wire.TypeZones:
		return s.zonesChanged(f.Body, now)
	case wire.TypeAwait:
		return s.awaited(f.Body)
	case wire.TypeAnswer:
		return s.gotAnswer(f.Body, now)
	case wire.TypeView:
		return s.viewed(f.Body, now)
	case wire.TypeStrict, wire.TypeRegister:
		return s.strictFrame(f)
	}
	return nil // of a later version
}

// zone finds a zone by the dialer's index. Pushing a zone that is not shared violates the protocol.
func (s *Session) zone(index uint64) (*intakeZone, error) {
	list := s.intake.list()
	switch {
	case s.intake.retired[index]:
		return nil, errRetired
	case index >= uint64(len(list)) || list[index] == nil:
		return nil, fmt.Errorf("peer pushes zone number %d, which is not shared", index)
	}
	return list[index], nil
}

// data applies a frame of the dialer's journal.
func (s *Session) data(f wire.Frame, now clock.Reading) error {
	d, err := wire.ParseData(f.Body)
	if err != nil {
		return err
	}
	iz, err := s.zone(d.Zone)
	if err != nil {
		return err
	}
	n := s.node
	if s.intake.unacked++; s.intake.unacked == 1 {
		s.intake.sinceMS = now.MonoMS
		n.driver.Wake(s)
	}
	z := iz.state
	came := z.arrived(iz.origin, s.peer.id, d.Sequence, now)
	if came.madeUp {
		const text = "frame %d of zone %q follows frame %d: the gap exceeds any journal"
		// the driver reports a peer that broke the protocol, once
		return fmt.Errorf(text, d.Sequence, z.info.Name, came.last)
	}
	if came.gap {
		z.shared.Forfeit(iz.origin, d.Sequence)
	}
	if came.gap && z.ready.Load() { // otherwise it is asked when the zone is ready
		if z.askFor(s, wire.TeachRequest{Zone: d.Zone, Shards: wire.All}, now) {
			n.tell(s, Warning, "peer %s skipped frames of zone %q before %d; requesting a full resync", s.name(),
				z.info.Name, d.Sequence)
		}
	}
	if came.fresh {
		applied, err := z.shared.Apply(
			iz.origin,
			d.Sequence,
			d.Payload,
			int64(min(d.AgeMS, maxClockMS)),
			s.arrival(now),
		)
		if err != nil {
			return fmt.Errorf("frame %d of zone %q: %w", d.Sequence, z.info.Name, err)
		}
		z.merged.Add(int64(applied.Won + applied.Cleared))
		if d.AgeMS > lateMS {
			n.cameLate(applied.Won+applied.Cleared, now)
		}
		z.applyDone(iz.origin, d.Sequence)
		if applied.Doubted > 0 {
			n.loseFrames(s.peer, z)
		}
		s.refused(iz, applied, now)
	}
	iz.last = max(iz.last, d.Sequence)
	return nil
}

// applyDone moves the point from which an origin resumes.
func (p *progress) applyDone(origin zone.Origin, sequence uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if in := p.applied[origin]; in != nil {
		in.last = max(in.last, sequence)
	}
}

// refused counts rejected records and reports them to the dialer periodically.
func (s *Session) refused(iz *intakeZone, applied zone.Applied, now clock.Reading) {
	iz.refused += applied.Refused + applied.Ahead + applied.Invalid
	iz.ahead += applied.Ahead
	iz.invalid += applied.Invalid
	iz.fault = cmp.Or(iz.fault, applied.Fault)
	if iz.refused == 0 || iz.reportMS != 0 && !after(now, iz.reportMS, reportEveryMS) {
		return
	}
	n := s.node
	n.mu.Lock()
	ahead := s.peer.offsetMS - n.clocks.offsetMS(now)
	what, why := plural.Of(iz.refused, "record", "records"), iz.whyRefused(ahead)
	s.peer.noteRejected(iz.state, fmt.Sprintf("this node rejected %s of the peer: %s", what, why))
	n.mu.Unlock()
	s.send(wire.TypeReport, wire.Report{Zone: iz.index, Records: uint64(iz.refused), AheadMS: ahead}.Append(nil))
	n.tell(s, Warning, "rejected %s of zone %q from peer %s: %s", what, iz.state.info.Name, s.name(), why)
	iz.refused, iz.ahead, iz.reportMS = 0, 0, now.MonoMS
	iz.invalid, iz.fault = 0, nil
}

// whyRefused returns why records were rejected, and the remedy. aheadMS is how far the peer's clock is ahead now; it
// may have been set since.
func (iz *intakeZone) whyRefused(aheadMS int64) string {
	var reasons []string
	because := func(count int, why string) {
		if count > 0 && count < iz.refused {
			why = fmt.Sprintf("%s: %s", plural.Of(count, "record", "records"), why)
		}
		if count > 0 {
			reasons = append(reasons, why)
		}
	}
	because(iz.ahead, fmt.Sprintf("stamped too far ahead (its clock is %v ahead)", ms(aheadMS)))
	because(iz.invalid, fmt.Sprintf("invalid, the first of them is of %v", iz.fault))
	because(iz.refused-iz.ahead-iz.invalid, "the zone is full; increase the zone size")
	return strings.Join(reasons, "; ")
}

// teachBegin prepares for taught pieces.
func (s *Session) teachBegin(body []byte, now clock.Reading) error {
	t, err := wire.ParseTeachBegin(body)
	if err != nil {
		return err
	}
	iz, err := s.zone(t.Zone)
	if err != nil {
		return err
	}
	z := iz.state
	if t.LostTo > 0 {
		s.overran(iz, now)
		z.lost(iz.origin, s.peer.id, t.LostTo, now)
	}
	z.teachBegins(s, &t)
	return nil
}

// overran handles lost frames of a dialer: the missing records are repaired if possible, otherwise resynced.
func (s *Session) overran(iz *intakeZone, now clock.Reading) {
	z, n := iz.state, s.node
	_, repairs := s.repairs(z, s.their.Zones[iz.index].Ready)
	how := "resyncs all of zone %q"
	if repairs {
		how = "is missing frames of zone %q; repairing it"
		n.loseFrames(s.peer, z)
		var sums [zone.Shards]uint64
		if !z.shared.Digests(&sums) {
			z.askFor(s, wire.TeachRequest{Zone: iz.index, Shards: wire.All}, now)
		}
	}
	n.tell(s, Notice, "peer %s "+how+": its buffers overflowed", s.name(), z.info.Name)
}

// lost lets an origin continue at a frame: the ones before it are lost, or the origin has restarted.
func (z *zoneState) lost(origin zone.Origin, by NodeID, to uint64, now clock.Reading) {
	z.mu.Lock()
	defer z.mu.Unlock()
	in := z.inflowOf(origin, by, now)
	// Its own frames, up to its declared position, did not come from it.
	disowned := in.last >= to && in.last > in.taught
	if disowned {
		z.shared.Disown(origin)
	}
	if in.last+1 < to || in.last > to+zone.MaxFrames || disowned { // others' claims about it; it knows better
		z.shared.Forfeit(origin, to)
	}
	in.last = to - 1
}

// teach merges one taught piece.
func (s *Session) teach(f wire.Frame, now clock.Reading) error {
	t, err := wire.ParseTeach(f.Body)
	if err != nil {
		return err
	}
	iz, err := s.zone(t.Zone)
	if err != nil {
		return err
	}
	z, n := iz.state, s.node
	if len(t.Payload) > 0 {
		if taught, ok := z.shared.(interface {
			TaughtBy([]byte) (zone.Origin, bool)
		}); ok {
			if teacher, ok := taught.TaughtBy(t.Payload); ok && teacher != iz.origin {
				const text = "resync data of zone %q claims origin %016x, which does not belong to this peer"
				return impostor(text, z.info.Name, uint64(teacher))
			}
		}
		applied, err := s.learn(iz, t.Payload, now)
		if err != nil {
			return fmt.Errorf("resync data of zone %q: %w", z.info.Name, err)
		}
		z.merged.Add(int64(applied.Won + applied.Cleared))
		n.cameLate(applied.Won+applied.Cleared, now)
		s.refused(iz, applied, now)
	}
	if t.Last {
		z.answered(s, t.Zone, int(t.Shard), now)
	}
	if t.Last && z.learnt(s, int(t.Shard), now) {
		n.decideReady(z, now)
	}
	return nil
}

// learn merges a taught piece. Records deleted here are not learnt again, and in a zone that is ready already, those in
// doubt are left out for now: the next comparison finds them again. A zone that starts from a state file takes what is
// in doubt: it must not be ready without what was written while it was away. But it may have evicted tombstones.
func (s *Session) learn(iz *intakeZone, payload []byte, now clock.Reading) (zone.Applied, error) {
	z, local := iz.state, s.arrival(now)
	compared, ok := z.shared.(zone.Comparable)
	switch {
	case ok && z.ready.Load():
		applied, err := compared.Mend(payload, s.trust(iz, compared, now), local)
		if applied.Doubted > 0 {
			iz.mending.doubtTaught(now)
		}
		return applied, err
	case ok && z.preloaded && compared.GaveUpMS() != 0:
		goneMS := s.node.goneHere(z, compared, lineageOf(&s.their.Zones[iz.index]), now)
		return compared.Mend(payload, zone.Trust{GoneMS: goneMS}, local)
	}
	return z.shared.Learn(payload, local)
}

func (s *Session) theirZoneReady(body []byte, now clock.Reading) error {
	r, err := wire.ParseReady(body)
	if err != nil {
		return err
	}
	if r.Zone >= uint64(len(s.their.Zones)) {
		return fmt.Errorf(
			"peer announced zone number %d as ready; its hello listed %d zones",
			r.Zone,
			len(s.their.Zones),
		)
	}
	s.their.Zones[r.Zone].Ready = true
	if list := s.intake.list(); s.stage == established && list[r.Zone] != nil {
		list[r.Zone].readyMS = now.MonoMS
		list[r.Zone].state.sourceReady(s, now)
	}
	return nil
}

// appendAcks queues acknowledgements that are due. Called with mu held.
func (s *Session) appendAcks(now clock.Reading) {
	if s.ackDelay(now) != 0 {
		return
	}
	s.intake.unacked, s.intake.ackNow = 0, false
	var body []byte
	for _, iz := range s.intake.list() {
		if iz != nil && iz.last > iz.acked {
			iz.acked = iz.last
			body = wire.AppendAck(body, wire.Ack{Zone: iz.index, Sequence: iz.last})
		}
	}
	if body == nil {
		return
	}
	s.queueMu.Lock()
	defer s.queueMu.Unlock()
	if s.ending == nil {
		s.control = wire.AppendFrame(s.control, wire.TypeAck, body, nil)
		s.controlMsgs++
	}
}

// ackDelay returns when the next acknowledgement is due, negative for never. Called with mu held.
func (s *Session) ackDelay(now clock.Reading) time.Duration {
	switch {
	case s.intake.ackNow:
		return 0
	case s.intake.unacked == 0:
		return -1
	case s.intake.unacked >= ackFrames:
		return 0
	}
	return ms(max(s.intake.sinceMS+ackMS-now.MonoMS, 0))
}
