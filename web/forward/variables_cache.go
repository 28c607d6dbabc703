package forward

import (
	"net/http"
	"strconv"
	"time"

	"starling/web"
	"starling/web/cache"
)

func cacheStatus(r *web.Request, _ string, dst []byte) ([]byte, bool) {
	x := of(r)
	if x == nil || x.status == cache.None {
		return dst, false
	}
	return append(dst, x.status.String()...), true
}

func cacheKey(r *web.Request, _ string, dst []byte) ([]byte, bool) {
	x := of(r)
	if x == nil || !x.ticket.Active() {
		return dst, false
	}
	return append(dst, x.ticket.Key...), true
}

// revalidates returns the stored response that the request asks the server about, nil if none.
func (x *Exchange) revalidates() *cache.Object {
	if x == nil || !x.l.caching.revalidate || x.status != cache.Expired {
		return nil
	}
	return x.ticket.Object
}

func cacheLastModified(r *web.Request, _ string, dst []byte) ([]byte, bool) {
	return of(r).AppendSince(dst)
}

func cacheETag(r *web.Request, _ string, dst []byte) ([]byte, bool) { return of(r).AppendMatch(dst) }

// AppendSince appends the time of the stored response that the request asks the server about; false if there is none.
func (x *Exchange) AppendSince(dst []byte) ([]byte, bool) {
	o := x.revalidates()
	if o == nil || o.LastModified == -1 {
		return dst, false
	}
	return time.Unix(o.LastModified, 0).UTC().AppendFormat(dst, http.TimeFormat), true
}

// AppendMatch appends its ETag likewise.
func (x *Exchange) AppendMatch(dst []byte) ([]byte, bool) {
	o := x.revalidates()
	if o == nil || len(o.ETag) == 0 {
		return dst, false
	}
	return append(dst, o.ETag...), true
}

func cacheAge(r *web.Request, _ string, dst []byte) ([]byte, bool) {
	x := of(r)
	if x == nil || !x.fromCache || x.ticket.Object == nil {
		return dst, false
	}
	age := max(r.Now().WallMS/1000-x.ticket.Object.DateS, 0)
	if x.status == cache.Revalidated {
		age = 0 // the object is as it was before
	}
	return strconv.AppendInt(dst, age, 10), true
}

// AppendConditions appends the header fields that ask a server whether the stored response is still valid, except those
// that the configuration sets itself.
func (x *Exchange) AppendConditions(dst []byte, since, match bool) []byte {
	if x.revalidates() == nil {
		return dst
	}
	field := func(name string, value func(*Exchange, []byte) ([]byte, bool)) {
		start := len(dst)
		var ok bool
		if dst, ok = value(x, append(append(dst, name...), ": "...)); ok {
			dst = append(dst, "\r\n"...)
		} else {
			dst = dst[:start]
		}
	}
	if since {
		field("If-Modified-Since", (*Exchange).AppendSince)
	}
	if match {
		field("If-None-Match", (*Exchange).AppendMatch)
	}
	return dst
}
