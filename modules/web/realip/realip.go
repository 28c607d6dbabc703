package realip

import (
	"net/netip"

	"starling/conf"
	"starling/nginx/trusted"
	"starling/side"
	"starling/web"
	"starling/web/h1"
)

// replaced marks the slot in which each request records that its address was replaced.
type replaced struct{}

func build(b *web.Block) (web.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if len(s.From) == 0 {
		return nil, nil
	}
	slot := side.SlotOf[replaced](&web.Side, b.Plan)
	x := &replacer{source: s.Source, recursive: s.Recursive, trusted: trusted.Of(s.From), slot: slot}
	return x.handle, nil
}

// replacer are the prepared settings of one block.
type replacer struct {
	source    source
	recursive bool
	trusted   *trusted.Networks
	slot      int
}

func (x *replacer) handle(r *web.Request) web.Result {
	done := r.Slot(x.slot)
	if done.Set {
		return web.Declined
	}
	if to, changed := x.find(r); changed {
		r.Remote, done.Set = to, true
	}
	return web.Declined
}

// find returns the reported address of the client.
func (x *replacer) find(r *web.Request) (netip.AddrPort, bool) {
	switch {
	case x.source.proxy:
		h := r.Conn.Proxied
		if h == nil || !x.trusted.Trusts(r.Remote.Addr()) {
			return r.Remote, false
		}
		return h.Source, true
	case x.source.forwardedFor:
		return r.Forwarded(h1.HeaderXForwardedFor, r.Remote, x.trusted, x.recursive)
	}
	value, sent := r.Header(x.source.name)
	if !sent {
		return r.Remote, false
	}
	return trusted.Address(r.Remote, x.trusted, x.recursive, func(yield func([]byte) bool) { yield(value) })
}
