package h1

import "bytes"

// Per-byte meaning in a path: everything else is copied.
const (
	uriPlain   = iota
	uriSlash   // '/'
	uriDot     // '.'
	uriPercent // '%'
	uriQuery   // '?'
	uriHash    // '#'
)

var uriByte = [256]uint8{'/': uriSlash, '.': uriDot, '%': uriPercent, '?': uriQuery, '#': uriHash}

// normalise decodes and simplifies a path as nginx does: %XX, "//" (if mergeSlashes), "." and ".."; a fragment is
// removed. target is a request target from the path on. If nothing changes, path is a part of target; otherwise it is
// appended to dst, which is returned as grown. ok is false for a bad escape, %00, or ".." above the root.
func normalise(dst, target []byte, mergeSlashes bool) (path, args, grown []byte, ok bool) {
	end, simple := scanPath(target)
	if simple {
		path = target[:end:end]
		if end < len(target) {
			args = target[end+1:]
		}
		return path, args, dst, true
	}
	start := len(dst)
	n := normaliser{out: dst, start: start, mergeSlashes: mergeSlashes}
	rest, ok := n.run(target)
	if !ok {
		return nil, nil, dst, false
	}
	if hash := bytes.IndexByte(rest, '#'); hash >= 0 {
		rest = rest[:hash]
	}
	return n.out[start:len(n.out):len(n.out)], rest, n.out, true
}

// scanPath finds the end of a path that needs no change; simple is false as soon as it may need one.
func scanPath(target []byte) (end int, simple bool) {
	afterSlash := false
	for i, c := range target {
		switch uriByte[c] {
		case uriPlain:
			afterSlash = false
		case uriSlash:
			if afterSlash {
				return 0, false
			}
			afterSlash = true
		case uriDot:
			if afterSlash {
				return 0, false
			}
		case uriQuery:
			return i, i > 0 && bytes.IndexByte(target[i:], '#') < 0
		default:
			return 0, false
		}
	}
	return len(target), len(target) > 0
}

// normaliser is nginx's ngx_http_parse_complex_uri: the last bytes written determine the effect of a '/'.
type normaliser struct {
	out          []byte
	start        int
	state        pathState
	mergeSlashes bool
}

type pathState uint8

const (
	inSegment   pathState = iota
	afterSlash            // out ends with '/'
	afterDot              // out ends with "/."
	afterDotDot           // out ends with "/.."
)

// run writes the path and returns the query as sent.
func (n *normaliser) run(target []byte) (query []byte, ok bool) {
	if len(target) == 0 || target[0] != '/' { // "http://host?args"
		n.out = append(n.out, '/')
	}
	for i := 0; i < len(target); i++ {
		c := target[i]
		switch uriByte[c] {
		case uriQuery:
			return target[i+1:], n.close()
		case uriHash:
			return nil, n.close()
		case uriPercent:
			if i+2 >= len(target) {
				return nil, false
			}
			high, low := hexValue[target[i+1]], hexValue[target[i+2]]
			c = high<<4 | low
			if high > 15 || low > 15 || c == 0 {
				return nil, false
			}
			i += 2
			if k := uriByte[c]; k == uriQuery || k == uriHash || k == uriPercent {
				// an escaped '?', '#' or '%' is literal
				n.out = append(n.out, c)
				n.state = inSegment
				continue
			}
		}
		if !n.write(c) {
			return nil, false
		}
	}
	return nil, n.close()
}

// write adds one decoded byte.
func (n *normaliser) write(c byte) bool {
	switch {
	case c == '/':
		return n.slash()
	case c == '.' && n.state == afterSlash:
		n.state = afterDot
	case c == '.' && n.state == afterDot:
		n.state = afterDotDot
	default:
		n.state = inSegment
	}
	n.out = append(n.out, c)
	return true
}

func (n *normaliser) slash() bool {
	switch n.state {
	case afterSlash:
		if n.mergeSlashes {
			return true
		}
		n.out = append(n.out, '/')
	case afterDot, afterDotDot:
		return n.close()
	default:
		n.out = append(n.out, '/')
	}
	n.state = afterSlash
	return true
}

// close ends a segment: "/." becomes "/", and so does "/x/..". It returns false if ".." leads above the root.
func (n *normaliser) close() bool {
	switch n.state {
	case afterDot:
		n.out = n.out[:len(n.out)-1]
	case afterDotDot:
		// nginx's "u -= 4": the byte before "/..", then back to the slash that begins its segment.
		at := len(n.out) - 4
		for at >= n.start && n.out[at] != '/' {
			at--
		}
		if at < n.start {
			return false
		}
		n.out = n.out[:at+1]
	default:
		return true
	}
	n.state = afterSlash
	return true
}

// hexValue is 0 to 15, or more for a byte that is not a hexadecimal digit.
var hexValue = func() (v [256]uint8) {
	for c := range 256 {
		switch b := byte(c); {
		case b >= '0' && b <= '9':
			v[c] = b - '0'
		case b|0x20 >= 'a' && b|0x20 <= 'f':
			v[c] = b | 0x20 - 'a' + 10
		default:
			v[c] = 0xff
		}
	}
	return v
}()
