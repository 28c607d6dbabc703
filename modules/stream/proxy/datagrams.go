package proxy

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"starling/logs"
	"starling/nginx/errno"
	"starling/stream"
	"starling/upstream"
)

// datagrams is a UDP session: it counts requests and responses and ends by their numbers. It has goroutines only while
// datagrams move. Its lock is taken before those of the client's session.
type datagrams struct {
	relay
	pumps  pumps
	header []byte // precedes the client's first datagram
	from   datagramReader
	watch  uint64 // of its socket, see stream.Session.WatchArrivals; 0: none

	mu                  sync.Mutex
	requests, responses int
	forgotten           bool
	outcome             upstream.Outcome
	status              stream.Result
}

// relayDatagrams moves datagrams both ways until the expected number of responses came, or nothing came for
// proxy_timeout. It returns at once if none waits.
func (x *relayed) relayDatagrams() {
	d := &datagrams{relay: relay{x: x, over: make(chan struct{})}, status: stream.Done}
	d.header = x.p.appendHeader(nil, x.s)
	d.pumps.up.move, d.pumps.down.move = d.pumpUp, d.pumpDown
	d.pumps.up.state = moving // this goroutine is its first, and the session cannot end before it rests
	d.startWatch(d.lookAtTime)
	if err := d.listenToServer(); err != nil {
		d.serverFailed("recv() failed", err)
	}
	x.s.Attend(d)
	d.pumpUp()
}

// listenToServer lets the server's datagrams wake a pump. If the system cannot do that, the pump itself waits for them.
func (d *datagrams) listenToServer() error {
	if err := d.from.open(d.x.conn.Conn); err != nil {
		return err
	}
	arrived := func() { d.pumps.wake(&d.pumps.down) }
	var err error
	if d.watch, err = d.x.s.WatchArrivals(d.from.raw, arrived); err != nil {
		d.from.waits = true
		arrived()
	}
	return nil
}

// Arrived and Closed make it a packets.Receiver.
func (d *datagrams) Arrived() { d.pumps.wake(&d.pumps.up) }

// Closed ends the session from outside: the configuration retires.
func (d *datagrams) Closed() {
	if !d.ended.Load() { // otherwise this session itself closes
		go func() {
			d.clientGone()
			d.settle()
		}()
	}
}

func (d *datagrams) pumpUp()   { d.run(&d.pumps.up, (*datagrams).fromClient) }
func (d *datagrams) pumpDown() { d.run(&d.pumps.down, (*datagrams).fromServer) }

// run lets a pump move datagrams until none is left, and ends the session if that was the last one.
func (d *datagrams) run(p *pump, move func(*datagrams)) {
	rests := false
	defer func() {
		if !rests {
			d.broke(p)
		}
		d.settle()
	}()
	defer d.x.s.Survive()
	for !rests {
		move(d)
		rests = d.pumps.rest(p)
	}
}

// settle accounts for the session when it has ended and both pumps rest.
func (d *datagrams) settle() {
	if !d.pumps.settle() {
		return
	}
	d.idle.Stop()
	if d.watch != 0 {
		d.x.s.ForgetArrivals(d.watch)
	}
	d.x.end(d.outcome)
	d.x.s.Finish(d.status)
}

// end ends the session; settle follows when the pumps rest.
func (d *datagrams) end() {
	d.relay.end()
	d.pumps.stop()
}

// fail ends a session after a failure of the server; called with the lock held.
func (d *datagrams) fail(status stream.Result) {
	d.outcome, d.status = upstream.Failure, status
	d.end()
}

// fromClient forwards the client's waiting datagrams.
func (d *datagrams) fromClient() {
	x := d.x
	for !d.ended.Load() && x.s.HasDatagram() {
		if x.upRate > 0 && !d.allowed(x.upRate, &x.sent) {
			return
		}
		data, ok, err := x.s.NextDatagram()
		if err != nil {
			d.clientGone()
			return
		}
		if !ok {
			return
		}
		d.active()
		if d.header != nil {
			data, d.header = append(d.header, data...), nil
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

// fromServer sends the server's waiting datagrams back.
func (d *datagrams) fromServer() {
	x := d.x
	for !d.ended.Load() {
		if x.downRate > 0 && !d.allowed(x.downRate, &x.received) {
			return
		}
		buffer, n, err := d.from.read()
		if err != nil {
			d.serverFailed("recv() failed", err)
			return
		}
		if buffer == nil {
			return
		}
		d.active()
		d.firstByte()
		x.received.Add(int64(n))
		done := d.count(&d.responses)
		if done {
			// Before the client gets a datagram that it may answer at once: the next balancing decision must know that
			// the server is free.
			x.free(upstream.Success)
		}
		_, err = x.s.Conn.Write((*buffer)[:n])
		datagramBuffers.Put(buffer)
		if errors.Is(err, net.ErrClosed) {
			d.clientGone()
			return
		}
		if done {
			d.finish()
		}
	}
}

// allowed waits until the rate permits reading another datagram; false when the session is over.
func (d *datagrams) allowed(rate int64, total *atomic.Int64) bool {
	var some [1]byte
	return d.relay.allowed(&direction{rate: rate, total: total}, some[:]) != nil
}

// count counts a datagram and reports whether all expected ones were seen.
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

// finish ends a session that has all expected datagrams.
func (d *datagrams) finish() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ended.Load() {
		d.x.plainLogf("udp done, %s", d.figures())
		d.end()
	}
}

// complete reports whether the expected number of responses came; called with the lock held.
func (d *datagrams) complete() bool {
	return d.x.p.responses == unlimited || d.responses >= d.x.p.responses*d.requests
}

// stopsReading reports that the client's further datagrams no longer belong to this session.
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
func (d *datagrams) clientGone() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ended.Load() {
		d.x.plainLogf("disconnected on shutdown")
		d.end()
	}
}

// serverFailed ends a session whose server is unreachable, as an ICMP message reported.
func (d *datagrams) serverFailed(what string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ended.Load() {
		d.x.s.Logf(logs.Error, "%s (%s) while proxying connection", what, errno.Reason(err))
		d.fail(stream.StatusBadGateway)
	}
}

// broke ends a session in which a pump panicked.
func (d *datagrams) broke(p *pump) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ended.Load() {
		d.fail(stream.StatusInternalError)
	}
	d.pumps.rest(p)
}

// lookAtTime ends a session without a datagram for proxy_timeout.
func (d *datagrams) lookAtTime() {
	d.endInSilence()
	d.settle()
}

// endInSilence is how most sessions end; the server has failed only if more responses are expected.
func (d *datagrams) endInSilence() {
	d.mu.Lock()
	defer d.mu.Unlock()
	x := d.x
	left := x.p.timeout - d.idleFor()
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
		d.fail(stream.StatusBadGateway)
		return
	}
	d.end()
}
