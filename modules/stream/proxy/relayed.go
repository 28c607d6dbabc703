package proxy

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"starling/lib/proxyprotocol"
	"starling/logs"
	"starling/stream"
	"starling/upstream"
)

// relayed is a session's way to a server and back.
type relayed struct {
	s       *stream.Session
	p       *forwarder
	group   *group
	attempt upstream.Attempt
	dialer  upstream.Dialer
	action  string // the current activity, for the error log
	states  []state
	conn    *upstream.Conn // nil until one stands
	letGo   func() bool    // takes conn out of the session's fence; nil if it is in none
	startMS int64

	upRate, downRate int64
	began            time.Time

	// Of the current try, changed by both directions.
	sent, received atomic.Int64
	firstByteMS    atomic.Int64 // since the try began; -1: none came
}

// handle is the content handler.
func (p *forwarder) handle(s *stream.Session) stream.Result {
	x := &relayed{s: s, p: p, action: "connecting to upstream"}
	s.Content, s.LogNote = x, x.note
	group, host, status := p.find(s)
	if status != 0 {
		return status
	}
	x.group = group
	if status := x.connect(host); status != 0 {
		x.end(upstream.Success) // there is nothing left to free
		return status
	}
	x.upRate, x.downRate, x.began = rate(p.uploadRate, s), rate(p.downloadRate, s), time.Now()
	x.action = "proxying connection"
	if s.IsUDP() {
		x.relayDatagrams()
		return stream.Parked
	}
	x.relay()
	x.end(upstream.Success)
	return stream.Done
}

// connect tries servers until one accepts a connection; a status other than 0 means that none did. host is the name
// that TLS verifies unless proxy_ssl_name sets another.
func (x *relayed) connect(host string) stream.Result {
	a, s := &x.attempt, x.s
	a.Client = s.Remote.Addr()
	if x.group.Key != nil {
		a.Key = x.group.Key.Append(nil, s)
	}
	x.group.Begin(a)
	x.startMS = s.Now().MonoMS
	for tries := 1; ; tries++ {
		now := s.Now()
		x.closeState()
		picked, err := a.Pick(now)
		if err != nil {
			x.states = append(x.states, newState(x.group.Name, now.MonoMS))
			s.Logf(logs.Error, "%v while connecting to upstream", err)
			return stream.StatusBadGateway
		}
		x.states = append(x.states, newState(picked.Addr.Text, now.MonoMS))
		x.sent.Store(0)
		x.received.Store(0)
		x.firstByteMS.Store(-1)
		if x.dialer, err = x.p.dialerFor(s, host); err != nil { // its variables can depend on the server
			s.Logf(logs.Error, "%v", err)
			x.free(upstream.Passed) // the server has no part in that
			return stream.StatusInternalError
		}
		if x.conn, err = x.dialer.Dial(s.Context(), picked); err == nil {
			x.enclose()
			x.connected()
			return 0
		}
		if s.Fence().Fallen() {
			s.Logf(logs.Info, "session was ended by a strict limit while connecting to upstream")
			x.free(upstream.Passed)
			return stream.StatusOK // as for a client that has left
		}
		s.Logf(logs.Error, "%v", err)
		x.free(upstream.Failure)
		if a.TriesLeft() == 0 || !x.mayRetry(tries) {
			return stream.StatusBadGateway
		}
	}
}

// mayRetry reports whether proxy_next_upstream permits another try after so many. Sessions that must end do not retry.
func (x *relayed) mayRetry(tries int) bool {
	p := x.p
	if !p.next || p.nextTries > 0 && tries >= p.nextTries {
		return false
	}
	if p.nextTimeout > 0 && x.s.Now().MonoMS-x.startMS >= p.nextTimeout.Milliseconds() {
		return false
	}
	return x.s.Context().Err() == nil
}

// connected notes how long it took.
func (x *relayed) connected() {
	st, now := x.state(), x.s.Now()
	st.connectMS = now.MonoMS - st.startMS
	x.attempt.Connected(now, time.Duration(st.connectMS)*time.Millisecond)
	x.attempt.Reached(upstream.ByConnect, now)
	x.sent.Add(int64(len(x.dialer.Preface)))
	if tcp, ok := x.conn.Conn.(*net.TCPConn); ok && !x.s.NoDelay() {
		tcp.SetNoDelay(false) // only a matter of speed
	}
	udp := ""
	if x.s.IsUDP() {
		udp = "udp "
	}
	x.plainLogf("%sproxy %s connected to %s", udp, x.conn.LocalAddr(), st.address)
}

// free ends the current try.
func (x *relayed) free(outcome upstream.Outcome) {
	if x.attempt.Free(outcome, x.s.Now()) {
		x.s.Logf(logs.Warn, "upstream server temporarily disabled while connecting to upstream")
	}
}

// end accounts for the session and closes the server's connection.
func (x *relayed) end(outcome upstream.Outcome) {
	x.closeState()
	if x.conn == nil {
		return
	}
	st, stats := x.state(), &x.conn.Server.Stats
	stats.Moved(x.s.Pick(), st.sent, st.received)
	if outcome == upstream.Success { // otherwise a server that fails fast would look like a good one
		times := upstream.NoTimes
		if st.firstByteMS >= 0 {
			times.Header = time.Duration(st.firstByteMS) * time.Millisecond
		}
		times.Response = time.Duration(st.sessionMS) * time.Millisecond
		x.attempt.Measure(times)
		stats.Took(x.s.Pick(), times.Response)
	}
	x.free(outcome)
	x.conn.Close() // a failure here has no remedy
	if x.letGo != nil {
		x.letGo()
	}
	x.s.Release() // the server has no part of the session any more
}

// enclose puts the connection to the server into the session's fence, if it has one. That of a UDP session ends with
// the client's.
func (x *relayed) enclose() {
	if fence := x.s.Fence(); fence != nil && !x.s.IsUDP() {
		x.letGo = fence.Hold(x.conn.Discard)
	}
}

// appendHeader appends the PROXY header that the server gets.
func (p *forwarder) appendHeader(dst []byte, s *stream.Session) []byte {
	switch p.header {
	case textHeader:
		return proxyprotocol.Append(dst, s.Remote, s.Local)
	case binaryHeader:
		return proxyprotocol.AppendBinary(dst, s.Remote, s.Local, s.IsUDP())
	}
	return dst
}

// isTimeout reports whether a deadline has passed.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
