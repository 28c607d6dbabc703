package proxy

import (
	"starling/logs"
	"starling/nginx/errno"
	"starling/upstream"
	"starling/web"
	"starling/web/h1"
)

// readBody reads the request's body before a server is chosen, unless proxy_request_buffering says that it is passed on as it comes.
func (x *Exchange) readBody() web.Result {
	r, l := x.Request, x.l
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

// needsWhole tells that the body cannot be passed on while it comes: it is not what is sent, or its length is to be told first.
func (l *location) needsWhole(r *web.Request) bool {
	return !l.passBody || l.Settings.body != nil || r.Chunked && !l.protocol.Chunks()
}

// framing says how the body goes to the server.
func (x *Exchange) framing() Framing {
	r := x.Request
	switch {
	case x.l.Settings.body != nil:
		return Framing{Length: int64(len(x.body))}
	case !x.l.passBody:
		return Framing{Length: -1}
	case x.streams && r.Chunked:
		return Framing{Length: -1, Chunked: true}
	case x.streams:
		return Framing{Length: r.ContentLength}
	case x.file != nil:
		return Framing{Length: x.file.Size}
	case r.HasBody():
		return Framing{Length: int64(len(x.body))}
	}
	return Framing{Length: r.ContentLength} // 0 where the client said so
}

// send writes the head, and behind it the body or its first piece.
func (x *Exchange) send() (verdict, int) {
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
func (x *Exchange) sendWith(piece []byte, rest remainder) (verdict, int) {
	x.sent = true
	err := x.conn.armWrite(x.Request.Now().MonoMS, x.l.sendTimeout)
	if err == nil {
		err = x.l.protocol.SendHead(x, x.conn.wire, x.framing(), piece)
	}
	if err != nil {
		return x.sendFailed(err)
	}
	if !rest.empty() {
		return x.pass(rest)
	}
	return tryAccepted, 0
}

// bodyFailed is a client whose body cannot be read to its end.
func (x *Exchange) bodyFailed(err error) (verdict, int) {
	status := int(x.Request.ErrorStatus(err))
	x.settle(upstream.Success)
	x.drop()
	return tryHopeless, status
}

// sendFailed looks whether the server has answered before it closed the connection; else the try has failed.
func (x *Exchange) sendFailed(err error) (verdict, int) {
	if x.conn.readable() {
		x.unsent = true
		return tryAccepted, 0
	}
	if isTimeout(err) {
		x.Logf(logs.Error, "upstream timed out (110: Connection timed out) while sending request to upstream")
		return tryTimedOut, 504
	}
	x.Logf(logs.Error, "%s while sending request to upstream", errno.Failure("send", err))
	return tryFailed, 502
}
