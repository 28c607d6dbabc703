package forward

import (
	"starling/nginx/ascii"
	"starling/web/h1"
)

// With ntlm, a connection to a server authenticates one client: once a request has sent its credentials, the connection
// belongs to the client's connection until that ends, and is never used for another.

// bound is a connection while it belongs to a client's connection and no request uses it.
type bound struct{ *connection }

// Close ends it with the client's connection.
func (b bound) Close() error {
	b.Discard()
	return nil
}

// takeBound makes the request use the connection of its client, and binds the one that it will use if it authenticates.
func (x *Exchange) takeBound() {
	x.binds = authenticates(x.Request.KnownHeader(h1.HeaderAuthorization))
	if kept, ok := x.Request.Conn.Unbind(x.group.Group).(bound); ok {
		x.binds, x.bound = true, kept.connection
		x.attempt.WantServer(kept.Server)
	}
}

// authenticates reports whether an Authorization header is of a scheme that authenticates the connection.
func authenticates(authorization []byte) bool {
	for _, scheme := range [...]string{"NTLM", "Negotiate"} {
		if n := len(scheme); len(authorization) >= n && ascii.EqualString(authorization[:n], scheme) {
			return true
		}
	}
	return false
}

// giveBack keeps a connection that no try has used.
func (x *Exchange) giveBack() {
	if x.bound != nil {
		x.Request.Conn.Bind(x.group.Group, bound{x.bound})
		x.bound = nil
	}
}
