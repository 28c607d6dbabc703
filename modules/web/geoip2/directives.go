// Package geoip2 makes variables of requests from databases of addresses.
package geoip2

import (
	"fmt"
	"net/netip"

	"starling/conf"
	"starling/modules/shared/geoip2"
	"starling/nginx/accesslist"
	"starling/nginx/trusted"
	"starling/web"
	"starling/web/h1"
)

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "geoip2",
		Doc:   "Variables with values of databases of addresses, as ngx_http_geoip2_module has them.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{
			geoip2.Directive(&web.Side, client),
			{
				Name: "geoip2_proxy", Syntax: "<address>", In: conf.HTTP, Repeat: true,
				Doc: "Adds a trusted proxy, an address or a network: `geoip2` looks up the address in its " +
					"X-Forwarded-For.",
				Set: conf.Raw(setProxy),
			},
			{
				Name: "geoip2_proxy_recursive", Syntax: "on | off", Default: "off", In: conf.HTTP,
				Doc: "Uses the last address in X-Forwarded-For that is not of a trusted proxy.",
				Set: conf.Field(func(s *Settings) *bool { return &s.recursive }, conf.Flag),
			},
		},
	},
}

// Settings of the http block.
type Settings struct {
	proxies   *trusted.Networks // nil: no header is trusted
	recursive bool
}

func setProxy(s *Settings, a *conf.Args) error {
	network, lowBits, err := accesslist.ParsePrefix(a.Words[0])
	if err != nil {
		return fmt.Errorf("invalid network \"%s\"", a.Words[0])
	}
	if lowBits {
		a.Warn("low address bits of %s are meaningless", a.Words[0])
	}
	if s.proxies == nil {
		s.proxies = new(trusted.Networks)
	}
	s.proxies.Add(network)
	return nil
}

func client(r *web.Request) netip.Addr {
	addr, s := r.Client(), conf.SettingsOf[Settings](r.Location.Scope)
	if s.proxies == nil || !addr.IsValid() {
		return addr
	}
	to, _ := r.Forwarded(h1.HeaderXForwardedFor, netip.AddrPortFrom(addr, 0), s.proxies, s.recursive)
	return to.Addr()
}
