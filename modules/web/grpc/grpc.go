package grpc

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"starling/nginx/ascii"
	"starling/upstream"
	"starling/web"
	"starling/web/forward"
	"starling/web/forward/h2client"
	"starling/web/h1"
)

// protocol is gRPC as one location uses it. gRPC is HTTP/2 with some headers and trailers, which are only passed on.
type protocol struct {
	head   forward.HeadPlan
	set    []h2client.SetField // those of head
	length bool                // grpc_set_header does not name Content-Length
	te     bool                // nor TE
}

// neverPassed are client headers that concern its own connection.
var neverPassed = []string{"Host", "Connection", "Proxy-Connection", "Content-Length", "Transfer-Encoding", "TE",
	"Keep-Alive", "Expect", "Upgrade"}

func newProtocol(s *Settings) *protocol {
	p := &protocol{head: forward.NewHeadPlan(s.headers, neverPassed)}
	p.length, p.te = !p.head.Names("Content-Length"), !p.head.Names("TE")
	p.set = h2client.SetFields(p.head.Set)
	return p
}

// Prepare finds the path and the client's deadline.
func (p *protocol) Prepare(x *forward.Exchange) web.Result {
	x.URI = forward.AppendTarget(x.URI[:0], x.Request)
	for i := range x.Request.Headers {
		h := &x.Request.Headers[i]
		if h.ID == 0 && ascii.EqualString(h.Name, timeoutName) && p.head.Passes(h) {
			if d, ok := parseTimeout(h.Value); ok {
				x.ExpireAfter(d)
			}
		}
	}
	return web.Declined
}

const (
	timeoutName   = "grpc-timeout"
	timeoutDigits = 8 // at most, as gRPC defines it
)

var timeoutUnits = [256]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond,
	'u': time.Microsecond, 'n': time.Nanosecond}

// parseTimeout parses a grpc-timeout: "10S".
func parseTimeout(text []byte) (d time.Duration, ok bool) {
	if len(text) < 2 || len(text) > timeoutDigits+1 {
		return 0, false
	}
	end := len(text) - 1
	unit := timeoutUnits[text[end]]
	n, err := strconv.ParseUint(string(text[:end]), 10, 32)
	if err != nil || unit == 0 {
		return 0, false
	}
	return min(time.Duration(n), math.MaxInt64/unit) * unit, true
}

// Chunks are irrelevant: bodies are sent in frames.
func (p *protocol) Chunks() bool { return true }

// Open starts on a connection.
func (p *protocol) Open(c *upstream.Conn) forward.Wire { return h2client.Open(c) }

var (
	lengthName = []byte("content-length")
	teName     = []byte("te")
	trailers   = []byte("trailers")
)

// scratchBytes holds most names and values while the head is made.
const scratchBytes = 256

// SendHead starts a stream.
func (p *protocol) SendHead(x *forward.Exchange, to forward.Wire, f forward.Framing, piece []byte) error {
	w, r := to.(*h2client.Wire), x.Request
	scratch := h2client.AppendAuthority(r.Alloc(scratchBytes)[:0], &p.head, x)
	w.StartHead(r.Method, x.To.TLS(), x.URI, scratch)
	if p.length && r.ContentLength >= 0 {
		scratch = strconv.AppendInt(scratch[:0], f.Length, 10)
		w.Field(h1.HeaderContentLength, lengthName, scratch)
	}
	if p.te && wantsTrailers(r) {
		w.Field(h1.HeaderTE, teName, trailers)
	}
	w.Set(p.set, r, scratch)
	for i := range r.Headers {
		if h := &r.Headers[i]; p.head.Passes(h) {
			w.Field(h.ID, h.Name, h.Value)
		}
	}
	return w.SendHead(h2client.Request{Framing: f, HeadBytes: x.HeadBytes(), HeadOnly: r.MethodID == h1.MethodHead},
		piece)
}

// wantsTrailers reports whether the client understands trailers (TE: trailers).
func wantsTrailers(r *web.Request) bool {
	for i := range r.Headers {
		h := &r.Headers[i]
		if h.ID != h1.HeaderTE {
			continue
		}
		for item := range bytes.SplitSeq(h.Value, []byte(",")) {
			if item, _, _ = bytes.Cut(item, []byte(";")); ascii.EqualString(bytes.TrimSpace(item), "trailers") {
				return true
			}
		}
	}
	return false
}

// ReceiveHead waits for a head.
func (p *protocol) ReceiveHead(_ *forward.Exchange, from forward.Wire, head *forward.Head) (whole bool, err error) {
	return from.(*h2client.Wire).ReceiveHead(head)
}
