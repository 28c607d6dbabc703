package slice

import (
	"bytes"
	"math"
)

// parseContentRange parses a Content-Range (ngx_http_slice_parse_content_range): the first byte, the one behind the
// last, and the size of the whole, -1 if the server does not know it.
func parseContentRange(value []byte) (first, end, size int64, ok bool) {
	rest, found := bytes.CutPrefix(value, []byte("bytes "))
	if !found {
		return 0, 0, 0, false
	}
	if first, rest, ok = number(rest); !ok {
		return 0, 0, 0, false
	}
	if rest, found = bytes.CutPrefix(rest, []byte("-")); !found {
		return 0, 0, 0, false
	}
	if end, rest, ok = number(rest); !ok || end == math.MaxInt64 {
		return 0, 0, 0, false
	}
	if rest, found = bytes.CutPrefix(rest, []byte("/")); !found {
		return 0, 0, 0, false
	}
	if rest = trimLeft(rest); bytes.HasPrefix(rest, []byte("*")) {
		return first, end + 1, -1, len(trimLeft(rest[1:])) == 0
	}
	size, rest, ok = number(rest)
	return first, end + 1, size, ok && len(rest) == 0
}

func trimLeft(text []byte) []byte { return bytes.TrimLeft(text, " ") }

// number takes a number, with the spaces around it, off the start of a text.
func number(text []byte) (n int64, rest []byte, ok bool) {
	for text = trimLeft(text); len(text) > 0 && text[0] >= '0' && text[0] <= '9'; text, ok = text[1:], true {
		digit := int64(text[0] - '0')
		if n > (math.MaxInt64-digit)/10 {
			return 0, nil, false
		}
		n = n*10 + digit
	}
	return n, trimLeft(text), ok
}
