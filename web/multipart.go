package web

import (
	"bytes"
	"fmt"
	"math/rand/v2"

	"starling/web/h1"
)

// dashBoundary is the length of what precedes each part's head and, with two more dashes, ends the body.
const dashBoundary = len("\r\n--") + boundaryDigits

// boundaryDigits is nginx's length of a boundary (NGX_ATOMIC_T_LEN).
const boundaryDigits = 20

// multipart is a response of several ranges.
type multipart struct {
	spans []span
	next  int   // the next span to send, which can be one or two behind the last
	size  int64 // of the whole body
	// head precedes each span; the numbers of the next span follow its fixed bytes.
	head  []byte
	fixed int
}

// startMultipart makes the head of a response with several ranges (ngx_http_range_multipart_header). Its boundary is a
// random number, so that nobody can prepare a file that contains it; nginx counts.
func (r *Request) startMultipart(spans []span, size int64) {
	out := &r.Out
	boundary := fmt.Appendf(r.Alloc(boundaryDigits)[:0], "%0*d", boundaryDigits, rand.Uint64())
	b := append(append(r.Scratch(), "\r\n--"...), boundary...)
	if len(out.ContentType) > 0 {
		b = append(append(b, "\r\nContent-Type: "...), out.ContentType...)
	}
	b = append(b, "\r\nContent-Range: bytes "...)
	m := &multipart{spans: spans, size: size, head: bytes.Clone(b), fixed: len(b)}
	r.scratch, r.multipart = b[:0], m
	length := int64(dashBoundary + len("--\r\n"))
	for i, s := range spans {
		length += int64(len(m.headOf(i))) + s.end - s.first
	}
	out.ContentType = append(append(r.Scratch(), "multipart/byteranges; boundary="...), boundary...)
	out.ContentType = r.KeepScratch(out.ContentType)
	out.ContentLength = length
	r.RemoveHeader(h1.HeaderContentRange)
}

// headOf is what precedes a span; it is valid until the next call.
func (m *multipart) headOf(i int) []byte {
	m.head = append(appendSpan(m.head[:m.fixed], m.spans[i], m.size), "\r\n\r\n"...)
	return m.head
}

// nextPart writes what precedes the next range, or ends the body.
func (r *Request) nextPart() (first, length int64, more bool) {
	m := r.multipart
	m.next++
	switch i := m.next - 1; {
	case i < len(m.spans):
		if _, err := r.Write(m.headOf(i)); err != nil {
			return 0, 0, false
		}
		return m.spans[i].first, m.spans[i].end - m.spans[i].first, true
	case i == len(m.spans):
		r.WriteLast(append(m.head[:dashBoundary], "--\r\n"...)) // the connection remembers its failure
	}
	return 0, 0, false
}
