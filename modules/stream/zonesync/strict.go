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
		gate := limited.Gate()
		c.Gates = append(c.Gates, gate)
		if members := int64(len(s.Members)); gate.Limit.Burst+1 < members {
			p.Log.Logf(logs.Warn, "strict zone \"%s\" in %s:%d admits %d requests at once, fewer than the %d members: "+
				"where requests for a key come to many nodes, each asks the key's owner, and about a tenth of the "+
				"limit is lost; a burst of %d avoids that", z.Name, z.File, z.Line, gate.Limit.Burst+1, members,
				2*members-1)
		}
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
	if len(s.Members) == 2 {
		p.Log.Logf(logs.Warn, "strict zones stop when either of the two members of zone_sync is down: only a third "+
			"one makes a majority without it")
	}
	return c, nil
}
