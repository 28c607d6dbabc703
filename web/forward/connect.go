package forward

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"starling/conf"
	"starling/logs"
	"starling/ssl"
	"starling/upstream"
	"starling/upstreams"
	"starling/vars"
	"starling/web"
)

// connections are the settings of one block about connections to servers.
type connections struct {
	timeout time.Duration
	bind    upstreams.Bind[*web.Request]
	probe   bool

	tls     ssl.BoundClient
	tlsName *vars.Template[*web.Request]
	reuse   bool
	// tlsFiles are certificate and key where their names may have variables.
	tlsFiles ssl.ClientNames[*web.Request]
}

// connector makes the connections of one location.
type connector struct {
	*connections
	base   upstream.Dialer
	client *ssl.Client                     // nil where TLS cannot be asked for
	finder *ssl.ClientFinder[*web.Request] // nil where the certificate's name has no variables
}

// build reads what PREFIX_ssl_… name, if TLS may be asked for.
func (s *connections) build(b *web.Block, prefix string, mayEncrypt bool) (*connector, error) {
	k := &connector{connections: s, base: upstream.Dialer{Timeout: s.timeout, Probe: s.probe, Clock: b.Plan.Clock}}
	if !mayEncrypt {
		return k, nil
	}
	var err error
	if k.finder, err = s.tlsFiles.Finder(b.Plan, prefix+"_ssl", s.tls.PasswordFile); err != nil {
		return nil, err
	}
	bound := s.tls
	bound.NoSessionReuse = !s.reuse
	if k.finder == nil {
		if err := bound.Pair(prefix + "_ssl"); err != nil {
			return nil, err
		}
	}
	if bound.Verify && len(bound.Trusted) == 0 {
		return nil, fmt.Errorf("no %[1]s_ssl_trusted_certificate for %[1]s_ssl_verify", prefix)
	}
	client, warnings, err := bound.ClientSettings.Build(b.Plan.ReadFile)
	for _, w := range warnings {
		b.Plan.Log.Logf(logs.Warn, "%s in %s:%d", w, b.Scope.Node.File, b.Scope.Node.Line)
	}
	k.client = client
	return k, err
}

// config is that of the connection to make to a host, and the certificate to put in, if its name had variables. Equal
// settings and names give the same one.
func (k *connector) config(r *web.Request, host string) (config *tls.Config, file ssl.CertificateFile, err error) {
	if k.tlsName != nil {
		host = string(r.Expand(k.tlsName))
	}
	if k.finder != nil {
		file, err = k.finder.Names(r)
	}
	return k.client.ConfigWith(host, k.tls.SendName, file), file, err
}

// connect takes a kept connection or opens one.
func (x *Exchange) connect() (verdict, int) {
	var config *tls.Config // nil for a plain connection
	var file ssl.CertificateFile
	k := x.l.connector
	if x.To.tls {
		var err error
		if config, file, err = k.config(x.Request, x.To.name); err != nil {
			x.Logf(logs.Error, "%v", err)
			return tryHopeless, 500
		}
	}
	if x.connectKept(config) {
		x.state().connectMS = 0
		return tryAccepted, 0
	}
	dialer := k.base
	dialer.TLS = config
	if file != (ssl.CertificateFile{}) {
		cert, err := k.finder.Load(file)
		if err != nil {
			x.Logf(logs.Error, "%v while SSL handshaking to upstream", err)
			return tryHopeless, 500
		}
		dialer.TLS = ssl.Show(config, cert)
	}
	var err error
	if dialer.Bind, err = k.bind.Address(x.Request); err != nil { // as in nginx the system then chooses
		x.Logf(logs.Error, "%v", err)
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
	pool := x.group.Pool
	if pool == nil {
		return false
	}
	for c := pool.Get(x.server, x.l, !x.repeatable()); c != nil; c = pool.Get(x.server, x.l, !x.repeatable()) {
		if kept := c.Attachment.(*connection); kept.family == x.l.family && kept.tls == config {
			x.use(kept)
			return true
		}
		// It speaks another protocol, or was made in plain or for another name: it would pass by what is verified here.
		c.Close()
	}
	return false
}

func (x *Exchange) connectFailed(err error) (verdict, int) {
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

// use begins the present try on a connection.
func (x *Exchange) use(c *connection) {
	x.conn, x.reusable, x.unsent = c, false, false
	x.sentAt, _ = c.wire.Counts()
	x.head = Head{}
	c.Requests++
}

// connectionDirectives are those about connections.
func connectionDirectives[S any](d declarer[S]) []conf.Directive {
	prefix, at := d.family.Prefix, func(s *S) *connections { return &d.place(s).connections }
	bind := upstreams.BindDirective(places, web.Side.Variables,
		func(s *S) *upstreams.Bind[*web.Request] { return &at(s).bind })
	bind.Name = prefix + "_bind"
	all := []conf.Directive{
		d.timed("_connect_timeout", "60s", "Bounds connecting to a server.",
			func(s *Settings) *time.Duration { return &s.connections.timeout }),
		d.timed("_send_timeout", "60s", "Bounds the time between two writes to a server.",
			func(s *Settings) *time.Duration { return &s.sendTimeout }),
		d.timed("_read_timeout", "60s", "Bounds the time between two reads from a server.",
			func(s *Settings) *time.Duration { return &s.readTimeout }),
		bind,
		d.flag("_socket_keepalive", "off", "Sends TCP keep-alive probes to servers.",
			func(s *Settings) *bool { return &s.connections.probe }),
	}
	if !d.family.Has.TLS {
		return all
	}
	all = append(all, conf.Directive{
		Name: prefix + "_ssl_name", Syntax: "<name>", In: places,
		Doc: "Sets the name to verify and to send; by default that of the URL.",
		Set: conf.Raw(func(s *S, a *conf.Args) error {
			t, err := web.Side.Compile(a, a.Words[0])
			at(s).tlsName = &t
			return err
		}),
	}, d.flag("_ssl_session_reuse", "on", "Resumes TLS sessions.",
		func(s *Settings) *bool { return &s.connections.reuse }))
	tls := ssl.ClientDirectives(prefix+"_ssl", places, func(s *S) *ssl.BoundClient { return &at(s).tls })
	return append(all, ssl.NameDirectives(prefix+"_ssl", places, tls, web.Side.Compile,
		func(s *S) *ssl.ClientNames[*web.Request] { return &at(s).tlsFiles })...)
}
