// Package balance holds the load balancing methods: one file each. The http and the stream side both use them.
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
	// Keyed says that the first argument is a text with variables: the caller evaluates it per request into
	// Attempt.Key.
	Keyed bool
	// Side is the only side that knows the method; its zero value is both.
	Side Side
	// NoBackup refuses `backup` on servers, NoMaxConns … in nginx's words "balancing method does not support
	// parameter".
	NoBackup bool
	// NoSlowStart refuses slow_start, as NGINX Plus does for hashes and random.
	NoSlowStart bool
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

// Methods is the list of all methods. A group without a directive of these uses RoundRobin.
func Methods() []Method {
	return []Method{leastConn, ipHash, hash, random, leastTimeHTTP, leastTimeStream}
}
