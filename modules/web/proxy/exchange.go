package proxy

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"starling/logs"
	"starling/ssl"
	"starling/upstream"
	"starling/web"
	"starling/web/groups"
	"starling/web/h1"
)

// exchange is a request's way to a server and back. One lives from the first proxy_pass of a request to the end of its log.
type Exchange struct {
	Request *web.Request
	To      *Destination
	// URI is what the request asks the server for, as the protocol has prepared it; the error log shows it. Its memory is used again.
	URI []byte

	l       *location
	group   *groups.Group
	attempt upstream.Attempt
	server  *upstream.Server // of the current try
	conn    *connection      // nil before it stands and after it was dropped
	sentAt  int64            // bytes that the connection had sent when the try began
	head    Head             // of the answer, once it came

	states  []state
	startMS int64
	tries   int

	body         []byte        // of the request, as far as it was read before
	file         *web.BodyFile // in its place, where that was too much for memory
	streams      bool          // the rest of the body follows while it is read
	sent         bool          // something of the request was sent to a server
	streamed     bool          // something was that came from the client meanwhile
	unsent       bool          // the present server did not get all of the request
	settled      bool          // the current try was accounted for
	doing        string        // what the current try was about last, for the log
	reusable     bool          // the connection is in step for another request
	wanted       []byte
	upload       *upload
	uploadFailed error       // what ended it, if that was the body
	own          Destination // of a URL with variables
}

var exchanges = sync.Pool{New: func() any { return new(Exchange) }}

// statusClientClosed is nginx's status for a client that left before it was answered.
const statusClientClosed = 499

// handle is the content handler.
func (l *location) handle(r *web.Request) web.Result {
	x := l.begin(r)
	if result := x.find(); result != web.Declined {
		return result
	}
	if result := l.protocol.Prepare(x); result != web.Declined {
		return result
	}
	if result := x.readBody(); result != web.Declined {
		return result
	}
	x.choose()
	for {
		verdict, status := x.try()
		switch verdict {
		case tryAccepted:
			return x.answer()
		case tryClientLeft:
			x.settle(upstream.Success)
			x.drop()
			return statusClientClosed
		case tryHopeless:
			x.note(status)
			return web.Result(status)
		}
		if !x.again(verdict, status) {
			return web.Result(status)
		}
	}
}

// begin gives the request an exchange. After an error page or an X-Accel-Redirect that is the one before with all it tells of.
func (l *location) begin(r *web.Request) *Exchange {
	slot := r.Slot(l.slot)
	x, ok := slot.Data.(*Exchange)
	if ok {
		x.endTry()
		x.states = append(x.states, state{redirected: true})
	} else {
		x = exchanges.Get().(*Exchange)
		slot.Data = x
		r.AtEnd(endExchange, x, 0)
	}
	x.Request, x.l, x.To = r, l, &l.to.Destination
	x.startMS = r.Now().MonoMS
	x.tries, x.sent, x.streamed, x.streams, x.body, x.file, x.uploadFailed = 0, false, false, false, nil, nil, nil
	return x
}

// endExchange runs when the request was logged.
func endExchange(arg any, _ uint64) {
	x := arg.(*Exchange)
	x.endTry()
	attempt := &x.attempt
	attempt.Key = nil
	states, uri, wanted := x.states[:0], x.URI[:0], x.wanted[:0]
	if cap(uri) > maxKeptURIBytes {
		uri = nil
	}
	x.Request, x.l, x.To, x.group, x.body, x.file = nil, nil, nil, nil, nil, nil
	x.states, x.URI, x.wanted, x.own = states, uri, wanted, Destination{}
	exchanges.Put(x)
}

// maxKeptURIBytes bounds the memory for URIs that an exchange keeps for the next request.
const maxKeptURIBytes = 8 << 10

// choose begins the choosing of servers.
func (x *Exchange) choose() {
	r, g := x.Request, x.group
	x.attempt.Client = r.Remote.Addr()
	x.attempt.Key = nil
	if g.Key != nil {
		x.attempt.Key = r.Copy(r.Expand(g.Key))
	}
	g.Begin(&x.attempt)
	if g.Sticky != nil {
		var ok bool
		if x.wanted, ok = g.Sticky.AppendWanted(r, x.wanted[:0]); ok {
			x.attempt.Want(x.wanted)
		}
	}
}

// verdict is what became of one try.
type verdict int

const (
	tryAccepted   verdict = iota // there is a head to answer with
	tryFailed                    // an error
	tryTimedOut                  //
	tryInvalid                   // what the server said cannot be used
	tryRefused                   // a status that another server may do better
	tryClientLeft                //
	tryHopeless                  // no server, or a fault of ours
)

// condition is the word of proxy_next_upstream for a verdict.
func (v verdict) condition(status int) conditions {
	switch v {
	case tryTimedOut:
		return onTimeout
	case tryInvalid:
		return onInvalidHeader
	case tryRefused:
		return conditionOf(status)
	}
	return onError
}

// try sends the request to one server and reads the head of its answer.
func (x *Exchange) try() (verdict, int) {
	now := x.Request.Now()
	server, err := x.attempt.Pick(now)
	if err != nil {
		x.states = append(x.states, newState(x.group.Name, now.MonoMS))
		x.Logf(logs.Error, "%v while connecting to upstream", err)
		return tryHopeless, 502
	}
	x.server, x.settled, x.doing = server, false, "connecting to upstream"
	x.tries++
	x.states = append(x.states, newState(server.Addr.Text, now.MonoMS))
	if x.group.Sticky != nil {
		x.group.Sticky.Picked(x.Request, server)
	}
	if v, status := x.connect(); v != tryAccepted {
		return v, status
	}
	x.doing = "sending request to upstream"
	if v, status := x.send(); v != tryAccepted {
		return v, status
	}
	x.doing = "reading response header from upstream"
	return x.receive()
}

// connect takes a kept connection or opens one.
func (x *Exchange) connect() (verdict, int) {
	r := x.Request
	config, file, err := x.tlsConfig()
	if err != nil {
		x.Logf(logs.Error, "%v", err)
		return tryHopeless, 500
	}
	if pool := x.group.Pool; pool != nil {
		for c := pool.Get(x.server, x.l, !x.repeatable()); c != nil; c = pool.Get(x.server, x.l, !x.repeatable()) {
			if k := c.Attachment.(*connection); k.tls == config {
				x.use(k)
				x.state().connectMS = 0
				return tryAccepted, 0
			}
			// It was made for another location, in plain or for another name: it would pass by what is verified here.
			c.Close()
		}
	}
	dialer := x.l.dialer
	dialer.TLS = config
	if file != (ssl.CertificateFile{}) {
		cert, err := x.l.finder.Load(file)
		if err != nil {
			x.Logf(logs.Error, "%v while SSL handshaking to upstream", err)
			return tryHopeless, 500
		}
		dialer.TLS = ssl.Show(config, cert)
	}
	if dialer.Bind, err = x.l.bind.Address(r); err != nil { // as in nginx the system then chooses
		x.Logf(logs.Error, "%v", err)
	}
	c, err := dialer.Dial(r.Context(), x.server)
	if err != nil {
		x.Logf(logs.Error, "%v", err)
		var failed *upstream.DialError
		if errors.As(err, &failed) {
			if failed.TLS {
				x.doing = "SSL handshaking to upstream"
			}
			if failed.TimedOut {
				return tryTimedOut, 504
			}
		}
		return tryFailed, 502
	}
	x.use(newConnection(c, x.l.protocol.Open(c), config))
	x.state().connectMS = r.Now().MonoMS - x.state().startMS
	return tryAccepted, 0
}

// tlsConfig is that of the connection to make, nil for a plain one, and the certificate to put in, if its name had variables. Equal
// settings and names give the same one.
func (x *Exchange) tlsConfig() (config *tls.Config, file ssl.CertificateFile, err error) {
	if !x.To.tls {
		return nil, file, nil
	}
	name := x.To.name
	if x.l.tlsName != nil {
		name = string(x.Request.Expand(x.l.tlsName))
	}
	if x.l.finder != nil {
		file, err = x.l.finder.Names(x.Request)
	}
	return x.l.client.ConfigWith(name, x.l.Settings.tls.SendName, file), file, err
}

func (x *Exchange) use(c *connection) {
	x.conn, x.reusable, x.unsent = c, false, false
	x.sentAt, _ = c.wire.Counts()
	x.head = Head{}
	c.Requests++
}

// repeatable tells whether the request may be sent again without being asked to (RFC 9110, 9.2.2, by nginx's list).
func (x *Exchange) repeatable() bool {
	switch x.Request.MethodID {
	case h1.MethodPost, h1.MethodLock, h1.MethodPatch:
		return false
	}
	return !x.streams
}

// again tells whether another server is to be tried, and settles the try that failed (ngx_http_upstream_next).
func (x *Exchange) again(v verdict, status int) bool {
	reused := x.conn != nil && x.conn.Reused
	outcome := upstream.Failure
	if v == tryRefused && (status == 403 || status == 404) {
		outcome = upstream.Passed
	}
	x.state().status = status
	x.settle(outcome)
	x.drop()
	if reused && v == tryFailed {
		x.attempt.AddTry() // a connection kept too long says nothing about the server
		x.tries--
	}
	left := x.mayTry(v.condition(status)) && x.attempt.TriesLeft() > 0
	if left && x.l.nextTries > 0 {
		left = x.tries < x.l.nextTries
	}
	return left
}

// mayTry applies proxy_next_upstream.
func (x *Exchange) mayTry(c conditions) bool {
	l := x.l
	if x.sent && !x.repeatableMethod() {
		c |= nonIdempotent
	}
	switch {
	case c == 0, l.next&c != c, x.streamed:
		return false
	case l.nextTimeout > 0 && x.Request.Now().MonoMS-x.startMS >= l.nextTimeout.Milliseconds():
		return false
	}
	return true
}

func (x *Exchange) repeatableMethod() bool {
	switch x.Request.MethodID {
	case h1.MethodPost, h1.MethodLock, h1.MethodPatch:
		return false
	}
	return true
}

// settle accounts for the current try, once.
func (x *Exchange) settle(outcome upstream.Outcome) {
	if x.server == nil || x.settled {
		return
	}
	x.settled = true
	x.endUpload()
	now, st, stats := x.Request.Now(), x.state(), &x.server.Stats
	st.responseMS = now.MonoMS - st.startMS
	if x.conn != nil {
		sent, received := x.conn.wire.Counts()
		st.sent = sent - x.sentAt
		if st.headerMS >= 0 {
			st.received = received
		}
		stats.Sent.Add(uint64(st.sent))
		stats.Received.Add(uint64(st.received))
	}
	if outcome == upstream.Success && st.headerMS >= 0 {
		stats.CountResponse(st.status)
		stats.Timed(milliseconds(st.headerMS), milliseconds(st.responseMS))
		if x.group.Sticky != nil {
			x.group.Sticky.Ended(x.Request, x.server)
		}
	}
	if x.attempt.Free(outcome, now) {
		x.Logf(logs.Warn, "upstream server temporarily disabled while %s", x.doing)
	}
}

// ReadTimeout is how long the server may be silent.
func (x *Exchange) ReadTimeout() time.Duration { return x.l.readTimeout }

// HeadBytes is how long the head of an answer may be.
func (x *Exchange) HeadBytes() int { return x.l.bufferBytes }

// Socket is the connection to the server, for an Upgrader.
func (x *Exchange) Socket() net.Conn { return x.conn.Conn.Conn }

// Tunnelled ends an exchange whose Upgrader moved so many bytes itself, from client to server and back.
func (x *Exchange) Tunnelled(sent, received int64) web.Result {
	x.state().length = received
	x.Request.CountSent(received)
	x.settle(upstream.Success)
	st := x.state()
	st.sent, st.received = st.sent+sent, st.received+received
	return web.Done
}

// endTry settles what is left of a try and keeps or closes its connection.
func (x *Exchange) endTry() {
	x.settle(upstream.Success)
	if x.conn == nil {
		x.server = nil
		return
	}
	pool := x.group.Pool
	if !x.reusable || pool == nil {
		x.drop()
		return
	}
	c := x.conn
	c.wire.Rest()
	x.conn, x.server, x.head = nil, nil, Head{}
	pool.Put(c.Conn, x.l)
}

// drop closes the connection.
func (x *Exchange) drop() {
	if x.conn != nil {
		x.conn.Close() // nothing is left to do about a failure
		x.conn.wire.Close()
		x.conn, x.head = nil, Head{}
	}
	x.server = nil
}

// note keeps the status of a request that no server answered.
func (x *Exchange) note(status int) {
	st := x.state()
	st.status, st.responseMS = status, max(st.responseMS, 0)
}
