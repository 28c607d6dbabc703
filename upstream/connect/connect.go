// Package connect connects the proxies of both sides to servers: the directives for the socket and for TLS, which
// differ only in their prefix, and the Dialer that they make.
package connect

import (
	"crypto/tls"
	"fmt"
	"sync"
	"time"

	"starling/conf"
	"starling/logs"
	"starling/plan"
	"starling/side"
	"starling/ssl"
	"starling/upstream"
	"starling/vars"
)

// Settings are one block's settings for connections to servers. Start with NewSettings.
type Settings[C side.Subject] struct {
	// Timeout limits connecting and, separately, the TLS handshake.
	Timeout time.Duration
	Bind    Bind[C]
	// Probe enables TCP keepalive probes.
	Probe bool
	// Reuse resumes TLS sessions.
	Reuse bool

	TLS ssl.BoundClient
	// TLSName is the name to verify and to send; nil: that of the address.
	TLSName *vars.Template[C]
	// TLSFiles are certificate and key if their names can have variables.
	TLSFiles ssl.ClientNames[C]
}

// NewSettings returns the default values.
func NewSettings[C side.Subject]() Settings[C] { return Settings[C]{TLS: ssl.NewBoundClient()} }

// Connector makes the connections of one location or server. It is safe for concurrent use.
type Connector[C side.Subject] struct {
	*Settings[C]
	base   upstream.Dialer
	client *ssl.Client          // nil if TLS cannot be used
	finder *ssl.ClientFinder[C] // nil if the certificate's name has no variables
}

// Build reads the files of PREFIX_ssl_… if TLS can be used. Warnings have the location of a node.
func (s *Settings[C]) Build(p *plan.Plan, prefix string, at *conf.Node, mayEncrypt bool) (*Connector[C], error) {
	k := &Connector[C]{Settings: s, base: upstream.Dialer{
		Timeout: s.Timeout, Probe: s.Probe, Clock: p.Clock, Handshakes: p.Traffic().Handshakes,
	}}
	if !mayEncrypt {
		return k, nil
	}
	var err error
	if k.finder, err = s.TLSFiles.Finder(p, prefix+"_ssl", s.TLS.PasswordFile); err != nil {
		return nil, err
	}
	bound := s.TLS
	bound.NoSessionReuse = !s.Reuse
	if k.finder == nil {
		if err := bound.Pair(prefix + "_ssl"); err != nil {
			return nil, err
		}
	}
	if bound.Verify && len(bound.Trusted) == 0 {
		return nil, fmt.Errorf("no %[1]s_ssl_trusted_certificate for %[1]s_ssl_verify", prefix)
	}
	client, warnings, err := bound.ClientSettings.Build(p.ReadFile)
	for _, w := range warnings {
		p.Log.Logf(logs.Warn, "%v", conf.At(at, "%s", w))
	}
	if err != nil {
		return nil, err
	}
	p.UseCertificates(prefix+"_ssl_certificate", at, client.Used())
	k.client = client
	return k, nil
}

// names has the memory into which the names to verify are expanded.
var names = sync.Pool{New: func() any { return new([]byte) }}

// Config returns the configuration of a TLS connection to a host, and the names of the certificate to add, if they had
// variables. Equal settings and names return the same pointer, so a kept connection can be reused if and only if it was
// made with that pointer.
func (k *Connector[C]) Config(c C, host string) (config *tls.Config, file ssl.CertificateFile, err error) {
	if k.TLSName != nil {
		buf := names.Get().(*[]byte)
		*buf = k.TLSName.Append((*buf)[:0], c)
		host = string(*buf)
		names.Put(buf)
	}
	if k.finder != nil {
		file, err = k.finder.Names(c)
	}
	return k.client.ConfigWith(host, k.TLS.SendName, file), file, err
}

// Dialer connects for one request or session: from the address of PREFIX_bind and, unless config is nil, with TLS.
// config and file are those of Config; an unreadable certificate is an error. An invalid local address is logged, and
// as in nginx the system then selects one.
func (k *Connector[C]) Dialer(c C, config *tls.Config, file ssl.CertificateFile) (upstream.Dialer, error) {
	d := k.base
	d.TLS = config
	if file != (ssl.CertificateFile{}) {
		certificate, err := k.finder.Load(file)
		if err != nil {
			return d, err
		}
		d.TLS = ssl.Show(config, certificate)
	}
	var err error
	if d.Bind, err = k.Bind.Address(c); err != nil {
		c.Logf(logs.Error, "%v", err)
	}
	return d, nil
}
