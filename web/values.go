package web

import (
	"crypto/rand"
	"net/netip"
	"time"

	"starling/lib/clock"
	"starling/logs"
	"starling/plan"
	"starling/vars"
)

// Scratch returns an empty slice to append to; it is valid until the next call of Scratch or Expand.
func (r *Request) Scratch() []byte { return r.scratch[:0] }

// KeepScratch copies what was appended to Scratch for the duration of the request, and keeps grown memory for the next
// use.
func (r *Request) KeepScratch(b []byte) []byte {
	r.scratch = b[:0]
	return r.Copy(b)
}

// Expand returns a template's value, valid during the request.
func (r *Request) Expand(t *vars.Template[*Request]) []byte {
	// A variable can use the scratch itself (map of map), so it is taken away meanwhile.
	buf := r.scratch
	r.scratch = nil
	buf = t.Append(buf[:0], r)
	r.scratch = buf[:0]
	return r.Copy(buf)
}

// Value returns a variable's value, valid during the request; false means that it has none.
func (r *Request) Value(u *vars.Use[*Request]) ([]byte, bool) {
	buf := r.scratch
	r.scratch = nil
	buf, ok := u.Append(buf[:0], r)
	r.scratch = buf[:0]
	if !ok {
		return nil, false
	}
	return r.Copy(buf), true
}

// Now reads the clocks.
func (r *Request) Now() clock.Reading { return r.site.plan.Clock.Now() }

// Stamps returns a time in the formats of logs.
func (r *Request) Stamps(at clock.Reading) *logs.Stamps {
	return r.site.times.At(time.UnixMilli(at.WallMS))
}

// Plan is the configuration that serves the request.
func (r *Request) Plan() *plan.Plan { return r.site.plan }

// Client is the client's address, the zero Addr for a unix socket.
func (r *Request) Client() netip.Addr { return r.Remote.Addr() }

// Logf writes to the location's error log and adds client, server, request and host as nginx does.
func (r *Request) Logf(level logs.Level, format string, args ...any) {
	log := r.Location.Log
	if !log.Enabled(level) {
		return
	}
	context := logs.Context{{Name: "client", Value: r.remoteText()}, {Name: "server", Value: r.Server.Name}}
	sent := func(name string, value []byte) {
		context = append(context, logs.Field{Name: name, Value: string(value), Quoted: true})
	}
	if len(r.Line) > 0 {
		sent("request", r.Line)
	}
	if r.parent != nil {
		sent("subrequest", r.Path)
	}
	if len(r.LogUpstream) > 0 {
		sent("upstream", r.LogUpstream)
	}
	if host, there := r.Header("host"); there {
		sent("host", host)
	}
	if referrer, there := r.Header("referer"); there {
		sent("referrer", referrer)
	}
	log.Logf(level, "%v"+format+"%v", logs.About(r.Conn.Serial, args, context)...)
}

// LogEnabled reports whether a line of that level would be written, for callers that avoid the work.
func (r *Request) LogEnabled(level logs.Level) bool { return r.Location.Log.Enabled(level) }

// remoteText is the client's address for logs; realip may have replaced it.
func (r *Request) remoteText() string {
	if !r.Remote.IsValid() {
		return "unix:"
	}
	return r.Remote.Addr().String()
}

// ID identifies the request ($request_id). It is generated at the first call; a subrequest has its parent's.
func (r *Request) ID() [16]byte {
	if !r.hasID {
		rand.Read(r.id[:]) // never fails: the runtime ends the process first
		r.hasID = true
	}
	return r.id
}

// Hostname is the name of the machine, in lower case.
func (r *Request) Hostname() string { return r.site.hostname }

// Pipelined reports whether the current request was sent before the previous response.
func (c *Conn) Pipelined() bool { return c.pipelined }

// BytesSent counts the bytes sent to the client, head included.
func (r *Request) BytesSent() int64 { return r.wire.Sent(r) }

// BodyBytesSent counts what was sent after the head, with the framing of the body (chunks, frames), as nginx does.
func (r *Request) BodyBytesSent() int64 { return max(r.wire.Sent(r)-r.headBytes, 0) }

// RequestLength counts request line, headers and body read so far.
func (r *Request) RequestLength() int64 { return r.wire.Received(r) }
