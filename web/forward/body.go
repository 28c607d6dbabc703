package forward

import "starling/web"

// readBody reads the request's body before a server is chosen, unless PREFIX_request_buffering says that it is passed
// on as it comes.
func (x *Exchange) readBody() web.Result {
	r, l := x.Request, x.l
	switch {
	case !l.family.Has.Request:
		return web.Declined // what the client has sent is read and forgotten when the request ends
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
	case l.Body != nil:
		x.body = r.Copy(r.Expand(l.Body))
	case l.passBody:
		x.body, x.file, x.streams = r.KeptBody(), r.BodyFile(), r.BodyFollows()
	}
	return web.Declined
}

// needsWhole tells that the body cannot be passed on while it comes: it is not what is sent, or its length is to be
// told first.
func (l *location) needsWhole(r *web.Request) bool {
	return !l.passBody || l.Body != nil || r.Chunked && !l.protocol.Chunks()
}

// framing says how the body goes to the server.
func (x *Exchange) framing() Framing {
	r := x.Request
	switch {
	case x.l.Body != nil:
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
