package kinds

import (
	"testing"

	"starling/zone"
)

// TestFramesThatWereLostAreTaught: after a gap, what the origin teaches replaces what is here.
func TestFramesThatWereLostAreTaught(t *testing.T) {
	a, b := newConnNode(1, 1<<20), newConnNode(2, 1<<20)
	b.Began(a.origin, 0, at(0))
	a.enter("gone", 5)
	a.enter("stays", 5)
	a.sendTo(t, 1, b)
	a.leave("gone")
	a.sendTo(t, 2) // lost
	a.enter("stays", 5)
	a.sendTo(t, 3) // lost
	b.Forfeit(a.origin, a.sent+1)
	if lacks := b.Lacks(a.origin); lacks != everyShard {
		t.Errorf("only %x are missing", lacks)
	}
	a.teach(t, b, 4)
	b.counts(t, "gone", 0, 0)
	b.counts(t, "stays", 2, 0)
	if lacks := b.Lacks(a.origin); lacks != ([zone.Shards / 64]uint64{}) {
		t.Errorf("%x are still missing", lacks)
	}
}

// TestANewNodeLearnsAllFromOneTeacher, and frames that it got before or gets later do not count twice or come back.
func TestANewNodeLearnsAllFromOneTeacher(t *testing.T) {
	a, b, c := newConnNode(1, 1<<20), newConnNode(2, 1<<20), newConnNode(3, 1<<20)
	c.Hold(everyShard)
	a.enter("early", 9)
	b.enter("early", 9)
	a.sendTo(t, 1, b)
	b.enter("closing", 9)
	b.enter("staying", 9)
	b.sendTo(t, 2, a)
	piece := map[int][]byte{}
	for shard := range zone.Shards {
		piece[shard], _, _ = a.TeachShard(shard, 0, nil, 0, at(3))
	}
	b.leave("closing")
	b.sendTo(t, 4, a, c) // before the pieces of a that do not know of it
	for shard := range zone.Shards {
		if len(piece[shard]) > 0 {
			if _, err := c.Learn(piece[shard], at(5)); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.Release(at(5))
	c.counts(t, "early", 2, 0)
	c.counts(t, "closing", 0, 0)
	c.counts(t, "staying", 1, 0)
	if stats := c.Stats(); stats.Records != 2 {
		t.Errorf("%d keys have connections, want 2", stats.Records)
	}
}

// TestNobodySpeaksForOthers once they can speak for themselves.
func TestNobodySpeaksForOthers(t *testing.T) {
	liar, b, c := newConnNode(1, 1<<20), newConnNode(2, 1<<20), newConnNode(3, 1<<20)
	for range 100 {
		liar.enter("k", 1000)
	}
	b.enter("k", 9)
	b.sendTo(t, 1, c, liar)
	b.enter("other", 9)
	b.sendTo(t, 2, liar)
	liar.teach(t, c, 3)
	c.counts(t, "k", 101, 0) // its own are its own
	c.counts(t, "other", 0, 0)
	// It may bring a newcomer to believe it, until the node itself says otherwise.
	d := newConnNode(4, 1<<20)
	d.Hold(everyShard)
	liar.tellers.byName[b.origin].completed = 1 << 40
	liar.teach(t, d, 4)
	d.Release(at(4))
	b.leave("k")
	b.sendTo(t, 5, d)
	d.counts(t, "k", 100, 0)
}

// TestWhatAnImpostorToldIsDropped, and the real node teaches its counts.
func TestWhatAnImpostorToldIsDropped(t *testing.T) {
	impostor, real, c := newConnNode(1, 1<<20), newConnNode(1, 1<<20), newConnNode(3, 1<<20)
	impostor.enter("k", 9)
	impostor.enter("more", 9)
	impostor.sendTo(t, 1, c)
	real.enter("k", 9)
	real.enter("k", 9)
	real.sendTo(t, 1)
	c.Disown(1)
	c.counts(t, "k", 0, 0)
	c.counts(t, "more", 0, 0)
	c.Began(1, 0, at(2))
	if c.Lacks(1) != everyShard {
		t.Error("the real node is not asked for everything")
	}
	real.teach(t, c, 2)
	c.counts(t, "k", 2, 0)
}

// TestLivesAreForgottenInTurn: a cluster whose nodes restart all the time fills no table, and the living keep their
// place.
func TestLivesAreForgottenInTurn(t *testing.T) {
	living, n := newConnNode(1, 1<<20), newConnNode(2, 1<<20)
	n.Began(living.origin, 0, at(0))
	living.enter("k", 9)
	living.sendTo(t, 0, n)
	for i := range 2 * maxLives {
		life := newConnNode(zone.Origin(100+i), 32<<10)
		n.Began(life.origin, 0, at(int64(i)))
		life.enter("k", 9)
		life.sendTo(t, int64(i), n)
		n.heard(int64(i), living)
	}
	if known := len(n.tellers.byName); known != maxLives {
		t.Errorf("%d lives are known", known)
	}
	for ms := int64(2 * maxLives); ms < 10_000; ms += 100 {
		n.heard(ms, living)
	}
	n.counts(t, "k", 1, 0)
}

// TestAnEarlierLifeOfANodeEndsWhenAllAreConnected: a teacher may still have told of it.
func TestAnEarlierLifeOfANodeEndsWhenAllAreConnected(t *testing.T) {
	teacher, earlier, n := newConnNode(1, 1<<20), newConnNode(2, 1<<20), newConnNode(3, 1<<20)
	n.Hold(everyShard)
	earlier.enter("k", 9)
	earlier.sendTo(t, 1, teacher)
	teacher.enter("k", 9)
	n.Began(teacher.origin, 0, at(2))
	teacher.teach(t, n, 2)
	n.Release(at(2))
	connected := map[zone.Origin]int64{teacher.origin: at(3).MonoMS}
	n.Heard(connected, false, 5000, at(3))
	n.counts(t, "k", 2, 0)
	n.Heard(connected, true, 5000, at(4))
	n.counts(t, "k", 1, 0)
}
