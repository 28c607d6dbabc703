package web

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"

	"starling/nginx/ascii"
	"starling/web/h1"
)

// cut is the part of a body that is sent for a range.
type cut struct {
	on           bool
	first, bytes int64 // of the whole body; first counts down while pieces before it pass
}

// apply drops what is not wanted of a piece.
func (c *cut) apply(p []byte) []byte {
	if before := min(c.first, int64(len(p))); before > 0 {
		c.first -= before
		p = p[before:]
	}
	p = p[:min(int64(len(p)), c.bytes)]
	c.bytes -= int64(len(p))
	return p
}

// errUnsatisfiable is a Range outside of the body: the request ends with 416.
var errUnsatisfiable = errors.New("the requested range is not satisfiable")

// chooseRange applies Range to a response whose handler allows it (ngx_http_range_header_filter), after the filters:
// one that changes the body clears Out.Ranges. Several ranges in one request get the whole body, which RFC 9110 allows.
func (r *Request) chooseRange() error {
	out := &r.Out
	if !out.Ranges || out.Status != 200 || out.ContentLength < 0 || r.parent != nil || r.Version < h1.Version10 ||
		r.Location.Core.MaxRanges == 0 {
		return nil
	}
	value := r.KnownHeader(h1.HeaderRange)
	if value == nil || !r.ifRange() {
		r.AddHeader([]byte("Accept-Ranges"), []byte("bytes"))
		return nil
	}
	size := out.ContentLength
	first, length, status := parseRange(value, size)
	switch status {
	case 200:
		r.AddHeader([]byte("Accept-Ranges"), []byte("bytes"))
	case 416:
		r.contentRange(0, 0, size)
		r.unsatisfiable = true
		return errUnsatisfiable
	default:
		out.Status, out.Reason, out.ContentLength = 206, nil, length
		r.contentRange(first, length, size)
		r.cut = cut{on: true, first: first, bytes: length}
	}
	return nil
}

// TakeRange returns to a handler that can seek, after SendHead, which part of the body is wanted; length is at most
// size. The handler then sends just that part.
func (r *Request) TakeRange(size int64) (first, length int64) {
	if !r.cut.on {
		return 0, size
	}
	first, length = r.cut.first, r.cut.bytes
	r.cut.on = false
	return first, length
}

// rangeUnit begins every supported Range.
const rangeUnit = "bytes="

// parseRange parses a Range header like ngx_http_range_parse, for a body of size bytes: 206 with the part, 200 with the
// whole, or 416.
func parseRange(value []byte, size int64) (first, length int64, status int) {
	if len(value) <= len(rangeUnit) || !ascii.EqualString(value[:len(rangeUnit)], rangeUnit) ||
		bytes.IndexByte(value, ',') >= 0 {
		return 0, size, 200
	}
	from, to, dash := bytes.Cut(value[len(rangeUnit):], []byte{'-'})
	from, to = trimSpaces(from), trimSpaces(to)
	end := size // behind the last byte
	switch {
	case !dash || len(from) == 0 && len(to) == 0:
		return 0, 0, 416
	case len(from) == 0: // the last bytes
		n, ok := rangeNumber(to)
		if !ok {
			return 0, 0, 416
		}
		first = max(size-n, 0)
	default:
		var ok bool
		if first, ok = rangeNumber(from); !ok {
			return 0, 0, 416
		}
		if len(to) > 0 {
			last, ok := rangeNumber(to)
			if !ok {
				return 0, 0, 416
			}
			end = min(last+1, size)
		}
	}
	switch {
	case first < end:
		return first, end - first, 206
	case first == 0:
		return 0, size, 200 // nothing of an empty body
	}
	return 0, 0, 416
}

func trimSpaces(text []byte) []byte { return bytes.Trim(text, " ") }

// maxRangeDigits keeps numbers within int64; no body has more bytes.
const maxRangeDigits = 18

func rangeNumber(text []byte) (int64, bool) {
	if len(text) == 0 || len(text) > maxRangeDigits {
		return 0, false
	}
	var n int64
	for _, c := range text {
		if c < '0' || c > '9' {
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
	date, err := http.ParseTime(string(v))
	if err != nil {
		return false
	}
	modified := r.Out.LastModified
	if len(modified) == 0 {
		modified, _ = r.Out.Headers.Get(h1.HeaderLastModified)
	}
	ours, err := http.ParseTime(string(modified))
	return err == nil && date.Equal(ours)
}

// contentRange describes the part that is sent; a length of 0 means none.
func (r *Request) contentRange(first, length, size int64) {
	b := append(r.Scratch(), "bytes "...)
	if length == 0 {
		b = append(b, '*')
	} else {
		b = strconv.AppendInt(append(strconv.AppendInt(b, first, 10), '-'), first+length-1, 10)
	}
	r.AddHeader([]byte("Content-Range"), r.KeepScratch(strconv.AppendInt(append(b, '/'), size, 10)))
}
