// Package escape writes and reads %XX in URIs by nginx's tables, which differ from net/url's.
package escape

// Set is the set of bytes that must be escaped.
type Set struct{ bits [256 / 64]uint64 }

func (s *Set) has(c byte) bool { return s.bits[c>>6]&(1<<(c&63)) != 0 }

// newSet has the control bytes, those above ASCII, the bytes that RFC 3986 never allows, and the given ones.
func newSet(extra string) *Set {
	s := &Set{}
	for c := range 256 {
		if c < ' ' || c >= 0x7f {
			s.bits[c>>6] |= 1 << (c & 63)
		}
	}
	for _, c := range []byte(" \"<>\\^`{|}" + extra) {
		s.bits[c>>6] |= 1 << (c & 63)
	}
	return s
}

// Line is what ends the target in a request line, or the line.
var Line = lineSet()

func lineSet() *Set {
	s := &Set{}
	for c := range ' ' + 1 {
		s.bits[c>>6] |= 1 << (c & 63)
	}
	s.bits[0x7f>>6] |= 1 << (0x7f & 63)
	return s
}

func (s *Set) without(c byte) *Set {
	s.bits[c>>6] &^= 1 << (c & 63)
	return s
}

// The sets of ngx_escape_uri.
var (
	// Path is for a decoded path that becomes part of a URI again.
	Path = newSet("#%?")
	// Args is for a value within a query.
	Args = newSet("#%&+;?")
	// Link is for a text in an attribute of HTML: what ends it is escaped, what has a meaning in a URI is not.
	Link = newSet("#%'")
	// Refresh is for the target of a refresh, also in an attribute; nginx's table has "~" where one expects "}".
	Refresh = newSet("'~").without('}')
	// Component is for a name that becomes one part of a path, a query or anything else.
	Component = newSet("!#$%&'()*+,/:;=?@[]")
)

const hex = "0123456789ABCDEF"

// Append adds src to dst with the bytes of the set as %XX.
func Append(dst, src []byte, set *Set) []byte {
	for _, c := range src {
		if set.has(c) {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// AppendHTML adds src to dst as text of an HTML or XML document.
func AppendHTML(dst, src []byte) []byte {
	for _, c := range src {
		switch c {
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		case '&':
			dst = append(dst, "&amp;"...)
		case '"':
			dst = append(dst, "&quot;"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// RedirectInPlace undoes the escapes of a redirect's target up to its query, leaving those that must stay:
// what nginx does to the replacement of a rewrite that redirects. It returns the shortened slice.
func RedirectInPlace(uri []byte) []byte {
	out := uri[:0]
	for i := 0; i < len(uri); i++ {
		c := uri[i]
		if c == '?' {
			return append(out, uri[i:]...)
		}
		if c != '%' {
			out = append(out, c)
			continue
		}
		if i++; i == len(uri) {
			break
		}
		high, ok := HexValue(uri[i])
		if !ok { // the bad escape's percent is dropped, as in nginx
			out = append(out, uri[i])
			continue
		}
		if i++; i == len(uri) {
			break
		}
		low, ok := HexValue(uri[i])
		if !ok {
			continue
		}
		switch v := high<<4 | low; {
		case v == '?' && uri[i] > '9': // nginx: an encoded "?" ends the decoding
			out = append(out, v)
			return append(out, uri[i+1:]...)
		case v > '%' && v < 0x7f:
			out = append(out, v)
		default:
			out = append(out, '%', uri[i-1], uri[i])
		}
	}
	return out
}

// HexValue is the value of a hexadecimal digit.
func HexValue(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return (c | 0x20) - 'a' + 10, true
	}
	return 0, false
}
