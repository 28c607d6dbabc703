package h2

import (
	"strconv"

	"starling/nginx/ascii"
	"starling/web/h1"
)

// Response heads are encoded without the dynamic table, as in nginx: heads of different streams can then be built
// without a lock, and a connection holds no table for them.

// AppendStatus begins a header block with the status.
func AppendStatus(dst []byte, status int) []byte {
	switch status {
	case 200:
		return append(dst, 0x80|staticStatus200)
	case 204:
		return append(dst, 0x80|9)
	case 206:
		return append(dst, 0x80|10)
	case 304:
		return append(dst, 0x80|11)
	case 400:
		return append(dst, 0x80|12)
	case 404:
		return append(dst, 0x80|13)
	case 500:
		return append(dst, 0x80|14)
	}
	dst = append(dst, staticStatus200, 3)
	return strconv.AppendInt(dst, int64(status), 10)
}

// AppendField appends a field that is not indexed; capitals of the name become lower case (RFC 9113, 8.2).
func AppendField(dst []byte, id h1.Known, name, value []byte) []byte {
	if index := staticNames[id]; index > 0 {
		dst = appendInteger(dst, 4, int(index))
	} else {
		var memory [64]byte
		dst = appendEncoded(append(dst, 0), ascii.AppendLower(memory[:0], name))
	}
	return appendEncoded(dst, value)
}

// appendInteger appends an integer with a prefix of that many bits, the bits before being zero.
func appendInteger(dst []byte, prefix uint, n int) []byte {
	full := 1<<prefix - 1
	if n < full {
		return append(dst, byte(n))
	}
	dst = append(dst, byte(full))
	for n -= full; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}
