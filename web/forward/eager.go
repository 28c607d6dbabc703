package forward

import (
	"context"
	"errors"
	"time"

	"starling/ssl"
	"starling/upstream"
	"starling/web"
	"starling/web/h1"
)

// eager is the memory of probes that never wait. They share it, because each of them uses it only while it does
// something: then the memory of one probe is in the processor's caches for the next.
type eager struct {
	current  quick
	conn     *connection // to current; nil before the first probe
	received *h1.Slab
}

// quick is the connection of the probe that does something now.
type quick struct{ *upstream.Quick }

// EagerProbe makes a probe again and again, without waiting.
type EagerProbe struct {
	prober *Prober
	probe  Probe
	open   bool // quick is in use
	quick  upstream.Quick
	failed error // of the first step
}

// leastTimeout is the shortest timeout with which probes can be eager: it begins anew with Wait.
const leastTimeout = time.Second

// Eager returns a probe that waits for nothing but the network; nil if a probe like this needs Do.
func (p *Prober) Eager(q Probe) *EagerProbe {
	l := p.location
	_, ok := l.protocol.(Expecter)
	if !ok || l.Target.tls || q.Method != nil || q.KeepFor > 0 || min(l.sendTimeout, l.readTimeout) < leastTimeout {
		return nil
	}
	return &EagerProbe{prober: p, probe: q}
}

// Start connects and sends the request. It returns false if the probe needs Do. Start and Look are called by one
// goroutine at a time, for all probes of a Prober.
func (e *EagerProbe) Start() (started bool) {
	p := e.prober
	l := p.location
	e.Drop() // if a panic has left it open
	if p.eager.conn == nil {
		c := &upstream.Conn{Conn: &p.eager.current}
		p.eager.conn = &connection{Conn: c, wire: l.protocol.Open(c), family: l.family}
	}
	if !l.protocol.(Expecter).Expect(p.eager.conn.wire, nil) {
		return false
	}
	p.requests.Do(e.probe.URI, func(r *web.Request) {
		started = l.begin(r).start(e)
	})
	return started
}

func (x *Exchange) start(e *EagerProbe) (started bool) {
	dialer, err := x.l.connector.Dialer(x.Request, nil, ssl.CertificateFile{})
	if err != nil || dialer.Timeout < leastTimeout || x.aimProbe(&e.probe) != nil || len(x.body) > 0 || x.file != nil {
		return false
	}
	e.open, e.failed = dialer.Quick(&e.quick, e.probe.Addr)
	if e.open {
		c := e.prober.eager.on(&e.quick)
		e.failed = x.l.protocol.SendHead(x, c.wire, x.framing(), nil)
	}
	return e.open || e.failed != nil
}

// on is the shared connection as that of one probe.
func (g *eager) on(q *upstream.Quick) *connection {
	g.current.Quick = q
	return g.conn
}

// Look goes on with the probe. done is false if the server has not sent enough yet.
func (e *EagerProbe) Look() (done bool, step string, err error) {
	if err = e.failed; err == nil {
		var sent bool
		if sent, err = e.quick.Flush(); err == nil && !sent {
			return false, "", nil
		}
	}
	if err != nil {
		step, err = sendFault(err)
		e.Drop()
		return true, step, err
	}
	p := e.prober
	if p.eager.received == nil {
		p.eager.received = h1.TakeSlab(minReadBytes)
	}
	got, news := e.quick.Receive(p.eager.received.Mem)
	if !news {
		return false, "", nil
	}
	p.requests.Do(e.probe.URI, func(r *web.Request) {
		step, err = p.location.begin(r).look(e, got)
	})
	if e.quick.Starved {
		e.quick.Keep()
		return false, "", nil
	}
	e.Drop()
	return true, step, err
}

// look judges what was received.
func (x *Exchange) look(e *EagerProbe, got []byte) (step string, err error) {
	if err := x.aimProbe(&e.probe); err != nil {
		return stepPreparing, err
	}
	c := e.prober.eager.on(&e.quick)
	x.l.protocol.(Expecter).Expect(c.wire, got)
	defer func() { x.head = Head{} }()
	if step, err = x.receiveProbe(c); err != nil {
		return step, probeFault(err)
	}
	reply := Reply{Request: x.Request, Head: &x.head, conn: c}
	if step, err = e.probe.Judge(&reply); err != nil {
		err = probeFault(err)
	}
	return step, err
}

// sendFault words a failure before the response.
func sendFault(err error) (step string, reason error) {
	var failed *upstream.DialError
	if errors.As(err, &failed) {
		return dialFault(err)
	}
	return stepSending, probeFault(err)
}

// Drop ends the probe.
func (e *EagerProbe) Drop() {
	if e.open {
		e.open = false
		e.quick.Close()            // a failure cannot be handled any more
		e.quick = upstream.Quick{} // which can hold much memory
	}
}

// Wait goes on with the probe, and waits for the server. Any goroutine may call it, after Look has found the probe not
// done.
func (e *EagerProbe) Wait(ctx context.Context) (step string, err error) {
	p, l := e.prober, e.prober.location
	p.requests.Do(e.probe.URI, func(r *web.Request) {
		x := l.begin(r)
		if err = x.aimProbe(&e.probe); err != nil {
			step = stepPreparing
			e.Drop()
			return
		}
		e.open = false
		var plain *upstream.Conn
		dialer, _ := l.connector.Dialer(r, nil, ssl.CertificateFile{}) // without a certificate it cannot fail
		if plain, err = e.quick.Wait(ctx, e.probe.Server, dialer.Timeout, l.sendTimeout); err != nil {
			step, err = sendFault(err)
			return
		}
		c := newConnection(plain, l, nil)
		l.protocol.(Expecter).Expect(c.wire, e.quick.Got())
		e.quick = upstream.Quick{}
		step, err = x.probeOn(ctx, &e.probe, c, true)
	})
	return step, err
}
