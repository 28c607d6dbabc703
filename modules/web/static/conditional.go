package static

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"starling/web"
	"starling/web/h1"
)

// document is what conditions are about.
type document struct {
	modified time.Time // whole seconds, as in headers
	size     int64
	etag     []byte // nil with etag off
}

// maxETag is the length of `"time-size"` at most.
const maxETag = 2 + 16 + 1 + 16

// appendETag is nginx's entity tag: time and size in hex.
func appendETag(dst []byte, modified time.Time, size int64) []byte {
	dst = strconv.AppendInt(append(dst, '"'), modified.Unix(), 16)
	return append(strconv.AppendInt(append(dst, '-'), size, 16), '"')
}

// head sets what is said of the document with every status.
func (d *document) head(r *web.Request, status int) {
	r.Out.Status = status
	r.Out.LastModified = d.modified.UTC().AppendFormat(r.Alloc(len(http.TimeFormat))[:0], http.TimeFormat)
	if d.etag != nil {
		r.SetHeader([]byte("ETag"), d.etag)
	}
}

func (d *document) notModified(r *web.Request) web.Result {
	d.head(r, 304)
	r.Out.ContentLength = -1
	if err := r.SendHead(); err != nil {
		return web.Done
	}
	r.FinishBody() // the connection remembers its failure
	return web.Done
}

// precondition evaluates the conditions in nginx's order: 412, 304, or 0 to send the document.
func (d *document) precondition(r *web.Request) web.Result {
	if v := r.KnownHeader(h1.HeaderIfUnmodifiedSince); v != nil {
		if since, err := http.ParseTime(string(v)); err == nil && d.modified.After(since) {
			return 412
		}
	}
	if v := r.KnownHeader(h1.HeaderIfMatch); v != nil && !d.matchesTag(v, false) {
		return 412
	}
	since, tags := r.KnownHeader(h1.HeaderIfModifiedSince), r.KnownHeader(h1.HeaderIfNoneMatch)
	if since == nil && tags == nil || since != nil && d.modifiedSince(r, since) || tags != nil && !d.matchesTag(tags, true) {
		return 0
	}
	return 304
}

func (d *document) modifiedSince(r *web.Request, value []byte) bool {
	how := r.Location.Core.IfModifiedSince
	since, err := http.ParseTime(string(value))
	if how == web.ModifiedOff || err != nil {
		return true
	}
	if d.modified.Equal(since) {
		return false
	}
	return how == web.ModifiedExact || since.Before(d.modified)
}

// matchesTag tells whether a list of entity tags has the document's. The weak comparison ignores W/.
func (d *document) matchesTag(list []byte, weak bool) bool {
	if string(bytes.TrimSpace(list)) == "*" {
		return true
	}
	if d.etag == nil {
		return false
	}
	for tag := range bytes.SplitSeq(list, []byte{','}) {
		tag = bytes.TrimSpace(tag)
		if weak {
			tag = bytes.TrimPrefix(tag, []byte("W/"))
		}
		if bytes.Equal(tag, d.etag) {
			return true
		}
	}
	return false
}

// chooseRange finds the part that Range asks for: 206 with it, 200 with the whole, or 416. Several ranges in one request are
// answered with the whole, which RFC 9110 allows.
func (d *document) chooseRange(r *web.Request) (first, length int64, status web.Result) {
	whole := func() (int64, int64, web.Result) { return 0, d.size, 200 }
	value := r.KnownHeader(h1.HeaderRange)
	if value == nil || r.Location.Core.MaxRanges == 0 || !d.ifRange(r) {
		return whole()
	}
	const unit = "bytes="
	if len(value) <= len(unit) || !bytes.EqualFold(value[:len(unit)], []byte(unit)) {
		return whole()
	}
	spec := bytes.TrimSpace(value[len(unit):])
	if bytes.IndexByte(spec, ',') >= 0 {
		return whole()
	}
	from, to, found := bytes.Cut(spec, []byte{'-'})
	from, to = bytes.TrimSpace(from), bytes.TrimSpace(to)
	if !found {
		return 0, 0, 416
	}
	if len(from) == 0 { // the last bytes
		n, ok := number(to)
		if !ok || n == 0 {
			return 0, 0, 416
		}
		n = min(n, d.size)
		if n == 0 {
			return 0, 0, 416
		}
		return d.size - n, n, 206
	}
	start, ok := number(from)
	end := d.size - 1
	if ok && len(to) > 0 {
		var last int64
		last, ok = number(to)
		end = min(end, last)
		ok = ok && last >= start
	}
	if !ok || start >= d.size {
		return 0, 0, 416
	}
	return start, end - start + 1, 206
}

func number(text []byte) (int64, bool) {
	if len(text) == 0 || len(text) > 18 {
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

func (d *document) contentRange(r *web.Request, first, length int64) {
	b := strconv.AppendInt(append(r.Scratch(), "bytes "...), first, 10)
	b = strconv.AppendInt(append(b, '-'), first+length-1, 10)
	b = strconv.AppendInt(append(b, '/'), d.size, 10)
	r.AddHeader([]byte("Content-Range"), r.KeepScratch(b))
}
