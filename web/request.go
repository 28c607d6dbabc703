package web

import (
	"crypto/tls"
	"net"
	"net/netip"
	"sync/atomic"

	"starling/lib/clock"
	"starling/lib/deadline"
	"starling/lib/proxyprotocol"
	"starling/side"
	"starling/ssl"
	"starling/web/h1"
	"starling/web/h2"
)

// Request is one request and its response. One lives per connection (per stream in HTTP/2) and is used again, so
// nothing may keep it, or a slice of it, past the Log phase. It belongs to one goroutine.
type Request struct {
	// What the client sent. Modules may replace the slices, never change the bytes in place.
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

	// Path ($uri) and Query ($args) are what locations and rewrites work on: normalised and decoded, and as sent.
	Path, Query []byte

	ContentLength int64 // of the request body; -1 none or not known
	Chunked       bool

	Conn     *Conn
	Server   *Server
	Location *Location
	// Remote is the client's address; realip may replace it. Not valid for a unix socket.
	Remote    netip.AddrPort
	StartedAt clock.Reading

	Out Response
	side.State
	// Internal is set once the request was redirected inside.
	Internal bool
	// Displaced says that Path was rewritten and its location not looked for again (rewrite … break): it need not begin
	// with the location's name, so proxy_pass passes it whole.
	Displaced bool
	// BehindAlias says that Path goes behind the alias of a regular expression, which else is the whole file name
	// (try_files).
	BehindAlias bool
	// LimitRate bounds the response in bytes per second: 0 as limit_rate says, below that not at all.
	LimitRate int64
	// LogNote is put into each line of the error log after the request (`upstream: "…"`), without commas around.
	LogNote []byte

	engine
}

// engine is what only the kit touches.
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
	in     *h1.RequestHead // what was read, of the wire that is in use
	arena  arena

	endings []ending
	lasts   []ending // of BeforeLast
	bodies  []Body   // what the filters want to do with the body, in their order
	scratch []byte

	resume      step
	uriChanges  int // redirects still allowed
	errStatus   int // of error_page: takes the place of Out.Status; 0: none
	inErrorPage bool
	panicked    bool // it may be in any state: not to be used again
	orphaned    bool // who answers was said by a block that has been left; see SwitchTo
	headSent    bool // SendHead has fixed the head
	headWritten bool // the wire has it
	finished    bool // no more of the response will come
	ended       bool // the wire has its end
	noBody      bool // HEAD, 204, 304: Write forgets what it gets
	keep        bool // the connection may be kept as far as is known
	hijacked    bool
	failure     error // the first error of the connection
	bodyBytes   int64 // of the response
	tunnelled   int64 // bytes that a hijacker sent
	sentBefore  int64 // bytes that the connection had sent when the request began

	id    [16]byte // $request_id, once hasID
	hasID bool

	kept        keptBody
	bodyRead    int64 // body bytes read from the client
	bodyAsked   bool  // a handler has read the body, or begun to
	limited     bool  // client_max_body_size applies: the location is known
	unreadFault error // of a body that nobody asked for: it takes the place of the answer
	expects     bool  // 100 Continue is still to be sent
	refused     bool  // the body is not read any more; see refuseBody

	cut           cut
	unsatisfiable bool // a range was asked for of which the body has nothing

	rate      int64 // of limit_rate; 0: none
	rateAfter int64
	rateSince clock.Reading
}

// Response is the head of the response until it is sent, and what was sent afterwards.
type Response struct {
	Status int
	// Reason replaces the standard phrase where not nil.
	Reason []byte
	// ContentType is sent as Content-Type if not empty.
	ContentType []byte
	// Headers are the others, in order. Server and Date are added where absent; Connection, Keep-Alive,
	// Transfer-Encoding and Content-Length belong to the engine.
	Headers h1.Headers
	// ContentLength is the length of the body to come; -1 if it is not known.
	ContentLength int64
	// LastModified and Location go out near the top; a Location that begins with '/' is made absolute where
	// absolute_redirect says so (one in Headers is not).
	LastModified, Location []byte
	// Trailer, where a filter sets it, fills in Trailers when the body has ended: they go out behind it, over HTTP/1.1
	// with chunks in place of a length. Where the protocol has no trailers it is not called.
	Trailer  func(*Request)
	Trailers h1.Headers
	// Ranges says that the body is the whole of something that stays the same, so that a part of it may be sent where
	// the client asks for a range. A filter that changes the body takes it back.
	Ranges bool

	server      string // what server_tokens says, with serverKnown
	serverKnown bool
}

// Conn is one client connection, or what a stream of HTTP/2 sees of it.
type Conn struct {
	link

	buf   h1.Buffer
	out   h1.Writer
	state atomic.Int32
	// presence is looked after once a request has watched.
	presence              presence
	http2                 *h2.Conn // set before the state becomes stateStreams
	readUntil, writeUntil deadline.Deadline
}

// link is what the streams of a connection share with it.
type link struct {
	Net   net.Conn // the socket, or the TLS connection over it
	Port  *Port
	Local netip.AddrPort
	// Remote is the peer of the socket; not valid for a unix socket.
	Remote netip.AddrPort
	// TLS is the state after the handshake, nil without TLS.
	TLS *tls.ConnectionState
	// Proxied is what the PROXY protocol told, nil where it is not spoken or told nothing.
	Proxied *proxyprotocol.Header
	// Peer is what was found out about the client after the handshake, nil without TLS.
	Peer *ssl.Peer
	// Serial numbers the connections of the process ($connection); Requests counts those begun on this one.
	Serial   uint64
	Requests int
	// OpenedAt is when it was accepted.
	OpenedAt clock.Reading

	raw    net.Conn // the socket itself
	site   *Site
	hosts  *hosts
	server *Server // the default of the address, or that which TLS named
	named  bool    // TLS named it

	plainToTLS bool // the client does not speak TLS where it should
	pipelined  bool // the present request came behind another without waiting
}

// Header gives the value of the first request header of a lower-case name; '_' in name also stands for '-'.
func (r *Request) Header(name string) ([]byte, bool) {
	i := r.Headers.Lookup(name, 0)
	if i < 0 {
		return nil, false
	}
	return r.Headers[i].Value, true
}

// KnownHeader gives the first value of a known request header, nil if it was not sent.
func (r *Request) KnownHeader(id h1.Known) []byte {
	if !r.Seen.Has(id) {
		return nil
	}
	v, _ := r.Headers.Get(id)
	return v
}

// AtEnd calls back after the Log phase, the latest first, with the values given. It does not allocate
// if callback is a function without closure and arg a pointer.
func (r *Request) AtEnd(callback func(arg any, n uint64), arg any, n uint64) {
	r.endings = append(r.endings, ending{callback, arg, n})
}

// BeforeLast calls back before the last bytes of the response go out, or at the end of the request if it comes to that:
// for what a client may take for done as soon as it has the whole response. It does not allocate, as AtEnd.
func (r *Request) BeforeLast(callback func(arg any, n uint64), arg any, n uint64) {
	r.lasts = append(r.lasts, ending{callback, arg, n})
}

// callLasts makes the calls of BeforeLast, once.
func (r *Request) callLasts() {
	for i := range r.lasts {
		e := r.lasts[i]
		r.lasts[i] = ending{}
		e.callback(e.arg, e.n)
	}
	r.lasts = r.lasts[:0]
}

type ending struct {
	callback func(any, uint64)
	arg      any
	n        uint64
}
