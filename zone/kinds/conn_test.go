package kinds

import (
	"fmt"
	"testing"

	"starling/zone"
)

// connNode is a node with a zone of counts, whose frames the test carries.
type connNode struct {
	*Conn
	origin zone.Origin
	sent   uint64
	open   map[string][]Ticket
}

func newConnNode(origin zone.Origin, bytes int64) *connNode {
	n := &connNode{
		Conn:   NewConn(ConnConfig{Name: "conn", Bytes: bytes}),
		origin: origin, open: map[string][]Ticket{},
	}
	n.SetOrigin(origin)
	n.Resize(1024, 8192)
	return n
}

// enter opens a connection and returns whether it passed.
func (n *connNode) enter(key string, limit uint32) bool {
	ticket, verdict := n.Enter([]byte(key), limit)
	if verdict == Passed {
		n.open[key] = append(n.open[key], ticket)
	}
	return verdict == Passed
}

func (n *connNode) leave(key string) {
	n.Leave(n.open[key][0])
	n.open[key] = n.open[key][1:]
}

// sendTo flushes and carries the frames that were not carried yet.
func (n *connNode) sendTo(t *testing.T, ms int64, others ...*connNode) {
	t.Helper()
	n.sent = carry(t, n, n.origin, n.sent, ms, others)
}

// teach carries all shards.
func (n *connNode) teach(t *testing.T, to *connNode, ms int64) {
	t.Helper()
	for shard := range zone.Shards {
		piece, _, _ := n.TeachShard(shard, 0, nil, 0, at(ms))
		if len(piece) == 0 {
			continue
		}
		if _, err := to.Learn(piece, at(ms)); err != nil {
			t.Fatal(err)
		}
	}
}

func (n *connNode) counts(t *testing.T, key string, all, own uint32) {
	t.Helper()
	if gotAll, gotOwn := n.Count([]byte(key)); gotAll != all || gotOwn != own {
		t.Errorf("node %d counts %d connections of %q, %d of them its own; want %d and %d", n.origin, gotAll, key, gotOwn, all, own)
	}
}

// heard tells a node that another one is connected and was heard at that time.
func (n *connNode) heard(ms int64, others ...*connNode) {
	origins := map[zone.Origin]int64{}
	for _, other := range others {
		origins[other.origin] = at(ms).MonoMS
	}
	n.Heard(origins, false, 5000, at(ms))
}

func TestConnectionsOfAllNodesAddUp(t *testing.T) {
	a, b := newConnNode(1, 1<<20), newConnNode(2, 1<<20)
	for range 2 {
		if !a.enter("k", 3) {
			t.Fatal("a limit of 3 does not take two")
		}
	}
	a.sendTo(t, 1, b)
	if !b.enter("k", 3) || b.enter("k", 3) {
		t.Error("the limit is not the third")
	}
	b.sendTo(t, 2, a)
	if a.enter("k", 3) {
		t.Error("the first node does not count those of the second")
	}
	if !a.enter("other", 1) {
		t.Error("another key is limited too")
	}
	a.leave("k")
	a.sendTo(t, 3, b)
	b.counts(t, "k", 2, 1)
	if !b.enter("k", 3) {
		t.Error("a connection that has ended still counts")
	}
}

// TestNothingIsLeftOfClosedConnections, neither here nor at peers.
func TestNothingIsLeftOfClosedConnections(t *testing.T) {
	a, b := newConnNode(1, 1<<20), newConnNode(2, 1<<20)
	for i := range 500 {
		a.enter(fmt.Sprint("k", i), 10)
		b.enter(fmt.Sprint("k", i), 10)
	}
	a.sendTo(t, 1, b)
	b.sendTo(t, 1, a)
	for i := range 500 {
		a.leave(fmt.Sprint("k", i))
		b.leave(fmt.Sprint("k", i))
	}
	if stats := a.Stats(); stats.Records != 500 {
		t.Errorf("%d keys count, the other node's 500 do", stats.Records)
	}
	a.sendTo(t, 2, b)
	b.sendTo(t, 2, a)
	for _, n := range []*connNode{a, b} {
		n.Tick(at(100))
		if stats := n.Stats(); stats.Records != 0 || stats.Bytes != 0 || stats.Pending != 0 || stats.Full {
			t.Errorf("node %d has %+v", n.origin, stats)
		}
	}
}

// TestRequestsBetweenFlushesAreNotSent: most requests are over before a flush, and no node needs to hear of them.
func TestRequestsBetweenFlushesAreNotSent(t *testing.T) {
	n := newConnNode(1, 1<<20)
	for i := range 100 {
		key := fmt.Sprint("k", i%7)
		n.enter(key, 10)
		n.leave(key)
	}
	n.Flush(at(1))
	if head := n.Journal().Head(); head != zone.FirstSequence {
		t.Errorf("%d frames were made", head-zone.FirstSequence)
	}
	if stats := n.Stats(); stats.Pending != 0 {
		t.Errorf("%d changes wait", stats.Pending)
	}
	n.enter("k0", 10)
	n.Flush(at(2))
	if head := n.Journal().Head(); head != zone.FirstSequence+1 {
		t.Errorf("%d frames tell of a connection that stays", head-zone.FirstSequence)
	}
}

// TestASilentNodeGivesItsPartBack after the timeout, and has it again when it is back.
func TestASilentNodeGivesItsPartBack(t *testing.T) {
	a, b := newConnNode(1, 1<<20), newConnNode(2, 1<<20)
	b.Began(a.origin, 0, at(0))
	b.enter("k", 5)
	a.enter("k", 5)
	a.enter("k", 5)
	a.sendTo(t, 1, b)
	b.heard(100, a)
	for ms := int64(200); ms <= 5000; ms += 100 {
		b.heard(ms)
	}
	b.counts(t, "k", 3, 1)
	b.heard(5100)
	b.counts(t, "k", 1, 1)
	if b.Lacks(a.origin) == ([zone.Shards / 64]uint64{}) {
		t.Error("nothing is missing of a node that was dropped")
	}
	a.leave("k")
	b.Began(a.origin, a.sent, at(6000))
	a.teach(t, b, 6000)
	b.heard(6000, a)
	b.counts(t, "k", 2, 1)
	if lacks := b.Lacks(a.origin); lacks != ([zone.Shards / 64]uint64{}) {
		t.Errorf("it has taught everything, and %x are missing", lacks)
	}
	a.enter("k", 5)
	a.sendTo(t, 6001, b)
	b.counts(t, "k", 3, 1)
}

// TestAStopOfTheOwnProcessIsNoSilenceOfOthers: who was stopped cannot have heard anybody.
func TestAStopOfTheOwnProcessIsNoSilenceOfOthers(t *testing.T) {
	a, b := newConnNode(1, 1<<20), newConnNode(2, 1<<20)
	b.Began(a.origin, 0, at(0))
	a.enter("k", 5)
	a.sendTo(t, 1, b)
	b.heard(100, a)
	b.heard(60_000)
	b.counts(t, "k", 1, 0)
	for ms := int64(60_100); ms < 66_000; ms += 100 {
		b.heard(ms)
	}
	b.counts(t, "k", 0, 0)
}

// TestAPeerCannotTakeTheRoomOfOwnClients: however many keys it tells.
func TestAPeerCannotTakeTheRoomOfOwnClients(t *testing.T) {
	greedy, b := newConnNode(1, 1<<20), newConnNode(2, 32<<10)
	for i := range 2000 {
		greedy.enter(fmt.Sprint("greedy", i), 10)
	}
	b.Began(greedy.origin, 0, at(0))
	greedy.sendTo(t, 1, b)
	stats := b.Stats()
	if stats.Refused == 0 || !stats.Full || stats.RecordBytes > b.foreignLimit() {
		t.Errorf("%+v", stats)
	}
	for i := range 30 {
		if !b.enter(fmt.Sprint("own", i), 10) {
			t.Fatalf("own client %d is rejected", i)
		}
	}
	// What had no room is asked for again when there is some.
	for i := range 2000 {
		if i%100 != 0 {
			greedy.leave(fmt.Sprint("greedy", i))
		}
	}
	greedy.sendTo(t, 2, b)
	b.Tick(at(100))
	if b.Wants(greedy.origin) != ([zone.Shards / 64]uint64{}) {
		t.Error("asked before there was room")
	}
	b.heard(askAgainMS, greedy)
	if b.Wants(greedy.origin) == ([zone.Shards / 64]uint64{}) {
		t.Fatal("not asked for again")
	}
	greedy.teach(t, b, 3)
	for i := 0; i < 2000; i += 100 {
		b.counts(t, fmt.Sprint("greedy", i), 1, 0)
	}
	if stats := b.Stats(); stats.Full {
		t.Errorf("%+v", stats)
	}
}

// TestAFullZoneRejectsNewKeys as in nginx, and counts those that it has.
func TestAFullZoneRejectsNewKeys(t *testing.T) {
	n := newConnNode(1, 32<<10)
	var last string
	for i := 0; ; i++ {
		key := fmt.Sprint("k", i)
		if _, verdict := n.Enter([]byte(key), 10); verdict == NoRoom {
			break
		}
		last = key
	}
	if _, verdict := n.Enter([]byte(last), 10); verdict != Passed {
		t.Errorf("a known key: %v", verdict)
	}
	if stats := n.Stats(); !stats.Full {
		t.Errorf("%+v", stats)
	}
	// Requests that come and go, each with a key of its own, do not fill a zone, with a cluster or without.
	n = newConnNode(1, 32<<10)
	for i := range 10_000 {
		key := fmt.Sprint("k", i)
		if !n.enter(key, 10) {
			t.Fatalf("request %d has no room", i)
		}
		n.leave(key)
		if i%1000 == 0 {
			n.Tick(at(int64(i)))
		}
	}
}

// TestTicketsOutliveRemovedRecords: records go beside a connection that stays, and its place is its own.
func TestTicketsOutliveRemovedRecords(t *testing.T) {
	n := newConnNode(1, 8<<20)
	for i := range 60_000 {
		n.enter(fmt.Sprint("k", i), 10)
	}
	stays := "k59999"
	for i := range 60_000 {
		if key := fmt.Sprint("k", i); key != stays {
			n.leave(key)
		}
	}
	n.Flush(at(1))
	for range 20 {
		n.Tick(at(100))
	}
	n.counts(t, stays, 1, 1)
	n.leave(stays)
	n.Flush(at(2))
	n.Tick(at(200))
	if stats := n.Stats(); stats.Bytes != 0 || stats.Records != 0 {
		t.Errorf("%+v", stats)
	}
}

// TestAZoneThatReplacesAnotherCountsItsConnections until they end, each once.
func TestAZoneThatReplacesAnotherCountsItsConnections(t *testing.T) {
	before, now, later := newConnNode(1, 1<<20), newConnNode(2, 1<<20), newConnNode(3, 32<<10)
	before.enter("k", 9)
	before.enter("k", 9)
	before.Follow(now)
	now.counts(t, "k", 2, 2)
	before.enter("k", 9) // of the last requests of the configuration before
	now.enter("k", 9)
	now.counts(t, "k", 4, 4)
	now.Follow(later)
	later.counts(t, "k", 4, 4)
	before.leave("k")
	now.leave("k")
	now.counts(t, "k", 2, 2)
	later.counts(t, "k", 2, 2)
	before.leave("k")
	before.leave("k")
	for _, n := range []*connNode{before, now, later} {
		n.counts(t, "k", 0, 0)
	}
	// A zone without room takes what it can, and is not asked back for the rest.
	many := newConnNode(4, 1<<20)
	for i := range 2000 {
		many.enter(fmt.Sprint("many", i), 9)
	}
	many.Follow(later)
	for i := range 2000 {
		many.leave(fmt.Sprint("many", i))
	}
	later.Flush(at(1))
	later.Tick(at(100))
	if stats := later.Stats(); stats.Records != 0 || stats.Bytes != 0 {
		t.Errorf("%+v", stats)
	}
}

// TestKeysWithTheMostConnectionsOfAllNodes are shown with this node's part.
func TestKeysWithTheMostConnectionsOfAllNodes(t *testing.T) {
	a, b := newConnNode(1, 1<<20), newConnNode(2, 1<<20)
	for i := range 9 {
		for range i {
			a.enter(fmt.Sprint("k", i), 99)
		}
	}
	b.enter("k3", 99)
	b.enter("k8", 99)
	a.sendTo(t, 1, b)
	got := ""
	for _, h := range b.Fullest(3) {
		got += fmt.Sprintf("%s %d, %d here; ", h.Key, h.All, h.Own)
	}
	if got != "k8 9, 1 here; k7 7, 0 here; k6 6, 0 here; " {
		t.Errorf("got %s", got)
	}
	if got := len(b.Fullest(20)); got != 8 {
		t.Errorf("%d keys have connections", got)
	}
}

func FuzzConn(f *testing.F) {
	fuzzDecoders(f, func(z zone.Shared) {
		for _, key := range []string{"192.0.2.1", "k", "k"} {
			z.(*Conn).Enter([]byte(key), 9)
		}
		z.SetOrigin(7)
	}, func() zone.Shared { return NewConn(ConnConfig{Name: "c", Bytes: 32 << 10}) })
}
