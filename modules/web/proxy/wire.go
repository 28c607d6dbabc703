package proxy

import (
	"starling/upstream"
	"starling/web"
	"starling/web/forward"
	"starling/web/h1"
)

// common is what all versions of HTTP have in common, as one location uses them.
type common struct {
	*Settings
	head     headPlan
	rewrites []rule // of Location and Refresh
}

// protocol is HTTP/1.1 (or 1.0).
type protocol struct{ *common }

// wire is HTTP/1.1 on one connection.
type wire struct {
	in   h1.Buffer
	out  h1.Writer
	head h1.ResponseHead
	body h1.Body

	chunked  bool // the request's body is chunked
	headOnly bool // the method sent is HEAD: no body follows
	whole    bool // head was read to its end
	interim  int  // bytes of the 1xx heads before head
	// inStep means that no interim response announced a body or the end, and the request no body that is not sent: they
	// could still follow, or be expected to.
	inStep bool
}

// Prepare finds the URI.
func (p *common) Prepare(x *forward.Exchange) web.Result {
	x.URI = p.appendURI(x.URI[:0], x)
	return web.Declined
}

// Chunks exist since HTTP/1.1.
func (p *protocol) Chunks() bool { return p.version != http10 }

// Open starts on a connection.
func (p *protocol) Open(c *upstream.Conn) forward.Wire {
	w := &wire{}
	w.in.Attach(c.Conn)
	w.out.Attach(c.Conn)
	return w
}

// SendHead writes the head with the first piece of the body.
func (p *protocol) SendHead(x *forward.Exchange, to forward.Wire, f forward.Framing, piece []byte) error {
	w := to.(*wire)
	method := p.methodOf(x)
	w.chunked, w.headOnly = f.Chunked, string(method) == "HEAD"
	w.begin()
	head, promised := p.appendHead(w.out.Start(), x, method, f)
	w.inStep = !promised
	if f.Chunked {
		return w.out.WriteChunk(head, piece, false)
	}
	return w.out.Write(head, piece)
}

// Expect replaces what was received. The wire must know the method of the request, so it is one without proxy_method.
func (p *protocol) Expect(to forward.Wire, received []byte) bool {
	if p.method != nil {
		return false
	}
	w := to.(*wire)
	w.in.Consume(len(w.in.Unread()))
	w.in.Recycle()
	w.in.PushBack(received)
	w.headOnly = false
	w.begin()
	return true
}

// begin forgets the response before.
func (w *wire) begin() {
	w.head.Reset()
	w.body.StartResponse(&w.in, h1.BodyNone, 0)
	w.whole, w.interim = false, 0
}

// ReceiveHead reads a head, and then the next one.
func (p *protocol) ReceiveHead(x *forward.Exchange, to forward.Wire, head *forward.Head) (whole bool, err error) {
	w := to.(*wire)
	if w.whole {
		w.interim += w.head.Bytes
		w.head.Reset()
		w.whole = false
	}
	w.whole, err = w.head.Parse(&w.in, x.HeadBytes())
	if err != nil {
		return false, err
	}
	if !w.whole {
		if err = forward.Fill(&w.in, w.head.Bytes == 0); err != nil {
			return false, err
		}
		if w.whole, err = w.head.Parse(&w.in, x.HeadBytes()); err != nil || !w.whole {
			return false, err
		}
	}
	w.inStep = w.inStep && (w.head.KeepAlive || !w.head.Interim())
	w.body.StartResponse(&w.in, h1.BodyNone, 0)
	*head = forward.Head{Status: w.head.Status, Reason: w.head.Reason, Headers: w.head.Headers, Seen: w.head.Seen,
		ContentType: w.head.Get(h1.HeaderContentType), ContentLength: w.head.ContentLength}
	return true, nil
}

// PassHeader rewrites Location, Refresh and Set-Cookie.
func (p *common) PassHeader(x *forward.Exchange, h *h1.Header) (done bool) {
	switch h.ID {
	case h1.HeaderLocation:
		p.passLocation(x.Request, h)
	case h1.HeaderRefresh:
		p.passRefresh(x.Request, h)
	case h1.HeaderSetCookie:
		p.passCookie(x.Request, h)
	default:
		return false
	}
	return true
}

// SendBody sends a chunk if the length is unknown.
func (w *wire) SendBody(piece []byte, last bool) error {
	if w.chunked {
		return w.out.WriteChunk(nil, piece, last)
	}
	return w.out.Write(piece)
}

// StartBody determines how the body ends.
func (w *wire) StartBody(*forward.Head) {
	method := h1.MethodGet
	if w.headOnly {
		method = h1.MethodHead
	}
	kind, length := w.head.Body(method)
	w.body.StartResponse(&w.in, kind, length)
}

// TakeBody returns the bytes that came with the head.
func (w *wire) TakeBody() ([]byte, error) { return w.body.Take() }

// ReceiveBody reads.
func (w *wire) ReceiveBody(p []byte) (int, error) { return w.body.Read(p) }

// BodyDone reports whether the body was read to its end.
func (w *wire) BodyDone() bool { return w.body.Done() }

// Trailers are those after the last chunk.
func (w *wire) Trailers() h1.Headers { return w.body.Trailers() }

// Buffered reports whether there are bytes that were not taken.
func (w *wire) Buffered() bool { return len(w.in.Unread()) > 0 }

// Reusable reports whether the server keeps the connection open and both sides agree on its position.
func (w *wire) Reusable() bool {
	return w.head.KeepAlive && w.inStep && w.body.Kind() != h1.BodyUntilClose && len(w.in.Unread()) == 0
}

// Sent is that of the connection.
func (w *wire) Sent() int64 { return w.out.Bytes }

// Received is that of the answer, with what has arrived and was not taken yet, as in nginx.
func (w *wire) Received() int64 {
	return int64(w.interim) + int64(w.head.Bytes) + w.body.RawBytes + int64(len(w.in.Unread()))
}

// BodyBytes counts what has arrived after the head.
func (w *wire) BodyBytes() int64 { return w.body.RawBytes + int64(len(w.in.Unread())) }

// Rest keeps no memory.
func (w *wire) Rest() {
	w.in.Recycle()
	w.in.Release()
	w.out.Release()
}

// Close returns all memory.
func (w *wire) Close() {
	w.in.Detach()
	w.out.Release()
}
