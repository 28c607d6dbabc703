package memcached

import (
	"bytes"
	"io"
	"net"

	"starling/logs"
	"starling/web/forward"
	"starling/web/h1"
)

// wire is memcached's protocol on one connection.
type wire struct {
	conn net.Conn
	in   h1.Buffer
	out  h1.Writer

	x        *forward.Exchange // of the present request, for its log
	header   [1]h1.Header
	skip     bool  // the client wants no value, so it stays unread (HEAD)
	left     int64 // bytes of the value still to come
	trailer  []byte
	inStep   bool // the answer was read to its end, and nothing followed
	done     bool
	received int64
}

// valueEnd follows a value.
var valueEnd = []byte("\r\nEND\r\n")

func (w *wire) begin(x *forward.Exchange) {
	w.x, w.skip = x, x.Request.MethodID == h1.MethodHead
	w.received, w.done, w.inStep = 0, false, false
}

// value starts an answer with a value, nothing one without.
func (w *wire) value(length int64) { w.left, w.trailer = length, valueEnd }

func (w *wire) nothing() { w.left, w.trailer, w.done, w.inStep = 0, nil, true, true }

// SendBody has nothing to send.
func (w *wire) SendBody([]byte, bool) error { return nil }

// StartBody leaves an unwanted value unread until the connection closes, as nginx does.
func (w *wire) StartBody(*forward.Head) { w.done = w.done || w.skip }

// TakeBody returns the received part of the value.
func (w *wire) TakeBody() ([]byte, error) {
	if w.done {
		return nil, nil
	}
	raw := w.in.Unread()
	w.in.Consume(len(raw))
	return w.take(raw), nil
}

// ReceiveBody reads on.
func (w *wire) ReceiveBody(p []byte) (int, error) {
	if w.done {
		return 0, io.EOF
	}
	n, err := w.conn.Read(p)
	if n > 0 {
		return len(w.take(p[:n])), nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return 0, err
}

// take cuts the trailer, or the received part of it, off a piece of the value.
func (w *wire) take(raw []byte) []byte {
	w.received += int64(len(raw))
	piece := raw[:min(int64(len(raw)), w.left)]
	w.left -= int64(len(piece))
	rest := raw[len(piece):]
	if len(rest) == 0 {
		return piece
	}
	var expected bool
	if w.trailer, expected = bytes.CutPrefix(w.trailer, rest); expected {
		w.done, w.inStep = len(w.trailer) == 0, len(w.trailer) == 0
		return piece
	}
	// The value is complete, so the client has its answer; the state of the connection after it is unknown.
	w.x.Logf(logs.Error, "memcached sent invalid trailer while reading upstream")
	w.done, w.inStep = true, false
	return piece
}

// BodyDone reports whether the trailer was read.
func (w *wire) BodyDone() bool { return w.done }

// Trailers do not exist: memcached has no fields.
func (w *wire) Trailers() h1.Headers { return nil }

// Buffered reports whether there are bytes that were not taken.
func (w *wire) Buffered() bool { return len(w.in.Unread()) > 0 }

// Reusable reports whether the next byte will be that of the next answer.
func (w *wire) Reusable() bool { return w.inStep && len(w.in.Unread()) == 0 }

// Sent is that of the connection.
func (w *wire) Sent() int64 { return w.out.Bytes }

// Received is that of the answer.
func (w *wire) Received() int64 { return w.received }

// Rest keeps no memory.
func (w *wire) Rest() {
	w.x = nil
	w.in.Recycle()
	w.in.Release()
	w.out.Release()
}

// Close returns all memory.
func (w *wire) Close() {
	w.x = nil
	w.in.Detach()
	w.out.Release()
}
