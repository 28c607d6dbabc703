package h2

import (
	"runtime"

	"starling/web/h1"
)

// output is memory that frames are put into until they are written.
type output struct {
	slab *h1.Slab
	used int
}

// room gives n bytes to fill.
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

// queue puts a whole frame behind the others and sees that it is written. Must be called with the lock held.
func (c *Conn) queue(frame []byte) {
	copy(c.out.room(len(frame)), frame)
	c.kick()
}

// queueFrame is queue of a frame of which only the payload is there yet.
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

// flush writes until nothing is left. First it lets all others run that can: what they have to say goes into the same
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

// write sends what was queued. Resets go apart: a client that finds one in the same read as the answer before it may
// forget the answer (curl with nghttp2 does), and over TLS a write of its own is a record and a read of its own.
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

// wakeBlocked lets all streams look again that wait for a window or for room.
func (c *Conn) wakeBlocked() {
	for i, s := range c.blocked {
		s.blocked = false
		s.signal()
		c.blocked[i] = nil
	}
	c.blocked = c.blocked[:0]
}

// waitForRoom makes the reader wait while the client does not take what it made us say.
func (c *Conn) waitForRoom() {
	c.mu.Lock()
	for c.out.used > queuedBytes && c.failure == nil {
		c.changed.Wait()
	}
	c.mu.Unlock()
}
