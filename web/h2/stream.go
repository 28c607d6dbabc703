package h2

import (
	"io"
	"os"
	"sync"
	"time"

	"starling/web/h1"
)

// Stream is one request and its response. It belongs to the goroutine of its handler, and is reused after that
// returned.
type Stream struct {
	ID   uint32
	Head h1.RequestHead
	// Number counts the streams of the connection that were served, including this one.
	Number int
	// Problem is the error in the head, if any (an *h1.Problem).
	Problem error
	// Sent counts the bytes of frames that were queued for the response.
	Sent int64

	conn   *Conn
	start  func()   // run, made once: a go statement with a receiver would allocate
	memory h1.Arena // of the head
	fields h1.FieldReader
	// Reads and writes have separate waiters: a handler can read the body in another goroutine than the one that
	// writes.
	reads, writes waiter

	// With the connection's lock.
	sendWindow  int64
	recvWindow  int64 // what the client can still send
	window      int64 // what it can send ahead of the reader
	body        bodyQueue
	received    int64     // of the body
	declared    int64     // its length; -1 if unknown
	reading     bool      // somebody reads the body
	left        func(any) // of Watch
	leftArg     any
	timedOut    bool // the client did not send, or accept, something in time
	interrupted bool
	blocked     bool  // it is among the connection's blocked
	ended       bool  // no more of the body will arrive
	over        bool  // END_STREAM or RST_STREAM arrived: nothing more may
	finished    bool  // END_STREAM was queued
	gone        error // why the stream ended
	wrong       error // the error in the body
}

var streams = sync.Pool{New: func() any {
	s := new(Stream)
	s.Head.Reset()
	return s
}}

// waiter is what one goroutine sleeps on, made at its first use. It is accessed with the connection's lock held.
type waiter struct {
	wake  chan struct{} // holds one signal
	timer *time.Timer
}

// signal wakes the sleeper to check again. A redundant signal does no harm.
func (w *waiter) signal() {
	if w.wake == nil {
		return
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// sleep releases the lock and waits for a signal; false after the timeout.
func (w *waiter) sleep(lock sync.Locker, timeout time.Duration) bool {
	if w.wake == nil {
		w.wake, w.timer = make(chan struct{}, 1), time.NewTimer(timeout)
	} else {
		w.timer.Reset(timeout)
	}
	lock.Unlock()
	defer lock.Lock()
	select {
	case <-w.wake:
		w.timer.Stop()
		return true
	case <-w.timer.C:
		return false
	}
}

func takeStream() *Stream {
	s := streams.Get().(*Stream)
	if s.start == nil {
		s.start = s.run
	}
	return s
}

func now() time.Time { return time.Now() }

func (s *Stream) run() {
	c := s.conn
	c.handler.Serve(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close(s)
}

// giveBack resets the stream for another request.
func (s *Stream) giveBack() {
	s.memory.Reset()
	s.body.release()
	s.Head.Reset()
	*s = Stream{Head: s.Head, memory: s.memory, start: s.start}
	streams.Put(s)
}

// signal wakes the handler.
func (s *Stream) signal() {
	if s.left != nil && s.lost() != nil {
		s.tell()
	}
	s.reads.signal()
	s.writes.signal()
}

// abandon ends the stream in both directions.
func (s *Stream) abandon(why error) {
	s.gone, s.ended = why, true
	s.signal()
}

// lost is why nothing can be sent or read any more; nil while it can. Must be called with the lock held.
func (s *Stream) lost() error {
	if s.gone != nil {
		return s.gone
	}
	if s.conn.failure != nil {
		return ErrClosed
	}
	return nil
}

// Gone reports whether the client has reset the stream or closed the connection.
func (s *Stream) Gone() bool {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.lost() != nil
}

// Wait returns true after d, false as soon as the client is gone.
func (s *Stream) Wait(d time.Duration) bool {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	for end := time.Now().Add(d); s.lost() == nil; {
		left := time.Until(end)
		if left <= 0 || !s.writes.sleep(&s.conn.mu, left) {
			return s.lost() == nil
		}
	}
	return false
}

// Watch has left called with arg, once, when the client resets the stream or closes the connection; nil ends that. left
// must not use the stream.
func (s *Stream) Watch(left func(any), arg any) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.left, s.leftArg = left, arg
	if s.lost() != nil {
		s.tell()
	}
}

// tell calls the watcher. Must be called with the lock held, so that nothing is called after Watch(nil, nil).
func (s *Stream) tell() {
	if left := s.left; left != nil {
		s.left = nil
		left(s.leftArg)
	}
}

// Read reads body bytes as they arrive, io.EOF at the end; os.ErrDeadlineExceeded if none arrive for that long. A body
// without the declared length is an *h1.Problem.
func (s *Stream) Read(p []byte, timeout time.Duration) (int, error) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	s.read()
	for {
		switch err := s.lost(); {
		case s.wrong != nil:
			return 0, s.wrong
		case s.body.len() > 0:
			n := s.body.get(p)
			s.credit()
			return n, nil
		case err != nil:
			return 0, err
		case s.ended:
			return 0, io.EOF
		}
		if s.interrupted {
			return 0, os.ErrDeadlineExceeded
		}
		c.kick() // the client may wait for earlier output before it sends more
		if !s.reads.sleep(&c.mu, timeout) {
			s.timedOut = true
			return 0, os.ErrDeadlineExceeded
		}
		s.credit()
	}
}

// malformed reports whether the request is malformed (RFC 9113, 8.1.1). Must be called with the lock held.
func (s *Stream) malformed() bool {
	problem, _ := s.Problem.(*h1.Problem)
	return s.wrong != nil || problem != nil && problem.Status == badRequest
}

const badRequest = 400

// Interrupt makes a Read that would wait fail with a timeout, until Resume.
func (s *Stream) Interrupt() { s.interrupt(true) }

// Resume undoes Interrupt.
func (s *Stream) Resume() { s.interrupt(false) }

func (s *Stream) interrupt(on bool) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.interrupted = on
	s.reads.signal()
}

// Take returns what arrived of the body, in place and without waiting. The bytes are valid until the handler returns.
func (s *Stream) Take() ([]byte, error) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.wrong != nil {
		return nil, s.wrong
	}
	return s.body.take(), nil
}

// BodyDone reports whether the whole body was read.
func (s *Stream) BodyDone() bool {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.ended && s.body.len() == 0 && s.wrong == nil
}

// Received counts received body bytes.
func (s *Stream) Received() int64 {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.received
}

// read sets the window for a body that is being read.
func (s *Stream) read() {
	if !s.reading {
		s.reading = true
		s.window = max(s.window, readWindowBytes)
		s.credit()
	}
}

// credit extends the client's window when half of it is used up.
func (s *Stream) credit() {
	by := s.window - s.recvWindow - int64(s.body.len())
	if s.ended || !s.reading || by < s.window/2 {
		return
	}
	s.recvWindow += by
	s.conn.queue(appendWindowUpdate(make([]byte, 0, frameHeaderBytes+4), s.ID, by))
}

// takesData checks a DATA frame against the state of its stream; false if its bytes must be skipped.
func (c *Conn) takesData(h frameHead) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[h.stream]
	if s == nil || s.gone != nil {
		// If the stream was refused, or ended by us, the frame was in flight.
		if s == nil && c.over.remove(h.stream) || s != nil && s.over {
			c.handler.Logf("client sent DATA frame for closed stream %d", h.stream)
			c.queue(appendReset(make([]byte, 0, frameHeaderBytes+4), h.stream, CodeStreamClosed))
			if s != nil {
				s.over = false // it is said once
			}
		}
		return false
	}
	if int64(h.length) > s.recvWindow {
		c.handler.Logf("client violated flow control for stream %d: received DATA frame length %d, available window %d",
			s.ID, h.length, s.recvWindow)
		c.reset(s, CodeFlowControl)
		return false
	}
	s.recvWindow -= int64(h.length)
	if s.ended {
		c.handler.Logf("client sent DATA frame for half-closed stream %d", s.ID)
		s.over = false
		c.reset(s, CodeStreamClosed)
		return false
	}
	return true
}

// isIdle reports whether no stream of that number has started (RFC 9113, 5.1).
func (c *Conn) isIdle(stream uint32) bool { return stream%2 == 0 || stream > c.seenID }

// streamRing remembers some streams by number.
type streamRing struct {
	ids  [rememberedStreams]uint32
	next uint32
}

func (r *streamRing) add(id uint32) {
	r.ids[r.next%rememberedStreams] = id
	r.next++
}

// remove reports whether a stream was remembered, and forgets it.
func (r *streamRing) remove(id uint32) bool {
	for i := range r.ids {
		if r.ids[i] == id {
			r.ids[i] = 0
			return true
		}
	}
	return false
}

// feed passes body bytes to their stream, if it still exists.
func (c *Conn) feed(id uint32, p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[id]
	if s == nil || s.gone != nil {
		return
	}
	s.received += int64(len(p))
	if s.declared >= 0 && s.received > s.declared {
		s.wrong = &h1.Problem{Status: 400, Text: "client intended to send body data larger than declared"}
		s.body.release()
	} else {
		s.body.put(p)
	}
	s.signal()
}

// creditPadding restores the window used by padding, which nobody reads.
func (c *Conn) creditPadding(id uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.streams[id]; s != nil && s.gone == nil {
		s.credit()
	}
}

// feedEnd ends a body.
func (c *Conn) feedEnd(id uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[id]
	if s == nil || s.gone != nil {
		return
	}
	s.ended, s.over = true, true
	if s.declared >= 0 && s.received != s.declared && s.wrong == nil {
		s.wrong = &h1.Problem{Status: 400, Text: "client prematurely closed stream"}
	}
	s.signal()
}

// takesTrailers reports whether a HEADERS frame has the trailers of an open stream. They are read and not forwarded.
func (c *Conn) takesTrailers(h frameHead) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[h.stream]
	return s != nil && !s.ended && h.has(flagEndStream)
}
