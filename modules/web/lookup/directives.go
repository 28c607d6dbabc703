// Package lookup makes variables of requests whose values depend on other values: map, geo and split_clients.
package lookup

import (
	"net/netip"

	"starling/conf"
	"starling/modules/shared/lookup"
	"starling/nginx/trusted"
	"starling/web"
	"starling/web/h1"
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:       "lookup",
		Doc:        "Variables whose values depend on other values: by tables, addresses or a hash.",
		New:        conf.NewOf[struct{}],
		Clone:      conf.CloneOf[struct{}],
		Directives: lookup.Directives(&web.Side, forwarded),
	},
}

// forwarded uses the X-Forwarded-For of trusted proxies.
func forwarded(r *web.Request, from netip.Addr, networks *trusted.Networks, recursive bool) netip.Addr {
	to, _ := r.Forwarded(h1.HeaderXForwardedFor, netip.AddrPortFrom(from, 0), networks, recursive)
	return to.Addr()
}
