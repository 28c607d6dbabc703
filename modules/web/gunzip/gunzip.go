// Package gunzip decompresses responses for clients that do not accept gzip.
package gunzip

import (
	"errors"
	"io"
	"iter"
	"sync"

	"starling/conf"
	"starling/logs"
	"starling/nginx/ascii"
	"starling/web"
	"starling/web/encoding"
	"starling/web/h1"

	"github.com/klauspost/compress/gzip"
)

const places = conf.HTTP | conf.Server | conf.Location

// Module is the family.
var Module = web.Module{
	Module: conf.Module{
		Name:  "gunzip",
		Doc:   "Decompresses responses for clients that do not accept gzip.",
		New:   conf.NewOf[Settings],
		Clone: conf.CloneOf[Settings],
		Directives: []conf.Directive{{
			Name: "gunzip", Syntax: "on | off", Default: "off", In: places,
			Doc: "Decompresses responses with `Content-Encoding: gzip` if the client does not accept it. Whether it " +
				"does is decided as for `gzip`, by `gzip_http_version`, `gzip_proxied` and `gzip_disable` too.",
			Set: conf.Field(func(s *Settings) *bool { return &s.on }, conf.Flag),
		}},
	},
	Filters: []web.FilterHook{{Build: build}},
}

// Settings of one block.
type Settings struct{ on bool }

func build(b *web.Block) (web.Filter, error) {
	if !conf.SettingsOf[Settings](b.Scope).on {
		return nil, nil
	}
	client := conf.SettingsOf[encoding.Gzip](b.Scope)
	return func(r *web.Request) web.Body { return filter(r, client) }, nil
}

// filter is ngx_http_gunzip_header_filter.
func filter(r *web.Request, client *encoding.Gzip) web.Body {
	coding, _ := r.Out.Headers.Get(h1.HeaderContentEncoding)
	if !ascii.EqualString(coding, "gzip") {
		return nil
	}
	client.MarkVary(r)
	if client.Wanted(r) {
		return nil
	}
	r.RemoveHeader(h1.HeaderContentEncoding)
	r.RemoveHeader(h1.HeaderAcceptRanges) // a range would be one of the compressed bytes
	r.WeakenETags()
	r.Out.ContentLength, r.Out.Ranges = -1, web.NoRanges
	if r.MethodID == h1.MethodHead {
		return nil
	}
	d := decoders.Get().(*decoder)
	r.AtEnd(giveBack, d, 0)
	return d
}

// outputBytes is how much is decompressed at once. nginx's gunzip_buffers are as large.
const outputBytes = 8 << 10

var decoders = sync.Pool{New: func() any { return &decoder{out: make([]byte, outputBytes)} }}

// decoder is the body of one response. gzip.Reader pulls its input while pieces are pushed into a filter, so it runs as
// a coroutine: resume lets it work until it has output or needs input. Memory does not grow with the response.
type decoder struct {
	reader gzip.Reader
	in     []byte // the rest of the piece
	last   bool   // no piece follows
	out    []byte
	resume func() (step, bool)
	stop   func()
}

// step is why the coroutine paused: for more input if there is no output.
type step struct {
	output []byte
	err    error // the end: io.EOF if all is well
}

func giveBack(arg any, _ uint64) {
	d := arg.(*decoder)
	if d.stop != nil {
		d.stop()
	}
	d.in, d.last, d.resume, d.stop = nil, false, nil, nil
	decoders.Put(d)
}

// Write implements web.Body.
func (d *decoder) Write(next web.Next, p []byte, last bool) error {
	if d.resume == nil {
		d.resume, d.stop = iter.Pull(d.decode)
	}
	d.in, d.last = p, last
	for {
		s, running := d.resume()
		switch {
		case !running, s.err == io.EOF:
			return next.Write(nil, true)
		case s.err != nil:
			next.Request().Logf(logs.Error, "response with Content-Encoding gzip cannot be decompressed: %v", s.err)
			return s.err
		case len(s.output) == 0:
			return nil
		}
		if err := next.Write(s.output, false); err != nil {
			return err
		}
	}
}

// Flush implements web.Body.
func (d *decoder) Flush(next web.Next) error { return next.Flush() }

// decode is the coroutine.
func (d *decoder) decode(yield func(step) bool) {
	err := d.reader.Reset(&source{d, yield})
	for err == nil {
		var n int
		if n, err = d.reader.Read(d.out); n > 0 && !yield(step{output: d.out[:n]}) {
			return
		}
	}
	yield(step{err: err})
}

// source gives the coroutine the pieces.
type source struct {
	*decoder
	yield func(step) bool
}

var errAbandoned = errors.New("response ended before its body")

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	for len(s.in) == 0 {
		if s.last {
			return 0, io.EOF
		}
		if !s.yield(step{}) {
			return 0, errAbandoned
		}
	}
	n := copy(p, s.in)
	s.in = s.in[n:]
	return n, nil
}
