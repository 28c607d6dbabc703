package h2

import (
	"runtime"

	"starling/web/h1"
)

// output is the memory of frames until they are written.
type output struct {
	slab *h1.Slab
	used int
}

// room returns n bytes to fill.
func (o *output) room(n int) []byte {
	if o.slab == nil {
		o.slab = h1.TakeSlab(n)
	} else if o.used+n > len(o.slab.Mem) {
		larger := h1.TakeSlab(max(2*len(o.slab.Mem), o.used+n))
		copy(larger.Mem, o.slab.Mem[:o.used])
		o.slab.GiveBack()
		o.slab = larger
	}
	b := o.slab.Mem[o.used : o.used+n : o.used+n]
	o.used += n
	return b
}

func (o *output) release() {
	if o.slab != nil {
		o.slab.GiveBack()
		o.slab, o.used = nil, 0
	}
}

// queue appends a whole frame to the output and starts its writing. Must be called with the lock held.
func (c *Conn) queue(frame []byte) {
	copy(c.out.room(len(frame)), frame)
	c.kick()
}

// queueFrame is queue of a frame whose payload is already there.
func (c *Conn) queueFrame(kind frameType, flags uint8, stream uint32, payload []byte) {
	b := c.out.room(frameHeaderBytes + len(payload))
	appendFrameHead(b[:0], len(payload), kind, flags, stream)
	copy(b[frameHeaderBytes:], payload)
}

// kick starts a writer unless there is one. Must be called with the lock held.
func (c *Conn) kick() {
	if !c.writing && (c.out.used > 0 || len(c.resets) > 0) {
		c.writing = true
		go c.flusher()
	}
}

// flush writes until nothing is left. First it lets all other runnable goroutines run: their output goes into the same
// write.
func (c *Conn) flush() {
	runtime.Gosched()
	var sending output
	c.mu.Lock()
	for c.out.used > 0 || len(c.resets) > 0 {
		sending, c.out = c.out, sending
		resets := c.resets
		c.resets = nil
		c.mu.Unlock()
		err := c.write(sending, resets)
		sending.used = 0
		c.mu.Lock()
		if err != nil {
			c.out.used, c.resets = 0, nil
			c.fail(err)
		}
		c.wakeBlocked()
		c.changed.Broadcast()
	}
	c.writing = false
	c.out.release()
	sending.release()
	c.changed.Broadcast()
	c.mu.Unlock()
}

// write sends the queued output. Resets are sent separately: a client that reads one together with the response before
// it may drop the response (curl with nghttp2 does), and over TLS a separate write is a separate record and read.
func (c *Conn) write(queued output, resets []byte) error {
	c.renewWriteDeadline()
	if queued.used > 0 {
		if _, err := c.net.Write(queued.slab.Mem[:queued.used]); err != nil {
			return err
		}
	}
	if len(resets) == 0 {
		return nil
	}
	_, err := c.net.Write(resets)
	return err
}

// wakeBlocked wakes all streams that wait for a window or for room.
func (c *Conn) wakeBlocked() {
	for i, s := range c.blocked {
		s.blocked = false
		s.signal()
		c.blocked[i] = nil
	}
	c.blocked = c.blocked[:0]
}

// waitForRoom blocks the reader while the client does not read the replies that it caused.
func (c *Conn) waitForRoom() {
	c.mu.Lock()
	for c.out.used > queuedBytes && c.failure == nil {
		c.changed.Wait()
	}
	c.mu.Unlock()
}
