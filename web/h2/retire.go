package h2

import (
	"time"
)

// retirement is how a connection ends without losing a request. Between the moment the client sends a stream and the
// one it reads GOAWAY lies a way there and back, so GOAWAY first says that all streams are taken (RFC 9113, 6.8). A
// PING goes with it: what the client sent before its answer was sent before it knew, and behind the answer nothing
// follows. Only then GOAWAY names the last stream.
//
// A connection that has had no stream yet is told nothing until its first has come: a client that dials because it has
// a request to send may have no other way to send it.
type retirement struct {
	grace     time.Duration // 0: Shutdown was not called
	until     time.Time     // the time for the first stream, then for the answer to the PING
	announced bool          // the first GOAWAY and the PING were queued
}

// waits tells whether the retirement waits for what may be on its way.
func (c *Conn) waits() bool { return c.grace > 0 && !c.goingAway }

// farewellPing is the payload of the PING behind the first GOAWAY.
var farewellPing = [8]byte{'f', 'a', 'r', 'e', 'w', 'e', 'l', 'l'}

// Shutdown lets the streams in progress and those on their way end, and then closes the connection. A client gets grace
// to send its first stream, and to answer that it knows. It may be called at any time, before Serve too, and more than
// once.
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

// answered is called with the payload of a PING's answer.
func (c *Conn) answered(payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.announced && c.waits() && string(payload) == string(farewellPing[:]) && c.farewell() {
		return errRetired
	}
	return nil
}

// farewell names the last stream that is served, and tells whether nothing is left to do. Must be called with the lock
// held.
func (c *Conn) farewell() bool {
	c.goAway(CodeNone)
	c.closing = c.closing || len(c.streams) == 0
	return c.closing
}
