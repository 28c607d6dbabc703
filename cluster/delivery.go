package cluster

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/zone"
)

// A delivery follows local changes of one zone to the peers, so that their writer can tell a client about them when
// they have arrived. Changes that wait together share one delivery: the next flush puts them into frames, each peer is
// asked to acknowledge these at once, and the acknowledgement of the last peer ends the wait.
//
// A peer that lets a waiter's time run out is left out: no later delivery waits for it, until it has acknowledged
// everything again. So a frozen peer costs one wait.

// deliveries are those of one zone.
type deliveries struct {
	// waiting are how many of open there are. awaited is the last frame that one of them waits for, kept the last one
	// that must be on disk. They are read without mu.
	waiting       atomic.Int32
	awaited, kept atomic.Uint64

	// mu is a leaf: it may be taken with any other lock held.
	mu sync.Mutex
	// group is the one of fresh that waits for all peers, fresh are those that wait for a flush, open those for peers.
	group       *delivery
	fresh, open []*delivery
	retired     bool // the zone is no longer shared
}

// delivery implements zone.Delivery. Its fields are guarded by deliveries.mu.
type delivery struct {
	of      *deliveries
	node    *Node
	need    zone.Need
	needed  int // nodes, of Need.Nodes
	waiters int
	done    chan struct{}
	isDone  bool

	sequence  uint64 // of the last frame that has the changes; 0 before the flush
	flushedMS int64  // monotonic
	collected bool   // peers is complete
	// peers are those that have not acknowledged yet, without Need.Nodes; have the nodes that have the changes, with.
	peers []*Session
	have  map[NodeID]struct{}
}

// deliveryFigures count what waited for peers.
type deliveryFigures struct {
	waits, late, leftOut atomic.Int64
	// able is how many outgoing sessions have peers that answer Await.
	able atomic.Int32
}

// deliver begins to follow the changes made so far in a zone.
func (n *Node) deliver(of *deliveries, need zone.Need) zone.Delivery {
	if need.Nodes == 0 && n.delivered.able.Load() == 0 {
		return nil
	}
	needed := need.Nodes
	if needed == zone.AllNodes {
		needed = n.memberCount()
	}
	of.mu.Lock()
	if of.retired {
		of.mu.Unlock()
		return nil
	}
	d := of.group
	if d == nil || need.Nodes > 0 {
		d = &delivery{of: of, node: n, need: need, needed: needed, done: make(chan struct{})}
		of.fresh = append(of.fresh, d)
		if need.Nodes == 0 {
			of.group = d
		}
	}
	d.waiters++
	of.mu.Unlock()
	n.delivered.waits.Add(1)
	n.pace.dirty.Store(true)
	n.driver.FlushSoon(false)
	return d
}

// Done implements zone.Delivery.
func (d *delivery) Done() <-chan struct{} { return d.done }

// Nodes implements zone.Delivery.
func (d *delivery) Nodes() (have, needed int) {
	d.of.mu.Lock()
	defer d.of.mu.Unlock()
	return 1 + len(d.have), d.needed
}

// memberCount is the number of nodes of the cluster: this one, and its members or connected peers if there are more.
func (n *Node) memberCount() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	connected := 0
	for _, p := range n.peers {
		if p.out != nil {
			connected++
		}
	}
	return 1 + max(n.expected, connected)
}

// End implements zone.Delivery.
func (d *delivery) End(late bool, now clock.Reading) {
	var slow []*Session
	d.of.mu.Lock()
	if late = late && !d.isDone; late {
		d.node.delivered.late.Add(1)
		// A peer is not to blame for changes that have hardly been sent.
		if d.collected && after(now, d.flushedMS, d.need.LimitMS/2) {
			slow = slices.Clone(d.peers)
		}
	}
	if d.waiters--; d.waiters == 0 {
		d.finish()
	}
	d.of.mu.Unlock()
	for _, s := range slow {
		if s.leaveOut(d, now) {
			d.node.deliverWithout(s)
		}
	}
}

// finish ends a delivery. Called with of.mu held.
func (d *delivery) finish() {
	if !d.isDone {
		d.isDone = true
		close(d.done)
	}
	of := d.of
	of.fresh = slices.DeleteFunc(of.fresh, func(o *delivery) bool { return o == d })
	of.open = slices.DeleteFunc(of.open, func(o *delivery) bool { return o == d })
	of.waiting.Store(int32(len(of.open)))
	if of.group == d {
		of.group = nil
	}
}

// settle finishes a delivery that has what it needs. Called with of.mu held.
func (d *delivery) settle() {
	if d.collected && len(d.peers) == 0 && (d.need.Nodes == 0 || 1+len(d.have) >= d.needed) {
		d.finish()
	}
}

// take returns the deliveries that the flush which begins now serves.
func (of *deliveries) take() []*delivery {
	of.mu.Lock()
	defer of.mu.Unlock()
	taken := of.fresh
	of.fresh, of.group = nil, nil
	return taken
}

// collect gives deliveries, whose changes were just flushed, the peers that they wait for.
func (n *Node) collect(z *zoneState, taken []*delivery, now clock.Reading) {
	of, last := &z.deliveries, z.shared.Journal().Head()-1
	of.mu.Lock()
	for _, d := range taken {
		if d.isDone {
			continue
		}
		d.sequence, d.flushedMS = last, now.MonoMS
		of.open = append(of.open, d)
		of.awaited.Store(max(of.awaited.Load(), last)) // written with mu held only
		if d.need.OnDisk {
			of.kept.Store(max(of.kept.Load(), last))
		}
	}
	of.waiting.Store(int32(len(of.open)))
	of.mu.Unlock()
	for _, s := range n.all() {
		if s.Outgoing {
			s.join(z, taken, now)
		}
	}
	of.mu.Lock()
	defer of.mu.Unlock()
	for _, d := range taken {
		d.collected = true
		if !d.isDone {
			d.settle()
		}
	}
}

// join lets deliveries wait for the peer of an outgoing session, unless it has the changes or is left out.
func (s *Session) join(z *zoneState, taken []*delivery, now clock.Reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pz := s.pushOf(z.progress)
	if pz == nil {
		return
	}
	s.readmit(now)
	of := &z.deliveries
	of.mu.Lock()
	defer of.mu.Unlock()
	for _, d := range taken {
		switch {
		case d.isDone:
		case pz.has(d):
			s.gotTo(d)
		case d.need.Nodes == 0 && s.answersAwait() && !s.leaving.out:
			d.peers = append(d.peers, s)
		}
	}
	s.node.driver.Wake(s)
}

// pushOf finds a zone that is pushed to an established peer, nil if it is not. Called with mu held.
func (s *Session) pushOf(p *progress) *pushZone {
	if s.stage != established {
		return nil
	}
	for _, pz := range s.push.zones {
		if pz.state.progress == p {
			return pz
		}
	}
	return nil
}

// answersAwait reports whether the peer acknowledges at once when it is asked to. Called with mu held.
func (s *Session) answersAwait() bool {
	return s.node.features&s.their.Features&wire.FeatureDelivery != 0
}

// has reports whether the peer has the changes of a flushed delivery.
func (pz *pushZone) has(d *delivery) bool {
	unsure := max(pz.lostTo, pz.bareTo) // acknowledgements do not tell whether it has what was in earlier frames
	switch {
	case d.sequence == 0:
		return true // nothing was ever changed
	case pz.acked < d.sequence, d.sequence < unsure:
		return false
	case d.need.Nodes > 0 && d.need.From < unsure:
		return false
	}
	return !d.need.OnDisk || pz.kept >= d.sequence
}

// gotTo notes that the peer has what a delivery brings. Called with mu and of.mu held.
func (s *Session) gotTo(d *delivery) {
	if d.need.Nodes > 0 {
		if d.have == nil {
			d.have = make(map[NodeID]struct{})
		}
		d.have[s.peer.id] = struct{}{}
	} else if i := slices.Index(d.peers, s); i >= 0 {
		d.peers = slices.Delete(d.peers, i, i+1)
		s.leaving.hit()
	}
}

// delivered looks for deliveries that the peer's last acknowledgement brings to an end. Called with mu held.
func (s *Session) delivered(pz *pushZone, now clock.Reading) {
	s.readmit(now)
	of := &pz.state.deliveries
	if of.waiting.Load() == 0 {
		return
	}
	of.mu.Lock()
	defer of.mu.Unlock()
	for _, d := range slices.Clone(of.open) {
		if pz.has(d) {
			s.gotTo(d)
			d.settle()
		}
	}
}

// without stops waiting for the peer of a session.
func (of *deliveries) without(s *Session) {
	of.mu.Lock()
	defer of.mu.Unlock()
	for _, d := range slices.Clone(of.open) {
		if i := slices.Index(d.peers, s); i >= 0 {
			d.peers = slices.Delete(d.peers, i, i+1)
			d.settle()
		}
	}
}

// deliverWithout stops waiting for the peer of a session in all zones.
func (n *Node) deliverWithout(s *Session) {
	for _, z := range n.table.Load().list {
		z.deliveries.without(s)
	}
}

// goOn ends retire: the zone is shared again.
func (of *deliveries) goOn() {
	of.mu.Lock()
	defer of.mu.Unlock()
	of.retired = false
}

// retire ends the deliveries of a zone that is no longer shared.
func (of *deliveries) retire() {
	of.mu.Lock()
	defer of.mu.Unlock()
	of.retired = true
	for _, d := range slices.Concat(of.fresh, of.open) {
		d.finish()
	}
}

// leaving is whether deliveries wait for the peer of an outgoing session, and questions for that of an incoming one.
type leaving struct {
	out bool
	// misses are the waits that ended without the peer since it was last in time forgivenAfter times in a row; hits are
	// how often in a row it was. untilMS is when it counts again at the earliest if it catches up; monotonic.
	misses, hits int
	untilMS      int64
	retryMS      int64 // when a question is put to the peer again, although it has not answered the last one
}

// A peer that never acknowledges in time, such as one behind a long line, costs one wait at the beginning, one after
// firstPauseMS, and ever fewer, down to one in maxPauseMS.
const (
	firstPauseMS = 100
	maxPauseMS   = 10_000
	// forgivenAfter is how often in a row a peer must be in time before its misses are forgotten. One that is late now
	// and then costs at most one wait in so many: with fewer, one that alternates would cost every second session one.
	forgivenAfter = 32
)

// hit notes that the peer was in time.
func (l *leaving) hit() {
	if l.hits = min(l.hits+1, forgivenAfter); l.hits == forgivenAfter {
		l.misses = 0
	}
}

// miss leaves the peer out.
func (l *leaving) miss(now clock.Reading) {
	l.out, l.untilMS, l.hits = true, now.MonoMS, 0
	if l.misses > 0 {
		l.untilMS += min(int64(firstPauseMS)<<min(l.misses-1, 16), maxPauseMS)
	}
	l.misses++
}

// leaveOut lets deliveries no longer wait for the peer, because the time of one has run out.
func (s *Session) leaveOut(d *delivery, now clock.Reading) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != established || s.leaving.out || slices.ContainsFunc(s.push.zones, func(pz *pushZone) bool {
		return &pz.state.deliveries == d.of && pz.has(d)
	}) {
		return s.leaving.out
	}
	s.leaving.miss(now)
	for _, pz := range s.push.zones {
		pz.owed = pz.state.deliveries.awaited.Load()
	}
	s.node.delivered.leftOut.Add(1)
	s.node.tell(s, Notice, "peer %s did not acknowledge a change within %v: answers to clients do not wait for it "+
		"until it has caught up", s.name(), ms(d.need.LimitMS))
	return true
}

// readmit lets deliveries wait again for a peer that has acknowledged all it was asked for. Called with mu held.
func (s *Session) readmit(now clock.Reading) {
	if !s.leaving.out || now.MonoMS < s.leaving.untilMS {
		return
	}
	for _, pz := range s.push.zones {
		if pz.acked < max(pz.owed, pz.asked) {
			return
		}
	}
	s.leaving.out = false
}

// fillAwait asks the peer to acknowledge frames that a delivery waits for, once they are sent. Called with mu held.
func (s *Session) fillAwait(dst []byte) []byte {
	if !s.answersAwait() {
		return dst
	}
	due := false
	var await wire.Await
	for _, pz := range s.push.zones {
		of := &pz.state.deliveries
		if last := of.awaited.Load(); last > max(pz.asked, pz.acked) && pz.cursor > last {
			pz.asked, due = last, true
		}
		if last := of.kept.Load(); last > max(pz.askedKept, pz.kept) && pz.cursor > last {
			pz.askedKept, due = last, true
			await.Kept = append(await.Kept, pz.index)
		}
	}
	if !due {
		return dst
	}
	return s.appendPlain(dst, wire.TypeAwait, await.Append(nil))
}

// awaited acknowledges at once, because the dialer holds back an answer to a client. Called with mu held.
func (s *Session) awaited(body []byte) error {
	a, err := wire.ParseAwait(body)
	if err != nil {
		return err
	}
	s.intake.ackNow = true
	for _, index := range a.Kept {
		iz, err := s.zone(index)
		switch {
		case errors.Is(err, errRetired):
			continue
		case err != nil:
			return err
		}
		if s.intake.keep == nil {
			s.intake.keep = make(map[*intakeZone]uint64)
		}
		s.intake.keep[iz] = iz.last
	}
	s.node.driver.Wake(s)
	if len(s.intake.keep) > 0 {
		s.node.driver.Keep(s)
	}
	return nil
}

// Keep waits until what the dialer of a session awaits is on disk, and tells it. It blocks: the driver calls it after
// its Keep was called, once for any number of calls, and never twice at a time.
func (s *Session) Keep() {
	s.mu.Lock()
	keep := s.intake.keep
	s.intake.keep = nil
	s.mu.Unlock()
	var body []byte
	for _, iz := range slices.SortedFunc(maps.Keys(keep), func(a, b *intakeZone) int {
		return cmp.Compare(a.index, b.index)
	}) {
		if durable, ok := iz.state.shared.(zone.Durable); ok {
			if err := durable.Keep(); err != nil {
				continue // the keeper of the state logs it; the dialer waits in vain
			}
		}
		body = wire.AppendAck(body, wire.Ack{Zone: iz.index, Sequence: keep[iz]})
	}
	if body != nil {
		s.send(wire.TypeKept, body)
	}
}

// keptThrough notes which frames are on the acceptor's disk. Called with mu held.
func (s *Session) keptThrough(body []byte, now clock.Reading) error {
	return s.eachAck(body, "keeps", func(pz *pushZone, sequence uint64) {
		pz.kept = max(pz.kept, sequence)
		s.delivered(pz, now)
	})
}

// DeliveryStatus counts the waits for peers.
type DeliveryStatus struct {
	// Waits are how often an answer to a client was held back, Late how often its time ran out, LeftOut how often a
	// peer was left out of later waits because of that.
	Waits   int64 `json:"waits"`
	Late    int64 `json:"timeouts"`
	LeftOut int64 `json:"left_out"`
}

func (f *deliveryFigures) status() DeliveryStatus {
	return DeliveryStatus{Waits: f.waits.Load(), Late: f.late.Load(), LeftOut: f.leftOut.Load()}
}
