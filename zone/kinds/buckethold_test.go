package kinds

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"starling/zone"
)

// node is one node of a small cluster of buckets that drain nothing, so that levels are counts.
type node struct {
	zone *Bucket
	name zone.Origin
	sent map[*node]uint64 // frames delivered
}

func newNode(t testing.TB, name zone.Origin) *node {
	z := newTestBucket(16<<20, 0)
	z.SetBurst(1 << 40)
	z.SetOrigin(name)
	z.Resize(1<<14, 256)
	return &node{zone: z, name: name, sent: map[*node]uint64{}}
}

func (n *node) charge(key string) { n.zone.Charge([]byte(key), at(0)) }

func (n *node) level(key string) int64 {
	level, _ := n.zone.Look([]byte(key), at(0), 1<<40)
	return level / request
}

// push delivers up to most frames of n to another node.
func (n *node) push(t testing.TB, to *node, most int) {
	for ; most > 0 && n.sent[to]+1 < n.zone.Journal().Head(); most-- {
		n.sent[to]++
		payload, _, _, ok := n.zone.Journal().Frame(n.sent[to])
		if !ok {
			t.Fatal("the journal of the test is too short")
		}
		if _, err := to.zone.Apply(n.name, n.sent[to], payload, 0, at(0)); err != nil {
			t.Fatal(err)
		}
	}
}

func (n *node) teach(t testing.TB, to *node, shard int) {
	piece, _, _ := n.zone.TeachShard(shard, 0, nil, 0, at(0))
	if len(piece) == 0 {
		return
	}
	if _, err := to.zone.Learn(piece, at(0)); err != nil {
		t.Fatal(err)
	}
}

// A newcomer is taught, shard by shard and by two teachers, while everybody goes on charging, flushing and pushing in
// an order drawn from a seed. In the end every node has counted every request once.
func TestTaughtBucketsCountEachCostOnce(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 0))
		one, two, fresh := newNode(t, 1), newNode(t, 2), newNode(t, 3)
		all := []*node{one, two}
		total := map[string]int64{}
		act := func() {
			n := all[r.IntN(len(all))]
			switch r.IntN(6) {
			case 0, 1, 2:
				key := fmt.Sprint("key", r.IntN(40))
				n.charge(key)
				total[key]++
			case 3:
				n.zone.Flush(at(0))
			default:
				if to := all[r.IntN(len(all))]; to != n {
					n.push(t, to, r.IntN(4))
				}
			}
		}
		for range 400 {
			act()
		}
		fresh.zone.Hold(everyShard)
		all = append(all, fresh)
		for shard := range zone.Shards {
			for range r.IntN(6) {
				act()
			}
			all[r.IntN(2)].teach(t, fresh, shard)
		}
		fresh.zone.Release(at(0))
		for range 200 {
			act()
		}
		for _, n := range all {
			n.zone.Flush(at(0))
		}
		for _, n := range all {
			for _, to := range all {
				if n != to {
					n.push(t, to, 1<<30)
				}
			}
		}
		for key, want := range total {
			for i, n := range all {
				if got := n.level(key); got != want {
					t.Fatalf("seed %d: node %d counts %d of %s, want %d", seed, i+1, got, key, want)
				}
			}
		}
	}
}

// The same with real goroutines, for the race detector and for orders that no seed draws.
func TestTeachingWhileAllAreCharging(t *testing.T) {
	const each, keys = 20_000, 50
	one, two, fresh := newNode(t, 1), newNode(t, 2), newNode(t, 3)
	all := []*node{one, two, fresh}
	fresh.zone.Hold(everyShard)
	var charging, moving sync.WaitGroup
	for _, n := range all {
		charging.Go(func() {
			for i := range each {
				n.charge(fmt.Sprint("key", i%keys))
			}
		})
	}
	stop := make(chan struct{})
	for _, n := range all {
		dirty := make(chan struct{}, 1)
		n.zone.OnDirty(func(bool) {
			select {
			case dirty <- struct{}{}:
			default:
			}
		})
		moving.Go(func() {
			for done := false; !done; {
				select {
				case <-dirty:
				case <-stop:
					done = true
				}
				n.zone.Flush(at(0))
				for _, to := range all {
					if to != n {
						n.push(t, to, 1<<30)
					}
				}
			}
		})
	}
	for shard := range zone.Shards {
		[]*node{one, two}[shard%2].teach(t, fresh, shard)
	}
	fresh.zone.Release(at(0))
	charging.Wait()
	close(stop)
	moving.Wait()
	for i := range keys {
		for j, n := range all {
			if got := n.level(fmt.Sprint("key", i)); got != 3*each/keys {
				t.Errorf("node %d counts %d of key%d, want %d", j+1, got, i, 3*each/keys)
			}
		}
	}
}

// What a node charged and flushed before it began to hold may not have reached its teacher.
func TestOwnCostsFromBeforeTheHoldAreKept(t *testing.T) {
	for _, seen := range []int{0, 1, 2} {
		one, fresh := newNode(t, 1), newNode(t, 3)
		for range 2 {
			fresh.charge("a")
			fresh.zone.Flush(at(0))
		}
		fresh.charge("a")
		fresh.zone.Hold(everyShard)
		one.charge("a")
		fresh.push(t, one, seen)
		for shard := range zone.Shards {
			one.teach(t, fresh, shard)
		}
		fresh.zone.Flush(at(0))
		fresh.push(t, one, 10)
		if a, b := one.level("a"), fresh.level("a"); a != 4 || b != 4 {
			t.Errorf("teacher saw %d frames: it counts %d, the newcomer %d, want 4", seen, a, b)
		}
	}
}

// Costs of frames after a gap wait until the shard is taught; frames from before it count no more.
func TestCostsAfterAGapWait(t *testing.T) {
	one, two := newNode(t, 1), newNode(t, 2)
	for range 4 {
		one.charge("a")
		one.zone.Flush(at(0))
	}
	two.zone.Forfeit(1, 3)
	one.push(t, two, 1<<30)
	if got, lacks := two.level("a"), two.zone.Lacks(1); got != 0 || lacks != everyShard {
		t.Errorf("counted %d before it was taught, lacks %x", got, lacks)
	}
	one.teachAll(t, two)
	if got, lacks := two.level("a"), two.zone.Lacks(1); got != 4 || lacks != [4]uint64{} {
		t.Errorf("counts %d, want 4; lacks %x", got, lacks)
	}
	one.charge("a")
	one.zone.Flush(at(0))
	one.push(t, two, 1<<30)
	if got := two.level("a"); got != 5 || two.zone.heldBytes.Load() != 0 {
		t.Errorf("counts %d afterwards, want 5; %d bytes are held", got, two.zone.heldBytes.Load())
	}
}

// A newcomer holds frames of an origin from before which its teacher has none: they wait as well, and whom it teaches
// misses nothing.
func TestHeldCostsAfterAGapWait(t *testing.T) {
	one, two, fresh, late := newNode(t, 1), newNode(t, 2), newNode(t, 3), newNode(t, 4)
	for range 4 {
		one.charge("a")
		one.zone.Flush(at(0))
	}
	two.charge("a")
	two.zone.Flush(at(0))
	two.push(t, one, 1)
	fresh.zone.Hold(everyShard)
	one.sent[fresh] = 2
	one.push(t, fresh, 1)
	fresh.zone.Forfeit(1, 3)
	one.push(t, fresh, 1)
	two.teachAll(t, fresh)
	late.zone.Hold(everyShard)
	fresh.teachAll(t, late)
	one.push(t, late, 4)
	if one, four := fresh.level("a"), late.level("a"); one != 1 || four != 5 {
		t.Errorf("%d are counted before it was taught, and %d by whom it taught, want 1 and 5", one, four)
	}
	one.teachAll(t, fresh)
	if got := fresh.level("a"); got != 5 || fresh.zone.heldBytes.Load() != 0 {
		t.Errorf("counts %d, want 5; %d bytes are held", got, fresh.zone.heldBytes.Load())
	}
}

func TestOriginsAreBounded(t *testing.T) {
	two := newNode(t, 2)
	frame := []byte{bucketFrameFormat}
	for name := range zone.Origin(3 * maxOrigins) {
		if _, err := two.zone.Apply(name+10, 1, frame, 0, at(int64(name))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(two.zone.origins); n > maxOrigins {
		t.Errorf("%d origins are kept", n)
	}
}
