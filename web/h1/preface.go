package h1

// http2Preface is what a client of cleartext HTTP/2 with prior knowledge sends first (RFC 9113, 3.4).
const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// HTTP2Preface tells whether unread bytes begin with HTTP/2's preface, or, if they are too few to tell, may become it: then Fill and ask again
// before parsing. Ask only for the first bytes of a connection.
func HTTP2Preface(unread []byte) (is, maybe bool) {
	n := min(len(unread), len(http2Preface))
	if string(unread[:n]) != http2Preface[:n] {
		return false, false
	}
	return n == len(http2Preface), n < len(http2Preface)
}
