package kinds

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"starling/zone"
)

// healthNode is a node with a zone of findings, whose frames the test carries.
type healthNode struct {
	*Health
	origin zone.Origin
	sent   uint64
	woken  map[string]int
}

func newHealthNode(origin zone.Origin, bytes int64) *healthNode {
	n := &healthNode{origin: origin, woken: map[string]int{}}
	n.Health = NewHealth(HealthConfig{Name: "z health", Bytes: bytes, Changed: func(key []byte) { n.woken[string(key)]++ }})
	n.SetOrigin(origin)
	n.Resize(1024, 8192)
	return n
}

func (n *healthNode) says(t *testing.T, key, value string, ms int64) {
	t.Helper()
	if err := n.Say([]byte(key), []byte(value), at(ms)); err != nil {
		t.Fatal(err)
	}
}

// sendTo flushes and carries the frames that were not carried yet.
func (n *healthNode) sendTo(t *testing.T, ms int64, others ...*healthNode) {
	t.Helper()
	n.sent = carry(t, n, n.origin, n.sent, ms, others)
}

func (n *healthNode) teach(t *testing.T, to *healthNode, ms int64) {
	t.Helper()
	for shard := range zone.Shards {
		piece, _, done := n.TeachShard(shard, 0, nil, 0, at(ms))
		if !done {
			t.Fatal("a shard has more than one piece")
		}
		if teacher, ok := to.TaughtBy(piece); !ok || teacher != n.origin {
			t.Fatalf("the piece is of %x", teacher)
		}
		if _, err := to.Learn(piece, at(ms)); err != nil {
			t.Fatal(err)
		}
	}
}

// hears is what a node was told under a key: "origin=value …", in brackets if that node is away.
func (n *healthNode) hears(t *testing.T, key, want string) {
	t.Helper()
	var list []string
	for _, f := range n.Told(nil, []byte(key)) {
		text := fmt.Sprintf("%d=%s", f.From, f.Value)
		if f.Away {
			text = "(" + text + ")"
		}
		list = append(list, text)
	}
	if got := strings.Join(list, " "); got != want {
		t.Errorf("node %d was told %q under %q, want %q", n.origin, got, key, want)
	}
}

func (n *healthNode) heard(ms int64, all bool, others ...*healthNode) {
	origins := map[zone.Origin]int64{}
	for _, other := range others {
		origins[other.origin] = at(ms).MonoMS
	}
	n.Heard(origins, all, 5000, at(ms))
}

// TestEachNodeHasItsOwnFinding under one key: nobody replaces that of another one.
func TestEachNodeHasItsOwnFinding(t *testing.T) {
	a, b, c := newHealthNode(1, 1<<20), newHealthNode(2, 1<<20), newHealthNode(3, 1<<20)
	a.says(t, "server", "up", 0)
	b.says(t, "server", "down", 0)
	a.sendTo(t, 0, b, c)
	b.sendTo(t, 0, a, c)
	a.hears(t, "server", "2=down")
	b.hears(t, "server", "1=up")
	c.hears(t, "server", "1=up 2=down")
	if got := string(a.Own([]byte("server"))); got != "up" {
		t.Errorf("its own is %q", got)
	}
	a.says(t, "server", "down too", 1)
	a.sendTo(t, 1, c)
	c.hears(t, "server", "1=down too 2=down")
	if got := c.Told(nil, []byte("server"))[0].AtMS; got != at(1).MonoMS {
		t.Errorf("it arrived at %d, want %d", got, at(1).MonoMS)
	}
	if c.woken["server"] != 3 {
		t.Errorf("%d changes were noted", c.woken["server"])
	}
}

// TestAFindingCanBeWithdrawn, and then nothing of it stays anywhere.
func TestAFindingCanBeWithdrawn(t *testing.T) {
	a, b := newHealthNode(1, 1<<20), newHealthNode(2, 1<<20)
	a.says(t, "server", "up", 0)
	a.sendTo(t, 0, b)
	a.Withdraw([]byte("server"), at(1))
	a.Withdraw([]byte("server"), at(1))
	a.Withdraw([]byte("never said"), at(1))
	if stats := a.Stats(); stats.Records != 0 || stats.Pending != 1 {
		t.Errorf("before it is sent: %+v", stats)
	}
	a.Tick(at(2))
	a.sendTo(t, 2, b)
	a.Tick(at(3))
	b.hears(t, "server", "")
	if b.woken["server"] != 2 {
		t.Errorf("%d changes were noted", b.woken["server"])
	}
	for _, n := range []*healthNode{a, b} {
		if stats := n.Stats(); stats.Bytes != 0 || stats.Records != 0 || stats.Pending != 0 {
			t.Errorf("node %d has %+v", n.origin, stats)
		}
	}
	a.Withdraw([]byte("server"), at(4))
	a.says(t, "server", "up", 5)
	a.Withdraw([]byte("server"), at(5))
	a.says(t, "server", "up again", 5)
	a.sendTo(t, 5, b)
	b.hears(t, "server", "1=up again")
	if stats := a.Stats(); stats.Records != 1 {
		t.Errorf("said again: %+v", stats)
	}
}

// TestWhatANodeToldEndsWithIt: at once if all nodes are connected, otherwise when it was silent for long enough.
func TestWhatANodeToldEndsWithIt(t *testing.T) {
	a, b := newHealthNode(1, 1<<20), newHealthNode(2, 1<<20)
	b.Began(a.origin, 0, at(0))
	a.says(t, "server", "up", 0)
	a.sendTo(t, 0, b)
	b.heard(100, true, a)
	b.hears(t, "server", "1=up")
	b.heard(200, false)
	b.hears(t, "server", "(1=up)")
	if b.Lacks(a.origin) != everyShard {
		t.Error("something is known for sure of a node that is away")
	}
	for ms := int64(300); ms < 5100; ms += 100 {
		b.heard(ms, false)
	}
	b.hears(t, "server", "(1=up)")
	b.heard(5150, false)
	b.hears(t, "server", "")
	if stats := b.Stats(); stats.Bytes != 0 || b.woken["server"] != 2 {
		t.Errorf("%+v, %d changes were noted", stats, b.woken["server"])
	}
	b.Began(a.origin, 1, at(6000))
	if b.Wants(a.origin) != everyShard {
		t.Error("it is not asked again for what it told")
	}
	a.teach(t, b, 6000)
	b.hears(t, "server", "1=up")
	if b.Wants(a.origin) != ([zone.Shards / 64]uint64{}) {
		t.Error("it is asked again for what it has taught")
	}
	b.heard(6100, true)
	b.hears(t, "server", "")
	a.teach(t, b, 6200)
	b.Disown(a.origin)
	b.hears(t, "server", "")
}

// TestANewNodeAsksEachOther for all that it tells: who teaches the zone says only what it found itself.
func TestANewNodeAsksEachOther(t *testing.T) {
	a, b, newcomer := newHealthNode(1, 1<<20), newHealthNode(2, 1<<20), newHealthNode(3, 1<<20)
	a.says(t, "server", "up", 0)
	b.says(t, "server", "down", 0)
	a.sendTo(t, 0, b)
	b.sendTo(t, 0, a)
	newcomer.Began(a.origin, 0, at(1))
	a.teach(t, newcomer, 1)
	newcomer.hears(t, "server", "1=up")
	newcomer.Began(b.origin, 0, at(1))
	if newcomer.Wants(a.origin) != ([zone.Shards / 64]uint64{}) || newcomer.Wants(b.origin) != everyShard {
		t.Errorf("it asks for %x of one that has taught it, and for %x of the other", newcomer.Wants(a.origin), newcomer.Wants(b.origin))
	}
}

// TestTimeInWhichThisProcessStoodStillIsNotSilence of the others.
func TestTimeInWhichThisProcessStoodStillIsNotSilence(t *testing.T) {
	a, b := newHealthNode(1, 1<<20), newHealthNode(2, 1<<20)
	a.says(t, "server", "up", 0)
	a.sendTo(t, 0, b)
	b.heard(100, false, a)
	b.Heard(map[zone.Origin]int64{a.origin: at(100).MonoMS}, false, 5000, at(60_000))
	b.hears(t, "server", "1=up")
}

// TestALostFrameIsTaught: what the origin teaches replaces what is here, and frames from before it change nothing.
func TestALostFrameIsTaught(t *testing.T) {
	a, b := newHealthNode(1, 1<<20), newHealthNode(2, 1<<20)
	b.Began(a.origin, 0, at(0))
	a.says(t, "gone", "x", 0)
	a.says(t, "stays", "x", 0)
	a.sendTo(t, 0, b)
	a.Withdraw([]byte("gone"), at(1))
	a.says(t, "stays", "y", 1)
	a.sendTo(t, 1) // lost
	b.Forfeit(a.origin, a.sent+1)
	if b.Wants(a.origin) != everyShard {
		t.Error("nothing is asked for")
	}
	a.teach(t, b, 2)
	b.hears(t, "gone", "")
	b.hears(t, "stays", "1=y")
	old, _, _, _ := a.Journal().Frame(zone.FirstSequence)
	if _, err := b.Apply(a.origin, zone.FirstSequence, old, 0, at(3)); err != nil {
		t.Fatal(err)
	}
	b.hears(t, "gone", "")
	piece, _, _ := a.TeachShard(zone.ShardOf(zone.KeyHash([]byte("stays"))), 0, nil, 0, at(3))
	a.says(t, "stays", "z", 4)
	a.sendTo(t, 4, b)
	if _, err := b.Learn(piece, at(5)); err != nil { // of a connection before
		t.Fatal(err)
	}
	b.hears(t, "stays", "1=z")
}

// TestHalfOfAZoneIsForTheOthers: a peer that tells without end fills that half, and this node can still tell.
func TestHalfOfAZoneIsForTheOthers(t *testing.T) {
	liar, b := newHealthNode(1, 16<<20), newHealthNode(2, 32<<10)
	value := strings.Repeat("v", MaxHealthValueBytes)
	for i := range 1000 {
		liar.says(t, fmt.Sprint("server", i), value, 0)
	}
	liar.sendTo(t, 0, b)
	stats := b.Stats()
	if stats.Bytes > 16<<10 || stats.Bytes < 14<<10 || !stats.Full || stats.Refused == 0 {
		t.Errorf("%+v", stats)
	}
	var err error
	said := 0
	for ; err == nil; said++ {
		err = b.Say(fmt.Append(nil, "mine", said), []byte(value), at(0))
	}
	if stats := b.Stats(); !errors.Is(err, ErrFull) || said < 12 || stats.Bytes > 32<<10 {
		t.Errorf("%d findings, %v, %+v", said, err, stats)
	}
	b.heard(100, true)
	if stats := b.Stats(); stats.Bytes > 16<<10 {
		t.Errorf("after it has left: %+v", stats)
	}
	for i := range 2000 { // each start of a node is an origin
		b.Began(zone.Origin(10+i), 0, at(200))
		b.heard(200, false)
	}
	if got := len(b.speakers); got > maxLives {
		t.Errorf("%d origins are remembered", got)
	}
}

func TestFindingsThatNoNodeTells(t *testing.T) {
	a := newHealthNode(1, 1<<20)
	for name, err := range map[string]error{
		"no key":     a.Say(nil, []byte("v"), at(0)),
		"long key":   a.Say(make([]byte, MaxHealthKeyBytes+1), []byte("v"), at(0)),
		"no value":   a.Say([]byte("k"), nil, at(0)),
		"long value": a.Say([]byte("k"), make([]byte, MaxHealthValueBytes+1), at(0)),
	} {
		if err == nil {
			t.Errorf("%s is told", name)
		}
	}
	a.says(t, "k", "v", 0)
	a.Flush(at(0))
	frame, _, _, _ := a.Journal().Frame(zone.FirstSequence)
	other := append([]byte{}, frame...)
	other[1]++ // of another shard
	piece, _, _ := a.TeachShard(0, 0, nil, 0, at(0))
	for _, payload := range [][]byte{nil, {5}, frame[:len(frame)-2], other} {
		if _, err := newHealthNode(2, 1<<20).Apply(1, 1, payload, 0, at(0)); err == nil {
			t.Errorf("frame %x is accepted", payload)
		}
	}
	for _, payload := range [][]byte{nil, frame, piece[:5], append(piece, 0), append(piece, 1, 'k')} {
		if _, err := newHealthNode(2, 1<<20).Learn(payload, at(0)); err == nil {
			t.Errorf("piece %x is accepted", payload)
		}
	}
}
