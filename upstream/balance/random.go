package balance

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"

	"starling/upstream"
)

var (
	randomHTTP   = random("header|last_byte", HTTPOnly, timesHTTP)
	randomStream = random("connect|first_byte|last_byte", StreamOnly, timesStream)
)

// random is the method for one side, with the times that least_time accepts there.
func random(times string, side Side, moments map[string]upstream.Timing) Method {
	return Method{
		Name: "random", Syntax: "[two [least_conn|least_time=<time>]]", Side: side, NoBackup: true,
		Params: map[string]string{
			"two":        "Picks two random servers and uses the better one.",
			"least_conn": "Prefers the server with fewer active connections; the default.",
			"least_time": "Prefers the server with the lower average time and fewer active connections; the time is `" +
				strings.ReplaceAll(times, "|", "` or `") + "`, as of `least_time`.",
		},
		Doc: "Selects a weighted random server; with `two`, the better one of two random servers.",
		New: func(args []string) (upstream.Balancer, error) {
			b := &randomBalancer{draw: rand.IntN, place: rand.Uint32}
			for i, arg := range args {
				by, timed := strings.CutPrefix(arg, "least_time=")
				moment, known := moments[by]
				switch {
				case i == 0 && arg == "two":
					b.two = true
				case i == 1 && arg == "least_conn":
				case i == 1 && timed && known:
					b.timed, b.by = true, moment
				default:
					return nil, fmt.Errorf("invalid parameter %q", arg)
				}
			}
			return b, nil
		},
	}
}

// randomBalancer draws servers; the power of two choices is Mitzenmacher's, IEEE TPDS 12(10), 2001.
type randomBalancer struct {
	two     bool
	timed   bool // by times instead of connections
	by      upstream.Timing
	draw    func(n int) int // 0 <= draw(n) < n
	place   func() uint32   // evenly distributed
	version uint64
	upTo    []int // added-up weights, by server
}

// cost is what the better one of two has less of, before it is divided by the weight.
func (b *randomBalancer) cost(a *upstream.Attempt, s *upstream.Server) int64 {
	if b.timed {
		return s.Expected(a, b.by)
	}
	return int64(s.Active())
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
		case s == first || !a.Usable(s) || !s.Takes(a, b.place()):
		case !b.two:
			return s
		case first == nil:
			first = s
		case b.cost(a, s)*int64(first.Weight()) > b.cost(a, first)*int64(s.Weight()):
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
