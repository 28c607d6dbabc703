package web

import (
	"errors"
	"io"
	"time"

	"starling/web/h1"
)

// memoryWire is the wire of a subrequest: there is no client, and the body of the response is kept, dropped, or passed
// on as a part of the response to the client.
type memoryWire struct {
	keepBytes int64
	body      []byte
	sent      int64
	partOf    *Request // the client's request, of whose response the body is a part; nil if of none
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

func (w *memoryWire) WriteHead(*Request, bool) error { return nil }

func (w *memoryWire) Write(_ *Request, p []byte, _ bool) error {
	w.sent += int64(len(p))
	switch {
	case w.partOf != nil:
		return Next{w.partOf, w.partOf.joint}.Write(p, false)
	case w.keepBytes == 0 && w.sent > maxDroppedBytes:
		return errDropped
	case w.keepBytes == 0:
		return nil
	}
	if int64(len(w.body)+len(p)) > w.keepBytes {
		return errSubrequestTooLarge
	}
	w.body = append(w.body, p...)
	return nil
}

func (w *memoryWire) Flush(*Request) error {
	if w.partOf != nil {
		return Next{w.partOf, w.partOf.joint}.Flush()
	}
	return nil
}

func (w *memoryWire) Wait(r *Request, d time.Duration) bool { return r.site.sleep(d) }

func (w *memoryWire) Left(r *Request) bool { return !w.beside && r.parent.wire.Left(r.parent) }

func (w *memoryWire) Watch(r *Request, left func(any), arg any) {
	if !w.beside {
		r.parent.wire.Watch(r.parent, left, arg)
	}
}

func (w *memoryWire) Interrupt(*Request, bool) {}

func (w *memoryWire) Cut(*Request) {}

func (w *memoryWire) End(*Request) bool { return true }

func (w *memoryWire) Bytes(*Request) (read, sent int64) { return 0, w.sent }
