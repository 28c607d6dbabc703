// Package document answers a request with a file: conditional requests, byte ranges, and the errors of opening it. The
// families that find a file (static, gzip_static) share it.
package document

import (
	"bytes"
	"io/fs"
	"net/http"
	"strconv"
	"time"

	"starling/web"
	"starling/web/h1"
)

// Document is what conditional requests ask about.
type Document struct {
	Modified time.Time // whole seconds, as in headers; zero if it is not known
	Size     int64
	ETag     []byte // nil with etag off
}

// Of describes a file, with nginx's entity tag unless etag is off.
func Of(r *web.Request, info fs.FileInfo) Document {
	d := Document{Modified: info.ModTime().Truncate(time.Second), Size: info.Size()}
	if r.Location.Core.ETag {
		d.ETag = appendETag(r.Alloc(maxETag)[:0], d.Modified, d.Size)
	}
	return d
}

// maxETag is the length of `"time-size"` at most.
const maxETag = 2 + 16 + 1 + 16

// appendETag is nginx's entity tag: time and size in hex.
func appendETag(dst []byte, modified time.Time, size int64) []byte {
	dst = strconv.AppendInt(append(dst, '"'), modified.Unix(), 16)
	return append(strconv.AppendInt(append(dst, '-'), size, 16), '"')
}

// Head sets the status and the headers that describe the document. An error page has no date, because it is not the
// requested document.
func (d *Document) Head(r *web.Request, status int) {
	r.Overrule(status)
	if d.ETag != nil {
		r.SetHeader([]byte("ETag"), d.ETag)
	}
	switch status {
	case 200, 206, 304:
		r.Out.LastModified = d.Modified.UTC().AppendFormat(r.Alloc(len(http.TimeFormat))[:0], http.TimeFormat)
	}
}

// NotModified answers with 304.
func (d *Document) NotModified(r *web.Request) web.Result {
	d.Head(r, 304)
	r.Out.ContentLength = -1
	if err := r.SendHead(); err != nil {
		return web.Done
	}
	r.FinishBody() // the connection remembers its failure
	return web.Done
}

// conditions are the headers of a request that make it conditional.
var conditions = h1.SetOf(h1.HeaderIfModifiedSince, h1.HeaderIfUnmodifiedSince, h1.HeaderIfNoneMatch,
	h1.HeaderIfMatch)

// Precondition evaluates the conditions in nginx's order: 412, 304, or 0 to send the document. A subrequest has the
// client's headers, but the conditions are not about its document.
func (d *Document) Precondition(r *web.Request) web.Result {
	if r.Seen&conditions == 0 || r.Parent() != nil {
		return 0
	}
	if v := r.KnownHeader(h1.HeaderIfUnmodifiedSince); v != nil {
		if since, err := http.ParseTime(string(v)); err == nil && d.Modified.After(since) {
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

// CheckHead applies the conditions of the client to a response of which only the head is known, before it is sent
// (ngx_http_not_modified_header_filter): 304, which it makes the head say, 412, or 0 to send the response.
func CheckHead(r *web.Request) web.Result {
	out := &r.Out
	if out.Status != 200 {
		return 0
	}
	var d Document
	d.ETag, _ = out.Headers.Get(h1.HeaderETag)
	if modified, ok := out.Headers.Get(h1.HeaderLastModified); ok {
		d.Modified, _ = http.ParseTime(string(modified)) // zero for one that is invalid
	}
	result := d.Precondition(r)
	if result == 304 {
		out.Status, out.Reason, out.ContentType, out.ContentLength = 304, nil, nil, -1
		r.RemoveHeader(h1.HeaderContentEncoding)
	}
	return result
}

func (d *Document) modifiedSince(r *web.Request, value []byte) bool {
	how := r.Location.Core.IfModifiedSince
	since, err := http.ParseTime(string(value))
	if how == web.ModifiedOff || err != nil || d.Modified.IsZero() {
		return true
	}
	if d.Modified.Equal(since) {
		return false
	}
	return how == web.ModifiedExact || since.Before(d.Modified)
}

// matchesTag reports whether a list of entity tags has the document's. The weak comparison ignores W/.
func (d *Document) matchesTag(list []byte, weak bool) bool {
	if string(bytes.TrimSpace(list)) == "*" {
		return true
	}
	if d.ETag == nil {
		return false
	}
	for tag := range bytes.SplitSeq(list, []byte{','}) {
		tag = bytes.TrimSpace(tag)
		if weak {
			tag = bytes.TrimPrefix(tag, []byte("W/"))
		}
		if bytes.Equal(tag, d.ETag) {
			return true
		}
	}
	return false
}
