package web

import (
	"context"
	"net"
	"time"

	"starling/conf"
	"starling/lib/clock"
	"starling/lib/regex"
	"starling/observe"
	"starling/plan"
	"starling/vars"
	"starling/web/h1"
)

// The rest of the contract; its bodies move to their files with the engine.

type (
	engine struct {
		slots   []Slot
		endings []ending
		trial   regex.Captures
	}
	loop    struct{}
	builder struct{}
)

// CoreSettings are the bound settings of module Core.
type CoreSettings struct{}

// Core is the module of the kit's own directives.
var Core = Module{Module: conf.Module{Name: "http", New: conf.NewOf[CoreSettings], Clone: conf.CloneOf[CoreSettings]}}

// Site is the http side of one configuration, ready to serve.
type Site struct{}

// Port is one address that a Site listens on; the cycle owns the listener.
type Port struct {
	Network, Address string // "tcp", "unix"; "127.0.0.1:80", "[::]:80", a path
	TLS              bool
}

// Prepare declares the modules' variables; call it before the configuration is bound.
func Prepare(p *plan.Plan, modules []*Module) error { panic("web: not yet") }

// Build makes the http side from its bound block, after Plan.Link. Its error is a conf.Problems or a *conf.Problem.
func Build(p *plan.Plan, http *conf.Scope, modules []*Module) (*Site, error) { panic("web: not yet") }

// Ports are the addresses to listen on.
func (s *Site) Ports() []*Port { panic("web: not yet") }

// Resources are the modules' branches of the API.
func (s *Site) Resources() []observe.Resource { panic("web: not yet") }

// Retire closes idle connections and lets busy ones end with their request.
func (s *Site) Retire() { panic("web: not yet") }

// Drained is closed when a retired site has no connection left.
func (s *Site) Drained() <-chan struct{} { panic("web: not yet") }

// Close closes all connections at once.
func (s *Site) Close() { panic("web: not yet") }

// Serve serves one connection until it ends; the caller gives it a goroutine of its own.
func (p *Port) Serve(conn net.Conn) { panic("web: not yet") }

// Location compiles a block inside this one (if, a nested block of a module) that a handler may switch to.
func (b *Block) Location(inner *conf.Scope) (*Location, error) { panic("web: not yet") }

func (w *part) slotVariable(p *plan.Plan, name string) (int, error) { panic("web: not yet") }

func (r *Request) adopt(subject []byte) { panic("web: not yet") }

// Alloc gives n bytes that are valid during the request; their contents are undefined.
func (r *Request) Alloc(n int) []byte { panic("web: not yet") }

// Copy copies bytes for the time of the request.
func (r *Request) Copy(b []byte) []byte { panic("web: not yet") }

// Expand gives a template's value, valid during the request.
func (r *Request) Expand(t *vars.Template[*Request]) []byte { panic("web: not yet") }

// Scratch gives an empty slice to append to; it is valid until the next call of Scratch or Expand.
func (r *Request) Scratch() []byte { panic("web: not yet") }

// Now reads the clocks.
func (r *Request) Now() clock.Reading { panic("web: not yet") }

// Context ends when the client's connection or the site is closed by force; it is made at first use, so not for the hot path.
func (r *Request) Context() context.Context { panic("web: not yet") }

// Logf writes to the location's error log and adds client, server, request and host as nginx does.
func (r *Request) Logf(level observe.Level, format string, args ...any) { panic("web: not yet") }

// ReadBody reads body bytes as they come; io.EOF at the end. A body beyond client_max_body_size gives a *h1.Problem with status 413.
func (r *Request) ReadBody(p []byte) (int, error) { panic("web: not yet") }

// HasBody tells whether a request body (even an empty chunked one) came or will come; BodyDone that all of it was read.
func (r *Request) HasBody() bool { panic("web: not yet") }

// BodyDone tells that the whole request body was read.
func (r *Request) BodyDone() bool { panic("web: not yet") }

// DiscardBody reads what is left of the body and forgets it, as far as is reasonable.
func (r *Request) DiscardBody() error { panic("web: not yet") }

// WholeBody reads the whole body, at most limit bytes (an error with status 413 beyond). It may be called again.
func (r *Request) WholeBody(limit int64) ([]byte, error) { panic("web: not yet") }

// SetHeader replaces all response headers of a name by one; AddHeader adds one more. The bytes must stay as they are
// during the request.
func (r *Request) SetHeader(name, value []byte) { panic("web: not yet") }

// AddHeader adds a response header.
func (r *Request) AddHeader(name, value []byte) { panic("web: not yet") }

// SendHead runs the filters and prepares the head; it goes out with the first body bytes or at Flush.
func (r *Request) SendHead() error { panic("web: not yet") }

// SendInterim sends a 1xx response at once (103).
func (r *Request) SendInterim(status int, reason []byte, headers h1.Headers) error {
	panic("web: not yet")
}

// HeadSent tells whether SendHead was called.
func (r *Request) HeadSent() bool { panic("web: not yet") }

// Write sends body bytes, with the head before the first ones in one system call.
func (r *Request) Write(p []byte) (int, error) { panic("web: not yet") }

// Flush sends what waits.
func (r *Request) Flush() error { panic("web: not yet") }

// FinishBody ends the response; a handler that returns Done without it has the engine call it. Fewer bytes than Out.ContentLength
// close the connection.
func (r *Request) FinishBody() error { panic("web: not yet") }

// Respond sends a whole response.
func (r *Request) Respond(status int, contentType string, body []byte) Result { panic("web: not yet") }

// RespondError sends the special page of a status (or what error_page says).
func (r *Request) RespondError(status int) Result { return Result(status) }

// InternalRedirect goes on with another URI as if the client had sent it; it returns Redirected, or 500 after the tenth time.
func (r *Request) InternalRedirect(path, query []byte) Result { panic("web: not yet") }

// Relocate looks for the location of another URI (rewrite … last): unlike after InternalRedirect the server's own rewrites do not
// run again. It returns Redirected, or 500 after the tenth redirect of either sort.
func (r *Request) Relocate(path, query []byte) Result { panic("web: not yet") }

// NamedRedirect goes on in the location @name, with the URI as it is.
func (r *Request) NamedRedirect(name string) Result { panic("web: not yet") }

// SwitchTo makes a compiled block the request's location; its handlers count from the next phase on.
func (r *Request) SwitchTo(l *Location) { panic("web: not yet") }

// Hijack gives the connection away after the head was sent (Upgrade): bytes read beyond the head come first. The handler
// returns Done when the tunnel has ended; the engine then closes the connection.
func (r *Request) Hijack() (conn net.Conn, buffered []byte) { panic("web: not yet") }

// Delay waits; false says that the client left or the site was closed meanwhile.
func (r *Request) Delay(d time.Duration) bool { panic("web: not yet") }

// BytesSent, BodyBytesSent, RequestLength count what $bytes_sent, $body_bytes_sent and $request_length show.
func (r *Request) BytesSent() int64 { panic("web: not yet") }

// BodyBytesSent counts response bytes without the head.
func (r *Request) BodyBytesSent() int64 { panic("web: not yet") }

// RequestLength counts request line, headers and body read so far.
func (r *Request) RequestLength() int64 { panic("web: not yet") }

// RequestTime is the time since the request's first byte.
func (r *Request) RequestTime() time.Duration { panic("web: not yet") }

// ErrorStatus is what the request will be answered with if a handler's error says so: the status of an *h1.Problem, 408 for a
// timeout, 400 for a client that left.
func (r *Request) ErrorStatus(err error) Result { panic("web: not yet") }
