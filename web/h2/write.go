package h2

import (
	"os"
	"time"
)

// WriteHead queues a header block, as one HEADERS frame or with CONTINUATION. end means that nothing follows. It is
// written together with the next output; Flush sends it at once.
func (s *Stream) WriteHead(block []byte, end bool) error {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.lost(); err != nil {
		return err
	}
	before := c.out.used
	flags := uint8(0)
	if end {
		flags, s.finished = flagEndStream, true
	}
	shrink := 0
	if c.tableShrinks { // a size update to 0: we keep no table
		c.tableShrinks, shrink = false, 1
	}
	kind := frameHeaders
	for {
		n := min(len(block), c.frameBytes-shrink)
		if n == len(block) {
			flags |= flagEndHeaders
		}
		b := appendFrameHead(c.out.room(frameHeaderBytes + shrink + n)[:0], shrink+n, kind, flags, s.ID)
		if shrink > 0 {
			b = append(b, 0x20)
		}
		copy(b[len(b):cap(b)], block[:n])
		if block = block[n:]; len(block) == 0 {
			break
		}
		kind, flags, shrink = frameContinuation, 0, 0
	}
	s.Sent += int64(c.out.used - before)
	if end {
		c.kick()
	}
	return nil
}

// Flush sends what waits.
func (s *Stream) Flush() error {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.conn.kick()
	return s.lost()
}

// Write sends body bytes in frames of at most chunk bytes, as the windows allow; os.ErrDeadlineExceeded if they allow
// nothing for that long. end marks the last ones; p can then be empty.
func (s *Stream) Write(p []byte, end bool, chunk int, timeout time.Duration) error {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if err := s.lost(); err != nil {
			return err
		}
		n := min(len(p), chunk, c.frameBytes)
		if n > 0 {
			if n = int(min(int64(n), s.sendWindow, c.sendWindow)); n <= 0 || c.out.used >= queuedBytes {
				c.kick()
				if !s.blocked {
					s.blocked = true
					c.blocked = append(c.blocked, s)
				}
				if !s.writes.sleep(&c.mu, timeout) {
					s.timedOut = true
					return os.ErrDeadlineExceeded
				}
				continue
			}
		}
		flags := uint8(0)
		if end && n == len(p) {
			flags, s.finished = flagEndStream, true
		}
		c.queueFrame(frameData, flags, s.ID, p[:n])
		s.Sent += int64(frameHeaderBytes + n)
		s.sendWindow -= int64(n)
		c.sendWindow -= int64(n)
		if p = p[n:]; len(p) == 0 {
			c.kick()
			return nil
		}
	}
}

// Takes reports whether the windows and the queue have room for n body bytes.
func (s *Stream) Takes(n int) bool {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	return int64(n) <= min(s.sendWindow, c.sendWindow) && c.out.used < queuedBytes
}

// Reset ends the stream without a proper end.
func (s *Stream) Reset(code Code) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if !s.finished {
		s.conn.reset(s, code)
	}
}
