package web

import (
	"errors"
	"io"
	"net"
	"time"

	"starling/web/h1"
)

// wire is what a protocol does for a request: HTTP/1.1 here, HTTP/2 by an adapter.
type wire interface {
	// readHead gets the request's head into r.in. Its error is an *h1.Problem where an answer is due.
	readHead(r *Request) error
	// refuseBody gives up the body of a request whose head is no good.
	refuseBody(r *Request)
	// head takes the final r.Out; it may wait for the first body bytes.
	head(r *Request) error
	// write sends body bytes, flush what waits, finish the end of the response.
	write(r *Request, p []byte) error
	flush(r *Request) error
	finish(r *Request) error
	interim(r *Request, status int, reason []byte, headers h1.Headers) error
	// readBody reads body bytes as they come, io.EOF at the end.
	readBody(r *Request, p []byte) (int, error)
	bodyDone() bool
	// takeBody gives what came already, in place.
	takeBody() ([]byte, error)
	// discard reads and forgets what is left of the body, for at most the time given in all and between two pieces.
	discard(r *Request, total, between time.Duration) error
	// wait returns true after d, false if the client leaves before.
	wait(r *Request, d time.Duration) bool
	// left tells, without waiting, whether the client is gone.
	left(r *Request) bool
	// watch calls left when the client goes, until unwatch.
	watch(r *Request, left func(any), arg any)
	unwatch(r *Request)
	// interrupt makes a readBody of another goroutine fail with a timeout, until resume.
	interrupt(r *Request)
	resume(r *Request)
	// cut makes the end of the connection one that the client cannot mistake for an answer, where it will be closed without.
	cut(r *Request)
	// settle ends the request on the wire and tells whether the connection takes another.
	settle(r *Request) (keep bool)
	hijack(r *Request) (net.Conn, []byte)
	bytesSent(r *Request) int64
	bytesRead(r *Request) int64
}

// h1Wire is HTTP/1.1.
type h1Wire struct {
	in      h1.RequestHead
	body    h1.Body
	waiting []byte // a head that was not sent yet, in the writer's memory
	chunked bool
}

// lastPieceBytes is how much of a response may still be on its way when it counts as sent.
const lastPieceBytes = 16 << 10

var continueLine = []byte(h1.Continue)

// readHead reads line and headers; all of it within client_header_timeout.
func (w *h1Wire) readHead(r *Request) error {
	c, limits := r.Conn, &r.Conn.server.Core.Limits
	w.in.Reset()
	r.sentBefore = c.out.Bytes
	whole, err := w.in.Parse(&c.buf, limits)
	if !whole && err == nil {
		r.site.traffic.Reading.Add(1)
		defer r.site.traffic.Reading.Add(-1)
		c.raw.SetReadDeadline(time.Now().Add(c.server.Core.HeaderTimeout))
		c.readUntil.Forget()
	}
	for !whole && err == nil {
		if err = c.buf.Fill(); err == nil {
			whole, err = w.in.Parse(&c.buf, limits)
		}
	}
	w.body.StartRequest(&c.buf, &w.in)
	return err
}

func (w *h1Wire) refuseBody(r *Request) {
	w.in.Chunked, w.in.ContentLength = false, -1
	w.body.StartRequest(&r.Conn.buf, &w.in)
}

func (w *h1Wire) head(r *Request) error {
	w.chunked = false
	if r.Version == h1.Version09 {
		r.keep = false
		return nil
	}
	if r.Out.ContentLength < 0 && !r.noBody {
		if w.chunked = r.Version >= h1.Version11 && r.Location.Core.Chunked; !w.chunked {
			r.keep = false // the end of the connection ends the body
		}
	}
	w.waiting = r.appendHead(r.Conn.out.Start(), w.chunked)
	return nil
}

func (w *h1Wire) write(r *Request, p []byte) error {
	c := r.Conn
	c.writeWithin(r.Location.Core.SendTimeout)
	head := w.waiting
	w.waiting = nil
	if w.chunked {
		return c.out.WriteChunk(head, p, false)
	}
	if len(r.lasts) > 0 && r.bodyBytes+int64(len(p)) == r.Out.ContentLength {
		if n := len(p) - lastPieceBytes; n > 0 {
			if err := c.out.Write(head, p[:n]); err != nil {
				return err
			}
			head, p = nil, p[n:]
		}
		r.callLasts()
	}
	if r.Out.ContentLength >= 0 && r.bodyBytes+int64(len(p)) > r.Out.ContentLength {
		r.keep = false
		return errTooLong
	}
	if head == nil {
		return c.out.Write(p)
	}
	return c.out.Write(head, p)
}

func (w *h1Wire) flush(r *Request) error {
	head := w.waiting
	if head == nil {
		return nil
	}
	w.waiting = nil
	r.Conn.writeWithin(r.Location.Core.SendTimeout)
	return r.Conn.out.Write(head)
}

func (w *h1Wire) finish(r *Request) error {
	if !w.chunked {
		return w.flush(r)
	}
	if len(r.Out.Trailers) > 0 {
		if err := w.flush(r); err != nil {
			return err
		}
		return r.Conn.out.WriteLastChunk(r.Out.Trailers)
	}
	head := w.waiting
	w.waiting = nil
	r.Conn.writeWithin(r.Location.Core.SendTimeout)
	return r.Conn.out.WriteChunk(head, nil, true)
}

// writeLast writes the last chunk together with the end of the body.
func (w *h1Wire) writeLast(r *Request, p []byte) error {
	head := w.waiting
	w.waiting = nil
	r.Conn.writeWithin(r.Location.Core.SendTimeout)
	return r.Conn.out.WriteChunk(head, p, true)
}

func (w *h1Wire) interim(r *Request, status int, reason []byte, headers h1.Headers) error {
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
	r.Conn.writeWithin(r.Location.Core.SendTimeout)
	return r.Conn.out.Write(b)
}

func (w *h1Wire) bodyDone() bool { return w.body.Done() }

func (w *h1Wire) takeBody() ([]byte, error) { return w.body.Take() }

// goOn sends 100 Continue to a client that waits for it.
func (w *h1Wire) goOn(r *Request) error {
	if !r.expects {
		return nil
	}
	r.expects = false
	r.Conn.writeWithin(r.Location.Core.SendTimeout)
	return r.note(r.Conn.out.Write(continueLine))
}

func (w *h1Wire) readBody(r *Request, p []byte) (int, error) {
	c := r.Conn
	if len(c.buf.Unread()) == 0 && !w.body.Done() {
		if err := w.goOn(r); err != nil {
			return 0, err
		}
		c.readWithin(r.Location.Core.BodyTimeout)
	}
	return w.body.Read(p)
}

func (w *h1Wire) discard(r *Request, total, between time.Duration) error {
	c := r.Conn
	end := time.Now().Add(total)
	scratch := h1.TakeBlock(arenaBlockBytes)
	defer scratch.GiveBack()
	defer c.readUntil.Forget()
	for !w.body.Done() {
		if len(c.buf.Unread()) == 0 {
			c.raw.SetReadDeadline(earlier(end, time.Now().Add(between)))
		}
		if _, err := w.body.Read(scratch.Mem); err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// wait reads ahead meanwhile, which is how it learns that the client left.
func (w *h1Wire) wait(r *Request, d time.Duration) bool {
	c := r.Conn
	end := time.Now().Add(d)
	defer c.readUntil.Forget()
	if len(c.buf.Unread()) == 0 {
		c.raw.SetReadDeadline(end)
		err := c.buf.Fill()
		if isTimeout(err) {
			return !r.site.closed.Load()
		}
		if err != nil {
			r.note(err)
			return false
		}
	}
	// Something came (a body, a pipelined request); the rest is waited for without looking.
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.site.context.Done():
		return false
	}
}

func (w *h1Wire) left(r *Request) bool { return r.Conn.socketClosed() }

func (w *h1Wire) interrupt(r *Request) {
	r.Conn.raw.SetReadDeadline(time.Unix(1, 0)) // fails on closed connections only
}

func (w *h1Wire) resume(r *Request) { r.Conn.readUntil.Forget() }

func (w *h1Wire) cut(r *Request) {
	if tcp, ok := r.Conn.raw.(*net.TCPConn); ok {
		tcp.SetLinger(0) // a reset; fails only where the connection is gone already
	}
}

// settle reads what is left of the body if the connection is to be kept; before it is closed the client is given time to see
// the response.
func (w *h1Wire) settle(r *Request) (keep bool) {
	core := r.Location.Core
	if r.hijacked || r.failure != nil {
		return false
	}
	bodyLeft := !w.bodyDone()
	if r.keep && bodyLeft && !r.expects {
		return r.DiscardBody() == nil
	}
	if r.keep && !bodyLeft {
		return true
	}
	if core.Lingering == lingerAlways || core.Lingering == lingerIfNeeded && (bodyLeft || len(r.Conn.buf.Unread()) > 0) {
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

func (w *h1Wire) bytesSent(r *Request) int64 { return r.Conn.out.Bytes - r.sentBefore + r.tunnelled }

func (w *h1Wire) bytesRead(r *Request) int64 { return int64(w.in.Bytes) + w.body.RawBytes }
