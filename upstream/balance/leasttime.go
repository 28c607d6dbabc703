package balance

import (
	"fmt"
	"strings"

	"starling/upstream"
)

// The times that a server can be measured by, on each side.
var (
	timesHTTP   = map[string]upstream.Timing{"header": upstream.ByFirstByte, "last_byte": upstream.ByLastByte}
	timesStream = map[string]upstream.Timing{
		"connect":    upstream.ByConnect,
		"first_byte": upstream.ByFirstByte,
		"last_byte":  upstream.ByLastByte,
	}
)

var (
	leastTimeHTTP   = leastTime("header | last_byte", HTTPOnly, timesHTTP)
	leastTimeStream = leastTime("connect | first_byte | last_byte", StreamOnly, timesStream)
)

// leastTime is the method for one side, with the side's arguments.
func leastTime(words string, side Side, moments map[string]upstream.Timing) Method {
	return Method{
		Name: "least_time", Syntax: words + " [inflight]", Side: side, Once: true,
		Params: map[string]string{"inflight": "Includes requests in flight."},
		Doc: "Selects the server with the lowest average time and the fewest active connections relative to its " +
			"weight. The argument sets the measured time; `inflight` includes requests in flight.",
		New: func(args []string) (upstream.Balancer, error) {
			by, known := moments[strings.ToLower(args[0])]
			if !known {
				return nil, fmt.Errorf("invalid value %q", args[0])
			}
			return leastTimeBalancer{by, len(args) > 1}, nil
		},
	}
}

// leastTimeBalancer is ngx_http_upstream_get_least_time_peer.
type leastTimeBalancer struct {
	by       upstream.Timing
	inflight bool
}

func (b leastTimeBalancer) Choose(set *upstream.Set, a *upstream.Attempt, wanted *upstream.Server) *upstream.Server {
	chosen := wanted
	if chosen == nil {
		chosen = b.best(set, a)
	}
	if chosen != nil && b.inflight {
		a.CountInflight(chosen, b.by)
	}
	return chosen
}

// best compares times per weight; equal servers alternate by weighted round robin.
func (b leastTimeBalancer) best(set *upstream.Set, a *upstream.Attempt) *upstream.Server {
	var best *upstream.Server
	var least int64
	equals := false
	for _, s := range set.Servers() {
		if !a.Usable(s) {
			continue
		}
		s.LookInflight(a)
		expected := s.Expected(a, b.by)
		switch {
		case best == nil || expected*int64(best.Ramped(a)) < least*int64(s.Ramped(a)):
			best, least, equals = s, expected, false
		case expected*int64(best.Ramped(a)) == least*int64(s.Ramped(a)):
			equals = true
		}
	}
	if !equals {
		return best
	}
	var round upstream.Smooth
	for _, s := range set.Servers() {
		if a.Usable(s) && s.Expected(a, b.by)*int64(best.Ramped(a)) == least*int64(s.Ramped(a)) {
			round.Offer(a, s)
		}
	}
	return round.Take(nil)
}
