package h1

import "bytes"

// notInInterim are the fields without a meaning in a 1xx response: those of one connection, and of framing (RFC 9110,
// 8.6). HTTP/2 clients drop the whole response because of one of them.
var notInInterim = HopByHop | SetOf(HeaderContentLength)

// Interim returns the headers of a 1xx response that can be forwarded.
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

// namedByConnection reports whether Connection restricts a field to the next hop (RFC 9110, 7.6.1).
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
