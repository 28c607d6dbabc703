package web

import (
	"errors"
	"net"
	"strconv"

	"starling/nginx/ascii"
	"starling/web/h1"
)

// AddHeader adds a response header. The bytes must not change during the request.
func (r *Request) AddHeader(name, value []byte) {
	r.Out.Headers = append(r.Out.Headers, h1.Header{Name: name, Value: value, ID: h1.Identify(name)})
}

// SetHeader replaces all response headers of a name by one.
func (r *Request) SetHeader(name, value []byte) {
	kept := r.Out.Headers[:0]
	for _, h := range r.Out.Headers {
		if !ascii.Equal(h.Name, name) {
			kept = append(kept, h)
		}
	}
	r.Out.Headers = kept
	r.AddHeader(name, value)
}

// RemoveHeader removes all response headers of a known name.
func (r *Request) RemoveHeader(id h1.Known) {
	kept := r.Out.Headers[:0]
	for _, h := range r.Out.Headers {
		if h.ID != id {
			kept = append(kept, h)
		}
	}
	r.Out.Headers = kept
}

// StatusFor is the status that the response will have if a handler returns status: error_page may have set another.
func (r *Request) StatusFor(status int) int {
	if r.errStatus != 0 {
		return r.errStatus
	}
	return status
}

// Status is that of the response: until the head is sent, error_page's if it set one.
func (r *Request) Status() int {
	if r.headSent {
		return r.Out.Status
	}
	return r.StatusFor(r.Out.Status)
}

// Complete reports whether the client was sent all of the response, as far as is known.
func (r *Request) Complete() bool {
	promised := r.headSent && (r.noBody || r.Out.ContentLength < 0 || r.bodyBytes == r.Out.ContentLength)
	return r.finished && r.failure == nil && (r.keep || promised)
}

// HeadSent reports whether the head can no longer be changed.
func (r *Request) HeadSent() bool { return r.headSent }

// KeepsConnection reports whether another request can follow on the connection, as far as is known.
func (r *Request) KeepsConnection() bool { return r.keep }

// SentChunked reports whether the body of the response is chunked.
func (r *Request) SentChunked() bool { return r.headSent && r.h1.chunked }

// Overrule sets the status although error_page has set one: for statuses that follow from that one, as 206 and 304 do
// from 200.
func (r *Request) Overrule(status int) { r.errStatus, r.Out.Status = 0, status }

// SendHead runs the filters and completes the head; it is sent with the first body bytes, or at Flush or FinishBody. If
// it fails, the handler returns Done.
func (r *Request) SendHead() error {
	if r.silent {
		return nil
	}
	if r.headSent {
		return r.failure
	}
	if r.unreadFault != nil {
		return r.unreadFault
	}
	if err := r.checkUnread(); err != nil {
		return err
	}
	if r.errStatus != 0 {
		r.Out.Status, r.Out.Reason = r.errStatus, nil
	}
	if r.Out.Conditions == ConditionsApply && r.CheckHead() == 412 {
		r.replacement = 412
		return r.cleanHead()
	}
	if r.Out.Ranges != NoRanges {
		r.AllowRanges(r.Out.Ranges)
	}
	r.inheritCharset()
	r.filter()
	if r.failure != nil {
		return r.failure
	}
	if r.replacement != 0 {
		return r.cleanHead()
	}
	if r.Out.VaryEncoding {
		r.AddHeader([]byte("Vary"), []byte("Accept-Encoding"))
	}
	r.mergeFiltered()
	if err := r.chooseRange(); err != nil {
		r.keepFiltered()
		return err
	}
	r.headSent = true
	r.decideBody()
	r.serverToken() // evaluated before the head is written: variables may need the memory to which it is written
	r.decideTrailers()
	if out := &r.Out; len(out.Location) > 0 && out.Location[0] == '/' && r.Location.Core.AbsoluteRedirect {
		out.Location = r.absolute(out.Location)
	}
	// A client that waits for 100 Continue may never send its body, so the start of the next request is unknown.
	r.keep = r.keep && r.mayKeep() && !(r.expects && !r.wire.BodyDone())
	r.startRate()
	return nil
}

// cleanHead drops the head of a response that is replaced (ngx_http_clean_header).
func (r *Request) cleanHead() error {
	out := &r.Out
	out.Headers, out.Offset, out.ContentType, out.LastModified, out.Location = out.Headers[:0], 0, nil, nil, nil
	return errReplaced
}

// filter asks the filters for their bodies. Those of a response that is dropped do not run: the parts that they make
// would get into the response to the client.
func (r *Request) filter() {
	r.bodies = r.bodies[:0]
	l, dropped := r.Location, r.Dropped()
	for _, filter := range l.filters[:l.joint] {
		if body := filter(r); body != nil && !dropped {
			r.bodies = append(r.bodies, body)
		}
	}
	r.joint = len(r.bodies)
	if r.sub.memory.partOf != nil {
		return // the client's request has the joint filters
	}
	for _, filter := range l.filters[l.joint:] {
		if body := filter(r); body != nil && !dropped {
			r.bodies = append(r.bodies, body)
		}
	}
}

// decideBody decides whether a body follows the head.
func (r *Request) decideBody() {
	out := &r.Out
	switch {
	case out.Status < 200 || out.Status == 204:
		r.noBody = true
		if out.Reason == nil || r.Version >= h1.Version20 { // as in nginx, a server's reason is passed on over HTTP/1
			out.ContentType = nil
		}
		out.ContentLength, out.LastModified = -1, nil
	case out.Status == 304 || r.MethodID == h1.MethodHead:
		r.noBody = true
	}
}

// decideTrailers drops them if the protocol has none; otherwise the length of the body is not sent.
func (r *Request) decideTrailers() {
	if r.Out.Trailer == nil {
		return
	}
	if r.noBody || r.Version < h1.Version11 || r.Version == h1.Version11 && !r.Location.Core.Chunked {
		r.Out.Trailer = nil
	} else {
		r.Out.ContentLength = -1
	}
}

// mayKeep applies the location's rules for kept connections.
func (r *Request) mayKeep() bool {
	core, c := r.Location.Core, r.Conn
	switch {
	case core.KeepAlive.Timeout == 0, c.Requests >= core.KeepAliveMax, r.site.gate.Retired() && core.KeepAliveMin == 0:
		return false
	case r.StartedAt.MonoMS-c.OpenedAt.MonoMS > core.KeepAliveTime.Milliseconds():
		return false
	case (core.KeepAliveDisable.MSIE6 || core.KeepAliveDisable.Safari) && r.Seen.Has(h1.HeaderUserAgent):
		return !r.misbehaves(core.KeepAliveDisable)
	}
	return true
}

// absolute puts scheme, name and port before a path, as nginx does in its own redirects.
func (r *Request) absolute(path []byte) []byte {
	core := r.Location.Core
	scheme, ownPort := "http", uint16(80)
	if r.Conn.TLS != nil {
		scheme, ownPort = "https", 443
	}
	b := append(append(r.Scratch(), scheme...), "://"...)
	switch {
	case core.ServerNameInRedirect:
		b = append(b, r.Server.Name...)
	case len(r.Host) > 0:
		b = append(b, r.Host...)
	case r.Conn.Local.Addr().Is6():
		b = append(append(append(b, '['), r.Conn.Local.Addr().String()...), ']')
	case r.Conn.Local.IsValid():
		b = r.Conn.Local.Addr().AppendTo(b)
	}
	if port := r.Conn.Local.Port(); core.PortInRedirect && port != 0 && port != ownPort {
		b = strconv.AppendUint(append(b, ':'), uint64(port), 10)
	}
	return r.KeepScratch(append(b, path...))
}

// Write sends body bytes, with the head before the first ones in one system call.
func (r *Request) Write(p []byte) (int, error) {
	if r.silent {
		return len(p), nil
	}
	if r.failure != nil {
		return 0, r.failure
	}
	if err := r.SendHead(); err != nil {
		return 0, err
	}
	if len(p) == 0 || r.noBody {
		return len(p), nil
	}
	if err := r.note(r.pass(p, false)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush sends what waits.
func (r *Request) Flush() error {
	if r.silent {
		return nil
	}
	if r.failure != nil || !r.headSent {
		return r.failure
	}
	if r.noBody {
		return r.note(r.flushOut())
	}
	return r.note(Next{r, 0}.Flush())
}

// FinishBody ends the response; the kit calls it if a handler that returns Done did not. Fewer bytes than
// Out.ContentLength close the connection.
func (r *Request) FinishBody() error { return r.WriteLast(nil) }

// WriteLast is Write of the last body bytes and FinishBody, in one system call if the end of the body allows it.
func (r *Request) WriteLast(p []byte) error {
	if r.silent {
		return nil
	}
	if r.finished || r.failure != nil {
		return r.failure
	}
	if err := r.SendHead(); err != nil {
		return err
	}
	r.finished = true
	if r.noBody {
		p = nil
	}
	return r.note(r.pass(p, true))
}

// Abort ends a response that cannot be completed: the connection is closed without the proper end of the body. If only
// its head failed, because another response replaces it, that one follows.
func (r *Request) Abort() {
	if r.silent || r.replacement != 0 {
		return
	}
	if r.headSent && !r.finished && r.failure == nil {
		r.flushOut() // what arrived is forwarded; the connection is closed in any case
	}
	r.keep, r.finished = false, true
}

// Break ends a response that must not be sent, or not completed: the client gets what was sent, and the connection is
// closed. A filter can call it. The caller logs why.
func (r *Request) Break() {
	if r.silent {
		return
	}
	r.note(ErrBroken)
	r.finished = true
}

// Replace, called by a filter, answers with another status instead: SendHead fails, and the response to the status
// follows when the handler has returned Done.
func (r *Request) Replace(status int) { r.replacement = status }

// PassesHints reports whether the client gets a server's 103 (early_hints).
func (r *Request) PassesHints() bool { return r.AnyTrue(r.Location.Core.EarlyHints) }

// SendInterim sends a 1xx response at once (100, 103), without headers that do not belong in one. An empty 103 is not
// sent.
func (r *Request) SendInterim(status int, reason []byte, headers h1.Headers) error {
	if r.Version < h1.Version11 || r.headSent || r.silent {
		return nil
	}
	if headers = headers.Interim(); len(headers) == 0 && status != 100 {
		return nil
	}
	return r.note(r.wire.WriteInterim(r, status, reason, headers))
}

// Hijack takes over the connection after the head of a 101 or 2xx response was sent: bytes read beyond the request come
// first. The handler returns Done when the tunnel has ended; the kit then closes the connection.
func (r *Request) Hijack() (conn net.Conn, buffered []byte, err error) {
	if err := r.Flush(); err != nil {
		return nil, nil, err
	}
	w, ok := r.wire.(hijacker)
	if !ok || r.silent {
		return nil, nil, errors.New("only HTTP/1.1 connections can be upgraded")
	}
	r.keep, r.finished, r.hijacked = false, true, true
	conn, buffered = w.hijack(r)
	return conn, buffered, nil
}

// CountSent adds bytes that a tunnel wrote itself to $bytes_sent and $body_bytes_sent.
func (r *Request) CountSent(n int64) { r.bodyBytes += n; r.tunnelled += n }

// note stores the first failure of the connection, after which nothing is sent any more.
func (r *Request) note(err error) error {
	if err != nil && r.failure == nil {
		r.failure, r.keep = err, false
	}
	return err
}

// appendHead writes the head in nginx's order.
func (r *Request) appendHead(dst []byte, chunked bool) []byte {
	out := &r.Out
	if len(out.Reason) > 0 {
		dst = append(dst, "HTTP/1.1 "...)
		dst = strconv.AppendInt(dst, int64(out.Status), 10)
		dst = append(append(dst, ' '), out.Reason...)
		dst = append(dst, '\r', '\n')
	} else {
		dst = h1.AppendStatusLine(dst, out.Status, nil)
	}
	var seen h1.KnownSet
	for i := range out.Headers {
		seen = seen.With(out.Headers[i].ID)
	}
	if token := r.serverToken(); !seen.Has(h1.HeaderServer) && len(token) > 0 {
		dst = h1.AppendKnown(dst, h1.HeaderServer, token)
	}
	if !seen.Has(h1.HeaderDate) {
		dst = append(dst, "Date: "...)
		dst = r.site.dates.Append(dst, r.Now().WallMS/1000)
		dst = append(dst, '\r', '\n')
	}
	if len(out.ContentType) > 0 {
		dst = h1.AppendKnown(dst, h1.HeaderContentType, out.ContentType)
	}
	if out.ContentLength >= 0 {
		dst = h1.AppendContentLength(dst, out.ContentLength)
	}
	if len(out.LastModified) > 0 {
		dst = h1.AppendKnown(dst, h1.HeaderLastModified, out.LastModified)
	}
	if len(out.Location) > 0 {
		dst = h1.AppendKnown(dst, h1.HeaderLocation, out.Location)
	}
	if chunked {
		dst = h1.AppendChunkedCoding(dst)
	}
	switch {
	case out.Status == 101:
		dst = append(dst, "Connection: upgrade\r\n"...)
	case r.keep:
		dst = append(dst, "Connection: keep-alive\r\n"...)
		if seconds := r.Location.Core.KeepAlive.Header.Seconds(); seconds > 0 {
			dst = append(dst, "Keep-Alive: timeout="...)
			dst = strconv.AppendInt(dst, int64(seconds), 10)
			dst = append(dst, '\r', '\n')
		}
	default:
		dst = append(dst, "Connection: close\r\n"...)
	}
	for i := range out.Headers {
		h := &out.Headers[i]
		if notCopied.Has(h.ID) || len(h.Name) == 0 {
			continue
		}
		dst = h1.AppendHeader(dst, h.Name, h.Value)
	}
	return h1.AppendHeadEnd(dst)
}

// notCopied are headers owned by the kit.
var notCopied = h1.SetOf(h1.HeaderConnection, h1.HeaderKeepAlive, h1.HeaderTransferEncoding, h1.HeaderContentLength)
