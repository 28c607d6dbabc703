package forward

import (
	"net/netip"

	"starling/lib/masked"
	"starling/logs"
	"starling/upstream"
	"starling/upstream/balance"
	"starling/upstreams"
	"starling/web"
	"starling/web/groups"
)

// find finds the group that the request goes to: it is fixed, or a URL with variables says it.
func (x *Exchange) find() web.Result {
	if x.l.Target.ByRequest == nil {
		x.group = x.l.Target.group
		return web.Declined
	}
	r := x.Request
	url := string(r.Expand(x.l.Target.ByRequest))
	rest, scheme := x.l.family.cutScheme(url)
	if scheme == nil {
		r.Logf(logs.Error, "invalid URL prefix in \"%s\"", masked.Passwords(url))
		return 500
	}
	t, err := groups.ParseTarget(rest, scheme.Port, true)
	if err != nil {
		r.Logf(logs.Error, "%v", err)
		return 500
	}
	x.own = newDestination(url, &t, scheme)
	x.To = &x.own
	if x.group = x.l.registry.Find(&t); x.group != nil {
		return web.Declined
	}
	return x.resolve(&t)
}

// resolve makes a group of its own for this request, of the addresses that the DNS has for its host.
func (x *Exchange) resolve(t *groups.Target) web.Result {
	g := &groups.Group{Base: upstreams.Base{Group: upstream.NewGroup(t.Name(), balance.RoundRobin{})}}
	var addresses []upstream.Address
	if literal, ok := t.Literal(); ok {
		addresses = append(addresses, literal)
	} else {
		if x.l.names == nil {
			x.Request.Logf(logs.Error, "no resolver defined to resolve %s", t.Host)
			return 502
		}
		found, _, err := x.l.names.Lookup(x.Request.Context(), t.Host)
		if err != nil {
			x.Request.Logf(logs.Error, "%v", err)
			return 502
		}
		for _, ip := range found {
			addresses = append(addresses, upstream.TCP(netip.AddrPortFrom(ip, t.Port)))
		}
	}
	for _, a := range addresses {
		if _, err := g.Add(upstream.NewSettings(t.Text, a), x.Request.Now()); err != nil {
			x.Request.Logf(logs.Error, "%v", err)
			return 502
		}
	}
	x.group = g
	return web.Declined
}
