// Package forward forwards requests to servers, whatever the protocol of a family of directives. The kit has the tries,
// both bodies, the $upstream_… variables and the directives that all such families share; a family adds a Protocol.
// DESIGN.md describes the life of an exchange.
package forward

import (
	"starling/conf"
	"starling/plan"
	"starling/web"
)

// Family describes one family of forwarding directives.
type Family struct {
	// Prefix begins the names of its directives: "proxy".
	Prefix string
	// Pass are the contexts of PREFIX_pass.
	Pass conf.Context
	// Schemes are the possible beginnings of the argument of PREFIX_pass.
	Schemes []Scheme
	// Next are the words of PREFIX_next_upstream, without `off`.
	Next map[string]Condition
	Has  Features
	// ALPN are the protocols offered in TLS; nil offers none.
	ALPN []string
}

// Scheme is one form of an address, with its defaults.
type Scheme struct {
	// Text begins the argument of PREFIX_pass; "" if the family has no URLs.
	Text string
	// Shown precedes addresses in the error log.
	Shown string
	// Port is that of addresses without one; 0 makes it mandatory.
	Port uint16
	TLS  bool
}

// Features are optional capabilities of families.
type Features struct {
	// URL allows a scheme and variables in PREFIX_pass; URI also allows a URI there.
	URL, URI bool
	// Request forwards the client's headers and body; without it, a request has none.
	Request bool
	// Streams forwards both bodies as they arrive, and trailers: no directive changes that.
	Streams bool
	// Response lets servers control the response by headers, and operators by PREFIX_hide_header and similar
	// directives.
	Response bool
	// Buffers are PREFIX_buffering, the sizes around it and PREFIX_limit_rate; without them, everything is forwarded at
	// once.
	Buffers bool
	// Ranges is PREFIX_force_ranges; RangesAlways is without the directive.
	Ranges, RangesAlways bool
	Trailers             bool
	// TLS is PREFIX_ssl_….
	TLS bool
	// Cache is PREFIX_cache_…; the protocol is then a Keyer.
	Cache bool
	// Store is PREFIX_store….
	Store bool
}

// places are the contexts of all directives but PREFIX_pass.
const places = conf.HTTP | conf.Server | conf.Location

// Build makes the content handler of one block; nil if it forwards nothing. Call it from the Content hook of the
// family's module.
func Build(b *web.Block, f *Family, s *Settings, p Protocol) (web.Handler, error) {
	if !s.passes(b, f) {
		return nil, nil
	}
	l, err := newLocation(b, f, s, p)
	if err != nil {
		return nil, err
	}
	plan.Part[part](b.Plan).add(b.Scope, l)
	return l.handle, nil
}
