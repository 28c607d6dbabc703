package h1

import "bytes"

// http2PrefaceLine is the first line of what a client of cleartext HTTP/2 with prior knowledge sends first (RFC 9113,
// 3.4). No request of HTTP/1 begins so.
const http2PrefaceLine = "PRI * HTTP/2.0\r\n"

// HTTP2Preface tells whether unread bytes begin as HTTP/2's preface does, right or not, or, if they are too few to
// tell, may do so: then Fill and ask again before parsing. Ask only for the first bytes of a connection.
func HTTP2Preface(unread []byte) (is, maybe bool) {
	n := min(len(unread), len(http2PrefaceLine))
	if string(unread[:n]) == http2PrefaceLine[:n] {
		return n == len(http2PrefaceLine), n < len(http2PrefaceLine)
	}
	// As a request of HTTP/1 a first line of at least three words that names no protocol would be bad; where HTTP/2 is
	// spoken too it is an invalid preface.
	line, _, whole := bytes.Cut(unread, []byte{'\n'})
	if !whole {
		return false, len(unread) < prefaceBytes
	}
	return len(bytes.Fields(line)) >= 3 && !bytes.Contains(line, []byte("HTTP/")), false
}

// prefaceBytes is how much is looked at: what has a longer first line is left to HTTP/1.
const prefaceBytes = 64
