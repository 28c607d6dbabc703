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

// past is a deadline that is over.
var past = time.Unix(1, 0)

// relay joins client and server until both are done.
type relay struct {
	x *relayed
	// idle watches over the session: no deadline is set for each read and write.
	idle     *time.Timer
	activeMS atomic.Int64 // since began: when something was last seen to move
	waiting  atomic.Int32 // directions that a rate makes wait
	over     chan struct{}
	ended    atomic.Bool
	endOnce  sync.Once
	endedBy  atomic.Pointer[string] // "client" or "upstream"; nil for a session that was ended
	sockets  [2]*net.TCPConn        // of both sides, where the kernel may move bytes between them
}

// direction is one way of a relay.
type direction struct {
	name          string // of who is read
	from, to      net.Conn
	closeWrite    func() error
	count         func(n int64)
	moved         func(n int64) // counts what was moved past from and to
	total         *atomic.Int64 // what was received, for the rate
	rate          int64
	fromTCP, toTC *net.TCPConn // not nil where the kernel may move the bytes
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

// note keeps who was the last to disconnect.
func (r *relay) note(name string) {
	if !r.ended.Load() {
		r.endedBy.Store(&name)
	}
}

// end ends both directions for good.
func (r *relay) end() {
	r.endOnce.Do(func() {
		r.x.s.Release()
		r.ended.Store(true)
		close(r.over)
		r.x.s.Conn.SetDeadline(past) // fails on closed connections only
		r.x.conn.SetDeadline(past)
	})
}

// startWatch calls watch after proxy_timeout, when the timer that it sets anew is there.
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

// idleFor is how long nothing has moved. What the kernel moves by itself it is asked about.
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

// move copies until the end of what is read; broken tells that it could not be written.
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
		// Much at once is likely to be followed by more, which the kernel can move by itself.
		if n == len(buf) && d.rate == 0 && d.fromTCP != nil && d.toTC != nil {
			if ended, broken := r.splice(d); ended {
				return broken
			}
		}
	}
}

// forward writes what was read.
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

// firstByte notes when the server began to answer.
func (r *relay) firstByte() {
	x := r.x
	if x.firstByteMS.Load() < 0 {
		now := x.s.Now()
		x.firstByteMS.Store(now.MonoMS - x.state().startMS)
		x.attempt.Reached(upstream.ByFirstByte, now)
	}
}

// allowed cuts buf down to what the rate lets be read now, once that is something; nil when the session is over.
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

// wait keeps a direction from going on; false when the session is over.
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

// While splicing a session holds a pipe, two descriptors, which thousands of quiet sessions must not. So bulk is moved
// in chunks, and the pipe is given back when none came for a while.
const (
	spliceBytes    = 1 << 20
	splicePatience = 50 * time.Millisecond
)

// splice has the kernel move bytes as long as they come without pause.
func (r *relay) splice(d *direction) (ended, broken bool) {
	for {
		// The deadline that end has set may be overwritten here; so what end has noted is looked at each time.
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
