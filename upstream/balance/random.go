package balance

import (
	"fmt"
	"math/rand/v2"
	"sort"

	"starling/upstream"
)

var random = Method{
	Name: "random", Syntax: "[two [<method>]]", NoBackup: true, NoSlowStart: true,
	Params: map[string]string{"two": "Picks two random servers and uses the less loaded one."},
	Doc:    "Selects a weighted random server; with `two`, the less loaded of two random servers (least_conn).",
	New: func(args []string) (upstream.Balancer, error) {
		b := &randomBalancer{draw: func(n int) int { return rand.IntN(n) }}
		for i, arg := range args {
			switch {
			case i == 0 && arg == "two":
				b.two = true
			case i == 1 && arg == "least_conn":
			default:
				return nil, fmt.Errorf("invalid parameter %q", arg)
			}
		}
		return b, nil
	},
}

// randomBalancer draws servers; the power of two choices is Mitzenmacher's, IEEE TPDS 12(10), 2001.
type randomBalancer struct {
	two     bool
	draw    func(n int) int // 0 <= draw(n) < n
	version uint64
	upTo    []int // added-up weights, by server
}

func (b *randomBalancer) Choose(set *upstream.Set, a *upstream.Attempt, wanted *upstream.Server) *upstream.Server {
	probe := &a.Probe
	if probe.Misses > maxMisses || len(set.Servers()) < 2 {
		return RoundRobin{}.Choose(set, a, wanted)
	}
	if wanted != nil {
		return wanted
	}
	var first *upstream.Server
	for {
		s := b.drawOne(set)
		switch {
		case s == first || !a.Usable(s):
		case !b.two:
			return s
		case first == nil:
			first = s
		case s.Active()*first.Weight() > first.Active()*s.Weight():
			return first
		default:
			return s
		}
		// As in nginx, the first of two also counts as a miss, and a single usable server falls back to round robin.
		if probe.Misses++; probe.Misses > maxMisses {
			return RoundRobin{}.Choose(set, a, nil)
		}
	}
}

func (b *randomBalancer) drawOne(set *upstream.Set) *upstream.Server {
	if b.version != set.Version() {
		b.version, b.upTo = set.Version(), b.upTo[:0]
		total := 0
		for _, s := range set.Servers() {
			total += s.Weight()
			b.upTo = append(b.upTo, total)
		}
	}
	x := b.draw(set.TotalWeight())
	return set.Servers()[sort.SearchInts(b.upTo, x+1)]
}
