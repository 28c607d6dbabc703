package proxy

import (
	"bytes"
	"io"
	"strconv"

	"starling/observe"
	"starling/upstream"
	"starling/web"
	"starling/web/h1"
)

// answer passes the accepted answer on to the client.
func (x *exchange) answer() web.Result {
	r, h := x.r, &x.wire.head
	if h.Status >= 300 && x.l.intercept && r.HasErrorPage(h.Status) {
		if h.Status == 401 {
			x.copyHeaders(h1.SetOf(h1.HeaderWWWAuthenticate))
		}
		x.skipBody()
		return web.Result(h.Status)
	}
	if x.group.Sticky != nil {
		x.group.Sticky.Accepted(r, x.server)
	}
	if to, sent := h.Headers.Get(h1.HeaderXAccelRedirect); sent && !x.l.ignore.redirect {
		return x.redirect(to)
	}
	if rate := h.Get(h1.HeaderXAccelLimitRate); rate != nil && !x.l.ignore.limitRate {
		if n, err := strconv.ParseInt(string(rate), 10, 64); err == nil && n >= 0 {
			r.LimitRate = n
		}
	}
	x.fillHead()
	if h.Status == 101 {
		return x.tunnel()
	}
	return x.relay()
}

// hopByHop are headers that end here. Upgrade goes on to clients of HTTP/1, as in nginx: 101 and 426 need it.
var hopByHop = h1.SetOf(h1.HeaderConnection, h1.HeaderKeepAlive, h1.HeaderProxyConnection, h1.HeaderTE, h1.HeaderTrailer,
	h1.HeaderTransferEncoding, h1.HeaderContentLength, h1.HeaderContentType)

// onceInAnswer are headers of which only the first is passed on, as in nginx.
var onceInAnswer = h1.SetOf(h1.HeaderStatus, h1.HeaderContentType, h1.HeaderDate, h1.HeaderLastModified, h1.HeaderETag, h1.HeaderServer,
	h1.HeaderLocation, h1.HeaderRefresh, h1.HeaderExpires, h1.HeaderXAccelRedirect, h1.HeaderXAccelExpires, h1.HeaderXAccelLimitRate,
	h1.HeaderXAccelBuffering, h1.HeaderXAccelCharset)

// fillHead makes the head of the response from the server's.
func (x *exchange) fillHead() {
	r, h := x.r, &x.wire.head
	out := &r.Out
	out.Status, out.Reason = h.Status, h.Reason
	out.ContentType, out.ContentLength = h.Get(h1.HeaderContentType), h.ContentLength
	out.LastModified, out.Location = nil, nil
	var seen h1.KnownSet
	for i := range h.Headers {
		header := &h.Headers[i]
		if seen.Has(header.ID) && onceInAnswer.Has(header.ID) {
			x.logf(observe.Warn, "upstream sent duplicate header line: \"%s: %s\", ignored while reading response header from upstream", header.Name, header.Value)
			continue
		}
		seen = seen.With(header.ID)
		if hopByHop.Has(header.ID) || x.l.hidden.has(header) || header.ID == h1.HeaderUpgrade && r.Version >= h1.Version20 {
			continue
		}
		switch header.ID {
		case h1.HeaderLocation:
			x.passLocation(header)
			continue
		case h1.HeaderRefresh:
			x.passRefresh(header)
			continue
		case h1.HeaderSetCookie:
			x.passCookie(header)
			continue
		}
		out.Headers = append(out.Headers, *header)
	}
}

// copyHeaders passes only some of the server's headers.
func (x *exchange) copyHeaders(which h1.KnownSet) {
	for _, header := range x.wire.head.Headers {
		if which.Has(header.ID) {
			x.r.AddHeader(x.r.Copy(header.Name), x.r.Copy(header.Value))
		}
	}
}

// keptByRedirect are the headers of an answer with X-Accel-Redirect that the client gets.
var keptByRedirect = h1.SetOf(h1.HeaderSetCookie, h1.HeaderCacheControl, h1.HeaderExpires, h1.HeaderAcceptRanges)

// redirect goes on inside with what X-Accel-Redirect names.
func (x *exchange) redirect(to []byte) web.Result {
	r := x.r
	to = r.Copy(to)
	x.copyHeaders(keptByRedirect)
	if i := x.wire.head.Headers.Lookup("content-disposition", 0); i >= 0 {
		header := x.wire.head.Headers[i]
		r.AddHeader(r.Copy(header.Name), r.Copy(header.Value))
	}
	r.Out.ContentType = r.Copy(x.wire.head.Get(h1.HeaderContentType))
	x.skipBody()
	if bytes.HasPrefix(to, []byte("@")) {
		return r.NamedRedirect(string(to))
	}
	if r.MethodID != h1.MethodHead {
		r.MethodID, r.Method = h1.MethodGet, methodGet
	}
	target, query, _ := bytes.Cut(to, []byte("?"))
	path, ok := safePath(r.Alloc(len(target))[:0], target)
	if !ok {
		x.logf(observe.Error, "unsafe URI \"%s\" was detected in \"X-Accel-Redirect\"", to)
		return 404
	}
	return r.InternalRedirect(path, query)
}

var methodGet = []byte("GET")

// safePath decodes a path into dst. It is not safe if it leads up anywhere: what a server names is trusted less than
// what it sends, for it often stems from a user.
func safePath(dst, escaped []byte) (path []byte, ok bool) {
	if len(escaped) == 0 || escaped[0] != '/' {
		return nil, false
	}
	for i := 0; i < len(escaped); i++ {
		c := escaped[i]
		if c == '%' {
			if i+2 >= len(escaped) {
				return nil, false
			}
			n, err := strconv.ParseUint(string(escaped[i+1:i+3]), 16, 8)
			if err != nil {
				return nil, false
			}
			c, i = byte(n), i+2
		}
		if c == 0 {
			return nil, false
		}
		dst = append(dst, c)
	}
	for segment := range bytes.SplitSeq(dst, []byte("/")) {
		if string(segment) == ".." {
			return nil, false
		}
	}
	return dst, true
}

// method is what the body of the answer depends on.
func (x *exchange) method() h1.Method {
	if x.headOnly {
		return h1.MethodHead
	}
	return h1.MethodGet
}

// skipBody ends an answer whose body nobody wants; only one that has come already leaves the connection of use.
func (x *exchange) skipBody() {
	body := &x.wire.body
	kind, length := x.wire.head.Body(x.method())
	body.StartResponse(&x.wire.in, kind, length)
	if _, err := body.Take(); err == nil && body.Done() {
		x.bodyDone()
		return
	}
	x.settle(upstream.Success)
}

// relay streams the body to the client.
func (x *exchange) relay() web.Result {
	r, w := x.r, x.wire
	body := &w.body
	kind, length := w.head.Body(x.method())
	body.StartResponse(&w.in, kind, length)
	if err := r.SendHead(); err != nil {
		return x.clientFailed()
	}
	piece, err := body.Take()
	var block *h1.Block
	defer func() {
		if block != nil {
			block.GiveBack()
		}
	}()
	for {
		st := x.state()
		st.length += int64(len(piece))
		if err == nil && body.Done() {
			return x.finish(piece)
		}
		if len(piece) > 0 {
			if _, failed := r.Write(piece); failed != nil {
				return x.clientFailed()
			}
		}
		if err != nil {
			return x.cutShort(err)
		}
		if len(piece) == 0 && !x.l.buffering {
			if err := r.Flush(); err != nil {
				return x.clientFailed()
			}
		}
		if block == nil {
			block = h1.TakeBlock(x.l.readBytes)
		}
		var n int
		n, err = x.readPiece(block.Mem)
		piece = block.Mem[:n]
	}
}

// finish passes the last piece of the body on.
func (x *exchange) finish(piece []byte) web.Result {
	x.bodyDone()
	if trailers := x.wire.body.Trailers(); len(trailers) > 0 && x.l.passTrailers {
		x.r.Out.Trailers = append(x.r.Out.Trailers, trailers...)
	}
	if x.r.WriteLast(piece) != nil {
		return x.clientFailed()
	}
	return web.Done
}

// readPiece reads some of the body; at its end the piece may be empty and the error is nil.
func (x *exchange) readPiece(p []byte) (n int, err error) {
	body, beginMS := &x.wire.body, x.r.Now().MonoMS
	nowMS := beginMS
	for {
		if err = x.wire.arm(x.conn, nowMS, milliseconds(nowMS-beginMS), x.l.readTimeout); err != nil {
			return 0, err
		}
		n, err = body.Read(p)
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

// bodyDone settles a try whose answer was read to its end, before the client sees that end: what was learned from it counts
// for the client's next request.
func (x *exchange) bodyDone() {
	w := x.wire
	x.endUpload()
	x.reusable = w.head.KeepAlive && w.body.Kind() != h1.BodyUntilClose && !x.unsent && len(w.in.Unread()) == 0
	x.settle(upstream.Success)
}

// clientFailed ends an exchange whose client does not take the response.
func (x *exchange) clientFailed() web.Result {
	x.settle(upstream.Success)
	x.r.Abort()
	return web.Done
}

// cutShort ends an answer that the server did not finish.
func (x *exchange) cutShort(err error) web.Result {
	outcome := upstream.Failure
	x.doing = "reading upstream"
	switch {
	case err == errClientLeft:
		x.logf(observe.Info, "client prematurely closed connection, so upstream connection is closed too while reading upstream")
		outcome = upstream.Success
	case err == errUploadFailed:
		x.settle(upstream.Success)
		x.r.ErrorStatus(x.uploadFailed) // which logs it; too late for a status
	case isTimeout(err):
		x.logf(observe.Error, "upstream timed out (110: Connection timed out) while reading upstream")
	case isEnd(err):
		x.logf(observe.Error, "upstream prematurely closed connection while reading upstream")
	case failureOfMessage(err):
		x.logf(observe.Error, "%v while reading upstream", err)
	default:
		x.logf(observe.Error, "%s while reading upstream", failure("recv", err))
	}
	x.settle(outcome)
	x.r.Abort()
	return web.Done
}
