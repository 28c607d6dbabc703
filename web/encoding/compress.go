package encoding

import (
	"strconv"

	"starling/conf"
	"starling/side"
	"starling/web"
	"starling/web/h1"
)

// offer is a coding to which one block compresses.
type offer struct {
	coding Coding
	*Compression
	windowBits int
	writers    writers
}

// compressor is one block's filter, for all of its codings.
type compressor struct {
	gzip   *Gzip
	offers []*offer // in the order of preference
	slot   int
}

// BuildFilter makes the filter of a family. The first one that is on in a block compresses for the others too, so that
// the client's preference decides.
func BuildFilter(b *web.Block, own Coding) (web.Filter, error) {
	slot := side.SlotOf[encoder](&web.Side, b.Plan) // $gzip_ratio reads it even if nothing is compressed
	c := &compressor{gzip: gzipOf(b.Scope), slot: slot}
	zstd, brotli := conf.SettingsOf[Zstd](b.Scope), conf.SettingsOf[Brotli](b.Scope)
	for coding, o := range [codings]*offer{
		ZstdCoding:   {Compression: &zstd.Compression, windowBits: zstdWindowBits(zstd.Level)},
		BrotliCoding: {Compression: &brotli.Compression, windowBits: brotli.WindowBits},
		GzipCoding:   {Compression: &c.gzip.Compression}, // all of its windows are equal
	} {
		if !o.On {
			continue
		}
		o.coding = Coding(coding)
		o.writers.make = makers[coding](o.Level)
		c.offers = append(c.offers, o)
	}
	if len(c.offers) == 0 || c.offers[0].coding != own {
		return nil, nil
	}
	return c.filter, nil
}

// filter is ngx_http_gzip_header_filter, and that of the modules for brotli and zstd.
func (c *compressor) filter(r *web.Request) web.Body {
	out := &r.Out
	status := r.StatusFor(out.Status)
	if r.Parent() != nil || status != 200 && status != 403 && status != 404 {
		return nil
	}
	if _, encoded := out.Headers.Get(h1.HeaderContentEncoding); encoded {
		return nil
	}
	chosen := c.choose(r)
	if chosen == nil {
		return nil
	}
	r.AddHeader([]byte("Content-Encoding"), []byte(codingNames[chosen.coding]))
	r.RemoveHeader(h1.HeaderAcceptRanges) // a range would be one of the compressed bytes
	r.WeakenETags()
	bits := windowFor(out.ContentLength, chosen.windowBits)
	out.ContentLength, out.Ranges = -1, web.NoRanges
	if r.MethodID == h1.MethodHead {
		return nil // only the head, as for a GET
	}
	e := chosen.writers.take(chosen.coding, bits)
	e.begin()
	r.Slot(c.slot).Data = e
	r.AtEnd(giveBack, e, 0)
	return e
}

// choose finds the coding that the client likes most of those in which the response can be sent.
func (c *compressor) choose(r *web.Request) (chosen *offer) {
	out, best := &r.Out, Quality(0)
	for _, o := range c.offers {
		if out.ContentLength >= 0 && out.ContentLength < o.MinBytes || !o.Types.Has(out.ContentType) {
			continue
		}
		c.gzip.MarkVary(r)
		if q := c.gzip.quality(r, o.coding); q > best {
			chosen, best = o, q
		}
	}
	return chosen
}

func giveBack(arg any, _ uint64) {
	e := arg.(*encoder)
	e.out = e.out[:0]
	e.pool.Put(e)
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

// AppendRatio is $gzip_ratio and $brotli_ratio, with two decimals, or $zstd_ratio, with three that are not rounded.
func AppendRatio(r *web.Request, coding Coding, dst []byte) ([]byte, bool) {
	e := side.DataOf[encoder](r)
	if e == nil || e.coding != coding || e.outBytes == 0 {
		return dst, false
	}
	scale, decimals := int64(100), 2
	ratio := (e.inBytes*1000/e.outBytes + 5) / 10
	if coding == ZstdCoding {
		scale, decimals = 1000, 3
		ratio = e.inBytes * 1000 / e.outBytes
	}
	dst = append(strconv.AppendInt(dst, ratio/scale, 10), '.')
	for range decimals {
		scale /= 10
		dst = append(dst, byte('0'+ratio/scale%10))
	}
	return dst, true
}
