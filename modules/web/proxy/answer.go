package proxy

import (
	"bytes"
	"io"
	"strconv"

	"starling/logs"
	"starling/nginx/errno"
	"starling/upstream"
	"starling/web"
	"starling/web/h1"
)

// answer passes the accepted answer on to the client.
func (x *Exchange) answer() web.Result {
	r, h := x.Request, &x.head
	if h.Bare || h.Status >= 300 && x.l.intercept && r.HasErrorPage(h.Status) {
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
		return x.l.upgrader.Upgrade(x, x.conn.wire)
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
func (x *Exchange) fillHead() {
	r, h := x.Request, &x.head
	out := &r.Out
	out.Status, out.Reason = h.Status, h.Reason
	out.ContentType, out.ContentLength = h.ContentType, h.ContentLength
	out.LastModified, out.Location = nil, nil
	var seen h1.KnownSet
	for i := range h.Headers {
		header := &h.Headers[i]
		if seen.Has(header.ID) && onceInAnswer.Has(header.ID) {
			x.Logf(logs.Warn, "upstream sent duplicate header line: \"%s: %s\", ignored while reading response header from upstream", header.Name, header.Value)
			continue
		}
		seen = seen.With(header.ID)
		if hopByHop.Has(header.ID) || x.l.hidden.has(header) || header.ID == h1.HeaderUpgrade && r.Version >= h1.Version20 {
			continue
		}
		if x.l.passer != nil && x.l.passer.PassHeader(x, header) {
			continue
		}
		out.Headers = append(out.Headers, *header)
	}
}

// copyHeaders passes only some of the server's headers.
func (x *Exchange) copyHeaders(which h1.KnownSet) {
	for _, header := range x.head.Headers {
		if which.Has(header.ID) {
			x.Request.AddHeader(x.Request.Copy(header.Name), x.Request.Copy(header.Value))
		}
	}
}

// keptByRedirect are the headers of an answer with X-Accel-Redirect that the client gets.
var keptByRedirect = h1.SetOf(h1.HeaderSetCookie, h1.HeaderCacheControl, h1.HeaderExpires, h1.HeaderAcceptRanges)

// redirect goes on inside with what X-Accel-Redirect names.
func (x *Exchange) redirect(to []byte) web.Result {
	r := x.Request
	to = r.Copy(to)
	x.copyHeaders(keptByRedirect)
	if i := x.head.Headers.Lookup("content-disposition", 0); i >= 0 {
		header := x.head.Headers[i]
		r.AddHeader(r.Copy(header.Name), r.Copy(header.Value))
	}
	r.Out.ContentType = r.Copy(x.head.ContentType)
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
		x.Logf(logs.Error, "unsafe URI \"%s\" was detected in \"X-Accel-Redirect\"", to)
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

// skipBody ends an answer whose body nobody wants; only one that has come already leaves the connection of use.
func (x *Exchange) skipBody() {
	w := x.conn.wire
	w.StartBody(&x.head)
	if _, err := w.TakeBody(); err == nil && w.BodyDone() {
		x.bodyDone()
		return
	}
	x.settle(upstream.Success)
}

// relay streams the body to the client.
func (x *Exchange) relay() web.Result {
	r, w := x.Request, x.conn.wire
	w.StartBody(&x.head)
	if err := r.SendHead(); err != nil {
		return x.ClientFailed()
	}
	piece, err := w.TakeBody()
	var block *h1.Block
	defer func() {
		if block != nil {
			block.GiveBack()
		}
	}()
	for {
		st := x.state()
		st.length += int64(len(piece))
		if err == nil && w.BodyDone() {
			return x.finish(piece)
		}
		if len(piece) > 0 {
			if _, failed := r.Write(piece); failed != nil {
				return x.ClientFailed()
			}
		}
		if err != nil {
			return x.cutShort(err)
		}
		if len(piece) == 0 && !x.l.buffering {
			if err := r.Flush(); err != nil {
				return x.ClientFailed()
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
func (x *Exchange) finish(piece []byte) web.Result {
	x.bodyDone()
	if trailers := x.conn.wire.Trailers(); len(trailers) > 0 && x.l.passTrailers {
		x.Request.Out.Trailers = append(x.Request.Out.Trailers, trailers...)
	}
	if x.Request.WriteLast(piece) != nil {
		return x.ClientFailed()
	}
	return web.Done
}

// readPiece reads some of the body; at its end the piece may be empty and the error is nil.
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

// bodyDone settles a try whose answer was read to its end, before the client sees that end: what was learned from it counts
// for the client's next request.
func (x *Exchange) bodyDone() {
	x.endUpload()
	x.reusable = !x.unsent && x.conn.wire.Reusable()
	x.settle(upstream.Success)
}

// ClientFailed ends an exchange whose client does not take the response.
func (x *Exchange) ClientFailed() web.Result {
	x.settle(upstream.Success)
	x.Request.Abort()
	return web.Done
}

// cutShort ends an answer that the server did not finish.
func (x *Exchange) cutShort(err error) web.Result {
	outcome := upstream.Failure
	x.doing = "reading upstream"
	switch {
	case err == errClientLeft:
		x.Logf(logs.Info, "client prematurely closed connection, so upstream connection is closed too while reading upstream")
		outcome = upstream.Success
	case err == errUploadFailed:
		x.settle(upstream.Success)
		x.Request.ErrorStatus(x.uploadFailed) // which logs it; too late for a status
	case isTimeout(err):
		x.Logf(logs.Error, "upstream timed out (110: Connection timed out) while reading upstream")
	case isEnd(err):
		x.Logf(logs.Error, "upstream prematurely closed connection while reading upstream")
	case isFault(err):
		x.Logf(logs.Error, "%v while reading upstream", err)
	default:
		x.Logf(logs.Error, "%s while reading upstream", errno.Failure("recv", err))
	}
	x.settle(outcome)
	x.Request.Abort()
	return web.Done
}
