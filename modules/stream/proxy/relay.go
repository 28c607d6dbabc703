package proxy

import (
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"starling/logs"
	"starling/upstream"
)

// past is a deadline in the past.
var past = time.Unix(1, 0)

// relay joins client and server until both are done.
type relay struct {
	x *relayed
	// idle watches the session, so that no deadline is set for each read and write.
	idle     *time.Timer
	activeMS atomic.Int64 // since began: time of the last movement
	waiting  atomic.Int32 // directions that wait because of a rate
	over     chan struct{}
	ended    atomic.Bool
	endOnce  sync.Once
	endedBy  atomic.Pointer[string] // "client" or "upstream"; nil for a session that was ended
	sockets  [2]*net.TCPConn        // of both sides, if the kernel may move bytes between them
}

// direction is one way of a relay.
type direction struct {
	name          string // of who is read
	from, to      net.Conn
	closeWrite    func() error
	count         func(n int64)
	moved         func(n int64) // counts the bytes moved past from and to
	total         *atomic.Int64 // bytes received, for the rate
	rate          int64
	fromTCP, toTC *net.TCPConn // not nil if the kernel may move the bytes
}

// relay moves bytes both ways until the session is over.
func (x *relayed) relay() {
	r := &relay{x: x, over: make(chan struct{})}
	client, server := x.s.Socket(), tcpOf(x.conn.Conn)
	r.sockets = [2]*net.TCPConn{client, server}
	r.startWatch(r.watch)
	defer r.idle.Stop()
	var uploaded atomic.Int64
	up := direction{
		name:       "client",
		from:       x.s.Conn,
		to:         x.conn.Conn,
		fromTCP:    client,
		toTC:       server,
		rate:       x.upRate,
		total:      &uploaded,
		closeWrite: func() error { return closeWrite(x.conn.Conn) },
		count:      func(n int64) { x.sent.Add(n) },
		moved:      func(n int64) { x.s.Moved(n, 0) },
	}
	down := direction{
		name:       "upstream",
		from:       x.conn.Conn,
		to:         x.s.Conn,
		fromTCP:    server,
		toTC:       client,
		rate:       x.downRate,
		total:      &x.received,
		closeWrite: x.s.CloseWrite,
		count:      func(int64) {},
		moved:      func(n int64) { x.s.Moved(0, n) },
	}
	var both sync.WaitGroup
	both.Go(func() { r.run(&up) })
	r.run(&down)
	both.Wait()
	if who := r.endedBy.Load(); who != nil {
		x.plainLogf("%s disconnected, bytes from/to client:%d/%d, bytes from/to upstream:%d/%d", *who,
			x.s.BytesReceived(), x.s.BytesSent(), x.received.Load(), x.sent.Load())
	}
}

func tcpOf(c net.Conn) *net.TCPConn {
	tcp, _ := c.(*net.TCPConn)
	return tcp
}

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// run moves the bytes of one direction to its end, and then ends the session or, with proxy_half_close, the direction.
func (r *relay) run(d *direction) {
	broken := r.move(d)
	if r.x.p.halfClose && !broken && !r.ended.Load() && d.closeWrite() == nil {
		r.note(d.name)
		return
	}
	r.note(d.name)
	r.end()
}

// note keeps which side was the last to disconnect.
func (r *relay) note(name string) {
	if !r.ended.Load() {
		r.endedBy.Store(&name)
	}
}

// end ends both directions for good.
func (r *relay) end() {
	r.endOnce.Do(func() {
		r.ended.Store(true)
		close(r.over)
		r.x.s.Conn.SetDeadline(past) // fails only on closed connections
		r.x.conn.SetDeadline(past)
	})
}

// startWatch calls watch after proxy_timeout, once the timer that watch resets exists.
func (r *relay) startWatch(watch func()) {
	r.idle = time.AfterFunc(math.MaxInt64, watch)
	r.idle.Reset(r.x.p.timeout)
}

// watch ends a session in which nothing has moved for proxy_timeout.
func (r *relay) watch() {
	x := r.x
	left := x.p.timeout - r.idleFor()
	switch {
	case r.ended.Load():
	case r.waiting.Load() > 0:
		r.idle.Reset(x.p.timeout)
	case left > 0:
		r.idle.Reset(left)
	default:
		x.s.Logf(logs.Info, "connection timed out (110: Connection timed out) while proxying connection")
		r.endedBy.Store(nil)
		r.end()
	}
}

// idleFor is how long nothing has moved. It asks the kernel about bytes that the kernel moves by itself.
func (r *relay) idleFor() time.Duration {
	idle := time.Since(r.x.began) - time.Duration(r.activeMS.Load())*time.Millisecond
	for _, socket := range r.sockets {
		if socket != nil {
			idle = min(idle, quietFor(socket))
		}
	}
	return idle
}

func (r *relay) active() { r.activeMS.Store(time.Since(r.x.began).Milliseconds()) }

// move copies until the end of the reading side; broken reports that writing failed.
func (r *relay) move(d *direction) (broken bool) {
	buffer := r.x.p.buffers.Get().(*[]byte)
	defer r.x.p.buffers.Put(buffer)
	for {
		buf := *buffer
		if d.rate > 0 {
			if buf = r.allowed(d, buf); buf == nil {
				return false
			}
		}
		n, err := d.from.Read(buf)
		if n > 0 {
			if broken := r.forward(d, buf[:n]); broken {
				return true
			}
		}
		if err != nil {
			return false // an error ends a connection as its end does
		}
		// After a large read more is likely to follow, which the kernel can move by itself.
		if n == len(buf) && d.rate == 0 && d.fromTCP != nil && d.toTC != nil {
			if ended, broken := r.splice(d); ended {
				return broken
			}
		}
	}
}

// forward writes the bytes that were read.
func (r *relay) forward(d *direction, data []byte) (broken bool) {
	r.active()
	n := int64(len(data))
	d.total.Add(n)
	if d.name == "upstream" {
		r.firstByte()
	}
	written, err := d.to.Write(data)
	d.count(int64(written))
	r.active()
	if err != nil {
		return true
	}
	if d.rate > 0 {
		r.wait(time.Duration(n*1000/d.rate) * time.Millisecond)
	}
	return false
}

// firstByte notes when the server started to answer.
func (r *relay) firstByte() {
	x := r.x
	if x.firstByteMS.Load() < 0 {
		now := x.s.Now()
		x.firstByteMS.Store(now.MonoMS - x.state().startMS)
		x.attempt.Reached(upstream.ByFirstByte, now)
	}
}

// allowed cuts buf down to the bytes that the rate permits now, as soon as it permits any; nil when the session is
// over.
func (r *relay) allowed(d *direction, buf []byte) []byte {
	for {
		most := d.rate*(int64(time.Since(r.x.began)/time.Second)+1) - d.total.Load()
		if most > 0 {
			return buf[:min(int64(len(buf)), most)]
		}
		if !r.wait(time.Duration(-most*1000/d.rate+1) * time.Millisecond) {
			return nil
		}
	}
}

// wait pauses a direction; false when the session is over.
func (r *relay) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	r.waiting.Add(1)
	defer r.waiting.Add(-1)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		r.active()
		return true
	case <-r.over:
		return false
	}
}

// While splicing, a session holds a pipe, two descriptors, and thousands of quiet sessions must not hold one. So bulk
// is moved in chunks, and the pipe is released when none came for a while.
const (
	spliceBytes    = 1 << 20
	splicePatience = 50 * time.Millisecond
)

// splice lets the kernel move bytes as long as they come without a pause.
func (r *relay) splice(d *direction) (ended, broken bool) {
	for {
		// The deadline that end has set may be overwritten here; therefore the loop checks each time what end has
		// noted.
		if d.fromTCP.SetReadDeadline(time.Now().Add(splicePatience)) != nil || r.ended.Load() {
			return true, false
		}
		chunk := io.LimitedReader{R: d.fromTCP, N: spliceBytes}
		n, err := d.toTC.ReadFrom(&chunk)
		if d.fromTCP.SetReadDeadline(time.Time{}) != nil || r.ended.Load() {
			ended = true
		}
		if n > 0 {
			r.active()
			d.total.Add(n)
			d.count(n)
			d.moved(n)
		}
		switch {
		case ended:
			return true, false
		case isTimeout(err):
			return false, false
		case err != nil:
			return true, true
		case chunk.N > 0:
			return true, false
		}
	}
}
