package ssl

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"starling/conf"
	"starling/vars"
)

// Compile compiles a name with variables while the configuration is bound.
type Compile[C any] func(a *conf.Args, text string) (vars.Template[C], error)

// name is the argument of ssl_certificate or ssl_certificate_key with its line.
type name[C any] struct {
	vars.Template[C]
	node *conf.Node
}

func (compile Compile[C]) name(a *conf.Args) (name[C], error) {
	t, err := compile(a, a.Words[0])
	if err == nil {
		err = checkScheme(t.Text())
	}
	return name[C]{t, a.Node}, err
}

type pair[C any] struct{ certificate, key name[C] }

func (p *pair[C]) fixed() bool {
	_, certificate := p.certificate.Literal()
	_, key := p.key.Literal()
	return certificate && key
}

// file is a pair whose names are known, with absolute paths.
func (p *pair[C]) file(l *Loader) CertificateFile {
	return CertificateFile{l.absolute(p.certificate.Text()), l.absolute(p.key.Text())}
}

// Finder finds the certificates of a server whose names have variables.
type Finder[C any] struct {
	loader Loader
	pairs  []pair[C]
}

// Find reads the certificates for a client's requested name (SNI). The error is for the log; add the place with
// conf.Problem.
func (f *Finder[C]) Find(serverName string, of C) ([]*tls.Certificate, error) {
	if !SafeName(serverName) {
		return nil, conf.At(
			f.pairs[0].certificate.node,
			"client sent invalid server name %.255q: not used in the certificate path",
			serverName,
		)
	}
	var all []*tls.Certificate
	for i := range f.pairs {
		p := &f.pairs[i]
		file, err := expand(&p.certificate.Template, &p.key.Template, of)
		var cert *tls.Certificate
		if err == nil {
			cert, err = f.loader.Load(file)
		}
		if err != nil {
			return nil, conf.At(p.certificate.node, "%s", err)
		}
		at := slices.IndexFunc(all, func(other *tls.Certificate) bool { return sameKind(other, cert) })
		if at >= 0 {
			all[at] = cert // as addCertificate
		} else {
			all = append(all, cert)
		}
	}
	return all, nil
}

// expand expands the variables of both names.
func expand[C any](certificate, key *vars.Template[C], of C) (CertificateFile, error) {
	file := CertificateFile{string(certificate.Append(nil, of)), string(key.Append(nil, of))}
	for _, n := range []struct{ text, name string }{{certificate.Text(), file.Certificate}, {key.Text(), file.Key}} {
		if climbs(n.name) && !climbs(n.text) {
			return file, fmt.Errorf("certificate or key path \"%.255s\" contains \"..\" from a variable", shown(n.name))
		}
	}
	return file, nil
}

// climbs reports whether a path has a parent directory (..): values of variables may come from strangers (arguments,
// the PROXY protocol).
func climbs(name string) bool {
	path, isPath := pathOf(name)
	return isPath && slices.Contains(strings.Split(path, "/"), "..")
}

// Words distinguish the certificates of two servers that are found by their names.
func (f *Finder[C]) Words() (words []string) {
	for i := range f.pairs {
		words = append(words, f.pairs[i].certificate.Text(), f.pairs[i].key.Text())
	}
	return words
}

// ErrNotFound ends a handshake whose certificate could not be read; the log has the reason.
var ErrNotFound = errors.New("certificate not found")

// ClientNames are the certificate and key of proxy_ssl_*, which may have variables.
type ClientNames[C any] struct {
	certificate, key vars.Template[C]
	cache            *CertificateCache
}

// NameDirectives allows variables in the certificate and key of ClientDirectives, and adds the directive of their
// cache.
func NameDirectives[S, C any](
	family string,
	in conf.Context,
	list []conf.Directive,
	compile Compile[C],
	place func(*S) *ClientNames[C],
) []conf.Directive {
	wrap := func(set conf.Setter, place func(*S) *vars.Template[C]) conf.Setter {
		return func(settings any, a *conf.Args) error {
			t, err := compile(a, a.Words[0])
			if err != nil {
				return err
			}
			*place(settings.(*S)) = t
			if _, literal := t.Literal(); !literal {
				return checkScheme(t.Text())
			}
			return set(settings, a)
		}
	}
	for i := range list {
		switch d := &list[i]; d.Name {
		case family + "_certificate":
			d.Doc += " With variables, it is read for each connection."
			d.Set = wrap(d.Set, func(s *S) *vars.Template[C] { return &place(s).certificate })
		case family + "_certificate_key":
			d.Doc += " It can contain variables."
			d.Set = wrap(d.Set, func(s *S) *vars.Template[C] { return &place(s).key })
		}
	}
	return append(list, conf.Directive{
		Name: family + "_certificate_cache", Syntax: "<parameter>...", DefaultDoc: "off", In: in,
		Doc: "Caches certificates and keys whose paths contain variables, as ssl_certificate_cache does.",
		Set: conf.Whole(func(s *S) **CertificateCache { return &place(s).cache }, parseCertificateCache),
	})
}

// ClientFinder finds the client certificate of outgoing connections.
type ClientFinder[C any] struct {
	loader           Loader
	certificate, key vars.Template[C]
}

// Finder returns the finder of the certificate for each connection, nil if its name is known: then BoundClient.Pair
// does it.
func (n *ClientNames[C]) Finder(env Env, family, passwordFile string) (*ClientFinder[C], error) {
	_, fixedCertificate := n.certificate.Literal()
	_, fixedKey := n.key.Literal()
	if fixedCertificate && fixedKey || n.certificate.Text() == "" {
		return nil, nil
	}
	if n.key.Text() == "" {
		return nil, fmt.Errorf(
			"no \"%s_certificate_key\" is defined for certificate \"%s\"",
			family,
			n.certificate.Text(),
		)
	}
	f := &ClientFinder[C]{Loader{Read: env.ReadFile, Absolute: env.ConfPath, Cache: n.cache}, n.certificate, n.key}
	return f, f.loader.ReadPasswords(passwordFile)
}

// Names are the certificate and key names of one connection; empty if it shows none.
func (f *ClientFinder[C]) Names(of C) (CertificateFile, error) {
	file, err := expand(&f.certificate, &f.key, of)
	if file.Certificate == "" {
		return CertificateFile{}, nil
	}
	return file, err
}

// Load reads the certificate of Names.
func (f *ClientFinder[C]) Load(file CertificateFile) (*tls.Certificate, error) {
	return f.loader.Load(file)
}
