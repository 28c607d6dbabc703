// Package upstream is the upstream block: groups of servers, how requests are spread over them and how clients stick to one.
package upstream

import (
	"slices"
	"time"

	"starling/conf"
	"starling/lib/clock"
	"starling/modules/shared/upstream"
	"starling/plan"
	servers "starling/upstream"
	"starling/upstream/balance"
	"starling/web"
	"starling/web/forward"
)

// family is http's half of the upstream blocks.
var family = &upstream.Options[Settings, *web.Request]{
	Side:        &web.Side,
	Block:       func(s *Settings) *upstream.Block[*web.Request] { return &s.Block },
	Inside:      conf.Upstream,
	DefaultPort: 80,
	Balancers:   balance.HTTPOnly,
	Around: func(outer *conf.Scope) plan.ResolverSettings {
		return conf.SettingsOf[web.CoreSettings](outer).Resolver
	},
	ServerSyntax: " [route=<id>] [drain]",
	ServerParams: map[string]string{
		"route": "Id of the server in sticky cookies, routes and sessions, of at most 32 bytes that may stand in a cookie; made of its address if not given.",
		"drain": "The server gets only requests of the sessions that it has.",
	},
	Displace: func(s *Settings) bool { // as in nginx, a method written below `sticky` puts it out of work
		had := s.sticky != nil
		s.sticky = nil
		return had
	},
	Report:  func(g *servers.Group, now clock.Reading) any { return g.Report(now) },
	Metrics: metrics(),
}

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:       "upstream",
		Doc:        "Groups of servers that proxy_pass and memcached_pass send requests to.",
		New:        conf.NewOf[Settings],
		Clone:      conf.CloneOf[Settings],
		Directives: directives(),
		Check:      conf.CheckOf(family.Check),
	},
	Variables: forward.Variables(),
	Filters:   []web.FilterHook{{Build: buildCookieFilter}},
	Link:      link,
	API:       resources,
}

func directives() []conf.Directive {
	own := []conf.Directive{
		{
			Name: "keepalive", Syntax: "<connections> [local]", Params: keepaliveParams, DefaultDoc: "32 local", In: conf.Upstream,
			Doc: "Keeps that many idle connections to the servers of the group; 0 keeps none. With `local` a connection serves only the location that opened it.",
			Set: conf.Raw(setKeepAlive),
		}, {
			Name: "keepalive_requests", Syntax: "<number>", DefaultDoc: "1000", In: conf.Upstream, Doc: "Closes a connection after that many requests.",
			Set: conf.Field(func(s *Settings) **int { return &s.keepRequests }, pointer(conf.Number)),
		}, {
			Name: "keepalive_time", Syntax: "<time>", DefaultDoc: "1h", In: conf.Upstream, Doc: "Closes a connection of that age after its request.",
			Set: conf.Field(func(s *Settings) **time.Duration { return &s.keepTime }, pointer(conf.Time)),
		}, {
			Name: "keepalive_timeout", Syntax: "<time>", DefaultDoc: "60s", In: conf.Upstream, Doc: "Closes a connection that was idle for so long.",
			Set: conf.Field(func(s *Settings) **time.Duration { return &s.keepTimeout }, pointer(conf.Time)),
		}, {
			Name: "sticky", In: conf.Upstream, OneMore: true, Params: stickyParams,
			Syntax: "cookie <name> [expires=<time>] [domain=<domain>] [httponly] [secure] [samesite=<value>] [path=<path>]\n" +
				"route <$variable>...\n" +
				"learn [create=<$variable>...] [lookup=<$variable>...] [zone=<name>:<size>] [timeout=<time>] [header] [sync]",
			Doc: "Keeps the requests of a client on one server: by a cookie of its own, by an id that the request carries, or by sessions " +
				"learned from what servers send. With `sync` all nodes of the cluster share the sessions.",
			Set: conf.Raw(setSticky),
		},
	}
	return slices.Insert(family.Directives(), 1, own...) // behind `upstream`
}

// pointer makes a parser whose values tell being set from being zero.
func pointer[T any](parse func(string) (T, error)) func(string) (*T, error) {
	return func(text string) (*T, error) {
		v, err := parse(text)
		return &v, err
	}
}

// keepaliveParams explains the parameters of keepalive.
var keepaliveParams = map[string]string{
	"local": "A connection is reused only by the location that opened it.",
}

// stickyParams explains the parameters of sticky.
var stickyParams = map[string]string{
	"expires":  "Lifetime of the cookie, or `max`; if not given, the browser session.",
	"domain":   "Domain attribute of the cookie; may have variables.",
	"httponly": "The cookie is hidden from scripts.",
	"secure":   "The cookie is sent over TLS only.",
	"samesite": "`strict`, `lax` or `none`; may have variables.",
	"path":     "Path attribute of the cookie.",
	"create":   "Variables of a response whose first nonempty value begins a session.",
	"lookup":   "Variables of a request whose first nonempty value finds a session.",
	"zone":     "Name and size of the zone of sessions.",
	"timeout":  "A session unused for this time ends; 10m if not given.",
	"header":   "The session begins with the response header, not with its end.",
	"sync":     "The nodes of the cluster share the sessions.",
}
