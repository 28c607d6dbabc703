// Package document answers a request with a file: validators, byte ranges, and the errors of opening it. The
// families that find a file (static, gzip_static) share it.
package document

import (
	"io/fs"
	"net/http"
	"strconv"
	"time"

	"starling/web"
)

// Document is what the head of a response describes.
type Document struct {
	Modified time.Time // whole seconds, as in headers
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
