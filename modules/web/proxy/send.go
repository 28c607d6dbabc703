package proxy

import (
	"errors"
	"io"
	"strconv"
	"syscall"

	"starling/observe"
	"starling/upstream"
	"starling/web"
	"starling/web/h1"
)

// readBody reads the request's body as far as it is kept: small ones whole, so that they are sent with the head and may be sent
// again, of large ones the beginning.
func (x *exchange) readBody() web.Result {
	r, l := x.r, x.l
	if !r.HasBody() || !l.passBody || l.Settings.body != nil {
		if !r.HasBody() {
			r.Continue()
		}
		return web.Declined
	}
	if l.requestBuffering && !r.Chunked && r.ContentLength <= int64(l.bodyBytes) {
		whole, err := r.WholeBody(int64(l.bodyBytes)) // kept for $request_body too
		if err != nil {
			return r.ErrorStatus(err)
		}
		x.body = whole
		return web.Declined
	}
	came, err := r.TakeBody()
	if err != nil {
		return r.ErrorStatus(err)
	}
	if r.BodyDone() {
		x.body = came
		return web.Declined
	}
	if !l.requestBuffering {
		x.body, x.streams = came, true
		return web.Declined
	}
	return x.keepBody(came)
}

// keepBody reads on until the body ends or what is kept is full. A body of unknown length for HTTP/1.0, which knows no chunks, is
// kept whole: client_max_body_size bounds it.
func (x *exchange) keepBody(came []byte) web.Result {
	r, l := x.r, x.l
	whole := l.version10 && r.Chunked
	most := max(l.bodyBytes, len(came))
	x.takeBlock(most)
	used := copy(x.block.Mem, came)
	for !r.BodyDone() {
		if used == most {
			if !whole {
				break
			}
			old := x.block
			most = 2 * used
			x.block = h1.TakeBlock(most)
			copy(x.block.Mem, old.Mem[:used])
			old.GiveBack()
		}
		n, err := r.ReadBody(x.block.Mem[used:most])
		used += n
		if err != nil && err != io.EOF {
			return r.ErrorStatus(err)
		}
	}
	x.body, x.streams = x.block.Mem[:used], !r.BodyDone()
	return web.Declined
}

func (x *exchange) takeBlock(size int) {
	if x.block != nil && len(x.block.Mem) < size {
		x.block.GiveBack()
		x.block = nil
	}
	if x.block == nil {
		x.block = h1.TakeBlock(size)
	}
}

// framing says how the body goes to the server.
func (x *exchange) framing() framing {
	r := x.r
	switch {
	case !x.l.passBody:
		return framing{length: -1}
	case x.streams && r.Chunked:
		return framing{length: -1, chunked: true}
	case x.streams:
		return framing{length: r.ContentLength}
	case r.HasBody():
		return framing{length: int64(len(x.body))}
	}
	return framing{length: r.ContentLength} // 0 where the client said so
}

// send writes head and body.
func (x *exchange) send() (verdict, int) {
	r, l, w := x.r, x.l, x.wire
	if l.Settings.body != nil {
		x.body = r.Copy(r.Expand(l.Settings.body))
	}
	f := x.framing()
	if l.Settings.body != nil {
		f = framing{length: int64(len(x.body))}
	}
	head := x.appendHead(w.out.Start(), f)
	x.sent = true
	err := w.armWrite(x.conn, r.Now().MonoMS, l.sendTimeout)
	switch {
	case err != nil:
	case f.chunked:
		err = w.out.WriteChunk(head, x.body, false)
	default:
		err = w.out.Write(head, x.body)
	}
	if err != nil {
		return x.sendFailed(err)
	}
	if x.streams {
		return x.stream(f.chunked)
	}
	return tryAccepted, 0
}

// bodyFailed is a client whose body cannot be read to its end.
func (x *exchange) bodyFailed(err error) (verdict, int) {
	status := int(x.r.ErrorStatus(err))
	x.settle(upstream.Success)
	x.drop()
	return tryHopeless, status
}

// sendFailed looks whether the server has answered before it closed the connection; else the try has failed.
func (x *exchange) sendFailed(err error) (verdict, int) {
	if x.wire.readable() {
		x.streams = true // whatever was left of the request
		return tryAccepted, 0
	}
	if isTimeout(err) {
		x.logf(observe.Error, "upstream timed out (110: Connection timed out) while sending request to upstream")
		return tryTimedOut, 504
	}
	x.logf(observe.Error, "%s while sending request to upstream", failure("send", err))
	return tryFailed, 502
}

// failure words a failed system call as nginx does.
func failure(call string, err error) string {
	var number syscall.Errno
	if errors.As(err, &number) {
		return call + "() failed (" + strconv.Itoa(int(number)) + ": " + number.Error() + ")"
	}
	return call + "() failed (" + err.Error() + ")"
}
