package h2client

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"

	"starling/upstream"
	"starling/web/forward"
	"starling/web/h1"
	"starling/web/h2"

	"golang.org/x/net/http2"
)

// Wire is HTTP/2 on one connection; it implements forward.Wire. One goroutine reads the connection as long as it is
// open: it replies to PING and SETTINGS and keeps the windows, whatever the request's goroutines wait for.
type Wire struct {
	conn, raw net.Conn

	// Of the reader, with the lock.
	in      h1.Buffer
	decoder *h2.Decoder
	block   headBlock

	// Of the goroutine that starts requests.
	head []byte // the header block of the request

	// writing guards the output. It is taken before the lock.
	writing sync.Mutex
	out     bytes.Buffer
	framer  *http2.Framer // reads the frames in `in`, and writes to out
	greeted bool          // the preface was queued

	mu            sync.Mutex
	reads, writes waiter // with the deadlines of the request
	stream        stream
	nextID        uint32
	initialWindow int64 // of streams to the server
	sendWindow    int64 // of the connection to the server
	taken         int64 // of the connection's window from the server; not given back yet
	sent          int64
	sending       bool  // a part of a request is being written
	goneAway      bool  // the server takes no more streams
	dead          error // why the connection cannot be used any more
	replies       replies
}

// stream is the request that uses the connection; its zero value is none.
type stream struct {
	id        uint32
	headBytes int  // the limit of a head
	headOnly  bool // the response has no body
	heads     []forward.Head
	final     bool // a head that is not an interim one has arrived
	declared  int64
	arrived   int64 // of the body
	body      queue
	trailers  h1.Headers
	received  int64 // bytes of frames

	sendWindow, recvWindow int64
	taken                  int64 // of the window; not given back yet
	settings, pings        int

	sentAll bool  // END_STREAM was sent
	ended   bool  // END_STREAM arrived
	reset   bool  // and RST_STREAM after it
	failure error // why there is no (more) response
}

// Open starts HTTP/2 on a new connection, and a goroutine that runs until it is closed.
func Open(c *upstream.Conn) *Wire {
	w := &Wire{conn: c.Conn, raw: rawOf(c.Conn), reads: newWaiter(), writes: newWaiter(),
		nextID: 1, initialWindow: defaultWindow, sendWindow: defaultWindow}
	w.in.FirstBytes = frameBytes
	w.in.Attach(c.Conn)
	w.framer = http2.NewFramer(&w.out, inBuffer{&w.in})
	w.framer.SetMaxReadFrameSize(frameBytes)
	w.framer.SetReuseFrames()
	w.decoder = h2.NewDecoder()
	c.Conn = &socket{c.Conn, w}
	go w.read()
	return w
}

const (
	// defaultWindow applies until a peer changes it.
	defaultWindow = 65535
	maxWindow     = 1<<31 - 1
)

// ReceiveHead waits for the next head.
func (w *Wire) ReceiveHead(head *forward.Head) (whole bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.stream
	for len(s.heads) == 0 {
		if s.failure != nil {
			return false, s.failure
		}
		if !w.reads.sleep(&w.mu) {
			return false, os.ErrDeadlineExceeded
		}
	}
	*head = s.heads[0]
	s.heads = s.heads[1:]
	return true, nil
}

// StartBody has nothing to find out: frames have lengths.
func (w *Wire) StartBody(*forward.Head) {}

// TakeBody returns what has arrived.
func (w *Wire) TakeBody() ([]byte, error) {
	w.mu.Lock()
	piece := w.stream.body.take()
	update := w.credit(len(piece))
	w.mu.Unlock()
	w.widen(update)
	return piece, nil
}

// ReceiveBody waits until something has arrived.
func (w *Wire) ReceiveBody(p []byte) (n int, err error) {
	w.mu.Lock()
	s := &w.stream
	for s.body.len() == 0 && err == nil {
		switch {
		case s.failure != nil:
			err = s.failure
		case s.ended:
			err = io.EOF
		case !w.reads.sleep(&w.mu):
			err = os.ErrDeadlineExceeded
		}
	}
	if err != nil {
		w.mu.Unlock()
		return 0, err
	}
	n = s.body.get(p)
	update := w.credit(n)
	w.mu.Unlock()
	w.widen(update)
	return n, nil
}

// BodyDone reports whether the stream ended properly and everything was taken.
func (w *Wire) BodyDone() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.stream
	return s.ended && s.failure == nil && s.body.len() == 0
}

// Trailers are those after the body.
func (w *Wire) Trailers() h1.Headers {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stream.trailers
}

// Buffered reports whether a head, or the reason why none will come, has arrived.
func (w *Wire) Buffered() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.stream.heads) > 0 || w.stream.failure != nil
}

// Reusable reports whether both sides have ended the stream properly and the server takes another.
func (w *Wire) Reusable() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.stream
	return s.ended && s.sentAll && s.failure == nil && w.dead == nil && !w.goneAway && w.nextID < maxStreamID
}

// Sent is that of the connection.
func (w *Wire) Sent() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent
}

// Received is that of the stream.
func (w *Wire) Received() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stream.received
}

// maxKeptBytes is how large the memory for output may be that an idle connection keeps.
const maxKeptBytes = 4 << 10

// Rest ends the stream and keeps no memory.
func (w *Wire) Rest() {
	w.writing.Lock()
	if w.out.Cap() > maxKeptBytes {
		w.out = bytes.Buffer{}
	}
	w.writing.Unlock()
	if cap(w.head) > maxKeptBytes {
		w.head = nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stream.body.release()
	w.stream = stream{}
	w.block.memory.Release()
	if w.goneAway { // since Reusable
		w.die(io.EOF)
	}
}

// Close returns all memory.
func (w *Wire) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.die(net.ErrClosed)
	w.stream.body.release()
	w.stream = stream{failure: net.ErrClosed}
	w.block.memory.Release()
	w.decoder.Release()
}

// die makes the connection unusable. The response of a stream that has ended remains. Must be called with the lock
// held.
func (w *Wire) die(why error) {
	if why == io.EOF {
		why = io.ErrUnexpectedEOF // the end of a body is END_STREAM
	}
	if w.dead == nil {
		w.dead = why
		w.raw.Close() // wakes the reader up; a pool finds it closed
	}
	if s := &w.stream; s.id != 0 && !s.ended && s.failure == nil {
		s.failure = why
	}
	w.reads.signal()
	w.writes.signal()
}
