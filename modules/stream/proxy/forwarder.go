package proxy

import (
	"context"
	"crypto/tls"
	"sync"

	"starling/conf"
	"starling/lib/resolver"
	"starling/logs"
	"starling/ssl"
	"starling/stream"
	"starling/upstream"
	"starling/upstream/connect"
	"starling/upstream/groups"
)

// forwarder is proxy_pass in one server, ready for sessions.
type forwarder struct {
	*Settings
	groups    *groups.List[*stream.Session]
	names     *resolver.Resolver // for addresses with variables; nil without a resolver
	connector *connect.Connector[*stream.Session]
	buffers   sync.Pool
}

func build(b *stream.Block) (stream.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if s.target == nil {
		return nil, nil
	}
	p := &forwarder{Settings: s, groups: groups.Of[*stream.Session](b.Plan)}
	p.buffers.New = func() any {
		buf := make([]byte, s.bufferBytes)
		return &buf
	}
	var err error
	if s.target.bySession != nil {
		if p.names, err = b.Plan.Resolver(b.Server.ResolverSettings()); err != nil {
			return nil, err
		}
	}
	if p.connector, err = s.connections.Build(b.Plan, "proxy", b.Scope.Node, s.connections.TLS.On); err != nil {
		return nil, err
	}
	b.Server.Route = &stream.Route{Group: s.target.group, Dial: p.dialAt, BufferBytes: s.bufferBytes}
	return p.handle, nil
}

// dialAt connects to a server for a health check; see stream.Route.
func (p *forwarder) dialAt(ctx context.Context, s *stream.Session, to *upstream.Server, at upstream.Address) (
	c *upstream.Conn, header []byte, err error) {
	d, err := p.dialerFor(s, p.target.group.Name)
	if err != nil {
		return nil, nil, err
	}
	if d.Datagrams {
		header = p.appendHeader(nil, s)
	}
	d.Brief = true
	c, err = d.DialAt(ctx, to, at)
	return c, header, err
}

// find finds the session's group and the name of its host; a status other than 0 ends the session.
func (p *forwarder) find(s *stream.Session) (g *group, host string, status stream.Result) {
	if p.target.group != nil {
		return p.target.group, p.target.group.Name, 0
	}
	failed := func(format string, args ...any) (*group, string, stream.Result) {
		s.Logf(logs.Error, format, args...)
		return nil, "", stream.StatusInternalError
	}
	t, err := groups.ParseTarget(string(p.target.bySession.Append(nil, s)), 0, false)
	if err != nil {
		return failed("%v", err)
	}
	if g, err = p.groups.Resolve(s, &t, p.names); err != nil {
		return failed("%v", err)
	}
	return g, t.Name(), 0
}

// dialerFor returns the dialer for one connection of a session.
func (p *forwarder) dialerFor(s *stream.Session, host string) (d upstream.Dialer, err error) {
	var config *tls.Config // nil for plain connections
	var file ssl.CertificateFile
	if p.connections.TLS.On && !s.IsUDP() {
		if config, file, err = p.connector.Config(s, host); err != nil {
			return d, err
		}
		config = p.offer(config, s)
	}
	if d, err = p.connector.Dialer(s, config, file); err != nil {
		return d, err
	}
	if d.Datagrams = s.IsUDP(); !d.Datagrams {
		d.Preface = p.appendHeader(nil, s)
	}
	return d, nil
}

// offer adds the protocols of proxy_ssl_alpn to a config.
func (p *forwarder) offer(config *tls.Config, s *stream.Session) *tls.Config {
	var protocols []string
	for i := range p.alpn {
		if text := p.alpn[i].Append(nil, s); len(text) > 0 && len(text) <= maxALPNBytes {
			protocols = append(protocols, string(text))
		}
	}
	if protocols != nil {
		config = config.Clone()
		config.NextProtos = protocols
	}
	return config
}
