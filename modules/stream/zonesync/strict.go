package zonesync

import (
	"fmt"

	"starling/carrier"
	"starling/cluster/strict"
	"starling/conf"
	"starling/logs"
	"starling/plan"
	"starling/stream"
)

// link checks that strict zones have a cluster to be strict in.
func link(p *plan.Plan) error {
	if plan.Part[state](p).declared {
		return nil
	}
	for _, z := range p.Zones.All() {
		if limited, ok := z.Value.(interface{ Strict() bool }); ok && limited.Strict() {
			return &conf.Problem{
				What: fmt.Sprintf("the strict zone \"%s\" requires a stream server with \"zone_sync\"", z.Name),
				File: z.File, Line: z.Line,
			}
		}
	}
	return nil
}

// strictLimits are the zones that are never exceeded, nil if there is none.
func strictLimits(b *stream.Block, s *Settings) (*carrier.StrictConfig, error) {
	p := b.Plan
	c := &carrier.StrictConfig{Privileged: p.AsStarted}
	for _, z := range p.Zones.All() {
		limited, ok := z.Value.(interface{ Gate() *strict.Gate })
		if !ok || limited.Gate() == nil {
			continue
		}
		c.Gates = append(c.Gates, limited.Gate())
		tellStrict(p.Log, z, limited.Gate().Limit.Burst, int64(len(s.Members)))
	}
	if len(c.Gates) == 0 {
		return nil, nil
	}
	if s.StrictState == "" {
		return nil, conf.At(s.node, "the strict zone \"%s\" requires \"zone_sync_strict_state\"", c.Gates[0].Name)
	}
	c.File = p.PrefixPath(s.StrictState)
	if len(c.Gates) > carrier.MaxStrictZones {
		return nil, conf.At(s.node, "%d zones are strict, at most %d can be", len(c.Gates), carrier.MaxStrictZones)
	}
	for _, m := range s.Members {
		if m.Resolve {
			return nil, conf.At(s.node, "strict zones require a list of members that all nodes have alike: remove "+
				"\"resolve\" from zone_sync_server \"%s\" in %s", m, m.Line)
		}
	}
	return c, nil
}

// tellStrict tells the operator what cannot be had with so many members.
func tellStrict(log logs.Logger, z *plan.Zone, burst, members int64) {
	sharing, ok := z.Value.(interface{ SharesAlone() bool })
	shares := ok && sharing.SharesAlone()
	tell := func(format string, args ...any) {
		log.Logf(logs.Warn, "strict zone \"%s\" in %s:%d %s", z.Name, z.File, z.Line, fmt.Sprintf(format, args...))
	}
	if burst+1 < members {
		tell("admits %d requests at once, fewer than the %d members: where requests for a key come to many nodes, "+
			"each asks the key's owner, and about a tenth of the limit is lost; a burst of %d avoids that", burst+1,
			members, 2*members-1)
	}
	switch {
	case members == 2 && shares:
		tell("admits half of its limit on each node when either of the two members of zone_sync is down: only a " +
			"third one makes a majority without it")
	case members == 2:
		tell("rejects all requests when either of the two members of zone_sync is down: only a third one makes a " +
			"majority without it; or use \"strict_fallback=share\"")
	}
	if shares && burst+1 < members {
		tell("has \"strict_fallback=share\": each node without contact to the majority admits one request at " +
			"once, so together they can admit more than the burst")
	}
}
