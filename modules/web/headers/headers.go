package headers

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"starling/conf"
	"starling/nginx/httptime"
	"starling/web"
	"starling/web/h1"
)

// additions are what a location adds to its responses.
type additions struct {
	headers, trailers []Header
	expires           *Expires
}

func build(b *web.Block) (web.Filter, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	a := &additions{headers: s.Headers.lines(), trailers: s.Trailers.lines(), expires: &s.Expires}
	if len(a.headers) == 0 && len(a.trailers) == 0 && s.Expires.kind == expiresOff {
		return nil, nil
	}
	trail := a.trail // created once, so that a request allocates no closure
	return func(r *web.Request) web.Body {
		if r.Parent() != nil {
			return nil // no client sees the head
		}
		a.filter(r)
		safe := isSafe(r.Out.Status)
		if slices.ContainsFunc(a.trailers, func(t Header) bool { return safe || t.always }) {
			r.Out.Trailer = trail
		}
		return nil
	}, nil
}

// trail adds the trailers after the end of the body.
func (a *additions) trail(r *web.Request) {
	safe := isSafe(r.Out.Status)
	for i := range a.trailers {
		t := &a.trailers[i]
		if !safe && !t.always {
			continue
		}
		if value := r.Expand(&t.value); len(value) > 0 {
			r.Out.Trailers = append(r.Out.Trailers, h1.Header{Name: t.name, Value: value})
		}
	}
}

// appendTrailer is $sent_trailer_NAME.
func appendTrailer(r *web.Request, name string, dst []byte) ([]byte, bool) {
	trailers, found := r.Out.Trailers, false
	for i := trailers.Lookup(name, 0); i >= 0; i = trailers.Lookup(name, i+1) {
		if found {
			dst = append(dst, ", "...)
		}
		dst, found = append(dst, trailers[i].Value...), true
	}
	return dst, found
}

// filter is ngx_http_headers_filter.
func (a *additions) filter(r *web.Request) {
	safe := isSafe(r.Out.Status)
	if a.expires.kind != expiresOff && safe {
		a.expires.apply(r)
	}
	for i := range a.headers {
		h := &a.headers[i]
		if !safe && !h.always {
			continue
		}
		value := r.Expand(&h.value)
		switch {
		case h.replaces:
			h.replace(r, value)
		case len(value) > 0:
			r.AddHeader(h.name, value)
		}
	}
}

// isSafe reports whether a status gets the headers without `always`.
func isSafe(status int) bool {
	switch status {
	case 200, 201, 204, 206, 301, 302, 303, 304, 307, 308:
		return true
	}
	return false
}

func (h *Header) replace(r *web.Request, value []byte) {
	id := h1.Identify(h.name)
	r.RemoveHeader(id)
	switch {
	case id == h1.HeaderLastModified:
		r.Out.LastModified = value
	case len(value) > 0:
		r.AddHeader(h.name, value)
	}
}

const maxAge = "max-age="

// apply sets Expires and Cache-Control.
func (e *Expires) apply(r *web.Request) {
	kind, after := e.kind, e.after
	if e.variable {
		parsed, err := parseExpires(string(r.Expand(&e.value)), e.kind)
		if err != nil || parsed.kind == expiresOff {
			return // a value that is not a time sets nothing, as in nginx
		}
		kind, after = parsed.kind, parsed.after
	}
	now := time.UnixMilli(r.Now().WallMS).Truncate(time.Second)
	if after == 0 && kind == expiresModified {
		kind = expiresAccess // nginx has the same message for both
	}
	var at time.Time
	switch kind {
	case expiresEpoch:
		set(r, time.Unix(1, 0), "no-cache")
		return
	case expiresMax:
		set(r, time.Date(2037, 12, 31, 23, 55, 55, 0, time.UTC), maxAge+"315360000")
		return
	case expiresDaily:
		at = nextTime(now, after)
	case expiresModified:
		at = now.Add(after)
		if modified, ok := httptime.Parse(r.LastModified()); ok {
			at = time.Unix(modified, 0).Add(after)
		}
	default:
		at = now.Add(after)
	}
	age := int64(at.Sub(now) / time.Second)
	if after < 0 || age < 0 {
		set(r, at, "no-cache")
		return
	}
	set(r, at, maxAge+strconv.FormatInt(age, 10))
}

// nextTime is the next occurrence of a time of day, in the local time zone.
func nextTime(now time.Time, ofDay time.Duration) time.Time {
	year, month, day := now.Local().Date()
	at := time.Date(year, month, day, 0, 0, 0, 0, time.Local).Add(ofDay)
	if !at.After(now) {
		at = at.Add(24 * time.Hour)
	}
	return at
}

func set(r *web.Request, at time.Time, control string) {
	r.SetHeader([]byte("Expires"), at.UTC().AppendFormat(r.Alloc(len(http.TimeFormat))[:0], http.TimeFormat))
	r.SetHeader([]byte("Cache-Control"), r.CopyString(control))
}
