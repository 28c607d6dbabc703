package kinds

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"starling/zone"
)

// lose drops the frames that another node has not got yet, as a ring does that ran past it.
func (n *node) lose(to *node) {
	n.zone.Flush(at(0))
	if head := n.zone.Journal().Head(); n.sent[to] < head-1 {
		n.sent[to] = head - 1
		to.zone.Forfeit(n.name, head)
	}
}

func (n *node) teachAll(t testing.TB, to *node) {
	for shard := range zone.Shards {
		n.teach(t, to, shard)
	}
}

func (n *node) forfeited() int64 { return n.zone.Stats().Forfeited / request }

// Node one charged 5 of which node two got none. Node two charged 3, node three 2.
func TestWhatAnOverrunLeaves(t *testing.T) {
	tests := []struct {
		name   string
		before func(t *testing.T, one, two, three *node)
		// then is what node two counts when it was taught by one and has got all frames; lost at most that many are
		// missing.
		then, lost int64
	}{
		{"the others are known to both", func(t *testing.T, one, two, three *node) {
			two.push(t, one, 9)
			three.push(t, one, 9)
			three.push(t, two, 9)
		}, 10, 0},
		{"own costs are on their way to the teacher", func(t *testing.T, _, _, _ *node) {}, 10, 0},
		{"the teacher has costs of a third that are on their way here", func(t *testing.T, one, _, three *node) {
			three.push(t, one, 9)
		}, 10, 0},
		{"the teacher lacks costs of a third that are here", func(t *testing.T, _, two, three *node) {
			three.push(t, two, 9)
		}, 5, 5},
		{"the teacher has nothing new, and lacks costs that are here", func(t *testing.T, one, two, three *node) {
			one.push(t, two, 9)
			three.push(t, two, 9)
		}, 10, 0},
	}
	for _, test := range tests {
		one, two, three := newNode(t, 1), newNode(t, 2), newNode(t, 3)
		for n, times := range map[*node]int{one: 5, two: 3, three: 2} {
			for range times {
				n.charge("a")
			}
			n.zone.Flush(at(0))
		}
		test.before(t, one, two, three)
		one.lose(two)
		one.teachAll(t, two)
		one.push(t, two, 9)
		three.push(t, two, 9)
		if got := two.level("a"); got != test.then || two.forfeited() != test.lost {
			t.Errorf("%s: counts %d and gave up %d, want %d and %d", test.name, got, two.forfeited(), test.then, test.lost)
		}
	}
}

// Frames are lost between any two of three nodes, which are taught then, in an order drawn from a seed, while all go
// on. Nobody counts a request twice, and what somebody does not count was given up, there or where it was taught by.
func TestOverrunsAreAccountedFor(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		all := []*node{newNode(t, 1), newNode(t, 2), newNode(t, 3)}
		total := map[string]int64{}
		var sum int64
		act := func() {
			n, to := all[r.IntN(len(all))], all[r.IntN(len(all))]
			switch r.IntN(8) {
			case 0, 1, 2:
				key := fmt.Sprint("key", r.IntN(20))
				n.charge(key)
				total[key]++
				sum++
			case 3:
				n.zone.Flush(at(0))
			default:
				if to != n {
					n.push(t, to, r.IntN(4))
				}
			}
		}
		for range 600 {
			act()
			if one, two := all[r.IntN(3)], all[r.IntN(3)]; one != two && r.IntN(60) == 0 {
				one.lose(two)
				for shard := range zone.Shards {
					if r.IntN(16) == 0 {
						act()
					}
					one.teach(t, two, shard)
				}
			}
		}
		for _, n := range all {
			n.zone.Flush(at(0))
			for _, to := range all {
				if n != to {
					n.push(t, to, 1<<30)
				}
			}
		}
		var forfeited int64
		for _, n := range all {
			forfeited += n.forfeited()
		}
		for i, n := range all {
			var counted int64
			for key, want := range total {
				counted += n.level(key)
				if got := n.level(key); got > want {
					t.Fatalf("seed %d: node %d counts %d of %s, there were %d", seed, i+1, got, key, want)
				}
			}
			if counted+forfeited < sum {
				t.Fatalf("seed %d: node %d counts %d requests, %d were given up, there were %d", seed, i+1, counted, forfeited, sum)
			}
		}
	}
}
