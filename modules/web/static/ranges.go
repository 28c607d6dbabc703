package static

import (
	"bytes"
	"net/http"
	"strconv"

	"starling/nginx/ascii"
	"starling/web"
	"starling/web/h1"
)

// chooseRange finds the part that Range asks for: 206 with it, 200 with the whole, or 416. Several ranges in one request are
// answered with the whole, which RFC 9110 allows.
func (d *document) chooseRange(r *web.Request) (first, length int64, status web.Result) {
	value := r.KnownHeader(h1.HeaderRange)
	if value == nil || r.Location.Core.MaxRanges == 0 || !d.ifRange(r) {
		return 0, d.size, 200
	}
	return parseRange(value, d.size)
}

// rangeUnit begins every Range that is understood.
const rangeUnit = "bytes="

// parseRange reads a Range header as ngx_http_range_parse does, for a document of size bytes.
func parseRange(value []byte, size int64) (first, length int64, status web.Result) {
	if len(value) <= len(rangeUnit) || !ascii.EqualString(value[:len(rangeUnit)], rangeUnit) || bytes.IndexByte(value, ',') >= 0 {
		return 0, size, 200
	}
	from, to, dash := bytes.Cut(value[len(rangeUnit):], []byte{'-'})
	from, to = trimSpaces(from), trimSpaces(to)
	end := size // behind the last byte
	switch {
	case !dash || len(from) == 0 && len(to) == 0:
		return 0, 0, 416
	case len(from) == 0: // the last bytes
		n, ok := number(to)
		if !ok {
			return 0, 0, 416
		}
		first = max(size-n, 0)
	default:
		var ok bool
		if first, ok = number(from); !ok {
			return 0, 0, 416
		}
		if len(to) > 0 {
			last, ok := number(to)
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
		return 0, size, 200 // nothing of an empty document
	}
	return 0, 0, 416
}

func trimSpaces(text []byte) []byte { return bytes.Trim(text, " ") }

// maxDigits keeps numbers within int64; no file has more bytes.
const maxDigits = 18

func number(text []byte) (int64, bool) {
	if len(text) == 0 || len(text) > maxDigits {
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

// ifRange tells whether the client's version is the one that is here.
func (d *document) ifRange(r *web.Request) bool {
	v := r.KnownHeader(h1.HeaderIfRange)
	if v == nil {
		return true
	}
	if n := len(v); n > 1 && v[n-1] == '"' {
		return d.etag != nil && bytes.Equal(v, d.etag)
	}
	date, err := http.ParseTime(string(v))
	return err == nil && date.Equal(d.modified)
}

// contentRange tells which part goes out; a length of 0 that none does.
func (d *document) contentRange(r *web.Request, first, length int64) {
	b := append(r.Scratch(), "bytes "...)
	if length == 0 {
		b = append(b, '*')
	} else {
		b = strconv.AppendInt(append(strconv.AppendInt(b, first, 10), '-'), first+length-1, 10)
	}
	r.AddHeader([]byte("Content-Range"), r.KeepScratch(strconv.AppendInt(append(b, '/'), d.size, 10)))
}
