package forward

import (
	"crypto/tls"
	"errors"
	"slices"
	"time"

	"starling/conf"
	"starling/logs"
	"starling/ssl"
	"starling/upstream"
	"starling/upstream/connect"
	"starling/web"
)

// connect takes an idle connection or opens one.
func (x *Exchange) connect() (verdict, int) {
	var config *tls.Config // nil for a plain connection
	var file ssl.CertificateFile
	k := x.l.connector
	if x.To.tls {
		var err error
		if config, file, err = k.Config(x.Request, x.To.name); err != nil {
			x.Logf(logs.Error, "%v", err)
			return tryHopeless, 500
		}
	}
	if x.connectKept(config) {
		x.state().connectMS = 0
		return tryAccepted, 0
	}
	dialer, err := k.Dialer(x.Request, config, file)
	if err != nil {
		x.Logf(logs.Error, "%v while SSL handshaking to upstream", err)
		return tryHopeless, 500
	}
	c, err := dialer.Dial(x.Request.Context(), x.server)
	if err != nil {
		return x.connectFailed(err)
	}
	x.use(newConnection(c, x.l, config))
	x.state().connectMS = x.Request.Now().MonoMS - x.state().startMS
	return tryAccepted, 0
}

// connectKept takes an idle connection of the group.
func (x *Exchange) connectKept(config *tls.Config) bool {
	if kept := x.bound; kept != nil {
		x.bound = nil
		if kept.Server == x.server && kept.family == x.l.family && kept.tls == config && kept.Alive() {
			x.use(kept)
			return true
		}
		kept.Discard() // the server is no longer available, or has closed the connection
	}
	pool := x.group.Pool
	if pool == nil || x.anew {
		x.anew = false
		return false
	}
	for c := pool.Get(x.server, x.l, !x.repeatable()); c != nil; c = pool.Get(x.server, x.l, !x.repeatable()) {
		if kept := c.Attachment.(*connection); kept.family == x.l.family && kept.tls == config {
			x.use(kept)
			return true
		}
		// It uses another protocol, or was made without TLS or for another name: reusing it would bypass the
		// verification here.
		c.Close()
	}
	return false
}

func (x *Exchange) connectFailed(err error) (verdict, int) {
	if x.fenced() {
		return x.endFenced()
	}
	x.Logf(logs.Error, "%v", err)
	var failed *upstream.DialError
	if errors.As(err, &failed) {
		if failed.TLS {
			x.doing = "SSL handshaking to upstream"
		}
		if failed.TimedOut {
			return tryTimedOut, 504
		}
	}
	return tryFailed, 502
}

// use starts the current try on a connection.
func (x *Exchange) use(c *connection) {
	x.conn, x.reusable, x.unsent = c, false, false
	x.sentAt = c.wire.Sent()
	x.head = Head{}
	c.Requests++
	x.enclose()
}

// connectionDirectives are those about connections.
func connectionDirectives[S any](d declarer[S]) []conf.Directive {
	all := connect.Directives(&web.Side, d.family.Prefix, places, d.family.Has.TLS,
		func(s *S) *connect.Settings[*web.Request] { return &d.place(s).connections })
	return slices.Insert(all, 1, // behind PREFIX_connect_timeout
		d.timed("_send_timeout", "60s", "Sets the timeout between two write operations to a server.",
			func(s *Settings) *time.Duration { return &s.sendTimeout }),
		d.timed("_read_timeout", "60s", "Sets the timeout between two read operations from a server.",
			func(s *Settings) *time.Duration { return &s.readTimeout }))
}
