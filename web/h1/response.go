package h1

import (
	"errors"

	"starling/nginx/ascii"
)

// ResponseHead is the head of an upstream's response. It is reused: call Reset. Slices are valid until the Buffer's
// Recycle.
type ResponseHead struct {
	Version Version
	Status  int
	Line    []byte // status and reason as sent: "404 Not Found", or "200" if there was no reason
	Reason  []byte // without the status; may be empty

	Headers Headers
	Seen    KnownSet

	ContentLength int64 // -1: none, as always in a 1xx
	Chunked       bool
	KeepAlive     bool // the server accepts another request, if the end of the body can be found
	Upgrade       bool // Connection names upgrade and there is an Upgrade header

	Bytes int // length of the head as read

	closes connectionOptions
	bodied bool // an interim response that announces a body of its own
	stage  stage
}

// Reset makes the head ready for the next response.
func (h *ResponseHead) Reset() {
	*h = ResponseHead{Headers: keptHeaders(h.Headers), ContentLength: -1}
}

// Get returns a known header's first value, nil if it was not sent.
func (h *ResponseHead) Get(id Known) []byte {
	if !h.Seen.Has(id) {
		return nil
	}
	v, _ := h.Headers.Get(id)
	return v
}

// Interim marks a 1xx that another head follows; 101 is final.
func (h *ResponseHead) Interim() bool { return h.Status < 200 && h.Status != 101 }

// maxResponseHeaders bounds the headers that a server can make us store; the caller bounds the head's size.
const maxResponseHeaders = 1000

// ErrHeadTooBig is a response head over the caller's bound.
var ErrHeadTooBig = errors.New("upstream sent too big header while reading response header from upstream")

// Parse parses the unread bytes as far as possible, and reports whether the head is complete. A *Problem (or
// ErrHeadTooBig) means 502.
func (h *ResponseHead) Parse(b *Buffer, maxBytes int) (whole bool, err error) {
	for h.stage != stageDone {
		line, size := b.line()
		if size == 0 {
			if h.Bytes+len(b.Unread()) >= maxBytes {
				return false, ErrHeadTooBig
			}
			if h.stage == stageLine {
				return false, checkStatusStart(b.Unread())
			}
			return false, nil
		}
		if h.Bytes += size; h.Bytes > maxBytes {
			return false, ErrHeadTooBig
		}
		if h.stage == stageLine {
			err = h.parseStatusLine(line)
			h.stage = stageHeaders
		} else {
			err = h.takeHeaderLine(line)
		}
		if err != nil {
			return false, err
		}
		b.Consume(size)
	}
	return true, nil
}

const statusStart = "HTTP/1."

// checkStatusStart rejects early what is not HTTP/1.
func checkStatusStart(part []byte) error {
	n := min(len(part), len(statusStart))
	if string(part[:n]) != statusStart[:n] {
		return upstreamProblem("no valid HTTP/1.0 header: \"%s\"", quoted(part))
	}
	return nil
}

// parseStatusLine parses "HTTP/1.x 200 reason". Like nginx, it accepts a missing reason and a sub-status ("403.1 ...",
// IIS).
func (h *ResponseHead) parseStatusLine(line []byte) error {
	bad := func() error { return upstreamProblem("no valid HTTP/1.0 header: \"%s\"", quoted(line)) }
	if err := checkStatusStart(line); err != nil {
		return err
	}
	if len(line) < 12 || line[7] < '0' || line[7] > '9' || line[8] != ' ' || badResponseByte(line) >= 0 {
		return bad()
	}
	h.Version = Version11
	if line[7] == '0' {
		h.Version = Version10
	}
	rest := line[9:]
	for len(rest) > 0 && rest[0] == ' ' {
		rest = rest[1:]
	}
	if len(rest) < 3 || len(rest) > 3 && rest[3] != ' ' && rest[3] != '.' {
		return bad()
	}
	for _, c := range rest[:3] {
		if c < '0' || c > '9' {
			return bad()
		}
		h.Status = h.Status*10 + int(c-'0')
	}
	if h.Status < 100 {
		return bad()
	}
	h.Line = rest
	h.Reason = rest[3:]
	if len(h.Reason) > 0 && h.Reason[0] == ' ' {
		h.Reason = h.Reason[1:]
	}
	return nil
}

func (h *ResponseHead) takeHeaderLine(line []byte) error {
	if len(line) == 0 {
		h.stage = stageDone
		return h.finish()
	}
	if i := badResponseByte(line); i >= 0 {
		return upstreamProblem("invalid header: \"%s\"", quoted(line[:i+1]))
	}
	n := len(h.Headers)
	h.Headers = append(h.Headers, Header{})
	header := &h.Headers[n]
	if class, bad := parseField(line, header); class == nameBad {
		return upstreamProblem("invalid header: \"%s\"", quoted(line[:min(bad+1, len(line))]))
	}
	if n >= maxResponseHeaders {
		return upstreamProblem("too many header lines")
	}
	if header.ID == HeaderOther {
		return nil
	}
	return h.note(n)
}

// onceInResponse are the headers whose repetition means that two readers may disagree about the body.
var onceInResponse = SetOf(HeaderContentLength, HeaderTransferEncoding)

func (h *ResponseHead) note(n int) error {
	header := &h.Headers[n]
	id := header.ID
	if h.Status < 200 && onceInResponse.Has(id) {
		// These responses have no body whatever their headers say (RFC 9112, 6.3), so no such header is worth losing
		// the response for.
		h.Seen = h.Seen.With(id)
		h.bodied = h.bodied || id != HeaderContentLength || parseLength(header.Value) != 0
		return nil
	}
	if h.Seen.Has(id) && onceInResponse.Has(id) {
		first, _ := h.Headers[:n].Get(id)
		return upstreamProblem("duplicate header line: \"%s: %s\", previous value: \"%s: %s\"",
			header.Name, quoted(header.Value), id, quoted(first))
	}
	h.Seen = h.Seen.With(id)
	switch id {
	case HeaderConnection:
		h.closes.read(header.Value)
	case HeaderTransferEncoding:
		if !ascii.EqualString(header.Value, "chunked") {
			return upstreamProblem("unknown \"Transfer-Encoding\": \"%s\"", quoted(header.Value))
		}
		h.Chunked = true
	case HeaderContentLength:
		if h.ContentLength = parseLength(header.Value); h.ContentLength < 0 {
			return upstreamProblem("invalid \"Content-Length\" header: \"%s: %s\"", header.Name, quoted(header.Value))
		}
	}
	return nil
}

func (h *ResponseHead) finish() error {
	if h.Chunked && h.ContentLength >= 0 {
		return upstreamProblem("\"Content-Length\" and \"Transfer-Encoding\" headers at the same time")
	}
	h.KeepAlive = h.Version >= Version11 && !h.closes.close && h.Status != 101
	h.Upgrade = h.closes.upgrade && h.Seen.Has(HeaderUpgrade)
	if h.bodied || h.Status == 204 && (h.Chunked || h.ContentLength > 0) {
		// RFC 9110, 8.6 forbids it. There is no body by definition, but the server may think otherwise.
		h.KeepAlive = false
	}
	return nil
}

// Body returns how the body of this response to a request with that method ends (RFC 9112, 6.3), and its length for
// BodyLength. After BodyUntilClose, the connection cannot be reused; KeepAlive does not say so.
func (h *ResponseHead) Body(method Method) (BodyKind, int64) {
	switch {
	case method == MethodHead, h.Status < 200 && h.Status != 101, h.Status == 204, h.Status == 304:
		return BodyNone, 0
	case h.Status == 101:
		return BodyUntilClose, 0
	case h.Chunked:
		return BodyChunked, 0
	case h.ContentLength == 0:
		return BodyNone, 0
	case h.ContentLength > 0:
		return BodyLength, h.ContentLength
	}
	return BodyUntilClose, 0
}
