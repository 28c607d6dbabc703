package forward

import (
	"fmt"

	"starling/upstream"
	"starling/web"
	"starling/web/h1"
)

// Protocol implements a family's protocol to servers. One value serves a location, for many concurrent requests.
type Protocol interface {
	// Prepare makes ready what of the request does not depend on the server: the URI, a key. It runs once before the
	// first try; any result but Declined ends the request.
	Prepare(x *Exchange) web.Result
	// Chunks tells that a body can be sent whose length is not known when it begins.
	Chunks() bool
	// Open makes the Wire of a new connection.
	Open(c *upstream.Conn) Wire
	// SendHead writes the head of the request and the first piece of its body, in one write where it can.
	SendHead(x *Exchange, w Wire, f Framing, piece []byte) error
	// ReceiveHead takes what has come of the answer's head, and reads at most once. It is called again until the head
	// is whole, and after an interim one (1xx) for the next. A head against the rules is a Fault.
	ReceiveHead(x *Exchange, w Wire, head *Head) (whole bool, err error)
}

// HeaderPasser is a Protocol that passes some headers of answers in its own way: Location, Refresh, Set-Cookie.
type HeaderPasser interface {
	// PassHeader puts the header into x.Request.Out if it is one of those.
	PassHeader(x *Exchange, h *h1.Header) (done bool)
}

// Upgrader is a Protocol that can switch to another one (101). Without it that status is a fault of the server.
type Upgrader interface {
	// Upgrade takes over once the head of the response is ready to be sent.
	Upgrade(x *Exchange, w Wire) web.Result
}

// Wire is the protocol's side of one connection to a server. It serves requests one after the other, of any location of
// the family: it keeps nothing of one beyond Rest.
type Wire interface {
	// SendBody writes a further piece of the body; last ends it, with or without bytes. It may run beside the methods
	// that receive.
	SendBody(piece []byte, last bool) error
	// StartBody begins the body of the answer with that head.
	StartBody(head *Head)
	// TakeBody gives what has come of the body, in place, without reading; valid until Rest.
	TakeBody() ([]byte, error)
	// ReceiveBody is io.Reader's Read, which reads the connection once when nothing has come: n and err may both be 0
	// and nil, and a read that ran into the deadline may be tried again.
	ReceiveBody(p []byte) (n int, err error)
	// BodyDone tells that all of the body was taken.
	BodyDone() bool
	// Trailers are the fields behind the body, once it is done.
	Trailers() h1.Headers
	// Buffered tells that something was read of the connection and not taken.
	Buffered() bool
	// Reusable tells, when the body is done, whether the connection is in step for another request.
	Reusable() bool
	// Counts gives the bytes sent since the connection stands, and those received of the present answer.
	Counts() (sent, received int64)
	// Rest ends a request on a connection that is kept: what its head points to is void, and all memory goes back.
	Rest()
	// Close gives all memory back when the connection was closed.
	Close()
}

// Head is the head of an answer. The bytes it points to belong to the Wire, until its Rest.
type Head struct {
	Status  int
	Reason  []byte // nil: the standard phrase
	Headers h1.Headers
	Seen    h1.KnownSet // the known ones among Headers
	// ContentType is what the client is told.
	ContentType []byte
	// ContentLength is the length of the body, -1 if it is not known.
	ContentLength int64
	// Bare says that the server gave a status and nothing to show: error_page or a page of ours answers the client.
	Bare bool
}

// Interim tells a 1xx that another head follows; 101 is final.
func (h *Head) Interim() bool { return h.Status < 200 && h.Status != 101 }

// Get gives a known header's first value, nil if it was not sent.
func (h *Head) Get(id h1.Known) []byte {
	if !h.Seen.Has(id) {
		return nil
	}
	v, _ := h.Headers.Get(id)
	return v
}

// Framing says how the body of a request goes to the server.
type Framing struct {
	// Length is that of the body, -1 if there is none or it is not known; Chunked says that it is not known.
	Length  int64
	Chunked bool
}

// Fault is a protocol violation by a server: 502, and `invalid_header` for next_upstream.
type Fault struct{ text string }

// Faultf words a fault for the error log, in nginx's words and without the place.
func Faultf(format string, args ...any) error { return &Fault{fmt.Sprintf(format, args...)} }

func (f *Fault) Error() string { return f.text }
