package web

import (
	"errors"
	"net"
	"time"

	"starling/web/h1"
)

// h1Wire is HTTP/1.1.
type h1Wire struct {
	in      h1.RequestHead
	body    h1.Body
	waiting []byte // a head that was not sent yet, in the writer's memory
	chunked bool
}

var continueLine = []byte(h1.Continue)

// ReadHead reads line and headers; all of it within client_header_timeout.
func (w *h1Wire) ReadHead(r *Request) (*h1.RequestHead, error) {
	c, limits := r.Conn, &r.Conn.server.Core.Limits
	w.in.Reset()
	r.sentBefore = c.out.Bytes
	whole, err := w.in.Parse(&c.buf, limits)
	if !whole && err == nil {
		r.site.traffic.Reading(&r.pick, 1)
		defer r.site.traffic.Reading(&r.pick, -1)
		c.raw.SetReadDeadline(time.Now().Add(c.server.Core.HeaderTimeout))
		c.readUntil.Forget()
	}
	for !whole && err == nil {
		if err = c.buf.Fill(); err == nil {
			whole, err = w.in.Parse(&c.buf, limits)
		}
	}
	if err != nil {
		w.in.Chunked, w.in.ContentLength = false, -1
	}
	w.body.StartRequest(&c.buf, &w.in)
	return &w.in, err
}

// WriteHead keeps the head for the first piece.
func (w *h1Wire) WriteHead(r *Request, empty bool) error {
	w.chunked = false
	if r.Version == h1.Version09 {
		r.keep = false
		return nil
	}
	if r.Out.ContentLength < 0 && !empty {
		if w.chunked = r.Version >= h1.Version11 && r.Location.Core.Chunked; !w.chunked {
			r.keep = false // the end of the connection ends the body
		}
	}
	w.waiting = r.appendHead(r.Conn.out.Start(), w.chunked)
	r.headBytes += int64(len(w.waiting))
	return nil
}

func (w *h1Wire) Write(r *Request, p []byte, last bool) error {
	c, head := r.Conn, w.waiting
	c.writeWithin(r.Location.Core.SendTimeout)
	w.waiting = nil
	switch {
	case !w.chunked && head == nil:
		return c.out.Write(p)
	case !w.chunked:
		return c.out.Write(head, p)
	case last && len(r.Out.Trailers) > 0:
		if err := c.out.WriteChunk(head, p, false); err != nil {
			return err
		}
		return c.out.WriteLastChunk(r.Out.Trailers)
	}
	return c.out.WriteChunk(head, p, last)
}

// Takes asks the system only if something may wait in the socket: what the client has not read of this response, or of
// the one before it.
func (w *h1Wire) Takes(r *Request, n int) bool {
	c := r.Conn
	return c.out.Bytes == r.sentBefore && n <= lastPieceBytes && !c.pipelined || c.writable()
}

func (w *h1Wire) waitingHead() int { return len(w.waiting) }

func (w *h1Wire) sendHeadPart(r *Request, n int) error {
	part := w.waiting[:n]
	w.waiting = w.waiting[n:]
	r.Conn.writeWithin(r.Location.Core.SendTimeout)
	return r.Conn.out.Write(part)
}

func (w *h1Wire) Flush(r *Request) error {
	head := w.waiting
	if head == nil {
		return nil
	}
	w.waiting = nil
	r.Conn.writeWithin(r.Location.Core.SendTimeout)
	return r.Conn.out.Write(head)
}

func (w *h1Wire) WriteInterim(r *Request, status int, reason []byte, headers h1.Headers) error {
	b := h1.AppendStatusLine(r.Scratch(), status, nil)
	if len(reason) > 0 {
		b = append(append(append(b[:0], "HTTP/1.1 "...), itoa(status)...), ' ')
		b = append(append(b, reason...), '\r', '\n')
	}
	for i := range headers {
		b = h1.AppendHeader(b, headers[i].Name, headers[i].Value)
	}
	b = h1.AppendHeadEnd(b)
	r.scratch = b[:0]
	r.headBytes += int64(len(b))
	r.Conn.writeWithin(r.Location.Core.SendTimeout)
	return r.Conn.out.Write(b)
}

func (w *h1Wire) BodyDone() bool { return w.body.Done() }

func (w *h1Wire) TakeBody() ([]byte, error) { return w.body.Take() }

// goOn sends 100 Continue to a client that waits for it.
func (w *h1Wire) goOn(r *Request) error {
	if !r.expects {
		return nil
	}
	r.expects = false
	r.Conn.writeWithin(r.Location.Core.SendTimeout)
	return r.note(r.Conn.out.Write(continueLine))
}

func (w *h1Wire) ReadBody(r *Request, p []byte, within time.Duration) (int, error) {
	c := r.Conn
	if len(c.buf.Unread()) == 0 && !w.body.Done() {
		if err := w.goOn(r); err != nil {
			return 0, err
		}
		c.readWithin(within)
	}
	return w.body.Read(p)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// lentPoll is how often a wait checks the socket of a client whose body another goroutine reads.
const lentPoll = time.Second

// Wait reads ahead meanwhile, and so detects that the client disconnected.
func (w *h1Wire) Wait(r *Request, d time.Duration) bool {
	c := r.Conn
	for r.bodyLent && d > lentPoll {
		if !r.sleep(lentPoll) || w.Left(r) {
			return false
		}
		d -= lentPoll
	}
	if r.bodyLent {
		return r.sleep(d)
	}
	end := time.Now().Add(d)
	defer c.readUntil.Forget()
	if len(c.buf.Unread()) == 0 {
		c.raw.SetReadDeadline(end)
		err := c.buf.Fill()
		if isTimeout(err) {
			return !r.site.gate.Closed()
		}
		if err != nil {
			r.note(err)
			return false
		}
	}
	// Something arrived (a body, a pipelined request); the rest of the time passes without a check.
	return r.sleep(time.Until(end))
}

// Left is a system call.
func (w *h1Wire) Left(r *Request) bool { return r.Conn.socketClosed() }

func (w *h1Wire) Interrupt(r *Request, on bool) {
	if on {
		r.Conn.raw.SetReadDeadline(time.Unix(1, 0)) // fails only on closed connections
	} else {
		r.Conn.readUntil.Forget()
	}
}

func (w *h1Wire) Cut(r *Request) {
	if tcp, ok := r.Conn.raw.(*net.TCPConn); ok {
		tcp.SetLinger(0) // a reset; fails only if the connection is already gone
	}
}

// End reads the rest of the body if the connection is kept; before it is closed, the client gets time to read the
// response.
func (w *h1Wire) End(r *Request) (keep bool) {
	core := r.Location.Core
	if r.hijacked || r.failure != nil {
		return false
	}
	bodyLeft := !w.BodyDone()
	if r.keep && bodyLeft && !r.expects {
		if err := r.DiscardBody(); err != errChunkedTooLarge {
			return err == nil
		}
	}
	if r.keep && !bodyLeft {
		return true
	}
	if core.Lingering == LingerAlways ||
		core.Lingering == LingerIfNeeded && (bodyLeft || len(r.Conn.buf.Unread()) > 0) {
		r.Conn.linger(core)
	}
	return false
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func (w *h1Wire) hijack(r *Request) (net.Conn, []byte) {
	c := r.Conn
	c.raw.SetDeadline(time.Time{})
	c.readUntil.Forget()
	c.writeUntil.Forget()
	return c.Net, c.buf.Unread()
}

func (w *h1Wire) Received(*Request) int64 { return int64(w.in.Bytes) + w.body.RawBytes }

func (w *h1Wire) Sent(r *Request) int64 { return r.Conn.out.Bytes - r.sentBefore + r.tunnelled }
