package zonesync

import (
	"fmt"
	"slices"
	"time"

	"starling/carrier"
	"starling/cluster/strict"
	"starling/conf"
	"starling/lib/plural"
	"starling/logs"
	"starling/plan"
	"starling/stream"
)

// strictLease is the lease of strict limits. Peers are pinged four times in it: below 50 ms, a pause of the scheduler
// or the garbage collector costs a lease; a crash costs the limits a share for 5 s at most.
var strictLease = conf.Between(conf.Time, 50*time.Millisecond, 5*time.Second)

// shortestConnLease is the least zone_sync_timeout with strict zones of connections. It is their lease, and what is
// open is ended with that: less would cut connections for a pause of the scheduler or a retransmission.
const shortestConnLease = time.Second

func strictDirectives() []conf.Directive {
	return []conf.Directive{
		{
			Name: "zone_sync_strict_state", Syntax: "<file>", In: conf.StreamServer,
			Doc: "Sets the file of this node's part in the register that strict zones need: who the members are that " +
				"may decide. A node that lost its file joins as a new member. NGINX has no such directive.",
			Set: conf.Field(func(s *Settings) *string { return &s.StrictState }, conf.String),
		},
		{
			Name: "zone_sync_strict_lease", Syntax: "<time>", Default: "150ms", In: conf.StreamServer,
			Doc: "Sets how long a node may decide on strict limits after a majority of the members answered it, " +
				"50ms to 5s. After a crash, its share of the limits is missing for that long. Nodes that lose their " +
				"lease for want of CPU need a longer one. All nodes must have the same: one with another is no " +
				"member. NGINX has no such directive.",
			Set: conf.Field(func(s *Settings) *time.Duration { return &s.StrictLease }, strictLease),
		},
	}
}

// strictLimits are the zones that are never exceeded, nil if there is none.
func strictLimits(b *stream.Block, s *Settings) (*carrier.StrictConfig, error) {
	p := b.Plan
	c := &carrier.StrictConfig{Privileged: p.AsStarted, LeaseUS: s.StrictLease.Microseconds()}
	for _, z := range p.Zones.All() {
		limited, ok := z.Value.(interface{ Gate() *strict.Gate })
		if !ok || limited.Gate() == nil {
			continue
		}
		gate := limited.Gate()
		c.Gates = append(c.Gates, gate)
		if gate.Conns() {
			c.ConnLeaseUS = s.Timeout.Microseconds()
			limit, _ := gate.ConnLimit()
			tellStrictConns(p.Log, z, limit, int64(len(s.Members)))
			continue
		}
		tellStrict(p.Log, z, gate.Limit.Burst, int64(len(s.Members)))
	}
	if len(c.Gates) == 0 {
		return nil, nil
	}
	if c.ConnLeaseUS > 0 && s.Timeout < shortestConnLease {
		return nil, conf.At(s.node, "a node ends the connections that strict zones of \"limit_conn_zone\" count when "+
			"it has no contact to the majority for \"zone_sync_timeout\": %v is too short, set it to %v or more on "+
			"all nodes", s.Timeout, shortestConnLease)
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
			return nil, conf.At(resolving(b.Scope.Node), "strict zones require a list of members that all nodes have "+
				"alike: remove \"resolve\" from zone_sync_server \"%s\"", m)
		}
	}
	return c, nil
}

// resolving is the first line of a server that lists members with "resolve".
func resolving(server *conf.Node) *conf.Node {
	for _, line := range server.Block {
		if line.Name == "zone_sync_server" && slices.Contains(line.Words, "resolve") {
			return line
		}
	}
	return server
}

// tellStrict tells the operator what cannot be had with so many members.
func tellStrict(log logs.Logger, z *plan.Zone, burst, members int64) {
	shares, tell := sharesAlone(z), teller(log, z)
	if burst+1 < members {
		tell("admits %s at once, fewer than the %d members: where requests for a key come to many nodes, each asks "+
			"the key's owner, and about a tenth of the limit is lost; a burst of %d avoids that",
			plural.Of(burst+1, "request", "requests"), members, 2*members-1)
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

// sharesAlone reports whether a zone has strict_fallback=share.
func sharesAlone(z *plan.Zone) bool {
	sharing, ok := z.Value.(interface{ SharesAlone() bool })
	return ok && sharing.SharesAlone()
}

// teller warns about a strict zone.
func teller(log logs.Logger, z *plan.Zone) func(format string, args ...any) {
	return func(format string, args ...any) {
		log.Logf(logs.Warn, "strict zone \"%s\" in %s:%d %s", z.Name, z.File, z.Line, fmt.Sprintf(format, args...))
	}
}

// tellStrictConns is tellStrict of a zone of connections.
func tellStrictConns(log logs.Logger, z *plan.Zone, limit, members int64) {
	shares, tell := sharesAlone(z), teller(log, z)
	switch {
	case members == 2 && shares:
		tell("admits half of its limit on each node, and ends the connections above, when either of the two members " +
			"of zone_sync is down: only a third one makes a majority without it")
	case members == 2:
		tell("rejects all connections, and ends the open ones, when either of the two members of zone_sync is down: " +
			"only a third one makes a majority without it; or use \"strict_fallback=share\"")
	}
	if shares && limit < members {
		tell("has \"strict_fallback=share\": %d connections shared by %d members are none for each, so a node without "+
			"contact to the majority admits none", limit, members)
	}
}
