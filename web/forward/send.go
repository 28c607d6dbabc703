package forward

import (
	"starling/logs"
	"starling/nginx/errno"
	"starling/upstream"
	"starling/web/h1"
)

// send writes the head, with the body or its first piece.
func (x *Exchange) send() (verdict, int) {
	x.setBody()
	rest := remainder{memory: x.body, file: x.file, client: x.streams}
	if x.file == nil && (x.streams || len(x.body) <= maxInlineBytes) {
		rest.memory = nil
		return x.sendWith(x.body, rest)
	}
	slab := h1.TakeSlab(x.l.readBytes)
	defer slab.GiveBack()
	piece, err := rest.next(slab.Mem)
	if err != nil {
		return x.bodyFailed(err)
	}
	return x.sendWith(piece, rest)
}

// maxInlineBytes is how much of a body is written before the response is read: more may not fit into the sockets, and a
// server that responds before it has read everything would wait for this side.
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

// bodyFailed handles a client whose body cannot be read completely.
func (x *Exchange) bodyFailed(err error) (verdict, int) {
	status := int(x.Request.ErrorStatus(err))
	x.account(upstream.Success)
	x.drop()
	return tryHopeless, status
}

// sendFailed checks whether the server responded before it closed the connection; otherwise the try has failed.
func (x *Exchange) sendFailed(err error) (verdict, int) {
	if x.fenced() {
		return x.endFenced()
	}
	if isFault(err) {
		return x.badHead(err)
	}
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
