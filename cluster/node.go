package cluster

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/zone"
)

// Node is this node's part of the protocol: its zones, and a session per connection.
type Node struct {
	id          NodeID
	incarnation uint64
	features    uint64
	proof       wire.Proof
	kinds       []*zone.Kind
	driver      Driver
	strict      Strict
	clocks      clocks
	pace        pacer
	heads       atomic.Uint64 // the sum of the journals' heads when outgoing sessions were last woken
	traffic     traffic
	delivered   deliveryFigures
	questions   questionFigures
	viewsDue    atomic.Bool // a peer waits for the view of this node
	// cameLateMS is when records last came late, by a repair, a teach or a resumed journal; monotonic.
	cameLateMS atomic.Int64

	// table and settings are replaced whole by Reload and read without a lock.
	table    atomic.Pointer[zoneTable]
	settings atomic.Pointer[Settings]
	cluster  atomic.Pointer[string]
	subjects atomic.Pointer[map[string]bool] // of this node's own certificates
	// rezoning is set while Reload announces other zones to the peers: none of these is ready meanwhile.
	rezoning atomic.Bool

	mu       sync.Mutex
	peers    map[NodeID]*peer
	sessions map[*Session]struct{}
	// origins are those that peers named, and clockWrong means that the local clock is far from cluster time.
	origins    map[zone.Origin]holder
	clockWrong bool
	// heldMS is the clock step that was logged. highestMS is the latest cluster time that may be in stamps, less the
	// monotonic clock, and aheadFromMS the first stamp since it was that.
	heldMS, highestMS, aheadFromMS int64
	// agreements outlive forgotten peers.
	agreements map[agreementKey]agreement
	serial     uint64 // of the last session
	changes    uint64 // of who is connected
	changedMS  int64  // monotonic, of the last of them
	// lostMS is when a connection was last lost, heardMS when that peer had last been heard, by cluster time; initially
	// when the node started.
	lostMS, heardMS int64
	// left are the zones that a reload removed, by their origins: one that returns goes on where it was.
	left map[zone.Origin]*progress
	// expected is how many other members there are, -1 while unknown.
	expected   int
	zoneTickMS int64 // monotonic time of the last Tick of the zones
	viewMS     int64 // monotonic time of the last view told
	stopping   bool
}

// zoneTable are the shared zones in the order of the hello: an index in it identifies a zone on the wire.
type zoneTable struct {
	list   []*zoneState
	byName map[string]*zoneState
}

// traffic counts what the API calls msgs and bytes: every frame from and to a peer, including heartbeats and
// acknowledgements, so that constant figures mean a stalled connection.
type traffic struct {
	bytesIn, bytesOut, msgsIn, msgsOut atomic.Int64
	// updateBytes and updates are the part of bytesOut and msgsOut that has records.
	updateBytes, updates atomic.Int64
}

// zoneTickEveryMS is how often zones expire records.
const zoneTickEveryMS = 100

// New makes a node. Its zones count as loaded at now.
func New(config Config, now clock.Reading) (*Node, error) {
	n := &Node{
		id: config.ID, incarnation: config.Incarnation,
		features: (wire.FeatureS2 | wire.FeatureRepair | wire.FeatureSteady | wire.FeatureZones |
			wire.FeatureDelivery | wire.FeatureQuestions | wire.FeatureStrict | wire.FeatureSums) &^ config.Withhold,
		driver: config.Driver, strict: config.Strict,
		peers: make(
			map[NodeID]*peer,
		), agreements: make(map[agreementKey]agreement), sessions: make(map[*Session]struct{}), expected: -1,
		left: make(map[zone.Origin]*progress),
		origins: make(
			map[zone.Origin]holder,
		), proof: config.Proof, kinds: config.Kinds, highestMS: now.WallMS - now.MonoMS, aheadFromMS: now.WallMS,
	}
	n.lostMS, n.heardMS = now.WallMS, now.WallMS
	n.table.Store(&zoneTable{})
	if err := n.Reload(config, now); err != nil {
		return nil, err
	}
	return n, nil
}

// Reload applies a new configuration. A zone that is the same object keeps its place in the cluster, whatever its
// settings. Peers are told over the existing connections which zones were added and removed. If more of the hello
// changes, or a peer does not support that, sessions are ended with the request to reconnect at once; they resume. ID,
// Incarnation, Driver, Strict and Kinds cannot change.
func (n *Node) Reload(config Config, now clock.Reading) error {
	if err := config.check(); err != nil {
		return err
	}
	settings := config.Settings.withDefaults()
	old := n.table.Load()
	table := &zoneTable{byName: make(map[string]*zoneState, len(config.Zones))}
	same := len(old.list) == len(config.Zones)
	for _, shared := range config.Zones {
		info := shared.Info()
		z := old.byName[info.Name]
		if z == nil || z.shared != shared || z.info.Incarnation != info.Incarnation {
			z = n.adopt(shared, settings, now)
		}
		same = same && z == old.byName[info.Name] && z.info == info
		z = &zoneState{shared: shared, info: info, progress: z.progress}
		table.list = append(table.list, z)
		table.byName[info.Name] = z
	}
	before, cluster := n.settings.Load(), n.cluster.Load()
	n.rezoning.Store(true)
	n.leaveBehind(old, table)
	n.table.Store(table)
	for _, z := range old.list {
		if !table.continues(z) {
			z.deliveries.retire()
		}
	}
	n.settings.Store(&settings)
	n.cluster.Store(&config.Cluster)
	subjects := make(map[string]bool, len(config.Subjects))
	for _, subject := range config.Subjects {
		subjects[subject] = true
	}
	n.subjects.Store(&subjects)
	n.pace.setInterval(time.Duration(settings.IntervalMS) * time.Millisecond)
	for _, s := range n.all() {
		switch {
		case before.TimeoutMS != settings.TimeoutMS || *cluster != config.Cluster:
			s.leave(wire.ReasonReload, "configuration changed")
		case !same:
			s.rezone(now)
		}
	}
	n.rezoning.Store(false)
	return nil
}

// maxLeft bounds the zones that were removed and may return: an operator changes a few.
const maxLeft = 256

// continues reports whether the table has a zone of an earlier one, as the same object.
func (t *zoneTable) continues(z *zoneState) bool {
	mine := t.byName[z.info.Name]
	return mine != nil && mine.progress == z.progress
}

// leaveBehind keeps the progress of the zones that the new table does not have.
func (n *Node) leaveBehind(old, table *zoneTable) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, z := range old.list {
		if table.continues(z) || !z.ready.Load() {
			continue
		}
		for origin := range n.left {
			if len(n.left) < maxLeft {
				break
			}
			delete(n.left, origin)
		}
		n.left[z.origin] = z.progress
	}
}

// returned is the progress of a zone that was here before, as the same object: it continues as after a disconnect. It
// is nil for a new zone.
func (n *Node) returned(origin zone.Origin) *progress {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.left[origin]
	delete(n.left, origin)
	return p
}

// adopt adds a zone to the cluster: it starts to keep a journal and waits to be taught, unless it returns.
func (n *Node) adopt(shared zone.Shared, settings Settings, now clock.Reading) *zoneState {
	info := shared.Info()
	origin := originOf(n.id, n.incarnation, info.Name, info.Incarnation)
	shared.SetOrigin(origin)
	shared.Resize(max(settings.Buffers, minRingFrames), settings.BufferBytes)
	// Own costs of limits are all in the journal or pending; teaching levels as well could count others' costs twice.
	preloaded := !info.Kind.Sums && shared.Stats().Records > 0
	before := n.returned(origin)
	z := &zoneState{shared: shared, info: info, progress: before}
	if before == nil {
		z.progress = newProgress(origin, preloaded, now)
	}
	shared.OnDirty(func(urgent bool) {
		n.pace.dirty.Store(true)
		if urgent {
			n.pace.urgent.Store(true)
		}
		n.driver.FlushSoon(urgent)
	})
	shared.OnDeliver(func(need zone.Need) zone.Delivery { return n.deliver(&z.deliveries, need) })
	if findable, ok := shared.(zone.Findable); ok {
		findable.OnAsk(func(key []byte, now clock.Reading) zone.Waiting { return n.ask(z, key, now) })
	}
	if before != nil {
		z.deliveries.goOn()
		return z
	}
	shared.Hold(allShards)
	n.recall(z)
	return z
}

// Expect sets how many members the node has to meet, without itself and aliases; -1 if that is not known yet. A node
// that has met them all and found no teacher is ready at once instead of after AloneMS.
func (n *Node) Expect(members int) {
	n.mu.Lock()
	n.expected = members
	n.mu.Unlock()
}

// ID is the node's own id.
func (n *Node) ID() NodeID { return n.id }

// ClusterTime moves a local reading to cluster time. All code that stamps or expires records in shared zones uses it.
func (n *Node) ClusterTime(now clock.Reading) clock.Reading { return n.clocks.clusterTime(now) }

// NextFlush returns how long the next Flush should wait, and false if there is nothing to flush. The argument is a
// monotonic time of finer grain than a Reading, since any fixed moment.
func (n *Node) NextFlush(mono time.Duration) (wait time.Duration, dirty bool) {
	return n.pace.wait(mono)
}

// Flush moves changes into the journals and wakes the outgoing sessions.
func (n *Node) Flush(mono time.Duration, now clock.Reading) {
	n.pace.began(mono)
	if n.flushZones(now) {
		n.pace.served(mono)
	}
}

// flushZones reports whether somebody waited for the flush.
func (n *Node) flushZones(now clock.Reading) (awaited bool) {
	local := n.clocks.clusterTime(now)
	var heads uint64
	type served struct {
		z     *zoneState
		taken []*delivery
	}
	var all []served
	for _, z := range n.table.Load().list {
		if taken := z.deliveries.take(); len(taken) > 0 { // before the flush: it must see all their changes
			all = append(all, served{z, taken})
		}
		z.shared.Flush(local)
		heads += z.shared.Journal().Head()
	}
	n.markLeft()
	if n.heads.Swap(heads) != heads { // a zone may have flushed by itself, to make room
		n.wakeOutgoing()
	}
	for _, s := range all {
		n.collect(s.z, s.taken, now)
	}
	return len(all) > 0
}

// markLeft requests another flush if changes came while the last one ran: their dirty list was not empty, so they
// called no callback.
func (n *Node) markLeft() {
	for _, z := range n.table.Load().list {
		if z.shared.Stats().Pending > 0 && !n.pace.dirty.Swap(true) {
			n.driver.FlushSoon(false)
			return
		}
	}
}

// Spent reports the cost of a flush (flush) or of a write of its frames (write) to the pacing: see NextFlush.
func (n *Node) Spent(flush, write time.Duration) {
	if write > 0 {
		n.pace.spent.Add(int64(write))
	}
	if flush > 0 {
		n.pace.ended(flush)
	}
}

func (n *Node) wakeOutgoing() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for s := range n.sessions {
		if s.Outgoing {
			n.driver.Wake(s)
		}
	}
}

// Tick does what depends on time alone: heartbeats, timeouts, expiry, digests, readiness. Call it every 100 ms or so.
func (n *Node) Tick(now clock.Reading) {
	n.watchClock(now)
	local := n.clocks.clusterTime(now)
	n.mu.Lock()
	due := after(now, n.zoneTickMS, zoneTickEveryMS)
	if due {
		n.zoneTickMS = now.MonoMS
	}
	n.mu.Unlock()
	var reaches map[string][]reach
	if due {
		reaches = n.reaches(now)
		n.heed(now)
	}
	for _, z := range n.table.Load().list {
		if due {
			z.shared.Tick(local)
			n.protect(z, reaches[z.info.Name], now)
		}
		n.followAgreements(z, now)
		n.decideReady(z, now)
	}
	n.markLeft()
	for _, s := range n.all() {
		s.tick(now)
	}
	n.forgetPeers(now)
	n.tellViews(now)
}

// all returns all sessions, so that they can be locked without n.mu.
func (n *Node) all() []*Session {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]*Session, 0, len(n.sessions))
	for s := range n.sessions {
		list = append(list, s)
	}
	slices.SortFunc(list, bySerial)
	return list
}

// Drained reports whether all changes have been sent to and acknowledged by each connected peer, and what peers are
// being taught or repaired has been sent.
func (n *Node) Drained() bool {
	for _, z := range n.table.Load().list {
		if z.shared.Stats().Pending > 0 {
			return false
		}
	}
	for _, s := range n.all() {
		if s.Outgoing && s.behind() {
			return false
		}
	}
	return true
}

// Stop says goodbye on every session; each ends when its Outbox is empty. No session is accepted afterwards.
func (n *Node) Stop() {
	n.mu.Lock()
	n.stopping = true
	n.mu.Unlock()
	for _, s := range n.all() {
		s.leave(wire.ReasonStopping, "node is shutting down")
	}
}

func (n *Node) event(kind EventKind, format string, args ...any) {
	n.driver.Event(Event{Kind: kind, Text: "zone_sync: " + fmt.Sprintf(format, args...)})
}

// tell reports an event that a session's peer caused: the driver logs a few lines of each reason, which is the format,
// and counts the rest.
func (n *Node) tell(s *Session, kind EventKind, format string, args ...any) {
	n.tellOf(s, format, kind, format, args...)
}

// tellOf is tell with a reason of its own.
func (n *Node) tellOf(s *Session, reason string, kind EventKind, format string, args ...any) {
	text := "zone_sync: " + fmt.Sprintf(format, args...)
	n.driver.Event(Event{Kind: kind, Text: text, Peer: s.identity.key, Reason: reason})
}
