package web

import (
	"errors"
	"io"
	"net"
	"strconv"
	"time"

	"starling/web/h1"
	"starling/web/h2"
)

// h2Wire is a stream of HTTP/2.
type h2Wire struct {
	stream *h2.Stream
	conn   *Conn // what the request sees of its connection
}

// begin makes a stream the request's wire.
func (w *h2Wire) begin(r *Request, s *h2.Stream) {
	if w.conn == nil {
		w.conn = new(Conn)
	}
	w.stream = s
	w.conn.link = r.Conn.link
	w.conn.Requests = s.Number
	r.Conn, r.wire, r.in = w.conn, w, &s.Head
}

func (w *h2Wire) readHead(*Request) error { return w.stream.Problem }

func (w *h2Wire) refuseBody(*Request) {}

func (w *h2Wire) head(r *Request) error {
	out := &r.Out
	block := w.appendHead(r, r.Scratch())
	r.scratch = block[:0]
	return w.stream.WriteHead(block, r.noBody || out.ContentLength == 0)
}

// appendHead encodes the head in nginx's order.
func (w *h2Wire) appendHead(r *Request, dst []byte) []byte {
	out := &r.Out
	dst = h2.AppendStatus(dst, out.Status)
	var seen h1.KnownSet
	for i := range out.Headers {
		seen = seen.With(out.Headers[i].ID)
	}
	if !seen.Has(h1.HeaderServer) {
		dst = h2.AppendFieldString(dst, h1.HeaderServer, serverHeaders[r.Location.Core.Tokens])
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

func (w *h2Wire) write(r *Request, p []byte) error {
	length, sent := r.Out.ContentLength, r.bodyBytes+int64(len(p))
	if length >= 0 && sent > length {
		return errTooLong
	}
	core, beforeEnd := r.Location.Core, (func())(nil)
	if sent == length && len(r.lasts) > 0 {
		beforeEnd = r.callLasts
	}
	return w.stream.Write(p, sent == length, int(core.HTTP2ChunkBytes), core.SendTimeout, beforeEnd)
}

func (w *h2Wire) flush(*Request) error { return w.stream.Flush() }

func (w *h2Wire) finish(r *Request) error {
	if r.noBody || r.Out.ContentLength >= 0 && r.bodyBytes == r.Out.ContentLength {
		return nil // the end went with the last bytes
	}
	if r.Out.ContentLength >= 0 {
		w.stream.Reset(h2.CodeInternal)
		return nil
	}
	if len(r.Out.Trailers) > 0 {
		return w.trailers(r)
	}
	return w.stream.Write(nil, true, 0, r.Location.Core.SendTimeout, nil)
}

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

func (w *h2Wire) interim(r *Request, status int, _ []byte, headers h1.Headers) error {
	b := h2.AppendStatus(r.Scratch(), status)
	for i := range headers {
		b = h2.AppendField(b, headers[i].ID, headers[i].Name, headers[i].Value)
	}
	r.scratch = b[:0]
	if err := w.stream.WriteHead(b, false); err != nil {
		return err
	}
	return w.stream.Flush()
}

func (w *h2Wire) bodyDone() bool { return w.stream.BodyDone() }

func (w *h2Wire) takeBody() ([]byte, error) { return w.stream.Take() }

func (w *h2Wire) readBody(r *Request, p []byte) (int, error) {
	return w.stream.Read(p, r.Location.Core.BodyTimeout)
}

func (w *h2Wire) discard(_ *Request, total, between time.Duration) error {
	end := time.Now().Add(total)
	scratch := h1.TakeBlock(arenaBlockBytes)
	defer scratch.GiveBack()
	for {
		if _, err := w.stream.Read(scratch.Mem, min(between, time.Until(end))); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (w *h2Wire) wait(_ *Request, d time.Duration) bool { return w.stream.Wait(d) }

func (w *h2Wire) left(*Request) bool { return w.stream.Gone() }

func (w *h2Wire) interrupt(*Request) { w.stream.Interrupt() }

func (w *h2Wire) resume(*Request) { w.stream.Resume() }

// cut does nothing: a stream that ends without an answer is reset, and the connection goes on.
func (w *h2Wire) cut(*Request) {}

// settle does nothing: the stream ends with its handler.
func (w *h2Wire) settle(*Request) bool { return true }

// hijack is never called: Request.Hijack refuses.
func (w *h2Wire) hijack(*Request) (net.Conn, []byte) { return nil, nil }

func (w *h2Wire) bytesSent(*Request) int64 { return w.stream.Sent }

func (w *h2Wire) bytesRead(r *Request) int64 { return int64(r.in.Bytes) + w.stream.Received() }

// errTooLong is a handler that sends more than it promised.
var errTooLong = errors.New("the response is longer than its Content-Length")
