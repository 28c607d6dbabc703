package gzip

import (
	"strconv"
	"sync"

	"starling/conf"
	"starling/side"
	"starling/web"
	"starling/web/encoding"
	"starling/web/h1"

	"github.com/klauspost/compress/gzip"
)

// compressor is one block's filter.
type compressor struct {
	*encoding.Settings
	pool sync.Pool // of *encoder, with the block's level
	slot int
}

func build(b *web.Block) (web.Filter, error) {
	s := conf.SettingsOf[encoding.Settings](b.Scope)
	slot := side.SlotOf[encoder](&web.Side, b.Plan) // $gzip_ratio reads it even if nothing is compressed
	if !s.On {
		return nil, nil
	}
	c := &compressor{Settings: s, slot: slot}
	c.pool.New = func() any {
		e := &encoder{from: c}
		e.writer, _ = gzip.NewWriterLevel(sink{e}, s.Level) // the level was checked
		return e
	}
	return c.filter, nil
}

// filter is ngx_http_gzip_header_filter.
func (c *compressor) filter(r *web.Request) web.Body {
	out := &r.Out
	status := r.StatusFor(out.Status)
	if r.Parent() != nil || status != 200 && status != 403 && status != 404 ||
		out.ContentLength >= 0 && out.ContentLength < c.MinBytes ||
		!c.Types.Has(out.ContentType) {
		return nil
	}
	if _, encoded := out.Headers.Get(h1.HeaderContentEncoding); encoded {
		return nil
	}
	c.MarkVary(r)
	if !c.Wanted(r) {
		return nil
	}
	r.AddHeader([]byte("Content-Encoding"), []byte("gzip"))
	r.RemoveHeader(h1.HeaderAcceptRanges) // a range would be one of the compressed bytes
	r.WeakenETags()
	out.ContentLength, out.Ranges = -1, web.NoRanges
	if r.MethodID == h1.MethodHead {
		return nil // only the head, as for a GET
	}
	e := c.pool.Get().(*encoder)
	e.begin()
	r.Slot(c.slot).Data = e
	r.AtEnd(giveBack, e, 0)
	return e
}

func giveBack(arg any, _ uint64) {
	e := arg.(*encoder)
	e.out = e.out[:0]
	e.from.pool.Put(e)
}

// encoder compresses one response after another.
type encoder struct {
	from              *compressor
	writer            *gzip.Writer
	out               []byte // compressed and not yet passed on
	inBytes, outBytes int64
}

// outputBytes is how much compressed output is collected before it is passed on, so that the header and the trailer of
// a gzip file make no chunks of their own. nginx's gzip_buffers are as large.
const outputBytes = 8 << 10

func (e *encoder) begin() {
	e.inBytes, e.outBytes, e.out = 0, 0, e.out[:0]
	e.writer.Reset(sink{e})
}

// sink collects the compressor's output.
type sink struct{ *encoder }

func (s sink) Write(p []byte) (int, error) {
	s.outBytes += int64(len(p))
	s.out = append(s.out, p...)
	return len(p), nil
}

// Write implements web.Body.
func (e *encoder) Write(next web.Next, p []byte, last bool) error {
	for len(p) > 0 { // in pieces, so that little output is collected
		piece := p[:min(len(p), pieceBytes)]
		p = p[len(piece):]
		e.inBytes += int64(len(piece))
		if _, err := e.writer.Write(piece); err != nil {
			return err
		}
		if len(e.out) >= outputBytes {
			if err := e.passOn(next, false); err != nil {
				return err
			}
		}
	}
	if !last {
		return nil
	}
	if err := e.writer.Close(); err != nil {
		return err
	}
	return e.passOn(next, true)
}

// pieceBytes is how much is compressed before the output is checked.
const pieceBytes = 32 << 10

// Flush implements web.Body.
func (e *encoder) Flush(next web.Next) error {
	if err := e.writer.Flush(); err != nil {
		return err
	}
	if err := e.passOn(next, false); err != nil {
		return err
	}
	return next.Flush()
}

func (e *encoder) passOn(next web.Next, last bool) error {
	p := e.out
	if e.out = e.out[:0]; len(p) == 0 && !last {
		return nil
	}
	return next.Write(p, last)
}

// appendRatio is $gzip_ratio, with two decimals.
func appendRatio(r *web.Request, _ string, dst []byte) ([]byte, bool) {
	e := side.DataOf[encoder](r)
	if e == nil || e.outBytes == 0 {
		return dst, false
	}
	hundredths := (e.inBytes*1000/e.outBytes + 5) / 10
	dst = append(strconv.AppendInt(dst, hundredths/100, 10), '.')
	return append(dst, byte('0'+hundredths/10%10), byte('0'+hundredths%10)), true
}
