package h1

import (
	"encoding/binary"

	"starling/nginx/ascii"
)

// plainName maps the bytes that nginx always accepts in a header name ([-0-9A-Za-z]) to lower case; others to 0.
// tokenByte are the bytes of RFC 9110's token.
var plainName, tokenByte = func() (plain [256]byte, token [256]bool) {
	for c := range 256 {
		b := byte(c)
		switch {
		case b >= 'a' && b <= 'z', b >= '0' && b <= '9', b == '-':
			plain[c] = b
		case b >= 'A' && b <= 'Z':
			plain[c] = ascii.Lower(b)
		}
		token[c] = plain[c] != 0
	}
	for _, c := range []byte("!#$%&'*+.^_`|~") {
		token[c] = true
	}
	return plain, token
}()

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// controlIn tells whether b holds a byte below 0x20 or 0x7f. Eight bytes at a time: see "Bit Twiddling Hacks",
// "determine if a word has a byte less than n" and "... has a zero byte"; both are exact as tests of the whole word.
func controlIn(b []byte) bool {
	for len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b)
		d := x ^ 0x7f*ones
		if ((x-0x20*ones)&^x|(d-ones)&^d)&highs != 0 {
			return true
		}
		b = b[8:]
	}
	for _, c := range b {
		if c < 0x20 || c == 0x7f {
			return true
		}
	}
	return false
}

// badRequestByte is the index of the first byte that a client's field value must not contain (RFC 9110, 5.5: every
// control character but HTAB), or -1.
func badRequestByte(b []byte) int {
	if !controlIn(b) {
		return -1
	}
	for i, c := range b {
		if c < 0x20 && c != '\t' || c == 0x7f {
			return i
		}
	}
	return -1
}

// badResponseByte is the same for servers, where nginx lets other controls pass: they cannot end a line.
func badResponseByte(b []byte) int {
	if !controlIn(b) {
		return -1
	}
	for i, c := range b {
		if c == 0 || c == '\r' || c == '\n' {
			return i
		}
	}
	return -1
}

// trimSpace cuts optional whitespace (SP and HTAB) at both ends.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// parseLength reads a Content-Length: digits only, at most 2^63-1; -1 if it is anything else.
func parseLength(b []byte) int64 {
	const limit = 1<<63 - 1
	if len(b) == 0 {
		return -1
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		d := int64(c - '0')
		if n > (limit-d)/10 {
			return -1
		}
		n = n*10 + d
	}
	return n
}

// nextToken cuts the first element off a comma-separated list; empty elements are skipped.
func nextToken(list []byte) (token, rest []byte) {
	for len(list) > 0 {
		end := 0
		for end < len(list) && list[end] != ',' {
			end++
		}
		token = trimSpace(list[:end])
		if end < len(list) {
			end++
		}
		list = list[end:]
		if len(token) > 0 {
			return token, list
		}
	}
	return nil, nil
}
