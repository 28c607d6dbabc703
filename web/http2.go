package web

import (
	"starling/logs"
	"starling/web/h1"
	"starling/web/h2"
)

// protocolHTTP2 is the name of HTTP/2 in ALPN.
const protocolHTTP2 = "h2"

// speaksHTTP2 reports whether the connection's address or server has HTTP/2.
func (c *Conn) speaksHTTP2() bool { return c.hosts.HTTP2 || c.server.Core.HTTP2 }

// beginsHTTP2 reports whether the client begins with the preface of HTTP/2 (prior knowledge: RFC 9113, 3.3).
func (c *Conn) beginsHTTP2() bool {
	if c.hosts.TLS || !c.speaksHTTP2() {
		return false
	}
	for {
		is, maybe := h1.HTTP2Preface(c.buf.Unread())
		if !maybe {
			return is
		}
		if c.buf.Fill() != nil {
			return false
		}
	}
}

// serveHTTP2 serves requests until the connection ends.
func (c *Conn) serveHTTP2() {
	core := c.server.Core
	handler := &streamHandler{c: c}
	c.http2 = h2.NewConn(c.Net, c.raw, &c.buf, h2.Settings{
		MaxStreams: core.HTTP2Streams, PrereadBytes: int(core.HTTP2PrereadBytes), ReadBytes: int(core.HTTP2ReadBytes),
		Limits:        &core.Limits,
		HeaderTimeout: core.HeaderTimeout, IdleTimeout: core.KeepAlive.Timeout, SendTimeout: core.SendTimeout,
	}, handler)
	retired := false
	c.site.gate.Locked(func() { // so that Retire's changes of the deadline do not undo HTTP/2's
		c.state.Store(stateStreams)
		retired = c.site.gate.Retired()
	})
	if retired {
		c.http2.Shutdown(freshGrace)
	}
	c.http2.Serve()
}

// streamHandler serves the streams of a connection.
type streamHandler struct{ c *Conn }

// Serve implements h2.Handler.
func (h *streamHandler) Serve(s *h2.Stream) {
	c := h.c
	defer c.survive() // a panic at the end of a request
	r := c.site.take(c)
	r.h2.begin(r, s)
	c.serveRequest(r)
	c.site.give(r)
}

// Last implements h2.Handler with the server's keepalive_requests and similar limits.
func (h *streamHandler) Last(n int) bool {
	c, core := h.c, h.c.server.Core
	return core.KeepAlive.Timeout == 0 || n >= core.KeepAliveMax ||
		c.site.plan.Clock.Now().MonoMS-c.OpenedAt.MonoMS > core.KeepAliveTime.Milliseconds()
}

// Idle implements h2.Handler.
func (h *streamHandler) Idle(idle bool) { h.c.waits.Store(idle) }

// Linger implements h2.Handler.
func (h *streamHandler) Linger() {
	if core := h.c.server.Core; core.Lingering != LingerNever {
		h.c.linger(core)
	}
}

// Logf implements h2.Handler.
func (h *streamHandler) Logf(format string, args ...any) {
	h.c.Logf(logs.Info, format, args...)
}
