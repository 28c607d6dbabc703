package web

import (
	"errors"
	"io"
	"time"

	"starling/logs"
	"starling/web/h1"
)

// memoryWire is the wire of a subrequest: there is no client, and the body of the response is kept, dropped, or passed
// on as a part of the response to the client.
type memoryWire struct {
	keepBytes int64
	body      []byte
	sent      int64
	partOf    *Request // the client's request, of whose response the body is a part; nil if of none
	turn      *turn    // of the part, or of the one that it is in; nil outside of parts that were started
	bare      bool     // errors have no page
	beside    bool     // the parent continues meanwhile: its wire must not be used
}

// errSubrequestTooLarge is a subrequest whose response is larger than its parent allows.
var errSubrequestTooLarge = errors.New("subrequest response is too large for its buffer")

// errDropped ends a response that is not needed: reading a little more can preserve the connection to the server,
// reading a file does not pay.
var errDropped = errors.New("response body is discarded")

// maxDroppedBytes is how much of a body is read only to drop it.
const maxDroppedBytes = 64 << 10

// maxKeptAnswerBytes is how much memory for responses a Request holds for its next use.
const maxKeptAnswerBytes = 64 << 10

// ReadHead is not called: a subrequest is made with its head.
func (w *memoryWire) ReadHead(r *Request) (*h1.RequestHead, error) { return r.in, nil }

func (w *memoryWire) ReadBody(*Request, []byte, time.Duration) (int, error) { return 0, io.EOF }

func (w *memoryWire) TakeBody() ([]byte, error) { return nil, nil }

func (w *memoryWire) BodyDone() bool { return true }

func (w *memoryWire) WriteInterim(*Request, int, []byte, h1.Headers) error { return nil }

func (w *memoryWire) WriteHead(r *Request, _ bool) error {
	if w.partOf != nil || w.keepBytes == 0 {
		return nil
	}
	return w.check(r, r.Out.ContentLength)
}

// check checks the size of a response that is kept. One that exceeds the limit of its location ends the client's
// request too, as in nginx: a page without it would look complete.
func (w *memoryWire) check(r *Request, bytes int64) error {
	limit := r.Location.Core.SubrequestBytes
	switch {
	case bytes > w.keepBytes:
		return errSubrequestTooLarge
	case bytes <= limit:
		return nil
	}
	r.Logf(logs.Error, "too big subrequest response: %d bytes; subrequest_output_buffer_size is %d", bytes, limit)
	r.breakParents()
	return ErrBroken
}

func (w *memoryWire) Write(r *Request, p []byte, _ bool) error {
	w.sent += int64(len(p))
	switch {
	case w.partOf != nil && w.turn != nil:
		return w.turn.write(p)
	case w.partOf != nil:
		return Next{w.partOf, w.partOf.joint}.Write(p, false)
	case w.keepBytes == 0 && w.sent > maxDroppedBytes:
		return errDropped
	case w.keepBytes == 0:
		return nil
	}
	if err := w.check(r, w.sent); err != nil {
		return err
	}
	w.body = append(w.body, p...)
	return nil
}

// Takes is true: the parent's response waits for the client.
func (w *memoryWire) Takes(*Request, int) bool { return true }

func (w *memoryWire) Flush(*Request) error {
	if w.partOf != nil && w.turn != nil {
		return w.turn.flush()
	}
	if w.partOf != nil {
		return Next{w.partOf, w.partOf.joint}.Flush()
	}
	return nil
}

func (w *memoryWire) Wait(r *Request, d time.Duration) bool {
	r.Waits()
	return r.sleep(d)
}

func (w *memoryWire) Left(r *Request) bool {
	if w.partOf != nil && w.turn != nil {
		return w.partOf.wire.Left(w.partOf) // the client's request waits for the part
	}
	return !w.beside && r.parent.wire.Left(r.parent)
}

func (w *memoryWire) Watch(r *Request, left func(any), arg any) {
	if !w.beside {
		r.parent.wire.Watch(r.parent, left, arg)
	}
}

func (w *memoryWire) Interrupt(*Request, bool) {}

func (w *memoryWire) Cut(*Request) {}

func (w *memoryWire) End(*Request) bool { return true }

func (w *memoryWire) Received(*Request) int64 { return 0 }

func (w *memoryWire) Sent(*Request) int64 { return w.sent }
