package forward

import (
	"io"

	"starling/logs"
	"starling/nginx/errno"
	"starling/upstream"
	"starling/web"
	"starling/web/h1"
)

// relay streams the body to the client.
func (x *Exchange) relay() web.Result {
	r, w := x.Request, x.conn.wire
	w.StartBody(&x.head)
	x.beginStore()
	if x.background {
		x.alone = true
	} else if err := r.SendHead(); err != nil {
		return x.ClientFailed()
	}
	if x.fill == nil && (x.converted || x.background) {
		return x.headOnly()
	}
	rate := x.startPace()
	piece, err := w.TakeBody()
	var slab *h1.Slab
	defer func() {
		if slab != nil {
			slab.GiveBack()
		}
	}()
	for {
		st := x.state()
		st.length += int64(len(piece))
		rate.received += int64(len(piece))
		x.keep(piece)
		x.writeStore(piece)
		if err == nil && w.BodyDone() {
			return x.finish(piece)
		}
		if len(piece) > 0 && !x.forwardPiece(piece) {
			return x.ClientFailed()
		}
		if err != nil {
			return x.cutShort(err)
		}
		if len(piece) == 0 && !x.buffering && !x.alone {
			if err := r.Flush(); err != nil {
				return x.ClientFailed()
			}
		}
		if slab == nil {
			slab = h1.TakeSlab(x.l.readBytes)
		}
		if piece, err = rate.wait(x, slab.Mem); err != nil {
			return x.cutShort(err)
		}
		var n int
		n, err = x.readPiece(piece)
		piece = piece[:n]
	}
}

// finish passes the last piece of the body on.
func (x *Exchange) finish(piece []byte) web.Result {
	x.bodyDone()
	if trailers := x.conn.wire.Trailers(); len(trailers) > 0 && x.l.passTrailers {
		x.Request.Out.Trailers = append(x.Request.Out.Trailers, trailers...)
	}
	x.commit()
	x.endStore()
	x.countServed()
	if x.alone {
		return x.endAlone()
	}
	if x.Request.WriteLast(piece) != nil {
		return x.ClientFailed()
	}
	return web.Done
}

// forwardPiece passes a piece of the body on to the client. A response that is stored does not need one. It reports
// false if nobody is left.
func (x *Exchange) forwardPiece(piece []byte) bool {
	if !x.alone {
		if _, err := x.Request.Write(piece); err != nil {
			x.alone = true
		}
	}
	return !x.alone || x.fill != nil || x.storeFile != nil
}

// headOnly ends a response of which only the head is needed: the client has sent HEAD, or there is none.
func (x *Exchange) headOnly() web.Result {
	x.account(upstream.Success)
	x.countServed()
	if x.alone {
		return x.endAlone()
	}
	if x.Request.FinishBody() != nil {
		return x.ClientFailed()
	}
	return web.Done
}

// endAlone ends a response that no client has waited for to its end.
func (x *Exchange) endAlone() web.Result {
	if !x.background {
		return x.ClientFailed()
	}
	r := x.Request
	r.Out.ContentLength = 0
	r.FinishBody() // into memory
	return web.Done
}

// readPiece reads a piece of the body; at its end the piece can be empty and the error is nil.
func (x *Exchange) readPiece(p []byte) (n int, err error) {
	beginMS := x.Request.Now().MonoMS
	nowMS := beginMS
	for {
		if err = x.conn.arm(nowMS, milliseconds(nowMS-beginMS), x.l.readTimeout); err != nil {
			return 0, err
		}
		n, err = x.conn.wire.ReceiveBody(p)
		if n > 0 || !isTimeout(err) {
			break
		}
		if nowMS, err = x.glance(&beginMS, err); err != nil {
			return 0, err
		}
	}
	if err == io.EOF || n > 0 && isTimeout(err) {
		err = nil
	}
	return n, err
}

// bodyDone accounts for a try whose response was read completely, before the client sees its end, because the client's
// next request may depend on it.
func (x *Exchange) bodyDone() {
	x.endUpload()
	// Otherwise the server still waits for the rest of the request, until the connection is closed.
	if !x.unsent {
		x.reusable = x.release() && x.conn.wire.Reusable()
	}
	x.account(upstream.Success)
}

// ClientFailed ends an exchange whose client does not accept the response.
func (x *Exchange) ClientFailed() web.Result {
	x.account(upstream.Success)
	x.Request.Abort()
	return web.Done
}

// cutShort ends a response that the server did not complete.
func (x *Exchange) cutShort(err error) web.Result {
	outcome := upstream.Failure
	x.doing = "reading upstream"
	switch {
	case x.fenced():
		x.endFenced()
		outcome = upstream.Success
	case err == errClientLeft:
		x.Logf(logs.Info,
			"client prematurely closed connection, so upstream connection is closed too while reading upstream")
		outcome = upstream.Success
	case err == errUploadFailed:
		x.account(upstream.Success)
		x.Request.ErrorStatus(x.uploadFailed) // which logs it; too late for a status
	case x.expired(err):
		outcome = upstream.Success
	case isTimeout(err):
		x.Logf(logs.Error, "upstream timed out (110: Connection timed out) while reading upstream")
	case isEnd(err):
		x.Logf(logs.Error, "upstream prematurely closed connection while reading upstream")
	case isFault(err):
		x.Logf(logs.Error, "%v while reading upstream", err)
	default:
		x.Logf(logs.Error, "%s while reading upstream", errno.Failure("recv", err))
	}
	x.account(outcome)
	x.Request.Abort()
	return web.Done
}
