package balance

import "starling/upstream"

// RoundRobin is nginx's smooth weighted round robin, the default method: each round, every usable server gains its
// effective weight, the one with the most is selected and pays the total. 5:1:1 gives a a b a c a a, not a a a a a b c.
type RoundRobin struct{}

// Choose implements upstream.Balancer.
func (RoundRobin) Choose(set *upstream.Set, a *upstream.Attempt, wanted *upstream.Server) *upstream.Server {
	if wanted != nil && wanted.PaidAhead(set) {
		// A session's server pays for at most one request in advance: otherwise it would starve after the session ends.
		return wanted
	}
	var round upstream.Smooth
	for _, s := range set.Servers() {
		if a.Usable(s) {
			round.Offer(a, s)
		}
	}
	return round.Take(wanted)
}
