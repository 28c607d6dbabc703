package forward

import (
	"time"

	"starling/logs"
)

// state is one try as shown by the $upstream_… variables. Times are in milliseconds since its start, -1 if it did not
// get that far.
type state struct {
	address                         string
	name                            string // of the server as configured; "" if none was selected
	status                          int    // 0: none came
	startMS                         int64
	queueMS                         int64 // before it started; -1 if it did not wait
	connectMS, headerMS, responseMS int64
	sent, received, length          int64
	framed                          int64 // the length of the body on the wire, once it has ended
	redirected                      bool  // not a try: an internal redirect in between
}

func newState(address string, nowMS int64) state {
	return state{address: address, startMS: nowMS, queueMS: -1, connectMS: -1, headerMS: -1, responseMS: -1}
}

// state is that of the current try.
func (x *Exchange) state() *state { return &x.states[len(x.states)-1] }

// countReceived counts what the current try has received until now, for a variable that is asked for before its end.
func (x *Exchange) countReceived() {
	if st := x.state(); x.conn != nil && !x.accounted {
		st.received = x.conn.wire.Received()
	}
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// Logf writes to the error log and names the server as nginx does.
func (x *Exchange) Logf(level logs.Level, format string, args ...any) {
	r := x.Request
	if !r.LogEnabled(level) {
		return
	}
	note := r.Alloc(64)[:0]
	if x.server != nil {
		note = append(append(note, x.To.scheme...), x.state().address...)
	} else {
		note = append(note, x.To.prefix...)
		if x.group != nil {
			note = append(note, x.group.Name...)
		} else {
			note = append(note, x.To.Host...) // not resolved yet
		}
	}
	if x.server != nil && x.server.Addr.Network == "unix" {
		note = append(note, ':')
	}
	r.LogUpstream = append(note, x.URI...)
	r.Logf(level, format, args...)
	r.LogUpstream = nil
}
