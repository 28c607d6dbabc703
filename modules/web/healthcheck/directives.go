// Package healthcheck is health_check and match of http: it checks the servers of a group periodically with requests.
package healthcheck

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"starling/conf"
	"starling/modules/shared/healthcheck"
	"starling/plan"
	"starling/side"
	"starling/upstream"
	"starling/web"
	"starling/web/forward"
)

// Module is the family. It is listed after those that forward requests.
var Module = web.Module{
	Module: conf.Module{
		Name:  "health_check",
		Doc:   "Checks the servers of an upstream group periodically and stops sending requests to those that fail.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Enter: func(settings any, in conf.Context) {
			if in == conf.Location {
				settings.(*Settings).lines = nil
			}
		},
		Directives: []conf.Directive{
			{
				Name: "health_check", In: conf.Location, Repeat: true, Params: params(),
				Syntax: healthcheck.Syntax + " [uri=<uri>] [keepalive_time=<time>] " +
					"[type=grpc [grpc_service=<name>] [grpc_status=<code>]]",
				Doc: "Enables periodic checks of the servers of the group to which the location passes requests, " +
					"with GET requests and the settings of the location. A server that fails one of several checks " +
					"is unhealthy. The group needs a `zone`. By default, a status from 200 to 399 passes. With " +
					"`type=grpc`, the checks are calls of `grpc.health.v1.Health/Check`, and `SERVING` passes.",
				Set: conf.List(func(s *Settings) *[]line { return &s.lines }, readLine),
			}, {
				Name: "match", Syntax: "<name>", In: conf.HTTP, Opens: conf.Lines, Repeat: true,
				Doc: "Defines the tests of responses to health checks, all of which must pass: `status [!] CODE ...` " +
					"with codes and ranges; `header [!] NAME`, `header NAME =|!=|~|!~ VALUE`; `body ~|!~ REGEX` on " +
					"the first 256k; `require $variable ...`, none of which may be empty or 0.",
				Set: conf.Raw(declareMatch),
			},
		},
	},
	Handlers: []web.Hook{{Phase: web.Content, Build: build}},
}

func params() map[string]string {
	all := map[string]string{
		"uri":            "URI of the requests, `/` by default.",
		"keepalive_time": "Time for which a connection is kept for further checks; by default, each uses a new one.",
		"type": "`grpc` calls the gRPC health service instead. The location needs `grpc_pass`. Not with `uri` or " +
			"`match`.",
		"grpc_service": "Service whose health is asked for; by default, that of the whole server.",
		"grpc_status": "Code of a gRPC status other than 0 that passes too, such as 12 of servers without the health " +
			"service.",
	}
	for name, doc := range healthcheck.Params {
		all[name] = doc
	}
	return all
}

// Settings of one location.
type Settings struct{ lines []line }

// line is one health_check.
type line struct {
	healthcheck.Line
	uri     []byte
	keepFor time.Duration
	grpc    *grpcTest // of type=grpc
}

func readLine(a *conf.Args) (l line, err error) {
	if l.Line, err = healthcheck.Read(a); err != nil {
		return l, err
	}
	if l.grpc, err = readGRPC(a); err != nil {
		return l, err
	}
	l.uri = []byte("/")
	for _, name := range []string{"type", "grpc_service", "grpc_status"} {
		l.Must(name, a.Value(name))
	}
	if a.Has("uri") {
		l.uri = []byte(a.Value("uri"))
		if len(l.uri) == 0 || bytes.ContainsFunc(l.uri, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
			return l, fmt.Errorf("invalid parameter \"uri=%s\"", l.uri)
		}
	}
	if l.grpc == nil {
		l.Must("uri", string(l.uri))
	}
	err = healthcheck.Time(a, "keepalive_time", 0, &l.keepFor)
	if l.keepFor > 0 {
		l.Must("keepalive_time", upstream.FormatTime(l.keepFor))
	}
	return l, err
}

// build starts the checks of a location.
func build(b *web.Block) (web.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if b.Current == nil || b.Scope.In != conf.Location {
		return nil, nil
	}
	for _, l := range s.lines {
		forwards := forward.ProberOf(b)
		if forwards == nil {
			return nil, conf.At(l.Node, "\"health_check\" requires a directive in the same location that passes "+
				"requests to an upstream, such as \"proxy_pass\"")
		}
		if prefix := forwards.Prefix(); l.grpc != nil && prefix != "grpc" {
			return nil, conf.At(l.Node,
				"\"type=grpc\" requires \"grpc_pass\", but the location has \"%s_pass\"", prefix)
		}
		tests, err := matches(b.Plan).Find(&l.Line)
		if err != nil {
			return nil, err
		}
		for _, n := range b.Scope.Node.Block {
			if strings.HasSuffix(n.Name, "_pass") {
				l.Must(n.Name, strings.Join(n.Words, " "))
			}
		}
		prober := &prober{forwards: forwards, uri: l.uri, keepFor: l.keepFor, tests: tests, grpc: l.grpc}
		if err := healthcheck.Start(b.Plan, &web.Side, l.Line, forwards.Group(), b.Current.Log, prober); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func matches(p *plan.Plan) *healthcheck.Matches[match] {
	return plan.Part[healthcheck.Matches[match]](p)
}

func declareMatch(_ *Settings, a *conf.Args) error {
	m, err := readMatch(a)
	if err != nil {
		return err
	}
	return matches(side.PlanOf(a)).Declare(a.Words[0], m, a.Node)
}
