package web

import (
	"bytes"

	"starling/nginx/escape"
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
			if i++; i == len(escaped) {
				break
			}
			c = escaped[i]
			if high, ok := escape.HexValue(c); ok {
				if i++; i == len(escaped) {
					break
				}
				low, ok := escape.HexValue(escaped[i])
				if !ok {
					continue
				}
				c = high<<4 | low
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
