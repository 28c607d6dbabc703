package strict

// Pattern says which host gets a request.
type Pattern uint8

// The patterns: evenly over all hosts, all on the first, or all on one that changes every 1.7 s.
const (
	Even Pattern = iota
	One
	Shift
)

func (p Pattern) String() string { return [...]string{"even", "one", "shift"}[p] }

const shiftUS = 1_700_000

// Offer has requests for a key arrive at random, so many times as often as the limit allows, for a time from now.
func (w *World) Offer(key string, times float64, pattern Pattern, us int64) {
	perUS := times * float64(w.Limit.Rate) / 1e9 / 1e6
	until := w.nowUS + us
	var next func()
	next = func() {
		if w.nowUS > until {
			return
		}
		w.request(w.pick(pattern), key)
		w.at(w.nowUS+1+int64(w.rng.ExpFloat64()/perUS), next)
	}
	w.at(w.nowUS+1+int64(w.rng.ExpFloat64()/perUS), next)
}

func (w *World) pick(pattern Pattern) int {
	switch pattern {
	case One:
		return 0
	case Shift:
		return int(w.nowUS/shiftUS) % w.Hosts
	}
	return w.rng.IntN(w.Hosts)
}
