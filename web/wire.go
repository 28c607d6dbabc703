package web

import (
	"net"
	"time"

	"starling/web/h1"
)

// Wire carries one request over a protocol: HTTP/1.1, an HTTP/2 stream, or memory for a subrequest. It belongs to the
// goroutine of its request; Watch and Interrupt may also be called from another while the request lasts.
type Wire interface {
	// ReadHead gets the head of the request. Its error is an *h1.Problem where an answer is due; such a request has no
	// body.
	ReadHead(r *Request) (*h1.RequestHead, error)
	// ReadBody reads body bytes as they come, io.EOF at the end. It fails with a timeout where none come within that
	// time.
	ReadBody(r *Request, p []byte, within time.Duration) (int, error)
	// TakeBody gives, in place, what of the body came already.
	TakeBody() ([]byte, error)
	BodyDone() bool
	// WriteInterim sends a 1xx response at once.
	WriteInterim(r *Request, status int, reason []byte, headers h1.Headers) error
	// WriteHead takes r.Out as it is; empty says that no body follows. The head may wait for the first piece.
	WriteHead(r *Request, empty bool) error
	// Write sends a piece of the body; last says that it ends the response, and the piece may then be empty.
	Write(r *Request, p []byte, last bool) error
	// Flush sends what waits.
	Flush(r *Request) error
	// Wait returns true after d, false if the client leaves before.
	Wait(r *Request, d time.Duration) bool
	// Left tells, without waiting, whether the client is gone.
	Left(r *Request) bool
	// Watch calls left when the client goes. A nil left ends this; it is not called any more when Watch returns.
	Watch(r *Request, left func(any), arg any)
	// Interrupt makes a ReadBody of another goroutine fail with a timeout, until it is called with false.
	Interrupt(r *Request, on bool)
	// Cut makes the end of a connection that closes without an answer one that the client cannot mistake for an answer.
	Cut(r *Request)
	// End ends the request and tells whether the connection takes another.
	End(r *Request) (keep bool)
	// Bytes are what came of the request and went out of the response, heads included.
	Bytes(r *Request) (read, sent int64)
}

// hijacker is a Wire whose connection can be given away.
type hijacker interface {
	hijack(r *Request) (net.Conn, []byte)
}
