package web

import (
	"bytes"
	"slices"
	"strings"

	"starling/conf"
	"starling/nginx/ascii"
	"starling/web/h1"
)

// MediaTypes is a set of media types whose bodies a filter changes (gzip_types, sub_filter_types). The zero value is
// text/html alone, which is always included.
type MediaTypes struct {
	more []string // in lower case
	all  bool
}

const defaultMediaType = "text/html"

// MediaTypesOf is the default of a set that has more than text/html.
func MediaTypesOf(more ...string) MediaTypes { return MediaTypes{more: more} }

// SetMediaTypes makes the setter of such a set; `*` means all types.
func SetMediaTypes[S any](place func(*S) *MediaTypes) conf.Setter {
	return func(settings any, a *conf.Args) error {
		t := place(settings.(*S))
		if a.FirstWrite(t) {
			*t = MediaTypes{}
		}
		for _, word := range a.Words {
			word = strings.ToLower(word)
			if slices.Contains(t.more, word) || word == defaultMediaType {
				a.Warn("duplicate MIME type \"%s\"", word)
				continue
			}
			t.more = append(t.more[:len(t.more):len(t.more)], word)
			t.all = t.all || word == "*"
		}
		return nil
	}
}

// maxMediaTypeBytes bounds the types that are looked up; no configuration has a longer one.
const maxMediaTypeBytes = 64

// Has looks a content type up without its parameters.
func (t *MediaTypes) Has(contentType []byte) bool {
	if t.all {
		return true
	}
	name, _, _ := bytes.Cut(contentType, []byte{';'})
	name = bytes.TrimSpace(name)
	if len(name) > maxMediaTypeBytes {
		return false
	}
	var memory [maxMediaTypeBytes]byte
	lower := ascii.AppendLower(memory[:0], name)
	if string(lower) == defaultMediaType {
		return true
	}
	for _, one := range t.more {
		if string(lower) == one {
			return true
		}
	}
	return false
}

// ChangeVersion is called for a response whose body a filter makes anew for each request: it keeps Last-Modified, and
// ETag as a weak one, or removes both.
func (r *Request) ChangeVersion(keep bool) {
	if keep {
		r.WeakenETags()
		return
	}
	r.Out.LastModified = nil
	r.RemoveHeader(h1.HeaderLastModified)
	r.RemoveHeader(h1.HeaderETag)
}

// WeakenETags is ngx_http_weak_etag: a weak tag means that only the semantics are the same, not the bytes. An invalid
// tag cannot be made weak and would still identify the bytes before the change: it is removed.
func (r *Request) WeakenETags() {
	kept := r.Out.Headers[:0]
	for _, h := range r.Out.Headers {
		if h.ID == h1.HeaderETag && (len(h.Value) <= len(weakPrefix) || !bytes.HasPrefix(h.Value, weakPrefix)) {
			if len(h.Value) == 0 || h.Value[0] != '"' {
				continue
			}
			h.Value = append(append(r.Alloc(len(weakPrefix) + len(h.Value))[:0], weakPrefix...), h.Value...)
		}
		kept = append(kept, h)
	}
	r.Out.Headers = kept
}

var weakPrefix = []byte("W/")
