package forward

import (
	"net"
	"sync"
	"time"

	"starling/logs"
	"starling/upstream"
	"starling/web"
)

// Exchange is the forwarding of a request to a server and of the response back. It lives from the first PREFIX_pass of
// a request to the end of its log phase.
type Exchange struct {
	Request *web.Request
	// To is the destination from the URL of PREFIX_pass.
	To *Destination
	// URI is what the server is asked for: a URI or a key. Prepare appends it to URI[:0], whose memory is reused; the
	// error log shows it after the server's address.
	URI []byte

	l       *location
	group   *group
	attempt upstream.Attempt
	server  *upstream.Server // of the current try
	bound   *connection      // of the client, not yet used
	binds   bool             // the connection belongs to the client afterwards
	anew    bool             // the next try needs a new connection: an idle one to the same server was outdated
	conn    *connection      // nil before it is established and after it was dropped
	letGo   func() bool      // takes conn out of the request's fence; nil if it is in none
	sentAt  int64            // bytes that the connection had sent when the try started
	head    Head             // of the response, once it arrived

	states     []state
	startMS    int64
	deadlineMS int64 // from then on, neither client nor server expect a response; 0: the client has not said
	tries      int

	body         []byte        // of the request, as far as it was read before
	file         *web.BodyFile // instead, if that was too much for memory
	streams      bool          // the rest of the body is sent while it is read
	sent         bool          // part of the request was sent to a server
	streamed     bool          // including bytes that arrived from the client meanwhile
	unsent       bool          // the current server did not get the whole request
	accounted    bool          // the current try was accounted for
	doing        string        // the last step of the current try, for the log
	reusable     bool          // the connection can take another request
	buffering    bool          // PREFIX_buffering, unless the server said otherwise
	wanted       []byte
	upload       *upload
	uploadFailed error       // the error that ended it, if it was in the body
	own          Destination // of a URL with variables
	storeFile    *storeFile  // nil: PREFIX_store does not keep the response

	stored
}

var exchanges = sync.Pool{New: func() any { return new(Exchange) }}

// statusClientClosed is nginx's status for a client that disconnected before its response.
const statusClientClosed = 499

// handle is the content handler.
func (l *location) handle(r *web.Request) web.Result {
	x := l.begin(r)
	return x.run()
}

// run answers the request, from the cache or from a server.
func (x *Exchange) run() web.Result {
	l := x.l
	rest, result := x.aim()
	if result != web.Declined {
		return result
	}
	if result := l.protocol.Prepare(x); result != web.Declined {
		return result
	}
	if result := x.readBody(); result != web.Declined {
		return result
	}
	if result := x.consult(); result != web.Declined {
		return result
	}
	if result := x.find(rest); result != web.Declined {
		return result
	}
	x.choose()
	for {
		verdict, status := x.try()
		switch verdict {
		case tryAccepted:
			return x.answer()
		case tryClientLeft:
			x.account(upstream.Success)
			x.drop()
			return statusClientClosed
		case tryExpired:
			x.account(upstream.Success)
			x.note(status)
			x.drop()
			return web.Result(status)
		case tryHopeless:
			x.note(status)
			return x.failed(verdict, status)
		}
		if !x.again(verdict, status) {
			return x.failed(verdict, status)
		}
	}
}

// ExpireAfter sets how long the client and the server of this request wait, from its arrival on. It is for Prepare.
func (x *Exchange) ExpireAfter(d time.Duration) { x.deadlineMS = x.startMS + max(d.Milliseconds(), 1) }

// expired reports whether an error of the server is its answer to the client's deadline, and logs that.
func (x *Exchange) expired(err error) bool {
	if x.deadlineMS == 0 || !isCanceled(err) || x.Request.Now().MonoMS < x.deadlineMS {
		return false
	}
	x.Logf(logs.Info, "upstream canceled request after the deadline of the client while %s", x.doing)
	return true
}

// begin gives the request an exchange. After an error page or an X-Accel-Redirect it is the previous one with its
// state.
func (l *location) begin(r *web.Request) *Exchange {
	slot := r.Slot(l.slot)
	x, ok := slot.Data.(*Exchange)
	if ok {
		x.endTry()
		x.giveBack()
		x.endCaching()
		x.states = append(x.states, state{redirected: true})
	} else {
		x = exchanges.Get().(*Exchange)
		slot.Data = x
		r.AtEnd(endExchange, x, 0)
	}
	x.Request, x.l, x.To = r, l, &l.Target.Destination
	x.startMS, x.deadlineMS = r.Now().MonoMS, 0
	x.tries, x.sent, x.streamed, x.streams, x.body, x.file, x.uploadFailed = 0, false, false, false, nil, nil, nil
	return x
}

// endExchange runs after the request was logged.
func endExchange(arg any, _ uint64) {
	x := arg.(*Exchange)
	x.endTry()
	x.giveBack()
	x.endCaching()
	x.dropStore()
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

// ReadTimeout is the timeout between two reads from the server.
func (x *Exchange) ReadTimeout() time.Duration { return x.l.readTimeout }

// HeadBytes is the maximum size of a response head.
func (x *Exchange) HeadBytes() int { return x.l.bufferBytes }

// Socket is the connection to the server, for an Upgrader.
func (x *Exchange) Socket() net.Conn { return x.conn.Conn.Conn }

// Tunnelled ends an exchange whose Upgrader moved these bytes itself, from client to server and back.
func (x *Exchange) Tunnelled(sent, received int64) web.Result {
	x.state().length = received
	x.Request.CountSent(received)
	x.account(upstream.Success)
	st := x.state()
	st.sent, st.received = st.sent+sent, st.received+received
	return web.Done
}
