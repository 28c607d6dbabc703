// Package lookup makes variables of requests whose values are chosen by other values: map, geo and split_clients.
package lookup

import (
	"net/netip"

	"starling/conf"
	"starling/logs"
	"starling/lookups"
	"starling/nginx/trusted"
	"starling/plan"
	"starling/web"
	"starling/web/h1"
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:       "lookup",
		Doc:        "Variables whose values are chosen by other values: by tables, by addresses and by a hash.",
		New:        conf.NewOf[struct{}],
		Clone:      conf.CloneOf[struct{}],
		Directives: side().Directives(conf.HTTP),
	},
}

// side is the http side as lookups see it.
func side() *lookups.Side[*web.Request] {
	return &lookups.Side[*web.Request]{
		Variables: web.Variables,
		NewSlot:   web.NewSlot,
		Keep:      keep,
		Kept: func(r *web.Request, slot int) ([]byte, bool) {
			s := r.Slot(slot)
			return s.Value, s.Set
		},
		CompileRegex: func(p *plan.Plan, pattern string, caseless bool) (lookups.Regex[*web.Request], error) {
			return web.CompileRegex(p, pattern, caseless)
		},
		Nesting: func(r *web.Request) *int { return &r.Nesting },
		Logf: func(r *web.Request, level logs.Level, format string, args ...any) {
			r.Logf(level, format, args...)
		},
		Remote: func(r *web.Request) netip.Addr { return r.Remote.Addr() },
		Forwarded: func(r *web.Request, from netip.Addr, networks *trusted.Networks, recursive bool) netip.Addr {
			to, _ := r.Forwarded(h1.HeaderXForwardedFor, netip.AddrPortFrom(from, 0), networks, recursive)
			return to.Addr()
		},
	}
}

func keep(r *web.Request, slot int, value []byte, literal bool) {
	if !literal {
		value = r.Copy(value)
	}
	*r.Slot(slot) = web.Slot{Value: value, Set: true}
}
