package web

import (
	"net"
	"time"

	"starling/web/h1"
)

// Wire carries one request over a protocol: HTTP/1.1, an HTTP/2 stream, or memory for a subrequest. It belongs to the
// goroutine of its request; Watch and Interrupt can also be called from another while the request lasts.
type Wire interface {
	// ReadHead reads the head of the request. Its error is an *h1.Problem if a response is due; such a request has no
	// body.
	ReadHead(r *Request) (*h1.RequestHead, error)
	// ReadBody reads body bytes as they arrive, io.EOF at the end. It fails with a timeout if none arrive within that
	// time.
	ReadBody(r *Request, p []byte, within time.Duration) (int, error)
	// TakeBody returns, in place, what has already arrived of the body.
	TakeBody() ([]byte, error)
	BodyDone() bool
	// WriteInterim sends a 1xx response at once.
	WriteInterim(r *Request, status int, reason []byte, headers h1.Headers) error
	// WriteHead takes r.Out as it is; empty means that no body follows. The head can wait for the first piece.
	WriteHead(r *Request, empty bool) error
	// Write sends a piece of the body; last means that it ends the response, and the piece can then be empty.
	Write(r *Request, p []byte, last bool) error
	// Takes reports, without waiting, whether a last piece of n bytes can be sent at once.
	Takes(r *Request, n int) bool
	// Flush sends what waits.
	Flush(r *Request) error
	// Wait returns true after d, false if the client disconnects before.
	Wait(r *Request, d time.Duration) bool
	// Left reports, without waiting, whether the client is gone.
	Left(r *Request) bool
	// Watch calls left when the client disconnects. A nil left ends this; it is not called any more after Watch
	// returns.
	Watch(r *Request, left func(any), arg any)
	// Interrupt makes a ReadBody of another goroutine fail with a timeout, until it is called with false.
	Interrupt(r *Request, on bool)
	// Cut makes a connection that closes without a response end in a way that the client cannot mistake for a response.
	Cut(r *Request)
	// End ends the request and reports whether the connection can take another.
	End(r *Request) (keep bool)
	// Received counts the bytes of the request, the head included. It must not be called while another goroutine reads
	// the body.
	Received(r *Request) int64
	// Sent counts the bytes of the response, the head included.
	Sent(r *Request) int64
}

// hijacker is a Wire whose connection can be taken over.
type hijacker interface {
	hijack(r *Request) (net.Conn, []byte)
}
