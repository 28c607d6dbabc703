package forward

import (
	"fmt"
	"iter"

	"starling/upstream"
	"starling/web"
	"starling/web/h1"
)

// Protocol implements a family's protocol to servers. One value serves a location, for many concurrent requests.
type Protocol interface {
	// Prepare prepares the parts of a request that do not depend on the server: the URI, a key. It runs once before the
	// first try; any result but Declined ends the request.
	Prepare(x *Exchange) web.Result
	// Chunks reports whether a body of unknown length can be sent.
	Chunks() bool
	// Open makes the Wire of a new connection.
	Open(c *upstream.Conn) Wire
	// SendHead writes the head of the request and the first piece of its body, in one write if possible.
	SendHead(x *Exchange, w Wire, f Framing, piece []byte) error
	// ReceiveHead parses what has arrived of the response's head, and reads at most once. It is called again until the
	// head is complete, and after an interim one (1xx) for the next. A head that violates the protocol is a Fault.
	ReceiveHead(x *Exchange, w Wire, head *Head) (whole bool, err error)
}

// HeaderPasser is a Protocol that forwards some response headers in its own way: Location, Refresh, Set-Cookie.
type HeaderPasser interface {
	// PassHeader puts the header into x.Request.Out if it is one of those.
	PassHeader(x *Exchange, h *h1.Header) (done bool)
}

// Keyer is a Protocol whose responses can be stored.
type Keyer interface {
	// AppendKey appends the key of a response if no directive sets it.
	AppendKey(dst []byte, x *Exchange) []byte
}

// Expecter is a Protocol of which one Wire can send a request and another one receive the response.
type Expecter interface {
	// Expect makes a wire expect the response to a request for which no client gave a method, and of it received, which
	// it copies. It forgets what else it has received. It returns false if the protocol cannot do that.
	Expect(w Wire, received []byte) bool
}

// Upgrader is a Protocol that can switch to another one (101). Without it, that status is a fault of the server.
type Upgrader interface {
	// Upgrade takes over once the head of the response is ready to be sent.
	Upgrade(x *Exchange, w Wire) web.Result
}

// Wire is the protocol's side of one connection to a server. It serves requests one after another, of any location of
// the family: it keeps no state of a request beyond Rest.
type Wire interface {
	// SendBody writes another piece of the body; last ends it, with or without bytes. It can run concurrently with the
	// methods that receive.
	SendBody(piece []byte, last bool) error
	// StartBody starts the body of the response with that head.
	StartBody(head *Head)
	// TakeBody returns what has arrived of the body, in place, without reading; valid until Rest.
	TakeBody() ([]byte, error)
	// ReceiveBody is io.Reader's Read. It reads the connection once if nothing has arrived: n and err can both be 0 and
	// nil, and a read that timed out can be retried.
	ReceiveBody(p []byte) (n int, err error)
	// BodyDone reports whether all of the body was taken.
	BodyDone() bool
	// Trailers are the fields after the body, once it is done.
	Trailers() h1.Headers
	// Buffered reports whether something was read from the connection and not taken.
	Buffered() bool
	// Reusable reports, when the body is done, whether the connection can take another request.
	Reusable() bool
	// Sent returns the bytes sent since the connection was established. It must not be called while another goroutine
	// sends.
	Sent() int64
	// Received returns the bytes received of the current response.
	Received() int64
	// Rest ends a request on a connection that is kept: slices of its head become invalid, and all memory is freed.
	Rest()
	// Close frees all memory after the connection was closed.
	Close()
}

// framer is a Wire that knows the length of a body on the wire, with the framing of chunks and what came after its end.
type framer interface{ BodyBytes() int64 }

// Head is the head of a response. Its bytes belong to the Wire, until its Rest.
type Head struct {
	Status  int
	Reason  []byte // nil: the standard phrase
	Headers h1.Headers
	Seen    h1.KnownSet // the known ones among Headers
	// ContentType is the type sent to the client.
	ContentType []byte
	// ContentLength is the length of the body, -1 if unknown.
	ContentLength int64
	// Bare means that the server sent a status without content: error_page or nginx's own page responds to the client.
	Bare bool
}

// Interim marks a 1xx that another head follows; 101 is final.
func (h *Head) Interim() bool { return h.Status < 200 && h.Status != 101 }

// Get returns a known header's first value, nil if it was not sent.
func (h *Head) Get(id h1.Known) []byte {
	if !h.Seen.Has(id) {
		return nil
	}
	v, _ := h.Headers.Get(id)
	return v
}

// All are the values of a known header.
func (h *Head) All(id h1.Known) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := range h.Headers {
			if h.Headers[i].ID == id && !yield(h.Headers[i].Value) {
				return
			}
		}
	}
}

// Framing is how the body of a request is framed for the server.
type Framing struct {
	// Length is the length of the body, -1 if there is none or it is unknown; Chunked means that it is unknown.
	Length  int64
	Chunked bool
	// Withheld means that the body of that length is not sent (PREFIX_pass_request_body off).
	Withheld bool
}

// Fault is a protocol violation by a server: 502, and `invalid_header` for next_upstream.
type Fault struct {
	text        string
	unprocessed bool
	canceled    bool
}

// Faultf formats a fault for the error log, with nginx's text and without the context.
func Faultf(format string, args ...any) error { return &Fault{text: fmt.Sprintf(format, args...)} }

// Unprocessedf is a Faultf of a server that has certainly not processed the request: `error` for next_upstream, and
// the next server can get a request that is not idempotent.
func Unprocessedf(format string, args ...any) error {
	return &Fault{text: fmt.Sprintf(format, args...), unprocessed: true}
}

// Canceledf is a Faultf of a server that gave the request up. After the client's deadline that is its duty.
func Canceledf(format string, args ...any) error {
	return &Fault{text: fmt.Sprintf(format, args...), canceled: true}
}

func (f *Fault) Error() string { return f.text }
