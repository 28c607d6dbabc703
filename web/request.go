package web

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/netip"
	"sync/atomic"

	"starling/lib/clock"
	"starling/lib/deadline"
	"starling/lib/proxyprotocol"
	"starling/lib/stripes"
	"starling/nginx/ascii"
	"starling/side"
	"starling/ssl"
	"starling/web/h1"
	"starling/web/h2"
)

// Request is one request and its response. There is one per connection (per stream in HTTP/2), which is reused, so
// nothing may keep it, or a slice of it, past the Log phase. It belongs to one goroutine.
type Request struct {
	// What the client sent. Modules can replace the slices, but never change the bytes in place.
	Line     []byte // the request line ($request)
	Method   []byte
	MethodID h1.Method
	Target   []byte // path and arguments as sent ($request_uri)
	Proto    []byte // "HTTP/1.1" ($server_protocol)
	Version  h1.Version
	Headers  h1.Headers
	Seen     h1.KnownSet // the known ones among Headers
	Host     []byte      // lower case, no port; empty if none was sent
	Port     uint16      // of the Host header, 0 if none

	// Path ($uri) and Query ($args) are the input of locations and rewrites: normalised and decoded, and as sent.
	Path, Query []byte

	ContentLength int64 // of the request body; -1 if none or unknown
	Chunked       bool

	Conn     *Conn
	Server   *Server
	Location *Location
	// Remote is the client's address; realip can replace it. Not valid for a unix socket.
	Remote    netip.AddrPort
	StartedAt clock.Reading

	Out Response
	side.State
	// Internal is set once the request was redirected internally.
	Internal bool
	// Displaced means that Path was rewritten without finding its location again (rewrite … break): it need not begin
	// with the location's name, so proxy_pass forwards it whole.
	Displaced bool
	// BehindAlias means that Path is appended to the alias of a regular expression, which otherwise is the whole file
	// name (try_files).
	BehindAlias bool
	// LimitRate bounds the response in bytes per second: 0 as limit_rate says, below 0 without a limit.
	LimitRate int64
	// LogUpstream is the server that each line of the error log names after the request (`upstream: "…"`).
	LogUpstream []byte

	engine
}

// engine is state that only the kit uses.
type engine struct {
	site   *Site
	parent *Request // of a subrequest
	depth  int      // of subrequests around
	family family   // of a client's request
	subs   []*Sub   // made by this request
	sub    Sub      // itself, where it is one
	wire   Wire
	h1     h1Wire
	h2     h2Wire
	in     *h1.RequestHead // what was read, of the wire in use
	arena  arena

	endings []ending
	dones   []ending    // of WhenDone
	fence   *side.Fence // in which the request is served; nil: in none
	fences  bool        // it has made that fence, and ends it
	bodies  []Body      // the filters' bodies, in their order
	joint   int         // index of the first body that sees the parts of the response joined
	before  []*Sub      // parts that precede the body; see Prepend
	after   []*Sub      // parts that follow it
	scratch []byte

	resume      step
	uriChanges  int // redirects still allowed
	errStatus   int // of error_page: replaces Out.Status; 0: none
	inErrorPage bool
	panicked    bool // its state is undefined: it must not be reused
	orphaned    bool // the content handler was set by a block that has been left; see SwitchTo
	headSent    bool // SendHead has fixed the head
	headWritten bool // the wire has it
	finished    bool // no more of the response will follow
	ended       bool // End was called on the wire
	noBody      bool // HEAD, 204, 304: Write drops its argument
	keep        bool // the connection can be kept, as far as is known
	hijacked    bool
	silent      bool  // the response was sent: what follows is dropped (post_action)
	failure     error // the first error of the connection
	bodyBytes   int64 // of the response
	headBytes   int64 // of the response, interim ones included
	tunnelled   int64 // bytes that a hijacker sent
	sentBefore  int64 // bytes that the connection had sent when the request began

	entered *Server      // the status zone of this server counts the end; nil for none, or if it was counted
	pick    stripes.Pick // of the counters of status zones and of the process

	id    [16]byte // $request_id, once hasID
	hasID bool

	kept        keptBody
	bodyRead    int64 // body bytes read from the client
	announced   int64 // of a subrequest: AnnouncedLength
	bodyLent    bool  // another goroutine reads it
	bodyAsked   bool  // a handler has read the body, or started to
	limited     bool  // client_max_body_size applies: the location is known
	unreadFault error // of an unread body: it replaces the response
	expects     bool  // 100 Continue must still be sent
	refused     bool  // the body is not read any more; see refuseBody

	unfiltered  h1.Headers // before the filters, of a request for a range
	filtered    h1.Headers // after them, of a response whose range is not satisfiable
	cut         cut
	multipart   *multipart // several ranges are sent; nil for one, or the whole
	rangeTaken  bool       // NextRange has returned it
	replacement int        // the status of the response that replaces this one (see Replace); 0 for none

	rate      int64 // of limit_rate; 0: none
	rateAfter int64
}

// Response is the head of the response until it is sent, and counters of what was sent afterwards.
type Response struct {
	Status int
	// Reason replaces the standard phrase if not nil.
	Reason []byte
	// ContentType is sent as Content-Type if not empty.
	ContentType []byte
	// Headers are the others, in order. Server and Date are added if absent; the kit owns Connection, Keep-Alive,
	// Transfer-Encoding and Content-Length.
	Headers h1.Headers
	// ContentLength is the length of the body to come; -1 if unknown.
	ContentLength int64
	// Charset is that of a response with X-Accel-Redirect: as in nginx, whatever answers instead has it too, error
	// pages included, unless its ContentType says another.
	Charset []byte
	// OverrideCharset is the charset that a server asks for with X-Accel-Charset.
	OverrideCharset []byte
	// VaryEncoding adds "Vary: Accept-Encoding", once however many filters ask for it.
	VaryEncoding bool
	// LastModified and Location are sent near the top; a Location that begins with '/' is made absolute if
	// absolute_redirect says so (one in Headers is not).
	LastModified, Location []byte
	// Trailer, if a filter sets it, fills in Trailers when the body has ended: they are sent after it, over HTTP/1.1
	// with chunks instead of a length. If the protocol has no trailers, it is not called.
	Trailer  func(*Request)
	Trailers h1.Headers
	// Ranges says whether the body is stable, so that a part of it can be sent for a range.
	Ranges RangeSupport
	// Offset is where the pieces of the body start in the ContentLength bytes of the whole (slice).
	Offset int64
	// Conditions says who applies the client's conditions.
	Conditions Conditions

	server []byte // the text of server_tokens; nil until it was evaluated
}

// Conn is one client connection, or a stream's view of it in HTTP/2.
type Conn struct {
	shared

	buf   h1.Buffer
	out   h1.Writer
	state atomic.Int32
	waits atomic.Bool // for a request
	// leastUntil is when keepalive_min_timeout ends, in nanoseconds since 1970; 0 if there is none.
	leastUntil atomic.Int64
	// presence is maintained once a request has called Watch.
	presence              presence
	bindings              bindings
	http2                 *h2.Conn // set before the state becomes stateStreams
	readUntil, writeUntil deadline.Deadline
}

// shared is the state that the streams of a connection share.
type shared struct {
	Net   net.Conn // the socket, or the TLS connection over it
	Port  *Port
	Local netip.AddrPort
	// Remote is the peer of the socket; not valid for a unix socket.
	Remote netip.AddrPort
	// TLS is the state after the handshake, nil without TLS.
	TLS *tls.ConnectionState
	// Proxied is the PROXY protocol header, nil if it is not used or has no addresses.
	Proxied *proxyprotocol.Header
	// Peer is what was learned about the client after the handshake, nil without TLS.
	Peer *ssl.Peer
	// Offer is what the client offers, during the handshake.
	Offer *ssl.Offer
	// Serial numbers the connections of the process ($connection); Requests counts those started on this one.
	Serial   uint64
	Requests int
	// OpenedAt is when it was accepted.
	OpenedAt clock.Reading

	whole  *Conn       // the connection itself, which a stream's view is not
	raw    net.Conn    // the socket itself
	fence  *side.Fence // of the session of stream that has passed it on, or nil
	site   *Site
	hosts  *hosts
	server *Server // the default of the address, or the one TLS named
	named  bool    // TLS named it

	plainToTLS bool // the client does not use TLS where it should
	pipelined  bool // the current request was pipelined
}

// Header returns the value of the first request header with a lower-case name; '_' in name also matches '-'.
func (r *Request) Header(name string) ([]byte, bool) {
	i := r.Headers.Lookup(name, 0)
	if i < 0 {
		return nil, false
	}
	return r.Headers[i].Value, true
}

// Pick is the request's choice among copies of counters; see stripes.
func (r *Request) Pick() *stripes.Pick { return &r.pick }

// Cookie returns the first cookie of a name, in any case as in nginx, from all Cookie headers.
func (r *Request) Cookie(name string) (value []byte, sent bool) {
	if !r.Seen.Has(h1.HeaderCookie) {
		return nil, false
	}
	for i := range r.Headers {
		if r.Headers[i].ID != h1.HeaderCookie {
			continue
		}
		for rest := r.Headers[i].Value; len(rest) > 0; {
			var pair []byte
			pair, rest, _ = bytes.Cut(rest, []byte{';'})
			pair = bytes.TrimLeft(pair, " ")
			if len(pair) <= len(name) || !ascii.EqualString(pair[:len(name)], name) {
				continue
			}
			if value, ok := bytes.CutPrefix(bytes.TrimLeft(pair[len(name):], " "), []byte{'='}); ok {
				return bytes.TrimLeft(value, " "), true
			}
		}
	}
	return nil, false
}

// Argument returns the first argument of a name, in any case as in nginx, from Query as it was sent.
func (r *Request) Argument(name string) (value []byte, sent bool) {
	for rest := r.Query; len(rest) > 0; {
		var pair []byte
		pair, rest, _ = bytes.Cut(rest, []byte{'&'})
		if len(pair) > len(name) && pair[len(name)] == '=' && ascii.EqualString(pair[:len(name)], name) {
			return pair[len(name)+1:], true
		}
	}
	return nil, false
}

// KnownHeader returns the first value of a known request header, nil if it was not sent.
func (r *Request) KnownHeader(id h1.Known) []byte {
	if !r.Seen.Has(id) {
		return nil
	}
	v, _ := r.Headers.Get(id)
	return v
}

// AtEnd registers a callback after the Log phase, the latest first, with the values given. It does not allocate if
// callback is a function without closure and arg a pointer.
func (r *Request) AtEnd(callback func(arg any, n uint64), arg any, n uint64) {
	r.endings = append(r.endings, ending{callback, arg, n})
}

// WhenDone registers a callback for the moment when the work on the request is done: before the last bytes of the
// response are sent, because a client can take it for done as soon as it has the whole response, or after them if they
// have to wait for a client that does not read. If the request goes on after that, the callback runs at its end. Like
// AtEnd, it does not allocate.
func (r *Request) WhenDone(callback func(arg any, n uint64), arg any, n uint64) {
	r.dones = append(r.dones, ending{callback, arg, n})
}

// callDones runs the WhenDone callbacks, once.
func (r *Request) callDones() {
	for i := range r.dones {
		e := r.dones[i]
		r.dones[i] = ending{}
		e.callback(e.arg, e.n)
	}
	r.dones = r.dones[:0]
}

// settle runs the WhenDone callbacks unless the request goes on.
func (r *Request) settle() {
	if len(r.dones) > 0 && !r.goesOn() {
		r.callDones()
	}
}

// goesOn reports whether the request will go on when its response is sent: what it has started has not ended, or
// post_action follows.
func (r *Request) goesOn() bool {
	return r.fence.Holds() || r.parent == nil && r.Location.Core.PostAction != "" || r.subsRun()
}

type ending struct {
	callback func(any, uint64)
	arg      any
	n        uint64
}
