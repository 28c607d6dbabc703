package proxy

import (
	"errors"
	"strconv"
	"syscall"

	"starling/observe"
	"starling/upstream"
	"starling/web"
	"starling/web/h1"
)

// readBody reads the request's body before a server is chosen, unless proxy_request_buffering says that it is passed on as it comes.
func (x *exchange) readBody() web.Result {
	r, l := x.r, x.l
	switch {
	case !r.HasBody() && !(r.ContentLength == 0 && l.inFile):
		r.Continue()
	case !l.requestBuffering && !l.needsWhole(r):
		if err := r.TakeBody(); err != nil {
			return r.ErrorStatus(err)
		}
	default:
		if err := r.KeepBody(l.needsWhole(r)); err != nil {
			return r.ErrorStatus(err)
		}
	}
	switch {
	case l.Settings.body != nil:
		x.body = r.Copy(r.Expand(l.Settings.body))
	case l.passBody:
		x.body, x.file, x.streams = r.KeptBody(), r.BodyFile(), r.BodyFollows()
	}
	return web.Declined
}

// needsWhole tells that the body cannot be passed on while it comes: it is not what is sent, or its length is to be told first, for
// HTTP/1.0 knows no chunks.
func (l *location) needsWhole(r *web.Request) bool {
	return !l.passBody || l.Settings.body != nil || l.version10 && r.Chunked
}

// framing says how the body goes to the server.
func (x *exchange) framing() framing {
	r := x.r
	switch {
	case x.l.Settings.body != nil:
		return framing{length: int64(len(x.body))}
	case !x.l.passBody:
		return framing{length: -1}
	case x.streams && r.Chunked:
		return framing{length: -1, chunked: true}
	case x.streams:
		return framing{length: r.ContentLength}
	case x.file != nil:
		return framing{length: x.file.Size}
	case r.HasBody():
		return framing{length: int64(len(x.body))}
	}
	return framing{length: r.ContentLength} // 0 where the client said so
}

// send writes the head, and behind it the body or its first piece.
func (x *exchange) send() (verdict, int) {
	rest := remainder{memory: x.body, file: x.file, client: x.streams}
	if x.file == nil && (x.streams || len(x.body) <= maxInlineBytes) {
		rest.memory = nil
		return x.sendWith(x.body, rest)
	}
	block := h1.TakeBlock(x.l.readBytes)
	defer block.GiveBack()
	piece, err := rest.next(block.Mem)
	if err != nil {
		return x.bodyFailed(err)
	}
	return x.sendWith(piece, rest)
}

// maxInlineBytes is how much of a body is written before the answer is looked for: more than that may not fit into the sockets, and a
// server that answers before it has read all would wait as we do.
const maxInlineBytes = 64 << 10

// sendWith writes the head with the first piece of the body and leaves the rest to an upload.
func (x *exchange) sendWith(piece []byte, rest remainder) (verdict, int) {
	f := x.framing()
	head := x.appendHead(x.wire.out.Start(), f)
	x.sent = true
	err := x.wire.armWrite(x.conn, x.r.Now().MonoMS, x.l.sendTimeout)
	switch {
	case err != nil:
	case f.chunked:
		err = x.wire.out.WriteChunk(head, piece, false)
	default:
		err = x.wire.out.Write(head, piece)
	}
	if err != nil {
		return x.sendFailed(err)
	}
	if !rest.empty() {
		return x.pass(rest, f.chunked)
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
		x.unsent = true
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
