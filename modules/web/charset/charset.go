package charset

import (
	"slices"
	"strings"
	"sync"

	"starling/conf"
	"starling/logs"
	"starling/nginx/ascii"
	"starling/plan"
	"starling/web"
	"starling/web/h1"
)

// namer is one block's filter.
type namer struct {
	*Settings
	*part
}

func build(b *web.Block) (web.Filter, error) {
	s, w := conf.SettingsOf[Settings](b.Scope), plan.Part[part](b.Plan)
	if len(w.known) == 0 && !s.to.given {
		return nil, nil // nothing names a charset, so nothing can be converted, nor X-Accel-Charset be known
	}
	return (&namer{s, w}).filter, nil
}

// filter is ngx_http_charset_header_filter.
func (f *namer) filter(r *web.Request) web.Body {
	if r.Dropped() {
		return nil // the client gets nothing of it, and its request may not know its own charset yet
	}
	mediaType, own := web.SplitCharset(r.Out.ContentType)
	to := f.wanted(r, own)
	if len(to) == 0 {
		return nil
	}
	from := own
	if len(from) == 0 {
		from = f.from.value(r)
		if len(from) == 0 {
			name(r, mediaType, to)
			return nil
		}
	}
	if ascii.Equal(from, to) {
		name(r, mediaType, to)
		return nil
	}
	if coding, coded := r.Out.Headers.Get(h1.HeaderContentEncoding); coded && len(coding) > 0 {
		return nil
	}
	how := f.conversions[pair{strings.ToLower(string(from)), strings.ToLower(string(to))}]
	if how == nil {
		r.Logf(logs.Error, "no \"charset_map\" between the charsets \"%s\" and \"%s\"", from, to)
		return nil
	}
	name(r, mediaType, to)
	if !how.keepsLength() {
		r.Out.ContentLength, r.Out.Ranges = -1, web.NoRanges
	}
	x := bodies.Get().(*converting)
	x.how = how
	r.AtEnd(giveBack, x, 0)
	return x
}

// wanted is the charset that the client is to get: of a part of a response, that of the whole.
func (f *namer) wanted(r *web.Request, own []byte) []byte {
	if r.Parent() != nil {
		_, charset := web.SplitCharset(r.Outermost().Out.ContentType)
		return charset
	}
	if len(r.Out.ContentType) == 0 {
		return nil
	}
	if asked := r.Out.OverrideCharset; len(asked) > 0 {
		if slices.Contains(f.known, strings.ToLower(string(asked))) {
			return asked
		}
		r.Logf(logs.Error, "unknown charset \"%s\" to override", asked)
		return nil
	}
	if !f.to.given || len(own) > 0 && !f.override || len(own) == 0 && !f.types.Has(r.Out.ContentType) {
		return nil
	}
	return f.to.value(r)
}

// name sets the charset in Content-Type. As in nginx, redirects have none: browsers took it for that of the next page.
func name(r *web.Request, mediaType, charset []byte) {
	if r.Parent() != nil {
		return
	}
	if status := r.StatusFor(r.Out.Status); status == 301 || status == 302 {
		r.Out.ContentType = mediaType
		return
	}
	r.Out.ContentType = r.WithCharset(mediaType, charset)
}

// maxKeptBytes: a buffer that grew beyond this for one response is not kept for others.
const maxKeptBytes = 128 << 10

var bodies = sync.Pool{New: func() any { return new(converting) }}

// converting is the body of one response. It holds back at most the bytes of one character; as in nginx, a body that
// ends within one ends before it.
type converting struct {
	how       conversion
	held, out []byte
}

func giveBack(arg any, _ uint64) {
	x := arg.(*converting)
	x.how, x.held, x.out = nil, x.held[:0], x.out[:0]
	if cap(x.out) <= maxKeptBytes {
		bodies.Put(x)
	}
}

// Write implements web.Body.
func (x *converting) Write(next web.Next, p []byte, last bool) error {
	text := p
	if len(x.held) > 0 {
		x.held = append(x.held, p...)
		text = x.held
	}
	var incomplete int
	x.out, incomplete = x.how.convert(x.out[:0], text)
	rest := text[len(text)-incomplete:]
	x.held = append(x.held[:0], rest...)
	if len(x.out) == 0 && !last {
		return nil
	}
	return next.Write(x.out, last)
}

// Flush implements web.Body.
func (x *converting) Flush(next web.Next) error { return next.Flush() }
