package web

import (
	"errors"
	"time"
)

// Filter sees a response before its head is sent and can change r.Out; it must not write. It returns a Body for the
// pieces of the body, nil if it does not want them. It is called once per response.
type Filter func(r *Request) Body

// Body processes the pieces of one response body. It passes the output on to next; it can hold, add, drop and split
// pieces. It is not called for a response without a body, nor after a failure.
type Body interface {
	// Write takes a piece; last means that the body ends with it, and the piece can then be empty. The bytes are valid
	// until it returns. After the last piece, exactly one piece goes to next with last set.
	Write(next Next, p []byte, last bool) error
	// Flush passes on what it can, and then calls next.Flush.
	Flush(next Next) error
}

// Next is the rest of the filter chain: the other filters in the modules' order, then the steps common to all
// responses.
type Next struct {
	r  *Request
	at int // of r.bodies
}

// Request is the request that is answered.
func (n Next) Request() *Request { return n.r }

// Write passes a piece on.
func (n Next) Write(p []byte, last bool) error {
	if n.at == n.r.joint && len(n.r.before)+len(n.r.after) > 0 {
		return n.r.writeJoined(p, last)
	}
	return n.write(p, last)
}

func (n Next) write(p []byte, last bool) error {
	if n.at < len(n.r.bodies) {
		return n.r.bodies[n.at].Write(Next{n.r, n.at + 1}, p, last)
	}
	return n.r.emit(p, last)
}

// Flush sends everything that was passed on.
func (n Next) Flush() error {
	if n.at < len(n.r.bodies) {
		return n.r.bodies[n.at].Flush(Next{n.r, n.at + 1})
	}
	return n.r.flushOut()
}

// pass sends a piece through the filters. A response without filters costs one comparison.
func (r *Request) pass(p []byte, last bool) error {
	if len(r.bodies)+len(r.before)+len(r.after) == 0 || r.noBody {
		return r.emit(p, last)
	}
	return Next{r, 0}.Write(p, last)
}

// writeJoined puts the prepended parts before the first piece of the body itself and the appended ones after the last.
func (r *Request) writeJoined(p []byte, last bool) error {
	next := Next{r, r.joint}
	before := r.before
	r.before = nil
	for _, part := range before {
		part.Run()
	}
	if !last {
		return next.write(p, false)
	}
	after := r.after
	r.after = nil
	if len(p) > 0 {
		if err := next.write(p, false); err != nil {
			return err
		}
	}
	for _, part := range after {
		part.Run()
	}
	return next.write(nil, true)
}

// errTooLong is a response longer than its Content-Length.
var errTooLong = errors.New("response is longer than its Content-Length")

// ErrBroken ends a response that a filter cannot complete (see Break); the filter has logged why.
var ErrBroken = errors.New("response is broken")

// errClientLeft is a client that disconnected while limit_rate delayed its response.
var errClientLeft = errors.New("client closed connection")

// lastPieceBytes is how much of a response can still be in flight when it counts as sent.
const lastPieceBytes = 16 << 10

// emit is the end of the chain: the range, the work before the last bytes, the head, the rate, the wire.
func (r *Request) emit(p []byte, last bool) error {
	if r.failure != nil {
		return r.failure // a part ended the response (Break)
	}
	if r.cut.on {
		p = r.cut.apply(p)
	}
	ends := last
	// As in nginx, the length of a subrequest's response is not enforced: its filters do not change that when they
	// change the body, and no client reads it.
	if length := r.Out.ContentLength; length >= 0 && !r.noBody && r.parent == nil {
		left := length - r.bodyBytes - int64(len(p))
		switch {
		case left < 0:
			r.keep = false
			return errTooLong
		case left == 0:
			ends = true
		case last:
			r.keep = false // the client cannot find the start of the next response
		}
	}
	if r.ended || len(p) == 0 && !ends {
		return nil
	}
	if ends && r.Out.Trailer != nil {
		r.Out.Trailer(r)
	}
	return r.send(p, ends)
}

// send writes the head before the first piece, and not faster than the rate.
func (r *Request) send(p []byte, last bool) error {
	if err := r.writeHead(); err != nil {
		return err
	}
	switch {
	case r.empty():
		if r.ended = last; last {
			r.settle()
		}
		return r.wire.Flush(r)
	case r.rate > 0:
		return r.sendPaced(p, last)
	}
	return r.sendNow(p, last)
}

// empty reports whether no body follows the head.
func (r *Request) empty() bool { return r.noBody || r.Out.ContentLength == 0 }

// writeHead gives the head to the wire, unless it has it, not faster than the rate.
func (r *Request) writeHead() error {
	if r.headWritten {
		return nil
	}
	r.headWritten = true
	if err := r.wire.WriteHead(r, r.empty()); err != nil || r.rate <= 0 {
		return err
	}
	return r.paceHead()
}

func (r *Request) sendNow(p []byte, last bool) error {
	if last && len(r.dones) > 0 {
		return r.sendLast(p)
	}
	return r.writeNow(p, last)
}

// sendLast sends the end of the body. The WhenDone callbacks run before the last bytes, or after them if these wait
// for the client.
func (r *Request) sendLast(p []byte) error {
	if n := len(p) - lastPieceBytes; n > 0 {
		if err := r.writeNow(p[:n], false); err != nil {
			return err
		}
		p = p[n:]
	}
	if r.wire.Takes(r, len(p)) {
		r.settle()
	}
	if err := r.writeNow(p, true); err != nil {
		return err
	}
	r.settle()
	return nil
}

func (r *Request) writeNow(p []byte, last bool) error {
	r.ended = last
	if err := r.wire.Write(r, p, last); err != nil {
		return err
	}
	r.bodyBytes += int64(len(p))
	return nil
}

// flushOut sends the head if it still waits, and the pending output of the wire.
func (r *Request) flushOut() error {
	if err := r.writeHead(); err != nil {
		return err
	}
	return r.wire.Flush(r)
}

// paceTick is the shortest sleep of sendPaced.
const paceTick = 10 * time.Millisecond

// allowed is how many more bytes limit_rate allows now. As in nginx, the head counts, and the time runs from the start
// of the request.
func (r *Request) allowed() int64 {
	return r.rateAfter + r.rate*(1000+elapsedMS(r.StartedAt, r.Now()))/1000 - r.BytesSent()
}

// awaitRate waits until limit_rate allows more bytes, and returns how many.
func (r *Request) awaitRate() (allowed int64, err error) {
	for {
		if allowed = r.allowed(); allowed > 0 {
			return allowed, nil
		}
		pause := max(time.Duration(-allowed+1)*time.Second/time.Duration(r.rate), paceTick)
		if !r.Delay(pause) {
			return 0, errClientLeft
		}
	}
}

// headSender is a Wire that can send a waiting head in parts.
type headSender interface {
	waitingHead() int
	sendHeadPart(r *Request, n int) error
}

// paceHead sends a waiting head as the rate allows. What it allows at once waits for the first piece of the body.
func (r *Request) paceHead() error {
	w, ok := r.wire.(headSender)
	if !ok {
		return nil
	}
	for w.waitingHead() > 0 {
		allowed, err := r.awaitRate()
		if err != nil || allowed >= int64(w.waitingHead()) {
			return err
		}
		if err := w.sendHeadPart(r, int(allowed)); err != nil {
			return err
		}
	}
	return nil
}

// sendPaced sends at most as much as the rate allows since the request started.
func (r *Request) sendPaced(p []byte, last bool) error {
	for len(p) > 0 {
		allowed := r.allowed()
		if w, ok := r.wire.(headSender); ok {
			allowed -= int64(w.waitingHead())
		}
		if allowed <= 0 {
			err := r.wire.Flush(r)
			if err == nil {
				allowed, err = r.awaitRate()
			}
			if err != nil {
				return err
			}
		}
		piece := p[:min(int64(len(p)), allowed)]
		if p = p[len(piece):]; len(p) == 0 && last {
			return r.sendNow(piece, true)
		}
		if err := r.sendNow(piece, false); err != nil {
			return err
		}
	}
	if last {
		return r.sendNow(nil, true)
	}
	return nil
}
