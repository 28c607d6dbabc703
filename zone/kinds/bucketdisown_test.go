package kinds

import (
	"testing"

	"starling/zone"
)

// Somebody sends frames in the name of node 1 before node 1 comes: none of them stands for one of its own, which have
// the same numbers.
func TestFramesOfAnImpostorAreTakenBack(t *testing.T) {
	neighbour := "a" // of the same shard: its costs stay, for a member may write, and nothing else does
	for zone.ShardOf(zone.KeyHash([]byte(neighbour))) != zone.ShardOf(zone.KeyHash([]byte("k"))) {
		neighbour += "a"
	}
	for _, test := range []struct {
		name string
		lies func(t *testing.T, evil, two, three *node)
		asks bool // a shard has to be taught
	}{
		{"a frame without costs", func(t *testing.T, _, two, _ *node) { two.applyLie(t, 1) }, false},
		{"frames left out", func(t *testing.T, _, two, _ *node) {
			two.zone.Forfeit(1, 60_000)
			two.applyLie(t, 60_000)
		}, false},
		{"costs", func(t *testing.T, evil, two, _ *node) { evil.push(t, two, 1<<30) }, true},
		{"costs that wait after a gap", func(t *testing.T, evil, two, _ *node) {
			two.zone.Forfeit(1, 1)
			evil.push(t, two, 1<<30)
		}, false},
		{"costs while it is taught", func(t *testing.T, evil, two, _ *node) {
			two.zone.Hold(everyShard)
			evil.push(t, two, 1<<30)
		}, false},
		{"costs that were held and released", func(t *testing.T, evil, two, _ *node) {
			two.zone.Hold(everyShard)
			evil.push(t, two, 1<<30)
			two.zone.Release(at(0))
		}, true},
		{"levels", func(t *testing.T, evil, two, _ *node) { evil.teachAll(t, two) }, true},
		{"costs, and others taught what they have of node 1", func(t *testing.T, evil, two, three *node) {
			evil.push(t, two, 1<<30)
			three.teachAll(t, two)
		}, true},
		{"nothing, and others taught what they have of node 1", func(t *testing.T, _, two, three *node) { three.teachAll(t, two) }, false},
	} {
		one, evil, two, three := newNode(t, 1), newNode(t, 1), newNode(t, 2), newNode(t, 3)
		for range 3 {
			one.charge("k")
			one.zone.Flush(at(0))
		}
		one.push(t, three, 2)
		for range 5 { // it is ahead of node 1
			evil.charge(neighbour)
			evil.zone.Flush(at(0))
		}
		test.lies(t, evil, two, three)

		two.zone.Disown(1)
		if lacks := two.zone.Lacks(1); (lacks != [4]uint64{}) != test.asks {
			t.Errorf("%s: it asks node 1 for shards %x", test.name, lacks)
		}
		one.push(t, two, 1<<30)
		two.zone.Release(at(0))
		if test.asks {
			one.teachAll(t, two)
		}
		one.charge("k")
		one.zone.Flush(at(0))
		one.push(t, two, 1<<30)
		if got := two.level("k"); got != 4 {
			t.Errorf("%s: %d requests are counted, want 4", test.name, got)
		}
		if waits := two.zone.heldBytes.Load(); waits != 0 {
			t.Errorf("%s: %d bytes still wait", test.name, waits)
		}
	}
}

// applyLie applies a frame without costs that says to be of node 1.
func (n *node) applyLie(t *testing.T, sequence uint64) {
	t.Helper()
	if _, err := n.zone.Apply(zone.Origin(1), sequence, []byte{bucketFrameFormat}, 0, at(0)); err != nil {
		t.Fatal(err)
	}
}
