package forward

import "starling/web"

// readBody reads the request's body before a server is selected, unless PREFIX_request_buffering is off.
func (x *Exchange) readBody() web.Result {
	r, l := x.Request, x.l
	switch {
	case !l.family.Has.Request:
		return web.Declined // the client's bytes are read and dropped when the request ends
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
	if l.Body == nil && l.passBody {
		x.body, x.file, x.streams = r.KeptBody(), r.BodyFile(), r.BodyFollows()
	}
	return web.Declined
}

// setBody makes the body that PREFIX_set_body says, for each server: its variables can depend on that.
func (x *Exchange) setBody() {
	if x.l.Body != nil {
		x.body = x.Request.Copy(x.Request.Expand(x.l.Body))
	}
}

// needsWhole reports whether the body cannot be streamed: another body is sent, or its length must be known first.
func (l *location) needsWhole(r *web.Request) bool {
	return !l.passBody || l.Body != nil || r.Chunked && !l.protocol.Chunks()
}

// framing returns how the body is framed for the server.
func (x *Exchange) framing() Framing {
	r := x.Request
	switch {
	case x.l.Body != nil:
		return Framing{Length: int64(len(x.body))}
	case !x.l.passBody:
		return Framing{Length: r.AnnouncedLength(), Withheld: true}
	case x.streams && r.Chunked:
		return Framing{Length: -1, Chunked: true}
	case x.streams:
		return Framing{Length: r.ContentLength}
	case x.file != nil:
		return Framing{Length: x.file.Size}
	case r.HasBody():
		return Framing{Length: int64(len(x.body))}
	}
	return Framing{Length: min(r.AnnouncedLength(), 0)} // 0 if the client announced a body
}
