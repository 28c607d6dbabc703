package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"time"

	"starling/conf"
	"starling/nginx/errno"
	"starling/plan"
	"starling/ssl"
	"starling/upstream"
	"starling/upstream/groups"
	"starling/web"
	"starling/web/h1"
)

// part are the locations of a configuration by their block, for health checks.
type part struct{ built map[*conf.Scope]*location }

func (p *part) add(scope *conf.Scope, l *location) {
	if p.built == nil {
		p.built = map[*conf.Scope]*location{}
	}
	p.built[scope] = l
}

// Prober sends requests of health checks in the way of one location: with its headers, timeouts, TLS settings and
// protocol.
type Prober struct {
	location *location
	requests *web.Standalone
	eager    eager
}

// ProberOf returns the prober of a location that Build has built; nil if it forwards nothing.
func ProberOf(b *web.Block) *Prober {
	l := plan.Part[part](b.Plan).built[b.Scope]
	if l == nil {
		return nil
	}
	return &Prober{location: l, requests: b.Standalone()}
}

// Group is the group of PREFIX_pass, nil if that has variables.
func (p *Prober) Group() *groups.Group[*web.Request] { return p.location.Target.group }

// Prefix is that of the family that forwards: "proxy".
func (p *Prober) Prefix() string { return p.location.family.Prefix }

// Probe is one request to one server.
type Probe struct {
	URI []byte
	// Method, Headers and Body are what a client would send; without a Method, it is a GET without headers and body.
	Method  []byte
	Headers h1.Headers
	Body    []byte
	Server  *upstream.Server
	Addr    upstream.Address
	// KeepFor is how long a connection serves requests from its first on; 0: only one.
	KeepFor time.Duration
	// Kept is the connection of the previous probe; Do replaces it. Drop it with Forget.
	Kept *KeptProbe
	// Judge decides by the response. It returns the last step that it took ("checking status code"), and the reason of
	// a failure.
	Judge func(*Reply) (step string, err error)
}

// KeptProbe is a connection kept between two probes.
type KeptProbe struct{ conn *connection }

// Forget closes the connection.
func (k *KeptProbe) Forget() {
	if k != nil {
		k.conn.Close() // a failure cannot be handled any more
		k.conn.wire.Close()
	}
}

// Reply is the response to a probe while Judge looks at it.
type Reply struct {
	Request *web.Request
	Head    *Head

	conn *connection
	body []byte
	read bool
	err  error
}

// maxProbeBytes is how much of a body is read and examined, as in NGINX Plus.
const maxProbeBytes = 256 << 10

// Body reads the body, or the first part of one that is very long.
func (a *Reply) Body() ([]byte, error) {
	if !a.read {
		a.read = true
		a.body, a.err = readProbe(a.conn.wire, a.Head)
	}
	return a.body, a.err
}

// Trailers are the fields after the body; whole is false if more of the body follows than Body reads.
func (a *Reply) Trailers() (all h1.Headers, whole bool, err error) {
	if _, err := a.Body(); err != nil || !a.conn.wire.BodyDone() {
		return nil, false, err
	}
	return a.conn.wire.Trailers(), true, nil
}

func readProbe(w Wire, head *Head) ([]byte, error) {
	w.StartBody(head)
	piece, err := w.TakeBody()
	body := append([]byte(nil), piece...)
	slab := h1.TakeSlab(minReadBytes)
	defer slab.GiveBack()
	for err == nil && !w.BodyDone() && len(body) < maxProbeBytes {
		var n int
		n, err = w.ReceiveBody(slab.Mem)
		body = append(body, slab.Mem[:n]...)
	}
	if err == io.EOF {
		err = nil
	}
	return body[:min(len(body), maxProbeBytes)], err
}

// Steps of a probe, in nginx's words.
const (
	stepPreparing = "preparing request to upstream"
	stepSending   = "sending request to upstream"
	stepHead      = "reading response header from upstream"
)

// Do sends a probe and judges the response. It takes as long as PREFIX_connect_timeout, _send_timeout and _read_timeout
// allow; the last one limits the whole response.
func (p *Prober) Do(ctx context.Context, q *Probe) (step string, err error) {
	p.requests.Do(q.URI, func(r *web.Request) {
		x := p.location.begin(r)
		step, err = x.probe(ctx, q)
	})
	return step, err
}

// fill makes a request what a client would send.
func (q *Probe) fill(r *web.Request) {
	if q.Method != nil {
		r.Method, r.MethodID = q.Method, h1.IdentifyMethod(q.Method)
	}
	r.Headers, r.Seen = q.Headers, h1.KnownSet(0)
	for i := range q.Headers {
		r.Seen = r.Seen.With(q.Headers[i].ID)
	}
}

// probe makes the exchange of a probe. It leaves x.server and x.conn alone: no balancer and no pool takes part.
func (x *Exchange) probe(ctx context.Context, q *Probe) (step string, err error) {
	if err := x.aimProbe(q); err != nil {
		return stepPreparing, err
	}
	if kept := q.Kept; kept != nil {
		q.Kept = nil
		if step, err = x.probeOn(ctx, q, kept.conn, false); !errors.Is(err, errStale) {
			return step, err
		}
	}
	conn, step, err := x.dialProbe(ctx, q)
	if err != nil {
		return step, err
	}
	return x.probeOn(ctx, q, conn, false)
}

// aimProbe prepares the request of a probe.
func (x *Exchange) aimProbe(q *Probe) error {
	l, r := x.l, x.Request
	q.fill(r)
	x.group = l.Target.group
	if result := l.protocol.Prepare(x); result != web.Declined {
		return errors.New("the request cannot be made without a client")
	}
	if l.family.Has.URL {
		x.URI = append(x.URI[:0], q.URI...) // as it is: the URI of PREFIX_pass does not matter
	}
	if result := x.readBody(); result != web.Declined {
		return errors.New("the body of the request cannot be made")
	}
	x.states = append(x.states, newState(q.Addr.Text, r.Now().MonoMS))
	x.setBody()
	if len(q.Body) > 0 {
		x.body = q.Body
	}
	return nil
}

// dialProbe opens a connection for a probe.
func (x *Exchange) dialProbe(ctx context.Context, q *Probe) (c *connection, step string, err error) {
	k, r := x.l.connector, x.Request
	var config *tls.Config // nil for a plain connection
	var file ssl.CertificateFile
	if x.To.tls {
		if config, file, err = k.Config(r, x.To.name); err != nil {
			return nil, stepPreparing, err
		}
	}
	dialer, err := k.Dialer(r, config, file)
	if err != nil {
		return nil, stepPreparing, err
	}
	dialer.Brief = true
	plain, err := dialer.DialAt(ctx, q.Server, q.Addr)
	if err != nil {
		step, err = dialFault(err)
		return nil, step, err
	}
	st := x.state()
	st.connectMS = r.Now().MonoMS - st.startMS
	return newConnection(plain, x.l, config), "", nil
}

// dialFault words a failed connection for the log.
func dialFault(err error) (step string, reason error) {
	var failed *upstream.DialError
	if errors.As(err, &failed) {
		return failed.Step(), errors.New(failed.Reason())
	}
	return "connecting to upstream", err
}

// errStale is a kept connection that the server has closed meanwhile.
var errStale = errors.New("connection closed")

// probeOn sends the request, unless it was sent before, and reads the response on a connection, which it closes or
// stores in q.Kept.
func (x *Exchange) probeOn(ctx context.Context, q *Probe, c *connection, sent bool) (step string, err error) {
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(past) })
	keep := false
	defer func() {
		if !stop() {
			keep = false
		}
		x.head = Head{}
		if keep {
			c.wire.Rest()
			q.Kept = &KeptProbe{c}
			return
		}
		c.Close() // a failure cannot be handled any more
		c.wire.Close()
	}()
	c.Requests++
	if !sent {
		step, err = x.sendProbe(q, c)
	}
	if err == nil {
		step, err = x.receiveProbe(c)
	}
	if err != nil {
		if c.Requests > 1 && !isTimeout(err) {
			err = errStale
		}
		return step, probeFault(err)
	}
	reply := Reply{Request: x.Request, Head: &x.head, conn: c}
	if step, err = q.Judge(&reply); err != nil {
		return step, probeFault(err)
	}
	if c.Age(x.Request.Now()) < q.KeepFor {
		_, failed := reply.Body()
		keep = failed == nil && c.wire.BodyDone() && c.wire.Reusable()
	}
	return step, nil
}

// sendProbe writes the request.
func (x *Exchange) sendProbe(q *Probe, c *connection) (step string, err error) {
	if err := c.SetWriteDeadline(time.Now().Add(x.l.sendTimeout)); err != nil {
		return stepSending, err
	}
	f := x.framing()
	if len(q.Body) > 0 {
		f = Framing{Length: int64(len(q.Body))}
	}
	return stepSending, x.l.protocol.SendHead(x, c.wire, f, x.body)
}

// receiveProbe reads the head of the response.
func (x *Exchange) receiveProbe(c *connection) (step string, err error) {
	if err := c.SetReadDeadline(time.Now().Add(x.l.readTimeout)); err != nil {
		return stepHead, err
	}
	for range maxInterim {
		for whole := false; !whole; {
			if whole, err = x.l.protocol.ReceiveHead(x, c.wire, &x.head); err != nil {
				return stepHead, err
			}
		}
		switch st := x.state(); {
		case x.head.Status == 101:
			return stepHead, Faultf("upstream switched protocols without being asked")
		case !x.head.Interim():
			st.status = x.head.Status
			st.headerMS = x.Request.Now().MonoMS - st.startMS
			return stepHead, nil
		}
	}
	return stepHead, Faultf("upstream sent too many interim responses")
}

// probeFault words an error for the log.
func probeFault(err error) error {
	switch {
	case errors.Is(err, h1.ErrHeadTooBig):
		return errors.New("upstream sent too big header")
	case errors.Is(err, errStale), isFault(err):
		return err
	case isTimeout(err):
		return errors.New("upstream timed out (110: Connection timed out)")
	case isEnd(err):
		return errors.New("upstream prematurely closed connection")
	}
	return errors.New(errno.Message(err))
}
