package web

import (
	"strconv"
	"time"

	"starling/web/h1"
	"starling/web/h2"
)

// h2Wire is a stream of HTTP/2.
type h2Wire struct {
	stream *h2.Stream
	conn   *Conn // the request's view of its connection
}

// begin makes a stream the request's wire.
func (w *h2Wire) begin(r *Request, s *h2.Stream) {
	if w.conn == nil {
		w.conn = new(Conn)
	}
	w.stream = s
	w.conn.shared = r.Conn.shared
	w.conn.Requests = s.Number
	r.Conn, r.wire = w.conn, w
}

func (w *h2Wire) ReadHead(*Request) (*h1.RequestHead, error) { return &w.stream.Head, w.stream.Problem }

func (w *h2Wire) WriteHead(r *Request, empty bool) error {
	block := w.appendHead(r, r.Scratch())
	r.scratch = block[:0]
	return w.writeHead(r, block, empty)
}

// writeHead queues a head, which is no part of the body.
func (w *h2Wire) writeHead(r *Request, block []byte, end bool) error {
	before := w.stream.Sent
	err := w.stream.WriteHead(block, end)
	r.headBytes += w.stream.Sent - before
	return err
}

// appendHead encodes the head in nginx's order.
func (w *h2Wire) appendHead(r *Request, dst []byte) []byte {
	out := &r.Out
	dst = h2.AppendStatus(dst, out.Status)
	var seen h1.KnownSet
	for i := range out.Headers {
		seen = seen.With(out.Headers[i].ID)
	}
	if token := r.serverToken(); !seen.Has(h1.HeaderServer) && len(token) > 0 {
		dst = h2.AppendField(dst, h1.HeaderServer, nil, token)
	}
	if !seen.Has(h1.HeaderDate) {
		var memory [32]byte
		dst = h2.AppendField(dst, h1.HeaderDate, nil, r.site.dates.Append(memory[:0], r.Now().WallMS/1000))
	}
	if len(out.ContentType) > 0 {
		dst = h2.AppendField(dst, h1.HeaderContentType, nil, out.ContentType)
	}
	if out.ContentLength >= 0 {
		var memory [20]byte
		dst = h2.AppendField(dst, h1.HeaderContentLength, nil, strconv.AppendInt(memory[:0], out.ContentLength, 10))
	}
	if len(out.LastModified) > 0 {
		dst = h2.AppendField(dst, h1.HeaderLastModified, nil, out.LastModified)
	}
	if len(out.Location) > 0 {
		dst = h2.AppendField(dst, h1.HeaderLocation, nil, out.Location)
	}
	for i := range out.Headers {
		if header := &out.Headers[i]; !notCopied.Has(header.ID) && len(header.Name) > 0 {
			dst = h2.AppendField(dst, header.ID, header.Name, header.Value)
		}
	}
	return dst
}

func (w *h2Wire) Write(r *Request, p []byte, last bool) error {
	core := r.Location.Core
	short := last && r.Out.ContentLength > r.bodyBytes+int64(len(p))
	more := short || last && len(r.Out.Trailers) > 0
	if len(p) > 0 || !more {
		if err := w.stream.Write(p, last && !more, int(core.HTTP2ChunkBytes), core.SendTimeout); err != nil {
			return err
		}
	}
	switch {
	case short:
		w.stream.Reset(h2.CodeInternal)
	case more:
		return w.trailers(r)
	}
	return nil
}

func (w *h2Wire) Takes(_ *Request, n int) bool { return w.stream.Takes(n) }

func (w *h2Wire) Flush(*Request) error { return w.stream.Flush() }

// trailers end the stream with another header block.
func (w *h2Wire) trailers(r *Request) error {
	b := r.Scratch()
	for i := range r.Out.Trailers {
		b = h2.AppendField(b, r.Out.Trailers[i].ID, r.Out.Trailers[i].Name, r.Out.Trailers[i].Value)
	}
	r.scratch = b[:0]
	if err := w.stream.WriteHead(b, true); err != nil {
		return err
	}
	return w.stream.Flush()
}

func (w *h2Wire) WriteInterim(r *Request, status int, _ []byte, headers h1.Headers) error {
	b := h2.AppendStatus(r.Scratch(), status)
	for i := range headers {
		b = h2.AppendField(b, headers[i].ID, headers[i].Name, headers[i].Value)
	}
	r.scratch = b[:0]
	if err := w.writeHead(r, b, false); err != nil {
		return err
	}
	return w.stream.Flush()
}

func (w *h2Wire) BodyDone() bool { return w.stream.BodyDone() }

func (w *h2Wire) TakeBody() ([]byte, error) { return w.stream.Take() }

func (w *h2Wire) ReadBody(_ *Request, p []byte, within time.Duration) (int, error) {
	return w.stream.Read(p, within)
}

func (w *h2Wire) Wait(_ *Request, d time.Duration) bool { return w.stream.Wait(d) }

func (w *h2Wire) Left(*Request) bool { return w.stream.Gone() }

func (w *h2Wire) Watch(_ *Request, left func(any), arg any) { w.stream.Watch(left, arg) }

func (w *h2Wire) Interrupt(_ *Request, on bool) {
	if on {
		w.stream.Interrupt()
	} else {
		w.stream.Resume()
	}
}

// Cut does nothing: a stream that ends without a response is reset, and the connection continues.
func (w *h2Wire) Cut(*Request) {}

// End does nothing: the stream ends with its handler.
func (w *h2Wire) End(*Request) bool { return true }

func (w *h2Wire) Received(*Request) int64 { return int64(w.stream.Head.Bytes) + w.stream.Received() }

func (w *h2Wire) Sent(*Request) int64 { return w.stream.Sent }
