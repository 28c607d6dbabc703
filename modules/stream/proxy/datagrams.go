package proxy

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"starling/logs"
	"starling/nginx/errno"
	"starling/stream"
	"starling/upstream"
)

// datagrams is a UDP session: its requests and responses are counted, and by their numbers it ends.
type datagrams struct {
	relay
	mu                  sync.Mutex
	requests, responses int
	forgotten           bool
	outcome             upstream.Outcome
	status              stream.Result
}

// relayDatagrams moves datagrams both ways until as many came as were awaited, or none for proxy_timeout.
func (x *relayed) relayDatagrams() (upstream.Outcome, stream.Result) {
	d := &datagrams{relay: relay{x: x, over: make(chan struct{})}, status: stream.Done}
	d.startWatch(d.watch)
	defer d.idle.Stop()
	var both sync.WaitGroup
	both.Go(d.fromServer)
	d.fromClient()
	both.Wait()
	return d.outcome, d.status
}

// fromClient sends the client's datagrams on.
func (d *datagrams) fromClient() {
	x := d.x
	header := x.p.appendHeader(nil, x.s)
	for {
		if x.upRate > 0 && !d.allowed(x.upRate, &x.sent) {
			return
		}
		data, err := x.s.TakeDatagram()
		if err != nil {
			d.clientGone(err)
			return
		}
		d.active()
		if header != nil {
			data, header = append(header, data...), nil
		}
		done := d.count(&d.requests) // before the server can have answered
		if _, err := x.conn.Write(data); err != nil {
			d.serverFailed("send() failed", err)
			return
		}
		x.sent.Add(int64(len(data)))
		if done {
			d.finish()
		}
		if d.stopsReading() {
			return
		}
	}
}

// fromServer sends the server's datagrams back.
func (d *datagrams) fromServer() {
	x := d.x
	from := newDatagramReader(x.conn.Conn)
	for {
		if x.downRate > 0 && !d.allowed(x.downRate, &x.received) {
			return
		}
		buffer, n, err := from.read()
		if err != nil {
			d.serverFailed("recv() failed", err)
			return
		}
		d.active()
		d.firstByte()
		x.received.Add(int64(n))
		done := d.count(&d.responses)
		if done {
			// Before the client gets what it may answer at once: the next choice is to know that the server is free.
			x.free(upstream.Success)
		}
		_, err = x.s.Conn.Write((*buffer)[:n])
		datagramBuffers.Put(buffer)
		if errors.Is(err, net.ErrClosed) {
			d.clientGone(err)
			return
		}
		if done {
			d.finish()
		}
	}
}

// allowed waits until the rate lets another datagram be read; false when the session is over.
func (d *datagrams) allowed(rate int64, total *atomic.Int64) bool {
	var some [1]byte
	return d.relay.allowed(&direction{rate: rate, total: total}, some[:]) != nil
}

// count counts a datagram and tells whether all were seen that are awaited.
func (d *datagrams) count(what *int) (done bool) {
	x := d.x
	d.mu.Lock()
	defer d.mu.Unlock()
	*what++
	if x.p.requests > 0 {
		if d.requests < x.p.requests {
			return false
		}
		if !d.forgotten {
			d.forgotten = true
			x.s.Forget()
		}
	}
	return d.complete() && x.p.responses != unlimited
}

// finish ends a session that has all it awaited.
func (d *datagrams) finish() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ended.Load() {
		d.x.plainLogf("udp done, %s", d.figures())
		d.end()
	}
}

// complete tells whether as many responses came as are awaited; called with the lock held.
func (d *datagrams) complete() bool {
	return d.x.p.responses == unlimited || d.responses >= d.x.p.responses*d.requests
}

// stopsReading tells that the client's further datagrams are no longer this session's.
func (d *datagrams) stopsReading() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.forgotten || d.ended.Load()
}

func (d *datagrams) figures() string {
	x := d.x
	return figures(d.requests, d.responses, x.s.BytesReceived(), x.s.BytesSent(), x.received.Load(), x.sent.Load())
}

// clientGone ends a session that was closed from outside: the configuration retires.
func (d *datagrams) clientGone(error) {
	if !d.ended.Load() {
		d.x.plainLogf("disconnected on shutdown")
	}
	d.end()
}

// serverFailed ends a session whose server is not there: an ICMP message said so.
func (d *datagrams) serverFailed(what string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended.Load() {
		return
	}
	d.x.s.Logf(logs.Error, "%s (%s) while proxying connection", what, errno.Reason(err))
	d.outcome, d.status = upstream.Failure, stream.StatusBadGateway
	d.end()
}

// watch ends a session in which no datagram came for proxy_timeout. That is how most end; only where more responses are
// awaited the server has failed.
func (d *datagrams) watch() {
	d.mu.Lock()
	defer d.mu.Unlock()
	x := d.x
	left := x.p.timeout - (time.Since(x.began) - time.Duration(d.activeMS.Load())*time.Millisecond)
	switch {
	case d.ended.Load():
		return
	case d.waiting.Load() > 0:
		d.idle.Reset(x.p.timeout)
		return
	case left > 0:
		d.idle.Reset(left)
		return
	case d.complete():
		x.plainLogf("udp timed out, %s", d.figures())
	default:
		x.s.Logf(logs.Error, "upstream timed out (110: Connection timed out) while proxying connection")
		d.outcome, d.status = upstream.Failure, stream.StatusBadGateway
	}
	d.end()
}
