package web

import (
	"errors"
	"io"
	"sync"

	"starling/logs"
	"starling/nginx/errno"
	"starling/web/h1"
)

// requests are pooled between requests, so that idle connections hold none. Those of an old site have the wrong number
// of slots and are dropped.
var requests = sync.Pool{New: func() any { return new(Request) }}

// take returns a Request for the next one of a connection.
func (s *Site) take(c *Conn) *Request {
	r := requests.Get().(*Request)
	r.Reserve(s.slots)
	r.site, r.Conn = s, c
	r.Server, r.Location = c.server, c.server.base
	r.Remote, r.fence = c.Remote, c.fence
	r.Out = Response{Headers: r.Out.Headers[:0], ContentLength: -1, Status: 200}
	r.uriChanges = maxURIChanges
	r.ContentLength = -1
	return r
}

// give resets and returns a request that has ended.
func (s *Site) give(r *Request) {
	r.leaveZones(false) // unless serve did, which a panic can prevent
	r.giveSubs()
	for i := len(r.endings) - 1; i >= 0; i-- {
		e := r.endings[i]
		r.endings[i] = ending{}
		e.callback(e.arg, e.n)
	}
	r.callDones()
	if r.fences {
		r.fence.End()
	}
	r.dropKept()
	r.arena.reset()
	clear(r.Out.Headers)
	clear(r.bodies)
	if r.panicked || cap(r.Out.Headers) > maxKeptHeaders || cap(r.h1.in.Headers) > maxKeptHeaders ||
		cap(r.scratch) > maxKeptScratchBytes {
		return // an unusual request must not hold memory forever
	}
	*r = Request{
		Out:   Response{Headers: r.Out.Headers[:0]},
		State: r.State.Empty(),
		engine: engine{
			h1:      r.h1,
			h2:      r.h2,
			arena:   r.arena,
			endings: r.endings[:0],
			dones:   r.dones[:0],
			bodies:  r.bodies[:0],
			subs:    r.subs[:0],
			sub:     Sub{memory: memoryWire{body: r.sub.memory.body[:0]}},
			scratch: r.scratch[:0],
			pick:    r.pick,
		},
	}
	r.h1.waiting = nil
	requests.Put(r)
}

// Bounds of what a Request keeps for its next use.
const (
	maxKeptHeaders      = 128
	maxKeptScratchBytes = 64 << 10
)

// serve reads and answers one request, and reports whether the connection can take another.
func (r *Request) serve() (keep bool) {
	r.StartedAt = r.Now()
	r.site.traffic.Begin(&r.pick)
	defer r.site.traffic.End(&r.pick)
	var err error
	if r.in, err = r.wire.ReadHead(r); err != nil {
		if !r.badHead(err) {
			return false
		}
	} else {
		r.accept()
		if result := r.admit(); result != Declined {
			r.runWith(result)
		} else {
			r.runWith(r.process(fromPostRead))
		}
	}
	r.finish()
	r.joinSubs()
	r.postAction()
	r.runLog()
	r.leaveZones(true)
	return r.wire.End(r)
}

// finish ends the response.
func (r *Request) finish() {
	if !r.headSent && !r.finished {
		r.Logf(logs.Error, "a handler finished the request without sending a response")
		r.runWith(500)
	}
	r.FinishBody() // its failure is remembered
	r.logFailure()
}

func (r *Request) runLog() {
	for _, h := range r.Location.phases[Log] {
		h(r)
	}
}

// accept takes over what was read.
func (r *Request) accept() {
	in := r.in
	r.Line, r.Method, r.MethodID, r.Target = in.Line, in.Method, in.MethodID, in.Target
	r.Proto, r.Version = in.Proto, in.Version
	r.Headers, r.Seen = in.Headers, in.Seen
	r.Host, r.Port = in.Host, in.Port
	r.Path, r.Query = in.Path, in.Args
	r.ContentLength, r.Chunked = in.ContentLength, in.Chunked
	r.keep = in.KeepAlive
	r.expects = in.ExpectContinue && (in.HasBody() || in.ContentLength == 0)
	if in.Dropped > 0 {
		r.Logf(logs.Info, "client sent invalid header line: \"%s\" while reading client request headers",
			in.LastDropped)
	}
}

// admit finds the virtual server and checks what must hold before anything else happens.
func (r *Request) admit() Result {
	c := r.Conn
	r.chooseServer()
	r.enterZone()
	if r.Version >= h1.Version20 && !c.hosts.HTTP2 && !r.Server.Core.HTTP2 {
		r.Logf(logs.Info, "client attempted to request the server name for which the negotiated protocol is disabled")
		return 421
	}
	if !c.hosts.TLS {
		return Declined
	}
	if c.plainToTLS {
		r.Logf(logs.Info, "client sent plain HTTP request to HTTPS port while reading client request headers")
		return 497
	}
	if c.named && r.Server != c.server && r.Server.VerifiesClients {
		r.Logf(logs.Info, "client attempted to request the server name different from the one that was negotiated")
		return 421
	}
	if check := r.Server.AfterHandshake; check != nil {
		return check(r)
	}
	return Declined
}

// chooseServer finds the virtual server by Host, even if TLS named another.
func (r *Request) chooseServer() {
	s, found := r.Conn.hosts.Find(r, r.Host)
	if !found {
		s = r.Conn.hosts.Default
	}
	r.Server, r.Location = s, s.base
}

// badHead responds to a head that cannot be served; false if there is no client to respond to.
func (r *Request) badHead(err error) bool {
	r.accept()
	if errors.Is(err, h1.ErrNoHost) { // the head was read whole
		r.chooseServer()
	}
	r.enterZone()
	if len(r.Host) > 0 && !r.Conn.hosts.TLS { // Host came before what is wrong: that server has the page
		r.chooseServer()
	}
	r.keep = false
	var problem *h1.Problem
	where := "while reading client request line"
	if r.in.Bytes > 0 { // the line was taken
		where = "while reading client request headers"
	}
	switch {
	case errors.As(err, &problem):
		if r.Conn.plainToTLS {
			problem = &h1.Problem{Status: 497, Text: "client sent plain HTTP request to HTTPS port"}
		}
		r.Logf(logs.Info, "%s %s", problem.Text, where)
		if r.Version == 0 {
			r.Version = h1.Version10
		}
		r.Chunked, r.ContentLength, r.expects = false, -1, false
		if result := r.refusal(); result != Declined {
			r.runWith(result)
			return true
		}
		r.runWith(Result(problem.Status))
		return true
	case isTimeout(err):
		r.Logf(logs.Info, "client timed out (110: Connection timed out) %s", where)
		r.abandon(statusTimedOut)
	default:
		r.Logf(logs.Info, "%s %s", clientGone(err), where)
		r.abandon(400)
	}
	r.runLog()
	return false
}

// refusal responds to TRACE in the way of the location that it would have reached, if that has one. No phase runs.
func (r *Request) refusal() Result {
	if r.MethodID != h1.MethodTrace || r.Conn.plainToTLS {
		return Declined
	}
	server, location := r.Server, r.Location
	r.chooseServer()
	if _, redirect := r.Server.tree.search(r); redirect == nil && !r.GaveUp && r.Location.Refuse != nil {
		if result := r.Location.Refuse(r); result != Declined {
			return result
		}
	}
	r.Server, r.Location, r.GaveUp = server, location, false
	return Declined
}

// clientGone describes how a client disconnected: it closed the connection, or reading from it failed.
func clientGone(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "client prematurely closed connection"
	}
	return errno.Message(err)
}

// logFailure logs a connection that failed during the response.
func (r *Request) logFailure() {
	if r.failure == nil || r.failure == errDropped || r.failure == ErrBroken || !r.LogEnabled(logs.Info) {
		return
	}
	if isTimeout(r.failure) {
		r.Logf(logs.Info, "client timed out (110: Connection timed out) while sending to client")
		if r.Location.Core.ResetTimedOut {
			r.wire.Cut(r)
		}
		return
	}
	r.Logf(logs.Info, "%v while sending to client", r.failure)
}
