package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"starling/logs"
	"starling/web"
	"starling/web/forward"
)

// Upgrade joins client and server after 101 until one of them closes or both are silent for proxy_read_timeout.
func (p *protocol) Upgrade(x *forward.Exchange, w forward.Wire) web.Result {
	r := x.Request
	if err := r.SendHead(); err != nil {
		return x.ClientFailed()
	}
	client, ahead, err := r.Hijack()
	if err != nil {
		return x.ClientFailed()
	}
	t := &tunnel{idle: max(x.ReadTimeout(), time.Millisecond), client: client, server: x.Socket(), began: time.Now()}
	up := make(chan int64, 1)
	go func() { up <- t.copy(t.server, t.client, ahead) }()
	received := t.copy(t.client, t.server, w.(*wire).in.Unread())
	sent := <-up
	if t.timedOut.Load() {
		x.Logf(logs.Info, "upstream timed out (110: Connection timed out) while proxying upgraded connection")
	}
	return x.Tunnelled(sent, received)
}

// past is a deadline in the past.
var past = time.Unix(1, 0)

// tunnel copies both ways. Between sockets io.Copy lets the kernel move the bytes (splice).
type tunnel struct {
	client, server net.Conn
	idle           time.Duration
	began          time.Time
	activeMS       atomic.Int64 // since it began: time of the last movement
	ended          atomic.Bool
	timedOut       atomic.Bool
}

// copy moves bytes from one side to the other until either direction ends; ahead was read before. When it returns, the
// other direction is ending too.
func (t *tunnel) copy(to, from net.Conn, ahead []byte) (total int64) {
	defer t.end()
	if len(ahead) > 0 {
		n, err := to.Write(ahead)
		if total += int64(n); err != nil {
			return total
		}
	}
	for {
		// A side that does not read for so long must not block the writer forever either.
		if from.SetReadDeadline(time.Now().Add(t.idle)) != nil ||
			to.SetWriteDeadline(time.Now().Add(2*t.idle)) != nil ||
			t.ended.Load() {
			return total
		}
		n, err := io.Copy(to, from)
		total += n
		now := time.Since(t.began)
		if n > 0 {
			t.activeMS.Store(now.Milliseconds())
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return total // the end, or one side failed
		}
		if now.Milliseconds()-t.activeMS.Load() >= t.idle.Milliseconds() {
			t.timedOut.Store(!t.ended.Load())
			return total
		}
	}
}

// end wakes both directions for good.
func (t *tunnel) end() {
	t.ended.Store(true)
	t.client.SetDeadline(past) // fails only on closed connections
	t.server.SetDeadline(past)
}
