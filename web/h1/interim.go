package h1

import "bytes"

// notInInterim are the fields that have no meaning in a 1xx response: those of one connection, and of framing (RFC
// 9110, 8.6). Clients of HTTP/2 give up the whole answer over one of them.
var notInInterim = HopByHop | SetOf(HeaderContentLength)

// Interim gives those headers of a 1xx response that may be passed on.
func (h Headers) Interim() Headers {
	if len(h) == 0 {
		return nil
	}
	kept := make(Headers, 0, len(h))
	for i := range h {
		if !notInInterim.Has(h[i].ID) && !h.namedByConnection(h[i].Name) {
			kept = append(kept, h[i])
		}
	}
	return kept
}

// namedByConnection tells whether Connection says that a field is meant for the next hop alone (RFC 9110, 7.6.1).
func (h Headers) namedByConnection(name []byte) bool {
	for i := range h {
		if h[i].ID != HeaderConnection {
			continue
		}
		for token, rest := nextToken(h[i].Value); token != nil; token, rest = nextToken(rest) {
			if bytes.EqualFold(token, name) {
				return true
			}
		}
	}
	return false
}
