package web

import (
	"bytes"
)

// SafePath decodes a path of a response (X-Accel-Redirect, an SSI page) into dst. It is not safe if it contains "..": a
// name from a server is trusted less than its content, because it often originates from a user.
func SafePath(dst, escaped []byte) (path []byte, ok bool) {
	if len(escaped) == 0 || escaped[0] != '/' {
		return nil, false
	}
	for i := 0; i < len(escaped); i++ {
		c := escaped[i]
		if c == '%' {
			// As in nginx, a % is dropped if no digit follows; with its digit and what follows that if there is only
			// one.
			high, one := hexDigit(escaped, i+1)
			low, two := hexDigit(escaped, i+2)
			switch {
			case two && one:
				c, i = high<<4|low, i+2
			case one:
				i += 2
				continue
			case i+1 < len(escaped):
				i++
				c = escaped[i]
			default:
				continue
			}
		}
		if c == 0 {
			return nil, false
		}
		dst = append(dst, c)
	}
	for segment := range bytes.SplitSeq(dst, []byte("/")) {
		if string(segment) == ".." {
			return nil, false
		}
	}
	return dst, true
}

// hexDigit is the value of a hexadecimal digit.
func hexDigit(text []byte, i int) (value byte, ok bool) {
	if i >= len(text) {
		return 0, false
	}
	switch c := text[i]; {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
