package h2

import (
	"time"
)

// retirement ends a connection without losing a request. A stream can be in flight when the client reads GOAWAY, so a
// first GOAWAY accepts all streams (RFC 9113, 6.8). A PING follows it: the client sent everything before its reply
// without knowledge of the GOAWAY, and opens no streams after it. Only then does a GOAWAY name the last stream.
//
// A connection without any stream so far gets no GOAWAY until its first stream has arrived: a client that dials because
// it has a request may have no other connection for it.
type retirement struct {
	grace     time.Duration // 0: Shutdown was not called
	until     time.Time     // the time for the first stream, then for the reply to the PING
	announced bool          // the first GOAWAY and the PING were queued
}

// waits reports whether the retirement waits for streams in flight.
func (c *Conn) waits() bool { return c.grace > 0 && !c.goingAway }

// farewellPing is the payload of the PING after the first GOAWAY.
var farewellPing = [8]byte{'f', 'a', 'r', 'e', 'w', 'e', 'l', 'l'}

// Shutdown lets the streams in progress and in flight end, and then closes the connection. A client has grace to send
// its first stream, and to reply to the PING. It can be called at any time, also before Serve, and more than once.
func (c *Conn) Shutdown(grace time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.grace > 0 || c.goingAway || c.failure != nil {
		return
	}
	c.grace, c.until = grace, time.Now().Add(grace)
	if c.lastID > 0 {
		c.announce()
	} else if !c.inBlock {
		c.readBy(c.until)
	}
}

// announce tells the client to open no more streams. Must be called with the lock held.
func (c *Conn) announce() {
	c.announced, c.until = true, time.Now().Add(c.grace)
	b := appendGoAway(make([]byte, 0, 2*frameHeaderBytes+8+len(farewellPing)), maxWindow, CodeNone)
	b = appendFrameHead(b, len(farewellPing), framePing, 0, 0)
	c.queue(append(b, farewellPing[:]...))
	if !c.inBlock {
		c.readBy(c.until)
	}
}

// answered is called with the payload of the reply to a PING.
func (c *Conn) answered(payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.announced && c.waits() && string(payload) == string(farewellPing[:]) && c.farewell() {
		return errRetired
	}
	return nil
}

// farewell names the last served stream, and reports whether nothing is left to do. Must be called with the lock held.
func (c *Conn) farewell() bool {
	c.goAway(CodeNone)
	c.closing = c.closing || len(c.streams) == 0
	return c.closing
}
