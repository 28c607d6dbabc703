// Package encoding compresses responses and sends files that were compressed beforehand: it knows which coding a client
// gets. The families gzip, gzip_static, gunzip, brotli and zstd declare its settings.
package encoding

import (
	"bytes"
	"strings"

	"starling/conf"
	"starling/nginx/ascii"
	"starling/nginx/httptime"
	"starling/nginx/regex"
	"starling/web"
	"starling/web/h1"
)

// Coding is a content coding of HTTP.
type Coding int

// The codings, in the order of preference for a client that accepts several equally. nginx's modules do not compare
// them: their order is that in which they were compiled or loaded.
const (
	ZstdCoding Coding = iota
	BrotliCoding
	GzipCoding
	codings
)

var codingNames = [codings]string{"zstd", "br", "gzip"}

// suffixes are those of files that were compressed beforehand.
var suffixes = [codings]string{".zst", ".br", ".gz"}

// Compression has what all codings have, in one block.
type Compression struct {
	On       bool
	Level    int
	MinBytes int64
	Types    web.MediaTypes
}

// Gzip are the settings of the gzip family in one block. Vary is for all codings.
type Gzip struct {
	Compression
	HTTP10   bool // HTTP/1.0 too
	Vary     bool
	Proxied  Proxied
	Disabled []*regex.Regexp
}

// Brotli are the settings of the brotli family in one block.
type Brotli struct {
	Compression
	WindowBits int // binary logarithm of how many bytes back repetitions are found
	Static     Static
}

// Zstd are the settings of the zstd family in one block.
type Zstd struct {
	Compression
	Static Static
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
func (s *Gzip) MarkVary(r *web.Request) { r.Out.VaryEncoding = r.Out.VaryEncoding || s.Vary }

// Wanted is ngx_http_gzip_ok: it checks the request. A part of a response is never compressed by itself.
func (s *Gzip) Wanted(r *web.Request) bool { return s.quality(r, GzipCoding) > 0 }

// quality is how much a client wants a coding, 0 if it does not get it. As in nginx and the modules for it, only gzip
// depends on the version of HTTP, the browser and proxies.
func (s *Gzip) quality(r *web.Request, coding Coding) Quality {
	if r.Parent() != nil {
		return 0
	}
	q := Accepted(r.KnownHeader(h1.HeaderAcceptEncoding), codingNames[coding])
	if q == 0 || coding == GzipCoding && !s.allowed(r) {
		return 0
	}
	return q
}

// allowed applies what the gzip family alone has.
func (s *Gzip) allowed(r *web.Request) bool {
	if r.Version < h1.Version11 && !(s.HTTP10 && r.Version == h1.Version10) {
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
	return !r.Seen.Has(h1.HeaderVia) || s.allowedByProxy(r)
}

// allowedByProxy applies gzip_proxied.
func (s *Gzip) allowedByProxy(r *web.Request) bool {
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
		at, ok := httptime.Parse(expires)
		return ok && at < r.Now().WallMS/1000
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

// Quality is the q of a coding in thousandths.
type Quality int

const fullQuality Quality = 1000

// Accepted returns the quality of a coding in Accept-Encoding, 0 if it is not listed.
func Accepted(value []byte, coding string) Quality {
	for len(value) > 0 {
		var item []byte
		item, value, _ = bytes.Cut(value, []byte{','})
		name, parameters, given := bytes.Cut(item, []byte{';'})
		if !ascii.EqualString(bytes.TrimSpace(name), coding) {
			continue
		}
		if !given {
			return fullQuality
		}
		return parseQuality(bytes.TrimSpace(parameters))
	}
	return 0
}

// parseQuality is ngx_http_gzip_quantity: what is no quality is 0.
func parseQuality(p []byte) Quality {
	switch {
	case len(p) == 0:
		return fullQuality
	case len(p) < 3, ascii.Lower(p[0]) != 'q', p[1] != '=', p[2] != '0' && p[2] != '1':
		return 0
	}
	q := Quality(p[2]-'0') * fullQuality
	p = p[3:]
	if len(p) == 0 {
		return q
	}
	const decimals = 3
	if p[0] != '.' || len(p) > 1+decimals {
		return 0
	}
	weight := fullQuality
	for _, c := range p[1:] {
		if c < '0' || c > '9' {
			return 0
		}
		weight /= 10
		q += Quality(c-'0') * weight
	}
	if q > fullQuality {
		return 0
	}
	return q
}

// gzipOf are the settings of gzip, which all codings need.
func gzipOf(scope *conf.Scope) *Gzip { return conf.SettingsOf[Gzip](scope) }
