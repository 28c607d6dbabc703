// Package encoding knows when a client gets a compressed response: the settings that gzip, gzip_static and gunzip
// share.
package encoding

import (
	"bytes"
	"net/http"
	"strings"

	"starling/nginx/ascii"
	"starling/nginx/regex"
	"starling/web"
	"starling/web/h1"
)

// Settings of one block, which the gzip family declares.
type Settings struct {
	On       bool
	Level    int
	MinBytes int64
	HTTP10   bool // HTTP/1.0 too
	Types    web.MediaTypes
	Vary     bool
	Proxied  Proxied
	Disabled []*regex.Regexp
}

// Proxied are the values of gzip_proxied.
type Proxied uint16

const (
	proxiedOff Proxied = 1 << iota
	proxiedExpired
	proxiedNoCache
	proxiedNoStore
	proxiedPrivate
	proxiedNoLastModified
	proxiedNoETag
	proxiedAuth
	proxiedAny
)

// ProxiedNames are the words of gzip_proxied.
var ProxiedNames = map[string]Proxied{
	"off":              proxiedOff,
	"expired":          proxiedExpired,
	"no-cache":         proxiedNoCache,
	"no-store":         proxiedNoStore,
	"private":          proxiedPrivate,
	"no_last_modified": proxiedNoLastModified,
	"no_etag":          proxiedNoETag,
	"auth":             proxiedAuth,
	"any":              proxiedAny,
}

// MarkVary is called for each response whose coding depends on what the client accepts.
func (s *Settings) MarkVary(r *web.Request) { r.Out.VaryEncoding = r.Out.VaryEncoding || s.Vary }

// Wanted is ngx_http_gzip_ok: it checks the request. A part of a response is never compressed by itself.
func (s *Settings) Wanted(r *web.Request) bool {
	if r.Parent() != nil || !Accepts(r.KnownHeader(h1.HeaderAcceptEncoding), "gzip") ||
		r.Version < h1.Version11 && !(s.HTTP10 && r.Version == h1.Version10) {
		return false
	}
	if len(s.Disabled) > 0 {
		agent := r.KnownHeader(h1.HeaderUserAgent)
		for _, x := range s.Disabled {
			if matched, err := x.Match(agent, nil); matched || err != nil {
				return false
			}
		}
	}
	return !r.Seen.Has(h1.HeaderVia) || s.wantedByProxy(r)
}

// wantedByProxy applies gzip_proxied.
func (s *Settings) wantedByProxy(r *web.Request) bool {
	p := s.Proxied
	switch {
	case p&proxiedOff != 0:
		return false
	case p&proxiedAny != 0, p&proxiedAuth != 0 && r.Seen.Has(h1.HeaderAuthorization):
		return true
	}
	if expires, given := r.Out.Headers.Get(h1.HeaderExpires); given {
		if p&proxiedExpired == 0 {
			return false
		}
		at, err := http.ParseTime(string(expires))
		return err == nil && at.UnixMilli() < r.Now().WallMS
	}
	if control, given := r.Out.Headers.Get(h1.HeaderCacheControl); given {
		lower := strings.ToLower(string(control))
		return p&proxiedNoCache != 0 && strings.Contains(lower, "no-cache") ||
			p&proxiedNoStore != 0 && strings.Contains(lower, "no-store") ||
			p&proxiedPrivate != 0 && strings.Contains(lower, "private")
	}
	_, etag := r.Out.Headers.Get(h1.HeaderETag)
	_, modified := r.Out.Headers.Get(h1.HeaderLastModified)
	modified = modified || len(r.Out.LastModified) > 0
	return !(p&proxiedNoLastModified != 0 && modified) && !(p&proxiedNoETag != 0 && etag)
}

// Accepts reports whether Accept-Encoding lists a coding with a quality above 0.
func Accepts(value []byte, coding string) bool {
	for len(value) > 0 {
		var item []byte
		item, value, _ = bytes.Cut(value, []byte{','})
		name, parameters, _ := bytes.Cut(item, []byte{';'})
		if !ascii.EqualString(bytes.TrimSpace(name), coding) {
			continue
		}
		parameters = bytes.TrimSpace(parameters)
		if len(parameters) < 2 || ascii.Lower(parameters[0]) != 'q' || parameters[1] != '=' {
			return true
		}
		return len(bytes.Trim(parameters[2:], "0.")) > 0
	}
	return false
}
