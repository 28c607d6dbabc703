package balance

import "starling/upstream"

var leastConn = Method{
	Name: "least_conn", Syntax: "",
	Doc: "Selects the server with the fewest active connections relative to its weight; ties are broken by weighted " +
		"round robin.",
	New: func([]string) (upstream.Balancer, error) { return leastConnBalancer{}, nil },
}

type leastConnBalancer struct{}

func (leastConnBalancer) Choose(set *upstream.Set, a *upstream.Attempt, wanted *upstream.Server) *upstream.Server {
	if wanted != nil {
		return wanted
	}
	// A server in its slow start has few connections: it would get all requests unless this one counts too.
	extra := 0
	if set.Rising() {
		extra = 1
	}
	less := func(s, t *upstream.Server) int {
		return (s.Active()+extra)*t.Ramped(a) - (t.Active()+extra)*s.Ramped(a)
	}
	var best *upstream.Server
	equals := false
	for _, s := range set.Servers() {
		if !a.Usable(s) {
			continue
		}
		switch {
		case best == nil || less(s, best) < 0:
			best, equals = s, false
		case less(s, best) == 0:
			equals = true
		}
	}
	if !equals {
		return best
	}
	var round upstream.Smooth
	for _, s := range set.Servers() {
		if less(s, best) == 0 && a.Usable(s) {
			round.Offer(a, s)
		}
	}
	return round.Take(nil)
}
