package proxy

import (
	"slices"
	"strconv"

	"starling/upstream"
	"starling/web/forward"
	"starling/web/forward/h2client"
	"starling/web/h1"
)

// protocolHTTP2 is HTTP/2. It has no Upgrade: there are no tunnels.
type protocolHTTP2 struct {
	*common
	set []h2client.SetField // those of proxy_set_header
}

func newProtocolHTTP2(c *common) *protocolHTTP2 {
	isLength := func(f h2client.SetField) bool { return f.ID == h1.HeaderContentLength }
	// A length that is not that of the frames makes a request malformed (RFC 9113, 8.1.1).
	return &protocolHTTP2{c, slices.DeleteFunc(h2client.SetFields(c.head.Set), isLength)}
}

// Chunks are irrelevant: bodies are sent in frames.
func (p *protocolHTTP2) Chunks() bool { return true }

// Open starts on a connection.
func (p *protocolHTTP2) Open(c *upstream.Conn) forward.Wire { return h2client.Open(c) }

var (
	lengthName = []byte("content-length")
	sinceName  = []byte("if-modified-since")
	matchName  = []byte("if-none-match")
)

// scratchBytes holds most values while the head is made.
const scratchBytes = 256

// SendHead starts a stream.
func (p *protocolHTTP2) SendHead(x *forward.Exchange, to forward.Wire, f forward.Framing, piece []byte) error {
	w, r, method := to.(*h2client.Wire), x.Request, p.methodOf(x)
	if f.Withheld {
		f = forward.Framing{Length: -1} // nor is its length announced
	}
	scratch := h2client.AppendAuthority(r.Alloc(scratchBytes)[:0], &p.head.HeadPlan, x)
	w.StartHead(method, x.To.TLS(), x.URI, scratch)
	if f.Length > 0 || f.Length == 0 && p.head.length {
		scratch = strconv.AppendInt(scratch[:0], f.Length, 10)
		w.Field(h1.HeaderContentLength, lengthName, scratch)
	}
	scratch = w.Set(p.set, r, scratch)
	if x.Storable() {
		p.sendConditions(x, w, scratch)
	}
	if p.PassHeaders {
		for i := range r.Headers {
			if h := &r.Headers[i]; p.head.Passes(h) && !(x.Storable() && p.head.notStored.Has(h)) {
				w.Field(h.ID, h.Name, h.Value)
			}
		}
	}
	return w.SendHead(
		h2client.Request{Framing: f, HeadBytes: x.HeadBytes(), HeadOnly: string(method) == "HEAD"}, piece)
}

// sendConditions asks whether the stored response is still valid.
func (p *protocolHTTP2) sendConditions(x *forward.Exchange, w *h2client.Wire, scratch []byte) {
	if value, has := x.AppendSince(scratch[:0]); has && p.head.since {
		w.Field(h1.HeaderIfModifiedSince, sinceName, value)
	}
	if value, has := x.AppendMatch(scratch[:0]); has && p.head.match {
		w.Field(h1.HeaderIfNoneMatch, matchName, value)
	}
}

// ReceiveHead waits for a head.
func (p *protocolHTTP2) ReceiveHead(_ *forward.Exchange, from forward.Wire, head *forward.Head) (bool, error) {
	return from.(*h2client.Wire).ReceiveHead(head)
}
