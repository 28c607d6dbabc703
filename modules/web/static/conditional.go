package static

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"starling/web"
	"starling/web/h1"
)

// document is the subject of the conditions.
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

// head sets the status and the headers that describe the document. An error page has no date, because it is not the
// requested document.
func (d *document) head(r *web.Request, status int) {
	r.Overrule(status)
	if d.etag != nil {
		r.SetHeader([]byte("ETag"), d.etag)
	}
	switch status {
	case 200, 206, 304:
		r.Out.LastModified = d.modified.UTC().AppendFormat(r.Alloc(len(http.TimeFormat))[:0], http.TimeFormat)
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
	if since == nil && tags == nil || since != nil && d.modifiedSince(r, since) ||
		tags != nil && !d.matchesTag(tags, true) {
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

// matchesTag reports whether a list of entity tags has the document's. The weak comparison ignores W/.
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
