package forward

import (
	"bytes"

	"starling/logs"
	"starling/upstream"
	"starling/web"
	"starling/web/h1"
)

// answer passes the accepted response on to the client.
func (x *Exchange) answer() web.Result {
	r, h := x.Request, &x.head
	if used, result := x.useStored(); used {
		return result
	}
	x.obey()
	if h.Bare || h.Status >= 300 && x.l.intercept && r.HasErrorPage(h.Status) {
		if h.Status == 401 {
			x.copyHeaders(h1.SetOf(h1.HeaderWWWAuthenticate))
		}
		x.storeIntercepted()
		x.skipBody()
		return web.Result(h.Status)
	}
	if x.group.Sticky != nil {
		x.group.Sticky.Accepted(r, x.server)
	}
	if to, sent := h.Headers.Get(h1.HeaderXAccelRedirect); sent && !x.l.ignore.redirect {
		return x.redirect(to)
	}
	if !x.buffering {
		r.SetLimitRate(0) // as in nginx: what is not buffered is sent as it comes
	}
	if result := x.storeResponse(); result != web.Declined {
		x.skipBody()
		return result
	}
	x.fillHead()
	switch {
	case h.Status != 101:
		return x.relay()
	case r.Seen.Has(h1.HeaderUpgrade):
		return x.l.upgrader.Upgrade(x, x.conn.wire)
	}
	return x.endUnasked()
}

// endUnasked passes on the head of a 101 that the client has not asked for, as nginx does. No tunnel follows: closing
// both connections keeps a proxy in front from taking what comes next for a part of it.
func (x *Exchange) endUnasked() web.Result {
	if x.Request.SendHead() != nil {
		return x.ClientFailed()
	}
	x.account(upstream.Success)
	x.Request.Abort()
	return web.Done
}

// hopByHop are headers that are not forwarded. Upgrade is forwarded to clients of HTTP/1, as in nginx: 101 and 426 need
// it. Trailer is too, whether or not the trailers are.
var hopByHop = h1.SetOf(h1.HeaderConnection, h1.HeaderKeepAlive, h1.HeaderProxyConnection, h1.HeaderTE,
	h1.HeaderTransferEncoding, h1.HeaderContentLength, h1.HeaderContentType)

// onceInAnswer are headers of which only the first is forwarded, as in nginx.
var onceInAnswer = h1.SetOf(h1.HeaderStatus, h1.HeaderContentType, h1.HeaderDate, h1.HeaderLastModified, h1.HeaderETag,
	h1.HeaderServer,
	h1.HeaderLocation, h1.HeaderRefresh, h1.HeaderExpires, h1.HeaderXAccelRedirect, h1.HeaderXAccelExpires,
	h1.HeaderXAccelLimitRate)

// fillHead makes the head of the response from the server's.
func (x *Exchange) fillHead() {
	r, h := x.Request, &x.head
	out := &r.Out
	out.Status, out.Reason = h.Status, h.Reason
	out.ContentLength, out.Conditions = h.ContentLength, web.ConditionsPassed
	if x.fromCache || x.conditional {
		out.Conditions = web.ConditionsApplied
	}
	switch {
	case x.l.hidden.known.Has(h1.HeaderContentType):
		out.ContentType = nil
	case len(h.ContentType) > 0: // otherwise that of a server before remains, with X-Accel-Redirect
		out.ContentType = h.ContentType
	}
	out.LastModified, out.Location = nil, nil
	if x.l.ranges {
		out.Ranges = x.rangesOfStored()
	}
	var seen h1.KnownSet
	for i := range h.Headers {
		header := &h.Headers[i]
		if seen.Has(header.ID) && onceInAnswer.Has(header.ID) {
			x.Logf(logs.Warn, "upstream sent duplicate header line: \"%s: %s\", "+
				"ignored while reading response header from upstream", header.Name, header.Value)
			continue
		}
		seen = seen.With(header.ID)
		if hopByHop.Has(header.ID) || x.l.hidden.Has(header) ||
			header.ID == h1.HeaderUpgrade && r.Version >= h1.Version20 ||
			header.ID == h1.HeaderAcceptRanges && x.l.ranges {
			continue
		}
		if header.ID == h1.HeaderAcceptRanges && (x.fromCache || x.conditional) {
			out.Ranges = x.rangesOfStored() // this side asked for the whole body, so it answers them itself
			continue
		}
		if h.Status == 304 && header.ID == h1.HeaderContentEncoding && (x.fromCache || x.conditional) {
			continue // there is no content
		}
		if x.l.passer != nil && x.l.passer.PassHeader(x, header) {
			continue
		}
		out.Headers = append(out.Headers, *header)
	}
	for _, id := range [...]h1.Known{h1.HeaderServer, h1.HeaderDate} {
		if !seen.Has(id) && !x.l.hidden.known.Has(id) {
			out.Headers = append(out.Headers, h1.Header{ID: id}) // the server's is passed, so none is added
		}
	}
}

// copyHeaders forwards only some of the server's headers.
func (x *Exchange) copyHeaders(which h1.KnownSet) {
	for _, header := range x.head.Headers {
		if which.Has(header.ID) {
			x.Request.AddHeader(x.Request.Copy(header.Name), x.Request.Copy(header.Value))
		}
	}
}

// keptByRedirect are the headers of a response with X-Accel-Redirect that the client gets.
var keptByRedirect = h1.SetOf(h1.HeaderSetCookie, h1.HeaderCacheControl, h1.HeaderExpires, h1.HeaderAcceptRanges)

// redirect redirects internally to the URI in X-Accel-Redirect.
func (x *Exchange) redirect(to []byte) web.Result {
	r := x.Request
	to = r.Copy(to)
	x.copyHeaders(keptByRedirect)
	if i := x.head.Headers.Lookup("content-disposition", 0); i >= 0 {
		header := x.head.Headers[i]
		r.AddHeader(r.Copy(header.Name), r.Copy(header.Value))
	}
	r.Out.ContentType = r.Copy(x.head.ContentType)
	if _, charset := web.SplitCharset(r.Out.ContentType); len(charset) > 0 {
		r.Out.Charset = charset
	}
	x.skipBody()
	if bytes.HasPrefix(to, []byte("@")) {
		return r.NamedRedirect(string(to))
	}
	if r.MethodID != h1.MethodHead {
		r.MethodID, r.Method = h1.MethodGet, methodGet
	}
	target, query, _ := bytes.Cut(to, []byte("?"))
	path, ok := web.SafePath(r.Alloc(len(target))[:0], target)
	if !ok {
		x.Logf(logs.Error, "unsafe URI \"%s\" was detected in \"X-Accel-Redirect\"", to)
		return 404
	}
	return r.InternalRedirect(path, query)
}

var methodGet = []byte("GET")

// skipBody ends a response whose body is not wanted; the connection can be reused only if the body has already arrived.
func (x *Exchange) skipBody() {
	if x.conn == nil {
		return // a stored response
	}
	w := x.conn.wire
	w.StartBody(&x.head)
	if _, err := w.TakeBody(); err == nil && w.BodyDone() {
		x.bodyDone()
		return
	}
	x.account(upstream.Success)
}
