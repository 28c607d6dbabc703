package h2

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"starling/lib/deadline"
	"starling/web/h1"
)

// Conn is the server side of one connection. One goroutine reads, one runs per stream, and one writes while there is
// output.
type Conn struct {
	net      net.Conn // the socket or TLS over it
	raw      net.Conn // the socket
	in       *h1.Buffer
	settings Settings
	handler  Handler

	// Of the reader alone.
	dec         decoder
	block       *h1.Slab // of a header block in several frames
	spare       h1.Arena // for the fields of refused streams
	recvWindow  int64    // of the connection
	seenID      uint32   // of the latest stream of the client, served or not
	newStreams  int      // since the last read
	refused     int
	served      int
	priorities  int   // PRIORITY frames that are still allowed
	totalBytes  int64 // read
	usefulBytes int64 // of them, bodies and heads of requests
	acked       bool  // the client knows our settings

	mu            sync.Mutex
	changed       sync.Cond // output, writing, failure or the number of streams changed
	streams       map[uint32]*Stream
	blocked       []*Stream
	over          streamRing // the latest of those that the client has ended and that are gone
	lastID        uint32     // of the latest stream that was accepted
	sendWindow    int64
	initialWindow int64
	frameBytes    int // the longest frame that the client accepts
	tableShrinks  bool
	out           output
	resets        []byte // RST_STREAM of streams that were answered early: written after out, in a separate write
	writing       bool
	flusher       func() // flush, made once
	inBlock       bool   // a header block has started
	retirement           // what Shutdown began
	goingAway     bool   // GOAWAY with the number of the last stream was queued
	closing       bool   // the reader must end
	failure       error
	idleSince     time.Time

	opened     time.Time
	writeUntil deadline.Deadline // of the writer alone, by the time since opened
}

// NewConn makes a Conn of an accepted connection. net is the socket or TLS over it, raw the socket; in has the bytes
// read so far.
func NewConn(conn, raw net.Conn, in *h1.Buffer, settings Settings, handler Handler) *Conn {
	now := time.Now()
	c := &Conn{net: conn, raw: raw, in: in, settings: settings, handler: handler,
		streams: map[uint32]*Stream{}, sendWindow: defaultWindow, initialWindow: defaultWindow,
		frameBytes: defaultFrameBytes,
		recvWindow: maxWindow, priorities: max(settings.MaxStreams, minRefusals), idleSince: now, opened: now}
	c.changed.L = &c.mu
	c.flusher = c.flush
	c.dec.table.limit = tableBytes
	c.dec.maxStringBytes = settings.Limits.LargeBufferBytes
	c.dec.maxBlockBytes = settings.Limits.LargeBuffers * settings.Limits.LargeBufferBytes
	in.FirstBytes = settings.ReadBytes
	return c
}

// Serve serves the connection until it ends and all handlers have returned. It closes the socket.
func (c *Conn) Serve() {
	c.greet()
	c.handler.Idle(true)
	err := c.readPreface()
	for err == nil {
		err = c.readFrame()
	}
	c.end(err)
	c.mu.Lock()
	for len(c.streams) > 0 || c.writing {
		c.changed.Wait()
	}
	c.mu.Unlock()
	c.handler.Idle(false)
	c.dec.table.release()
	c.spare.Release()
	c.dropBlock()
}

// greet sends our settings, and makes the connection's window so large that only those of streams limit.
func (c *Conn) greet() {
	b := make([]byte, 0, 2*frameHeaderBytes+3*settingBytes+4)
	b = appendFrameHead(b, 3*settingBytes, frameSettings, 0, 0)
	b = appendSetting(b, settingMaxStreams, uint32(c.settings.MaxStreams))
	b = appendSetting(b, settingInitialWindow, uint32(c.settings.PrereadBytes))
	b = appendSetting(b, settingMaxFrameBytes, takenFrameBytes)
	b = appendWindowUpdate(b, 0, maxWindow-defaultWindow)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue(b)
	c.readBy(time.Now().Add(c.settings.HeaderTimeout)) // fails on a closed socket, as the read will
}

func (c *Conn) readPreface() error {
	for {
		come := c.in.Unread()
		n := min(len(come), len(Preface))
		if string(come[:n]) != Preface[:n] {
			return failed(CodeProtocol, "invalid connection preface")
		}
		if n == len(Preface) {
			c.in.Consume(n)
			return nil
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// need reads until n bytes are unread.
func (c *Conn) need(n int) error {
	for len(c.in.Unread()) < n {
		if err := c.fill(); err != nil {
			return err
		}
	}
	return nil
}

// fill reads once. If nothing is unread, it sleeps without memory.
func (c *Conn) fill() error {
	for {
		before := len(c.in.Unread())
		var err error
		if before == 0 {
			c.in.Recycle()
			err = c.in.Wait()
		} else {
			err = c.in.Fill()
		}
		switch {
		case err == nil:
			c.newStreams = 0
			c.totalBytes += int64(len(c.in.Unread()) - before)
			if c.totalBytes/8 > c.usefulBytes+floodSlackBytes {
				return failed(CodeNone, "http2 flood detected")
			}
			return nil
		case !isTimeout(err):
			return err
		}
		if err := c.overdue(); err != nil {
			return err
		}
	}
}

// errRetired ends the reader of a connection that has nothing left to do.
var errRetired = errors.New("connection is idle")

// overdue handles a read timeout. Deadlines are not moved while streams come and go: when one expires, overdue checks
// whether the connection was really idle.
func (c *Conn) overdue() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	due := now.Add(c.settings.IdleTimeout)
	switch {
	case c.failure != nil:
		return c.failure
	case c.closing:
		return errRetired
	case c.inBlock:
		return failed(CodeProtocol, "client timed out (110: Connection timed out)")
	case c.waits() && !c.until.After(now):
		if c.farewell() {
			return errRetired
		}
	case len(c.streams) > 0:
	case c.lastID == 0:
		return failed(CodeProtocol, "client timed out (110: Connection timed out)")
	default:
		if due = c.idleSince.Add(c.settings.IdleTimeout); !due.After(now) {
			return failed(CodeNone, "")
		}
	}
	return c.readBy(due)
}

// readBy sets the read deadline, to an earlier time if a retirement waits. Must be called with the lock held.
func (c *Conn) readBy(t time.Time) error {
	if c.waits() && !c.inBlock && t.After(c.until) {
		t = c.until
	}
	return c.raw.SetReadDeadline(t)
}

// withinBlock sets and resets the deadline for an incomplete header block.
func (c *Conn) withinBlock(inside bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	timeout := c.settings.IdleTimeout
	if c.inBlock = inside; inside {
		timeout = c.settings.HeaderTimeout
	}
	if !c.closing && c.failure == nil {
		c.readBy(time.Now().Add(timeout))
	}
}

// renewWriteDeadline gives the client SendTimeout to accept the next write, up to a second longer.
func (c *Conn) renewWriteDeadline() {
	if at, due := c.writeUntil.Renew(time.Since(c.opened).Milliseconds(), c.settings.SendTimeout); due {
		c.raw.SetWriteDeadline(at)
	}
}

// fail makes the connection unusable for all streams. Must be called with the lock held.
func (c *Conn) fail(err error) {
	if c.failure != nil {
		return
	}
	c.failure = err
	for _, s := range c.streams {
		s.signal()
	}
	c.wakeReader()
	c.changed.Broadcast()
}

var past = time.Unix(1, 0)

func (c *Conn) wakeReader() { c.raw.SetReadDeadline(past) }

// goAway tells the client that no more streams are accepted. Must be called with the lock held.
func (c *Conn) goAway(code Code) {
	if c.goingAway && code == CodeNone {
		return
	}
	c.goingAway = true
	c.queue(appendGoAway(make([]byte, 0, frameHeaderBytes+8), c.lastID, code))
}

// end tells the client why the reader has ended, and ends the streams.
func (c *Conn) end(err error) {
	var f *failure
	c.mu.Lock()
	broken := c.failure != nil
	switch {
	case errors.As(err, &f):
		if f.text != "" {
			c.handler.Logf("%s while processing HTTP/2 connection", f.text)
		}
		c.goAway(f.code)
	case err == errRetired:
		c.goAway(CodeNone)
	case errors.Is(err, io.EOF) && len(c.streams) == 0:
		broken = true
	default:
		c.handler.Logf("%s while processing HTTP/2 connection", ErrClosed)
		broken = true
	}
	for c.writing && c.failure == nil {
		c.changed.Wait()
	}
	broken = broken || c.failure != nil
	c.fail(ErrClosed)
	c.mu.Unlock()
	if !broken {
		c.handler.Linger()
	}
	c.raw.Close()
}
