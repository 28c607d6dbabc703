package web

import (
	"crypto/tls"
	"net"
	"net/netip"

	"starling/lib/clock"
	"starling/lib/regex"
	"starling/web/h1"
)

// Request is one request and its response. One lives per connection (per stream in HTTP/2) and is used again, so nothing
// may keep it, or a slice of it, past the Log phase. It belongs to one goroutine.
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
	// Captures are those of the last regular expression that matched ($1 to $9).
	Captures regex.Captures
	// Internal is set once the request was redirected inside.
	Internal bool
	// NoBodyKept says that the response does not end with a reusable connection (Connection: close).
	LimitRate int64 // bytes per second; 0: no limit

	engine
}

// Response is the head of the response until it is sent, and what was sent afterwards.
type Response struct {
	Status int
	// Reason replaces the standard phrase where not nil.
	Reason []byte
	// ContentType is sent as Content-Type if not empty, LastModified and Location likewise.
	ContentType []byte
	// Headers are the others, in order. Server and Date are added where absent; Connection, Keep-Alive, Transfer-Encoding and
	// Content-Length belong to the engine.
	Headers h1.Headers
	// ContentLength is the length of the body to come; -1 if it is not known.
	ContentLength int64
}

// Conn is one client connection.
type Conn struct {
	Net   net.Conn // the socket, or the TLS connection over it
	Port  *Port
	Local netip.AddrPort
	// Remote is the peer of the socket; not valid for a unix socket.
	Remote netip.AddrPort
	// TLS is the state after the handshake, nil without TLS.
	TLS *tls.ConnectionState
	// Serial numbers the connections of the process ($connection); Requests counts those begun on this one.
	Serial   uint64
	Requests int
	// OpenedAt is when it was accepted.
	OpenedAt clock.Reading

	loop
}

// Slot is a request's value of a slot variable, or what a module remembers during a request.
type Slot struct {
	Value []byte
	Set   bool
	// Data and Number are the module's own; a pointer in Data does not allocate.
	Data   any
	Number int64
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

// Slot gives the request's place for a slot of NewSlot or SlotVariable. The pointer is valid during the request.
func (r *Request) Slot(i int) *Slot { return &r.slots[i] }

// AtEnd calls back after the Log phase, the latest first, with the values given. It does not allocate
// if callback is a function without closure and arg a pointer.
func (r *Request) AtEnd(callback func(arg any, n uint64), arg any, n uint64) {
	r.endings = append(r.endings, ending{callback, arg, n})
}

type ending struct {
	callback func(any, uint64)
	arg      any
	n        uint64
}
