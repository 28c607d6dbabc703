package web

import (
	"bytes"
	"strconv"
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
			if i+2 >= len(escaped) {
				return nil, false
			}
			n, err := strconv.ParseUint(string(escaped[i+1:i+3]), 16, 8)
			if err != nil {
				return nil, false
			}
			c, i = byte(n), i+2
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
