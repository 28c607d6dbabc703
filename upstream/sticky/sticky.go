// Package sticky keeps the requests of a client on one server: the `sticky` directive's kinds, one file each.
//
// All of them name a server by upstream.Server.SessionID, which is the same on every node of a cluster. The caller
// evaluates the variables; nothing here knows requests.
package sticky

// FirstNonEmpty returns the first value that is not empty: of several variables named in lookup, create or route
// only that one counts, even if it leads to no server.
func FirstNonEmpty(values ...[]byte) []byte {
	for _, v := range values {
		if len(v) > 0 {
			return v
		}
	}
	return nil
}
