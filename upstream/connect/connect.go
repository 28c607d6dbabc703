// Package connect is how the proxies of both sides connect to servers: the directives about the socket and about TLS,
// which are alike but for their prefix, and the Dialer that they make.
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

// Settings are what one block says about connections to servers. Begin with NewSettings.
type Settings[C side.Subject] struct {
	// Timeout bounds connecting and, separately, the TLS handshake.
	Timeout time.Duration
	Bind    Bind[C]
	// Probe switches TCP keep-alive probes on.
	Probe bool
	// Reuse resumes TLS sessions.
	Reuse bool

	TLS ssl.BoundClient
	// TLSName is the name to verify and to send; nil: that of the address to connect to.
	TLSName *vars.Template[C]
	// TLSFiles are certificate and key where their names may have variables.
	TLSFiles ssl.ClientNames[C]
}

// NewSettings returns what is so where there is no directive for it.
func NewSettings[C side.Subject]() Settings[C] { return Settings[C]{TLS: ssl.NewBoundClient()} }

// Connector makes the connections of one location or server. It is safe for concurrent use.
type Connector[C side.Subject] struct {
	*Settings[C]
	base   upstream.Dialer
	client *ssl.Client          // nil where TLS cannot be asked for
	finder *ssl.ClientFinder[C] // nil where the certificate's name has no variables
}

// Build reads the files that PREFIX_ssl_… name, if TLS may be asked for. Warnings are about the block at a node.
func (s *Settings[C]) Build(p *plan.Plan, prefix string, at *conf.Node, mayEncrypt bool) (*Connector[C], error) {
	k := &Connector[C]{Settings: s, base: upstream.Dialer{Timeout: s.Timeout, Probe: s.Probe, Clock: p.Clock}}
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

// names holds the memory in which the names to verify are expanded.
var names = sync.Pool{New: func() any { return new([]byte) }}

// Config is that of a TLS connection to a host, and the names of the certificate to put in, if they had variables.
// Equal settings and names give the same pointer, so a kept connection may be used again exactly if it was made with
// that pointer.
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
// config and file are those of Config; a certificate that cannot be read is an error. A local address that is none is
// logged, and as in nginx the system then chooses.
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
