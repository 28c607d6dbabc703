// Package upstream is the upstream block: groups of servers, how requests are balanced over them and how clients stick
// to one.
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

// family are the http options of the upstream blocks.
var family = &upstream.Options[Settings, *web.Request]{
	Side:        &web.Side,
	Block:       func(s *Settings) *upstream.Block[*web.Request] { return &s.Block },
	Inside:      conf.Upstream,
	DefaultPort: 80,
	Balancers:   balance.HTTPOnly,
	Around: func(outer *conf.Scope) plan.ResolverSettings {
		return conf.SettingsOf[web.Settings](outer).Resolver
	},
	ServerSyntax: " [route=<id>] [drain]",
	ServerParams: map[string]string{
		"route": "ID of the server in sticky cookies, routes and sessions, at most 32 bytes of cookie characters; " +
			"derived from the address by default.",
		"drain": "Drains the server: it gets only requests of its existing sessions.",
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
		Doc:        "Groups of servers for proxy_pass and memcached_pass.",
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
			Name: "keepalive", Syntax: "<connections> [local]", Params: keepaliveParams, DefaultDoc: "32 local",
			In: conf.Upstream,
			Doc: "Sets the maximum number of idle connections kept to the servers of the group; 0 disables " +
				"keepalive. With `local`, a connection is reused only by the location that opened it.",
			Set: conf.Raw(setKeepAlive),
		}, {
			Name: "keepalive_requests", Syntax: "<number>", DefaultDoc: "1000", In: conf.Upstream,
			Doc: "Sets the maximum number of requests of a kept connection.",
			Set: conf.Field(func(s *Settings) **int { return &s.keepRequests }, pointer(conf.Number)),
		}, {
			Name: "keepalive_time", Syntax: "<time>", DefaultDoc: "1h", In: conf.Upstream,
			Doc: "Sets the maximum age of a connection, after which it is closed once its request completes.",
			Set: conf.Field(func(s *Settings) **time.Duration { return &s.keepTime }, pointer(conf.Time)),
		}, {
			Name: "keepalive_timeout", Syntax: "<time>", DefaultDoc: "60s", In: conf.Upstream,
			Doc: "Sets the timeout for closing an idle connection.",
			Set: conf.Field(func(s *Settings) **time.Duration { return &s.keepTimeout }, pointer(conf.Time)),
		}, {
			Name: "ntlm", In: conf.Upstream,
			Doc: "Binds a connection to a server to the client's connection, once a request has an Authorization " +
				"header of the scheme NTLM or Negotiate: further requests of the client use it, and no others.",
			Set: conf.Raw(func(s *Settings, _ *conf.Args) error { s.ntlm = true; return nil }),
		}, {
			Name: "queue", Syntax: "<number> [timeout=<time>]", Params: queueParams, In: conf.Upstream,
			Doc: "Lets so many requests wait for a server if none can be selected, the oldest first. A request that " +
				"finds the queue full, or waits too long, is answered with 502. By default, requests do not wait.",
			Set: conf.Raw(setQueue),
		}, {
			Name: "sticky", In: conf.Upstream, OneMore: true, Params: stickyParams,
			Syntax: "cookie <name> [expires=<time>] [domain=<domain>] [httponly] [secure] [samesite=<value>] " +
				"[path=<path>]\nroute <$variable>...\nlearn [create=<$variable>...] [lookup=<$variable>...] " +
				"[zone=<name>:<size>] [timeout=<time>] [header] [sync[=<time>]]",
			Doc: "Enables session affinity: by a cookie that Starling sets, by a route in the request, or by " +
				"sessions learned from responses. With `sync`, all nodes of the cluster share the sessions, and the " +
				"response that tells the client of a new or moved session is held back until they have it. A node " +
				"that does not know a session asks the others before it selects a server.",
			Set: conf.Raw(setSticky),
		},
	}
	return slices.Insert(family.Directives(), 1, own...) // behind `upstream`
}

// pointer makes a parser whose values distinguish set from zero.
func pointer[T any](parse func(string) (T, error)) func(string) (*T, error) {
	return func(text string) (*T, error) {
		v, err := parse(text)
		return &v, err
	}
}

// queueParams explains the parameters of queue.
var queueParams = map[string]string{
	"timeout": "Maximum time in the queue; 60s by default.",
}

// keepaliveParams explains the parameters of keepalive.
var keepaliveParams = map[string]string{
	"local": "Reuses a connection only in the location that opened it.",
}

// stickyParams explains the parameters of sticky.
var stickyParams = map[string]string{
	"expires":  "Lifetime of the cookie, or `max`; by default, the browser session.",
	"domain":   "Domain attribute of the cookie; can contain variables.",
	"httponly": "Sets the HttpOnly attribute.",
	"secure":   "Sets the Secure attribute.",
	"samesite": "SameSite attribute: `strict`, `lax` or `none`; can contain variables.",
	"path":     "Path attribute of the cookie.",
	"create":   "Variables of the response; the first nonempty value creates a session.",
	"lookup":   "Variables of the request; the first nonempty value identifies a session.",
	"zone":     "Name and size of the session zone.",
	"timeout":  "Inactivity timeout of a session; 10m by default.",
	"header":   "Creates the session as soon as the response header arrives, not at the end of the response.",
	"sync": "Shares the sessions with the nodes of the cluster. The value is how long a response waits for them at " +
		"most; 5ms by default. With `0`, it does not wait, and nodes do not ask for sessions.",
}
