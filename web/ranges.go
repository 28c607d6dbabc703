package web

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strconv"

	"starling/nginx/ascii"
	"starling/nginx/httptime"
	"starling/web/h1"
)

// RangeSupport says which ranges of a body can be sent. A filter that changes the body sets NoRanges.
type RangeSupport uint8

const (
	// NoRanges sends the whole body.
	NoRanges RangeSupport = iota
	// OneRange is for a body that passes once, from its start to its end (nginx: single_range): a request for several
	// ranges gets the whole.
	OneRange
	// ManyRanges is for a handler that can seek: it calls NextRange and sends what that asks for.
	ManyRanges
)

// cut is the part of a body that is sent for a range.
type cut struct {
	on         bool
	at         int64 // where the next piece starts, in the whole body
	first, end int64 // of the part
}

// apply drops what is not wanted of a piece.
func (c *cut) apply(p []byte) []byte {
	n := int64(len(p))
	from, to := min(max(c.first-c.at, 0), n), min(max(c.end-c.at, 0), n)
	c.at += n
	return p[from:max(from, to)]
}

// span is one of the ranges that a client wants; end is behind its last byte.
type span struct{ first, end int64 }

// Headers, which must not be made for each response.
var (
	acceptRanges = []byte("Accept-Ranges")
	bytesUnit    = []byte("bytes")
	contentRange = []byte("Content-Range")
)

// errUnsatisfiable is a Range outside of the body: the request ends with 416.
var errUnsatisfiable = errors.New("the requested range is not satisfiable")

// errReplaced is a response that a filter replaced.
var errReplaced = errors.New("a filter replaced the response")

// chooseRange applies Range to a response whose handler allows it (ngx_http_range_header_filter), after the filters:
// one that changes the body clears Out.Ranges.
func (r *Request) chooseRange() error {
	out, most := &r.Out, r.Location.Core.MaxRanges
	if out.Ranges == NoRanges || out.Status != 200 || out.ContentLength < 0 || r.parent != nil ||
		r.Version < h1.Version10 || most == 0 {
		return nil
	}
	r.cut.at = out.Offset
	value := r.KnownHeader(h1.HeaderRange)
	if value == nil || !r.ifRange() {
		r.AddHeader(acceptRanges, bytesUnit)
		return nil
	}
	if out.Ranges == OneRange {
		most = 1
	}
	size := out.ContentLength
	one, all, status := parseRanges(value, size, most)
	switch {
	case status == 200:
		r.AddHeader(acceptRanges, bytesUnit)
	case status == 416:
		r.contentRange(span{}, size)
		r.replacement = 416
		return errUnsatisfiable
	case all == nil:
		out.Status, out.Reason, out.ContentLength = 206, nil, one.end-one.first
		r.contentRange(one, size)
		r.cut.on, r.cut.first, r.cut.end = true, one.first, one.end
	default:
		out.Status, out.Reason = 206, nil
		r.startMultipart(all, size)
	}
	return nil
}

// keepFiltered keeps the head that filters have made of a response whose range is not satisfiable: as in nginx, the
// page of 416 has what they added. They see that page too.
func (r *Request) keepFiltered() {
	out := &r.Out
	out.Offset, out.LastModified, out.VaryEncoding = 0, nil, false
	r.filtered = slices.Clone(out.Headers)
}

// mergeFiltered drops the headers of the rejected response that a filter has added to the page of 416 again. nginx
// sends both.
func (r *Request) mergeFiltered() {
	if r.filtered == nil {
		return
	}
	added, at := r.Out.Headers, 0 // the page begins with what it has kept of the rejected response
	for len(added) > 0 {
		n := slices.IndexFunc(r.filtered[at:], func(h h1.Header) bool { return sameHeader(h, added[0]) })
		if n < 0 {
			break
		}
		at, added = at+n+1, added[1:]
	}
	kept := make(h1.Headers, 0, len(r.Out.Headers))
	for _, h := range r.Out.Headers[:len(r.Out.Headers)-len(added)] {
		before := slices.ContainsFunc(r.unfiltered, func(u h1.Header) bool { return sameHeader(u, h) })
		again := slices.ContainsFunc(added, func(a h1.Header) bool { return ascii.Equal(a.Name, h.Name) })
		if before || !again {
			kept = append(kept, h)
		}
	}
	r.Out.Headers, r.filtered = append(kept, added...), nil
}

func sameHeader(a, b h1.Header) bool {
	return ascii.Equal(a.Name, b.Name) && bytes.Equal(a.Value, b.Value)
}

// AllowRanges sets Out.Ranges, for a filter too if no other one precedes it.
func (r *Request) AllowRanges(support RangeSupport) {
	r.Out.Ranges = support
	if r.Seen.Has(h1.HeaderRange) {
		r.unfiltered = slices.Clone(r.Out.Headers)
	}
}

// SentRange is the part of a body of size bytes that is sent, once the head was. A handler or filter that fetches the
// body piece by piece needs only those in it.
func (r *Request) SentRange(size int64) (first, end int64) {
	if !r.cut.on {
		return 0, size
	}
	return r.cut.first, r.cut.end
}

// SkipTo says that the next piece of the body starts at offset: the bytes before it are not wanted (SentRange).
func (r *Request) SkipTo(offset int64) { r.cut.at = offset }

// NextRange tells a handler that can seek which bytes of its body come next, after SendHead, until there are none: the
// whole body of size bytes, or each of the ranges in turn. If a filter allowed one range only, the handler sends all of
// its body, and emit drops what the client does not want: with slice, the range is of a larger whole.
func (r *Request) NextRange(size int64) (first, length int64, more bool) {
	if r.failure != nil {
		return 0, 0, false
	}
	if r.multipart != nil {
		return r.nextPart()
	}
	if r.rangeTaken {
		return 0, 0, false
	}
	r.rangeTaken = true
	if r.Out.Ranges != ManyRanges {
		return 0, size, true
	}
	first, end := r.SentRange(size)
	r.cut.on = false
	return first, end - first, true
}

// rangeUnit begins every supported Range.
const rangeUnit = "bytes="

// partBytes is what nginx adds to the size of each range, and wholeBytes what it adds to that of the whole body, before
// it decides that the whole costs less. It does so without max_ranges.
const (
	partBytes  = 256
	wholeBytes = 4096
)

// parseRanges parses a Range header like ngx_http_range_parse, for a body of size bytes: 206 with the range, or with
// all if they are several, 200 for the whole, or 416. The length of the header bounds their number.
func parseRanges(value []byte, size int64, most int) (one span, all []span, status int) {
	if len(value) <= len(rangeUnit) || !ascii.EqualString(value[:len(rangeUnit)], rangeUnit) {
		return one, nil, 200
	}
	var total int64
	n := 0
	for rest, more := value[len(rangeUnit):], true; more; {
		var text []byte
		text, rest, more = bytes.Cut(rest, []byte{','})
		s, ok := parseSpan(text, size)
		switch {
		case !ok:
			return one, nil, 416
		case s.first >= s.end && s.first == 0:
			return one, nil, 200 // nothing of an empty body
		case s.first >= s.end:
			continue // beyond the body
		case total > math.MaxInt64-(s.end-s.first):
			return one, nil, 416
		case n == most:
			return one, nil, 200
		}
		switch n++; n {
		case 1:
			one = s
		case 2:
			all = []span{one, s}
		default:
			all = append(all, s)
		}
		total += s.end - s.first
	}
	switch {
	case n == 0:
		return one, nil, 416
	case n == 1:
	case total > size, most == math.MaxInt32 && total+int64(n)*partBytes > size+wholeBytes:
		return one, nil, 200
	}
	return one, all, 206
}

// parseSpan parses one range; it is empty if it lies beyond the body.
func parseSpan(text []byte, size int64) (s span, ok bool) {
	from, to, dash := bytes.Cut(text, []byte{'-'})
	if from, to = trimSpaces(from), bytes.TrimRight(to, " "); !dash {
		return s, false
	}
	if len(from) == 0 { // the last bytes; no space can precede their number
		last, ok := rangeNumber(to)
		return span{max(size-last, 0), size}, ok
	}
	if s.first, ok = rangeNumber(from); !ok {
		return s, false
	}
	s.end = size
	if to = trimSpaces(to); len(to) > 0 {
		last, ok := rangeNumber(to)
		if last < size {
			s.end = last + 1
		}
		return s, ok
	}
	return s, true
}

func trimSpaces(text []byte) []byte { return bytes.Trim(text, " ") }

func rangeNumber(text []byte) (n int64, ok bool) {
	if len(text) == 0 {
		return 0, false
	}
	for _, c := range text {
		if c < '0' || c > '9' || n > (math.MaxInt64-int64(c-'0'))/10 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// ifRange reports whether the client's version is the current one.
func (r *Request) ifRange() bool {
	v := r.KnownHeader(h1.HeaderIfRange)
	if v == nil {
		return true
	}
	if n := len(v); n > 1 && v[n-1] == '"' {
		etag, found := r.Out.Headers.Get(h1.HeaderETag)
		return found && bytes.Equal(v, etag)
	}
	ours, ok := httptime.Parse(r.LastModified())
	return ok && timeOf(v) == ours
}

// contentRange describes the part that is sent; an empty one means none.
func (r *Request) contentRange(s span, size int64) {
	b := append(r.Scratch(), "bytes "...)
	if s.end == 0 {
		b = strconv.AppendInt(append(b, "*/"...), size, 10)
	} else {
		b = appendSpan(b, s, size)
	}
	r.SetHeader(contentRange, r.KeepScratch(b))
}

// appendSpan adds the numbers of a Content-Range.
func appendSpan(dst []byte, s span, size int64) []byte {
	dst = append(strconv.AppendInt(dst, s.first, 10), '-')
	dst = append(strconv.AppendInt(dst, s.end-1, 10), '/')
	return strconv.AppendInt(dst, size, 10)
}
