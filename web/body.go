package web

import (
	"errors"
	"io"
	"time"

	"starling/logs"
	"starling/web/h1"
)

// errBodyTooLarge is a body over client_max_body_size, or over the limit of a handler.
var errBodyTooLarge = &h1.Problem{Status: 413, Text: "client intended to send too large body"}

// errChunkedTooLarge is a body that turned out to be over client_max_body_size.
var errChunkedTooLarge = &h1.Problem{Status: 413, Text: "client intended to send too large chunked body"}

// HasBody reports whether a request body (even an empty chunked one) arrived or will arrive.
func (r *Request) HasBody() bool { return r.Chunked || r.ContentLength > 0 }

// AnnouncedLength is the length of the client's body that handlers know, -1 if there is none or it is unknown: a
// subrequest has the client's, even if it has no body of its own.
func (r *Request) AnnouncedLength() int64 {
	switch {
	case r.parent != nil:
		return r.announced
	case !r.Chunked:
		return r.ContentLength
	case r.BodyDone():
		return r.bodyRead
	}
	return -1
}

// BodyDone reports whether the whole request body was read from the client.
func (r *Request) BodyDone() bool { return r.refused || r.wire.BodyDone() }

// refuseBody drops a body that is too large or malformed: the location of an error page sees a request without one, so
// it neither checks client_max_body_size again nor waits for bytes that will not be read.
func (r *Request) refuseBody() {
	r.dropKept()
	r.refused, r.expects = true, false
	r.ContentLength, r.Chunked = 0, false
}

// ReadBody reads body bytes as they arrive from the client; io.EOF at the end. A body beyond client_max_body_size
// returns an error for which ErrorStatus is 413.
func (r *Request) ReadBody(p []byte) (int, error) {
	if r.refused {
		return 0, io.EOF
	}
	r.bodyAsked = true
	n, err := r.wire.ReadBody(r, p, r.Location.Core.BodyTimeout)
	return n, r.checkBody(n, err)
}

// Continue sends 100 Continue to a client that waits for it. Reading a body does so itself; a handler that would have
// read one calls it if the body is empty, as nginx responds then too.
func (r *Request) Continue() {
	if r.expects {
		r.expects = false
		r.SendInterim(100, nil, nil) // the connection remembers its failure
	}
}

// checkBody counts bytes and applies client_max_body_size to bodies of unknown length.
func (r *Request) checkBody(n int, err error) error {
	r.bodyRead += int64(n)
	if limit := r.Location.Core.MaxBodyBytes; limit > 0 && r.bodyRead > limit {
		return errChunkedTooLarge
	}
	return err
}

// WholeBody reads the whole body into memory, at most limit bytes (an error with status 413 beyond). It can be called
// again. The bytes are valid during the request.
func (r *Request) WholeBody(limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, errBodyTooLarge
	}
	if err := r.TakeBody(); err != nil {
		return nil, err
	}
	k := &r.kept
	if !k.whole && !r.refused && !r.bodyGone() && int64(len(k.memory)) <= limit {
		if err := r.readIntoMemory(limit + 1); err != nil {
			return nil, err
		}
	}
	if k.file != nil || int64(len(k.memory)) > limit {
		return nil, errBodyTooLarge
	}
	return k.memory, nil
}

// KeptBody returns the part of the body that KeepBody, TakeBody or WholeBody kept in memory.
func (r *Request) KeptBody() []byte { return r.kept.memory }

// BodyKept reports whether that, or BodyFile, is the whole body.
func (r *Request) BodyKept() bool { return r.kept.whole }

// BodyRead counts the body bytes that were read from the client.
func (r *Request) BodyRead() int64 { return r.bodyRead }

// BodyFile is the file into which KeepBody wrote the body; nil if it is in memory.
func (r *Request) BodyFile() *BodyFile { return r.kept.file }

// BodyFollows reports whether more of the body will arrive from the client after the kept part.
func (r *Request) BodyFollows() bool { return !r.BodyDone() && !r.bodyGone() }

// ErrorStatus returns the response status for a failure to read the body: the status of an *h1.Problem, 408 for a
// timeout, 400 if the client disconnected inside the body.
func (r *Request) ErrorStatus(err error) Result {
	var problem *h1.Problem
	var fault *bodyFault
	switch {
	case errors.As(err, &fault):
		r.Logf(fault.level, "%s", fault.text)
		r.keep = false
		return Result(fault.status)
	case errors.As(err, &problem):
		switch problem {
		case errBodyTooLarge:
		case errChunkedTooLarge:
			r.Logf(logs.Error, "%s: %d bytes", problem.Text, r.bodyRead)
		default:
			r.Logf(logs.Info, "%s", problem.Text)
		}
		r.keep = false
		r.refuseBody()
		return Result(problem.Status)
	case isTimeout(err):
		r.Logf(logs.Info, "client timed out (110: Connection timed out) while reading client request body")
		return statusTimedOut
	}
	r.Logf(logs.Info, "%s while reading client request body", clientGone(err))
	r.keep = false
	return 400
}

// Delay waits; false means that the client disconnected or the site was closed meanwhile. The handler then returns 499.
func (r *Request) Delay(d time.Duration) bool { return r.wire.Wait(r, d) }
