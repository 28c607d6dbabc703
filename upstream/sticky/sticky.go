// Package sticky keeps the requests of a client on one server: the kinds of the `sticky` directive, one file each.
//
// All of them identify a server by upstream.Server.SessionID, which is the same on every node of a cluster. The caller
// evaluates the variables; nothing here knows requests.
package sticky

// FirstNonEmpty returns the first value that is not empty: of several variables in lookup, create or route, only that
// one counts, even if no server has it.
func FirstNonEmpty(values ...[]byte) []byte {
	for _, v := range values {
		if len(v) > 0 {
			return v
		}
	}
	return nil
}
