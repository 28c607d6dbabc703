package h2client

import (
	"bytes"
	"strconv"

	"starling/web/forward"
	"starling/web/h1"
	"starling/web/h2"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
)

// headBlock is a header block while it arrives: of a head, or of trailers.
type headBlock struct {
	bytes  []byte
	frames int
	ends   bool // it is the end of the stream

	memory h1.Arena // of all heads of a stream
	fault  error
	status []byte // of :status; nil if there is none
	fields h1.Headers
}

func (w *Wire) handleHeaders(f *http2.HeadersFrame) error {
	s, b := &w.stream, &w.block
	switch {
	case s.ended:
		return forward.Faultf("upstream sent frame for closed stream %d", s.id)
	case s.final && !f.StreamEnded():
		return forward.Faultf("upstream sent trailer without end stream flag")
	}
	b.bytes, b.frames, b.ends = b.bytes[:0], 0, f.StreamEnded()
	return w.continueBlock(f.HeaderBlockFragment(), f.HeadersEnded())
}

func (w *Wire) continueBlock(fragment []byte, last bool) error {
	b, s := &w.block, &w.stream
	b.frames++
	if b.frames > maxContinuations || len(b.bytes)+len(fragment) > s.headBytes+frameBytes {
		return s.tooBig()
	}
	b.bytes = append(b.bytes, fragment...)
	if !last {
		return nil
	}
	err := w.takeBlock()
	if cap(b.bytes) > maxKeptBytes {
		b.bytes = nil
	}
	return err
}

// tooBig is the error of a head or of trailers beyond the limit.
func (s *stream) tooBig() error {
	if s.final {
		return forward.Faultf("upstream sent too big trailers")
	}
	return h1.ErrHeadTooBig
}

// takeBlock decodes a whole block.
func (w *Wire) takeBlock() error {
	b, s := &w.block, &w.stream
	b.fault, b.status, b.fields = nil, nil, nil
	err := w.decoder.Decode(b.bytes, s.headBytes, &b.memory, b.add)
	switch {
	case err == h2.ErrTooBig || len(b.fields) > maxFields:
		return s.tooBig()
	case err != nil:
		return forward.Faultf("upstream sent %v", err)
	case b.fault != nil:
		return b.fault
	case s.final:
		return w.takeTrailers()
	}
	return w.takeHead()
}

// add is called by the decoder for each field.
func (b *headBlock) add(name, value []byte, id h1.Known) {
	switch {
	case b.fault != nil || len(b.fields) > maxFields:
	case name[0] == ':':
		b.fault = b.addPseudo(name, value)
	case !isFieldName(name) || bytes.ContainsAny(value, "\x00\r\n"):
		b.fault = forward.Faultf("upstream sent invalid header: \"%s: %s\"", logged(name), logged(value))
	default:
		b.fields = append(b.fields, h1.Header{Name: name, Value: value, ID: id})
	}
}

// maxLoggedBytes bounds what the log shows of an invalid name or value.
const maxLoggedBytes = 128

func logged(b []byte) []byte { return b[:min(len(b), maxLoggedBytes)] }

func (b *headBlock) addPseudo(name, value []byte) error {
	switch {
	case string(name) != ":status" || len(b.fields) > 0:
		return forward.Faultf("upstream sent invalid header \"%s: %s\"", logged(name), logged(value))
	case b.status != nil:
		return forward.Faultf("upstream sent duplicate :status header")
	case len(value) != 3 || value[0] < '1':
		return forward.Faultf("upstream sent invalid :status \"%s\"", logged(value))
	}
	b.status = value
	return nil
}

// isFieldName reports whether a name is a token without capitals (RFC 9113, 8.2).
func isFieldName(name []byte) bool {
	for _, c := range name {
		if 'A' <= c && c <= 'Z' || !httpguts.IsTokenRune(rune(c)) {
			return false
		}
	}
	return true
}

// seen are the known ones.
func seen(all h1.Headers) (set h1.KnownSet) {
	for i := range all {
		set = set.With(all[i].ID)
	}
	return set
}

func (w *Wire) takeTrailers() error {
	b, s := &w.block, &w.stream
	if b.status != nil {
		return forward.Faultf("upstream sent invalid trailer \":status: %s\"", b.status)
	}
	s.trailers = b.fields
	w.endStream()
	return nil
}

func (w *Wire) takeHead() error {
	b, s := &w.block, &w.stream
	if b.status == nil {
		return forward.Faultf("upstream sent no :status header")
	}
	status, err := strconv.ParseUint(string(b.status), 10, 16)
	if err != nil {
		return forward.Faultf("upstream sent invalid :status \"%s\"", b.status)
	}
	head := forward.Head{Status: int(status), ContentLength: -1, Headers: b.fields, Seen: seen(b.fields)}
	head.ContentType = head.Get(h1.HeaderContentType)
	switch {
	case head.Status == 101:
		return forward.Faultf("upstream sent unexpected :status \"%s\"", b.status)
	case head.Interim() && b.ends:
		return forward.Faultf("upstream prematurely closed stream")
	case head.Interim() && len(s.heads) >= maxInterim:
		return forward.Faultf("upstream sent too many interim responses")
	case head.Interim():
		s.heads = append(s.heads, head)
		return nil
	}
	if head.ContentLength, err = contentLength(head.Headers); err != nil {
		return err
	}
	s.final = true
	if s.declared = head.ContentLength; s.headOnly || head.Status == 204 || head.Status == 304 {
		s.declared = 0
	}
	if b.ends {
		if head.ContentLength < 0 && !s.headOnly {
			head.ContentLength = 0
		}
		w.endStream()
	}
	s.heads = append(s.heads, head)
	return nil
}

// contentLength returns the declared length of the body, -1 if there is none.
func contentLength(all h1.Headers) (n int64, err error) {
	n = -1
	for i := range all {
		if all[i].ID != h1.HeaderContentLength {
			continue
		}
		if n >= 0 {
			return 0, forward.Faultf("upstream sent duplicate header line: \"content-length: %s\"", all[i].Value)
		}
		length, err := strconv.ParseUint(string(all[i].Value), 10, 63)
		if err != nil {
			return 0, forward.Faultf("upstream sent invalid \"Content-Length\" header: \"%s\"", all[i].Value)
		}
		n = int64(length)
	}
	return n, nil
}
