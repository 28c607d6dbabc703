// Package balance has the load balancing methods, one file each. Both http and stream use them.
package balance

import (
	"starling/upstream"
)

// Method is one load balancing directive.
type Method struct {
	// Name is the directive, Syntax its arguments in the language of conf.Directive, Doc one sentence.
	Name, Syntax, Doc string
	// Params explains the parameters and flags of Syntax, for the reference.
	Params map[string]string
	// Keyed means that the first argument is a text with variables: the caller evaluates it per request into
	// Attempt.Key.
	Keyed bool
	// Side is the only side that supports the method; its zero value is both.
	Side Side
	// Once rejects a second directive of this method, as nginx does for some; the last one of the others counts.
	Once bool
	// NoBackup rejects `backup` on servers, NoMaxConns `max_conns`, with nginx's text "balancing method does not
	// support parameter".
	NoBackup bool
	// New makes the balancer of one group from the directive's arguments, without the name.
	New func(args []string) (upstream.Balancer, error)
}

// Side is http or stream.
type Side uint8

// The sides.
const (
	BothSides Side = iota
	HTTPOnly
	StreamOnly
)

// Methods lists all methods. A group without one of these directives uses RoundRobin.
func Methods() []Method {
	return []Method{leastConn, ipHash, hash, randomHTTP, randomStream, leastTimeHTTP, leastTimeStream}
}
