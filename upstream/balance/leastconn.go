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
	var best *upstream.Server
	equals := false
	for _, s := range set.Servers() {
		if !a.Usable(s) {
			continue
		}
		switch {
		case best == nil || s.Active()*best.Weight() < best.Active()*s.Weight():
			best, equals = s, false
		case s.Active()*best.Weight() == best.Active()*s.Weight():
			equals = true
		}
	}
	if !equals {
		return best
	}
	var round upstream.Smooth
	for _, s := range set.Servers() {
		if s.Active()*best.Weight() == best.Active()*s.Weight() && a.Usable(s) {
			round.Offer(a, s)
		}
	}
	return round.Take(nil)
}
