package forward

import (
	"starling/logs"
	"starling/upstream"
	"starling/web/h1"
)

// choose starts the selection of servers.
func (x *Exchange) choose() {
	r, g := x.Request, x.group
	x.attempt.Client = r.Remote.Addr()
	x.attempt.Key = nil
	if g.Key != nil {
		x.attempt.Key = r.Copy(r.Expand(g.Key))
	}
	g.Begin(&x.attempt)
	x.binds, x.anew = false, false
	if g.Binds {
		x.takeBound()
	}
	if g.Sticky != nil {
		var ok bool
		if x.wanted, ok = g.Sticky.AppendWanted(r, x.wanted[:0]); ok {
			x.attempt.Want(x.wanted)
		}
	}
}

// verdict is the outcome of one try.
type verdict int

const (
	tryAccepted   verdict = iota // there is a head to respond with
	tryFailed                    // an error
	tryTimedOut                  //
	tryInvalid                   // the server's response cannot be used
	tryRefused                   // a status that is retried on another server
	tryClientLeft                //
	tryExpired                   // the server gave up at the client's deadline
	tryHopeless                  // no server, or an internal error
)

// condition is the argument of PREFIX_next_upstream for a verdict.
func (v verdict) condition(status int) Condition {
	switch v {
	case tryTimedOut:
		return OnTimeout
	case tryInvalid:
		return OnInvalid
	case tryRefused:
		return conditionOf(status)
	}
	return OnError
}

// try sends the request to one server and reads the head of its answer.
func (x *Exchange) try() (verdict, int) {
	now := x.Request.Now()
	if x.doing = "connecting to upstream"; x.fenced() {
		return x.endFenced()
	}
	server, err := x.attempt.Pick(now)
	queuedMS := int64(-1)
	x.Request.Waits()
	if err == upstream.ErrQueued {
		fromMS := now.MonoMS
		server, err = x.queue()
		now = x.Request.Now()
		queuedMS = now.MonoMS - fromMS
	}
	if err != nil {
		x.states = append(x.states, newState(x.group.Name, now.MonoMS))
		x.state().queueMS = queuedMS
		if err == errClientLeft {
			x.Logf(logs.Info, "client prematurely closed connection while waiting in the upstream queue")
			return tryClientLeft, statusClientClosed
		}
		x.Logf(logs.Error, "%v while connecting to upstream", err)
		return tryHopeless, 502
	}
	x.server, x.accounted = server, false
	x.tries++
	x.states = append(x.states, newState(server.Addr.Text, now.MonoMS))
	x.state().queueMS, x.state().name = queuedMS, server.Name
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

// repeatable reports whether the request can be retried by default (RFC 9110, 9.2.2, with nginx's list).
func (x *Exchange) repeatable() bool {
	switch x.Request.MethodID {
	case h1.MethodPost, h1.MethodLock, h1.MethodPatch:
		return false
	}
	return !x.streams
}

// again decides whether to try another server, and accounts for the failed try (ngx_http_upstream_next).
func (x *Exchange) again(v verdict, status int) bool {
	outdated := v == tryFailed && x.conn != nil && x.conn.Reused
	if outdated {
		x.attempt.Keep()
	}
	outcome := upstream.Failure
	if v == tryRefused && (status == 403 || status == 404) {
		outcome = upstream.Passed
	}
	x.state().status = status
	x.account(outcome)
	x.drop()
	x.anew = x.attempt.Keeps()
	if outdated { // an outdated idle connection says nothing about the server
		if !x.anew {
			x.attempt.AddTry()
		}
		x.tries--
	}
	left := x.mayTry(v.condition(status)) && x.attempt.TriesLeft() > 0
	if left && x.l.nextTries > 0 {
		left = x.tries < x.l.nextTries
	}
	if !left {
		x.attempt.GiveUp(x.Request.Now())
	}
	return left
}

// mayTry applies PREFIX_next_upstream.
func (x *Exchange) mayTry(c Condition) bool {
	l := x.l
	if x.sent && !x.repeatableMethod() {
		c |= NonIdempotent
	}
	switch {
	case c == 0, l.next&c != c, x.streamed, x.upload != nil && x.upload.rest.client:
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

// account accounts for the current try, once.
func (x *Exchange) account(outcome upstream.Outcome) {
	if x.server == nil || x.accounted {
		return
	}
	x.accounted = true
	x.endUpload()
	now, st, stats := x.Request.Now(), x.state(), &x.server.Stats
	st.responseMS = now.MonoMS - st.startMS
	if x.conn != nil {
		st.sent, st.received = x.conn.wire.Sent()-x.sentAt, x.conn.wire.Received()
		if w, ok := x.conn.wire.(framer); ok && st.length > 0 {
			st.framed = w.BodyBytes()
		}
		stats.Moved(x.Request.Pick(), st.sent, st.received)
	}
	if outcome == upstream.Success && st.headerMS >= 0 {
		stats.CountResponse(x.Request.Pick(), st.status)
		times := upstream.NoTimes
		times.Header, times.Response = milliseconds(st.headerMS), milliseconds(st.responseMS)
		x.attempt.Measure(times)
		stats.Took(x.Request.Pick(), times.Response)
		if x.group.Sticky != nil {
			x.group.Sticky.Ended(x.Request, x.server)
		}
	}
	if x.attempt.Free(outcome, now) {
		x.Logf(logs.Warn, "upstream server temporarily disabled while %s", x.doing)
	}
}

// endTry accounts for the try if that was not done, and keeps or closes its connection.
func (x *Exchange) endTry() {
	x.account(upstream.Success)
	if x.conn == nil {
		x.server = nil
		return
	}
	pool := x.group.Pool
	if !x.reusable || pool == nil && !x.binds {
		x.drop()
		return
	}
	c := x.conn
	c.wire.Rest()
	x.conn, x.server, x.head = nil, nil, Head{}
	if x.binds {
		x.Request.Conn.Bind(x.group.Group, bound{c})
		return
	}
	pool.Put(c.Conn, x.l)
}

// drop closes the connection.
func (x *Exchange) drop() {
	if x.conn != nil {
		x.conn.Close() // a failure cannot be handled any more
		x.release()
		x.conn.wire.Close()
		x.conn, x.head = nil, Head{}
	}
	x.server = nil
}

// note stores the status of a request that no server answered.
func (x *Exchange) note(status int) {
	st := x.state()
	st.status, st.responseMS = status, max(st.responseMS, 0)
}
