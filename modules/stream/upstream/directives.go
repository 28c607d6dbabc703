// Package upstream is the upstream block of stream: groups of servers and how sessions are balanced over them.
package upstream

import (
	"starling/admin"
	"starling/conf"
	"starling/lib/clock"
	"starling/modules/shared/upstream"
	"starling/plan"
	"starling/stream"
	servers "starling/upstream"
	"starling/upstream/balance"
)

// Settings of one upstream block.
type Settings struct {
	upstream.Block[*stream.Session]
}

// family are the stream options of the upstream blocks.
var family = &upstream.Options[Settings, *stream.Session]{
	Side:      &stream.Side,
	Block:     func(s *Settings) *upstream.Block[*stream.Session] { return &s.Block },
	Inside:    conf.StreamUpstream,
	Balancers: balance.StreamOnly,
	Around: func(outer *conf.Scope) plan.ResolverSettings {
		return conf.SettingsOf[stream.Settings](outer).Resolver
	},
	Report:  func(g *servers.Group, now clock.Reading) any { return g.StreamReport(now) },
	Metrics: metrics(),
}

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name:       "upstream",
		Doc:        "Groups of servers for proxy_pass.",
		New:        conf.NewOf[Settings],
		Clone:      conf.CloneOf[Settings],
		Directives: family.Directives(),
		Check:      conf.CheckOf(family.Check),
	},
	Link: link,
	API:  func(p *plan.Plan) []admin.Resource { return []admin.Resource{family.Resource(p)} },
}

// link prepares the groups of the upstream blocks for sessions.
func link(p *plan.Plan) error {
	if problems := family.Link(p, nil); len(problems) > 0 {
		return problems
	}
	return nil
}

func metrics() []admin.Metric {
	const prefix = "nginxplus_stream_upstream_"
	return append(
		upstream.Metrics(prefix, "connections", "Connections made to a server for clients."),
		admin.Histogram(
			"starling_stream_upstream_server_session_seconds",
			upstream.Figure("session_time_hist"),
			"Time of a session with a server, from the connect on.",
		),
		admin.Gauge(prefix+"server_connect_time", upstream.Figure("connect_time"), "Average time to connect, in ms."),
		admin.Gauge(
			prefix+"server_first_byte_time",
			upstream.Figure("first_byte_time"),
			"Average time to the first byte, in ms.",
		),
	)
}
