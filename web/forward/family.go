// Package forward is the one way to a server: whatever protocol a family of directives speaks, its requests pass here.
// The kit has the tries, the bodies both ways, the $upstream_… variables and the directives that all such families
// share; a family adds a Protocol. DESIGN.md tells the life of an exchange.
package forward

import (
	"starling/conf"
	"starling/web"
)

// Family describes one family of forwarding directives.
type Family struct {
	// Prefix begins the names of its directives: "proxy".
	Prefix string
	// Pass are the contexts of PREFIX_pass.
	Pass conf.Context
	// Schemes are what the argument of PREFIX_pass begins with.
	Schemes []Scheme
	// Next are the words of PREFIX_next_upstream, without `off`.
	Next map[string]Condition
	Has  Features
}

// Scheme is a way to write an address, and what follows from it.
type Scheme struct {
	// Text begins the argument of PREFIX_pass; "" where the family has no URLs.
	Text string
	// Shown stands before addresses in the error log.
	Shown string
	// Port is that of addresses without one; 0 makes it mandatory.
	Port uint16
	TLS  bool
}

// Features are what only some families have.
type Features struct {
	// URL lets PREFIX_pass have a scheme, a URI and variables.
	URL bool
	// Request passes the client's headers and body on; without it a request has none.
	Request bool
	// Response lets servers steer by headers of their answers, and operators by PREFIX_hide_header and its kin.
	Response bool
	// Buffers are PREFIX_buffering and the sizes around it; without them all that comes goes on at once.
	Buffers  bool
	Trailers bool
	// TLS is PREFIX_ssl_….
	TLS bool
}

// places are the contexts of all directives but PREFIX_pass.
const places = conf.HTTP | conf.Server | conf.Location

// Build makes the content handler of one block; nil where nothing is passed on. Call it from the Content hook of the
// family's module.
func Build(b *web.Block, f *Family, s *Settings, p Protocol) (web.Handler, error) {
	if !s.passes(b, f) {
		return nil, nil
	}
	l, err := newLocation(b, f, s, p)
	if err != nil {
		return nil, err
	}
	return l.handle, nil
}
