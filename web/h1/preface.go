package h1

import "bytes"

// http2PrefaceLine is the first line that a client of cleartext HTTP/2 with prior knowledge sends (RFC 9113, 3.4). No
// HTTP/1 request begins with it.
const http2PrefaceLine = "PRI * HTTP/2.0\r\n"

// HTTP2Preface reports whether the unread bytes begin like HTTP/2's preface, valid or not, or, if they are too few, may
// do so: then Fill and call it again before parsing. Call it only for the first bytes of a connection.
func HTTP2Preface(unread []byte) (is, maybe bool) {
	n := min(len(unread), len(http2PrefaceLine))
	if string(unread[:n]) == http2PrefaceLine[:n] {
		return n == len(http2PrefaceLine), n < len(http2PrefaceLine)
	}
	// As a request of HTTP/1, a first line of at least three words without a protocol would be bad; if HTTP/2 is
	// enabled too, it is an invalid preface.
	line, _, whole := bytes.Cut(unread, []byte{'\n'})
	if !whole { // what is not HTTP at all, such as TLS, gets its answer at once
		return false, len(unread) < prefaceBytes && checkMethod(unread, len(unread)) == nil
	}
	return len(bytes.Fields(line)) >= 3 && !bytes.Contains(line, []byte("HTTP/")), false
}

// prefaceBytes is the number of bytes checked: a longer first line is handled as HTTP/1.
const prefaceBytes = 64
