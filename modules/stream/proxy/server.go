package proxy

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"sync"

	"starling/conf"
	"starling/lib/resolver"
	"starling/logs"
	"starling/ssl"
	"starling/stream"
	"starling/stream/groups"
	"starling/upstream"
	"starling/upstream/balance"
	"starling/upstreams"
)

// server is proxy_pass in one server, ready for sessions.
type server struct {
	*Settings
	registry *groups.Registry
	names    *resolver.Resolver // for addresses with variables; nil without a resolver
	dialer   upstream.Dialer
	client   *ssl.Client                        // nil without proxy_ssl
	finder   *ssl.ClientFinder[*stream.Session] // nil where the certificate's name has no variables
	buffers  sync.Pool
}

func build(b *stream.Block) (stream.Handler, error) {
	s := conf.SettingsOf[Settings](b.Scope)
	if s.target == nil {
		return nil, nil
	}
	p := &server{Settings: s, registry: groups.Of(b.Plan)}
	p.dialer = upstream.Dialer{Timeout: s.connectTimeout, Probe: s.probe, Clock: b.Plan.Clock}
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
	if s.tls.On {
		if p.finder, err = s.tlsFiles.Finder(b.Plan, "proxy_ssl", s.tls.PasswordFile); err != nil {
			return nil, err
		}
		if p.client, err = tlsClient(b, s, p.finder == nil); err != nil {
			return nil, err
		}
	}
	return p.handle, nil
}

// tlsClient reads what proxy_ssl_* name; paired says that the certificate's name is known.
func tlsClient(b *stream.Block, s *Settings, paired bool) (*ssl.Client, error) {
	bound := s.tls
	bound.NoSessionReuse = !s.reuse
	if paired {
		if err := bound.Pair("proxy_ssl"); err != nil {
			return nil, err
		}
	}
	if bound.Verify && len(bound.Trusted) == 0 {
		return nil, fmt.Errorf("no proxy_ssl_trusted_certificate for proxy_ssl_verify")
	}
	client, warnings, err := bound.ClientSettings.Build(b.Plan.ReadFile)
	for _, w := range warnings {
		b.Plan.Log.Logf(logs.Warn, "%v", conf.At(b.Scope.Node, "%s", w))
	}
	return client, err
}

// find finds the group that the session goes to and the name of its host; a status other than 0 ends the session.
func (p *server) find(s *stream.Session) (g *groups.Group, host string, status stream.Result) {
	if p.target.group != nil {
		return p.target.group, p.target.group.Name, 0
	}
	failed := func(format string, args ...any) (*groups.Group, string, stream.Result) {
		s.Logf(logs.Error, format, args...)
		return nil, "", stream.StatusInternalError
	}
	t, err := upstreams.ParseTarget(string(p.target.bySession.Append(nil, s)), 0, false)
	if err != nil {
		return failed("%v", err)
	}
	if g := p.registry.Find(&t); g != nil {
		return g, t.Name(), 0
	}
	if t.Port == 0 && !t.Unix {
		return failed("no port in upstream \"%s\"", t.Host)
	}
	addresses, err := p.resolve(s, &t)
	if err != nil {
		return failed("%v", err)
	}
	g = &groups.Group{Base: upstreams.Base{Group: upstream.NewGroup(t.Name(), balance.RoundRobin{})}}
	for _, a := range addresses {
		if _, err := g.Add(upstream.NewSettings(t.Text, a), s.Now()); err != nil {
			return failed("%v", err)
		}
	}
	return g, t.Name(), 0
}

// resolve gives the addresses of a target that is no group.
func (p *server) resolve(s *stream.Session, t *upstreams.Target) ([]upstream.Address, error) {
	if literal, ok := t.Literal(); ok {
		return []upstream.Address{literal}, nil
	}
	if p.names == nil {
		return nil, fmt.Errorf("no resolver defined to resolve %s", t.Host)
	}
	found, _, err := p.names.Lookup(s.Context(), t.Host)
	var addresses []upstream.Address
	for _, ip := range found {
		addresses = append(addresses, upstream.TCP(netip.AddrPortFrom(ip, t.Port)))
	}
	return addresses, err
}

// dialerFor is how servers are connected to for one session.
func (p *server) dialerFor(s *stream.Session, host string) (d upstream.Dialer, err error) {
	d = p.dialer
	d.Datagrams = s.IsUDP()
	if d.Bind, err = p.bind.Address(s); err != nil { // as in nginx the system then chooses
		s.Logf(logs.Error, "%v", err)
		err = nil
	}
	if s.IsUDP() {
		return d, nil
	}
	d.Preface = p.appendHeader(nil, s)
	if p.client != nil {
		d.TLS, err = p.tlsConfig(s, host)
	}
	return d, err
}

func (p *server) tlsConfig(s *stream.Session, host string) (*tls.Config, error) {
	if p.tlsName != nil {
		host = string(p.tlsName.Append(nil, s))
	}
	var file ssl.CertificateFile
	var err error
	if p.finder != nil {
		if file, err = p.finder.Names(s); err != nil {
			return nil, err
		}
	}
	config := p.client.ConfigWith(host, p.tls.SendName, file)
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
	if file == (ssl.CertificateFile{}) {
		return config, nil
	}
	certificate, err := p.finder.Load(file)
	if err != nil {
		return nil, err
	}
	return ssl.Show(config, certificate), nil
}
