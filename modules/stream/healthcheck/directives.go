// Package healthcheck is health_check and match of stream: it checks the servers of a group periodically by connecting
// to them or by an exchange of data.
package healthcheck

import (
	"maps"
	"time"

	"starling/conf"
	"starling/modules/shared/healthcheck"
	"starling/plan"
	"starling/side"
	"starling/stream"
	"starling/upstream"
)

// Module is the family. It is listed after those that forward sessions.
var Module = stream.Module{
	Module: conf.Module{
		Name:  "health_check",
		Doc:   "Checks the servers of an upstream group periodically and stops passing sessions to those that fail.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			{
				Name: "health_check", In: conf.StreamServer, Repeat: true, Params: params(),
				Syntax: healthcheck.Syntax + " [udp]",
				Doc: "Enables periodic checks of the servers of the group to which the server passes sessions. A " +
					"server that fails one of several checks is unhealthy. The group needs a `zone`. By default, a " +
					"TCP connection must succeed, with TLS if `proxy_ssl` is on; over UDP, the text \"nginx health " +
					"check\" is sent, and no ICMP error may come back.",
				Set: conf.List(func(s *Settings) *[]line { return &s.lines }, readLine),
			}, {
				Name: "health_check_timeout", Syntax: "<time>", Default: "5s", In: conf.Stream | conf.StreamServer,
				Doc: "Limits the time of a health check, instead of `proxy_timeout`.",
				Set: conf.Field(func(s *Settings) *time.Duration { return &s.timeout }, conf.Time),
			}, {
				Name: "match", Syntax: "<name>", In: conf.Stream, Opens: conf.Lines, Repeat: true,
				Doc: "Defines the test of health checks: `send STRING` sends data to the server, `expect STRING` or " +
					"`expect ~|~* REGEX` requires data that contain the string or match. `\\xHH` is a byte.",
				Set: conf.Raw(declareMatch),
			},
		},
	},
	Handlers: []stream.Hook{{Phase: stream.PostAccept, Build: build}},
}

func params() map[string]string {
	all := map[string]string{"udp": "Uses UDP instead of TCP."}
	maps.Copy(all, healthcheck.Params)
	return all
}

// Settings of one server.
type Settings struct {
	lines   []line
	timeout time.Duration
}

// line is one health_check.
type line struct {
	healthcheck.Line
	udp bool
}

func readLine(a *conf.Args) (l line, err error) {
	l.Line, err = healthcheck.Read(a)
	l.udp = a.Has("udp")
	l.Must("protocol", map[bool]string{false: "tcp", true: "udp"}[l.udp])
	return l, err
}

// build starts the checks of a server.
func build(b *stream.Block) (stream.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	for _, l := range s.lines {
		route := b.Server.Route
		if route == nil {
			return nil, conf.At(l.Node, "\"health_check\" requires \"proxy_pass\" in the same server")
		}
		tests, err := matches(b.Plan).Find(&l.Line)
		if err != nil {
			return nil, err
		}
		if tests == nil {
			tests = &match{}
		}
		l.Must("health_check_timeout", upstream.FormatTime(s.timeout))
		prober := newProber(b.Standalone(l.udp), route, tests, s.timeout)
		if err := healthcheck.Start(b.Plan, &stream.Side, l.Line, route.Group, b.Server.Log, prober); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func matches(p *plan.Plan) *healthcheck.Matches[match] {
	return plan.Part[healthcheck.Matches[match]](p)
}

func declareMatch(_ *Settings, a *conf.Args) error {
	m, err := readMatch(a.Node.Block)
	if err != nil {
		return err
	}
	return matches(side.PlanOf(a)).Declare(a.Words[0], m, a.Node)
}
