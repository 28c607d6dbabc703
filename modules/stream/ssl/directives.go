// Package ssl is TLS of stream servers: listen … ssl.
package ssl

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"starling/conf"
	"starling/logs"
	"starling/ssl"
	"starling/stream"
)

const places = conf.Stream | conf.StreamServer

// Settings of one block.
type Settings struct{ ssl.Bound[*stream.Session] }

type bound = ssl.Bound[*stream.Session]

// Module is the family.
var Module = stream.Module{
	Module: conf.Module{
		Name:       "ssl",
		Doc:        "TLS for stream servers with `listen ... ssl`.",
		New:        func() any { return &Settings{ssl.NewBound[*stream.Session]()} },
		Clone:      conf.CloneOf[Settings],
		Directives: directives(),
	},
	Variables: variables(),
	Server:    serve,
}

func directives() []conf.Directive {
	list := ssl.ServerDirectives(places, stream.Side.Compile, func(s *Settings) *bound { return &s.Bound })
	return append(list,
		conf.Directive{
			Name: "ssl_handshake_timeout", Syntax: "<time>", Default: "60s", In: places,
			Doc: "Sets the timeout for the TLS handshake.",
			Set: conf.Field(func(s *Settings) *time.Duration { return &s.HandshakeTimeout }, conf.Time),
		},
		conf.Directive{
			Name: "ssl_alpn", Syntax: "<protocol>...", In: places,
			Doc: "Sets the supported application protocols (ALPN). A client that offers none of them is rejected.",
			Set: conf.Words(func(s *Settings) *[]string { return &s.ALPN }),
		},
	)
}

// serve builds the TLS of a server that listens with ssl or has certificates, because it may share the address of one
// that does.
func serve(b *stream.Block, server *stream.Server) error {
	s := conf.SettingsOf[Settings](b.Scope)
	if !s.HasCertificates() && !s.RejectHandshake {
		return nil // if it still listens with ssl, the default server of the address must have them
	}
	finder, err := s.Pair(b.Plan)
	if err != nil {
		return err
	}
	settings := s.ServerSettings
	settings.Shows, settings.OfferOf = ssl.ShowsOf(stream.Side.Variables(b.Plan).Uses), stream.OfferOf
	settings.Context = []string{"stream"}
	if finder != nil {
		settings.Context = append(settings.Context, finder.Words()...)
		settings.Find = func(hello *tls.ClientHelloInfo) ([]*tls.Certificate, error) { return find(finder, hello) }
	}
	if err := b.Plan.ShareTLS(&settings, s.Caches, server.ResolverSettings()); err != nil {
		return err
	}
	read, digest := ssl.Digesting(b.Plan.ReadFile)
	built, warnings, err := settings.Build(read)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		b.Plan.Log.Logf(logs.Warn, "%v", conf.At(b.Scope.Node, "%s", w))
	}
	b.Plan.UseCertificates("ssl_certificate", b.Scope.Node, built.Used())
	b.Plan.FetchStaples(built)
	server.TLS = &stream.TLS{
		Config:           built.Config,
		HandshakeTimeout: s.HandshakeTimeout,
		Files:            digest(),
		Verify:           check(built, s.HandshakeTimeout),
		Trusts:           built.Trusts,
	}
	server.VerifiesClients = s.VerifyClient == ssl.VerifyOn
	return nil
}

// find selects the certificates of a handshake.
func find(finder *ssl.Finder[*stream.Session], hello *tls.ClientHelloInfo) (all []*tls.Certificate, err error) {
	stream.DuringHandshake(hello, func(s *stream.Session) {
		if all, err = finder.Find(hello.ServerName, s); err != nil {
			s.Logf(logs.Error, "%v while SSL handshaking", err)
			err = ssl.ErrNotFound
		}
	})
	return all, err
}

// check admits a client whose certificate verifies. The client waits for answers of OCSP responders.
func check(server *ssl.Server, timeout time.Duration) func(*stream.Session, *tls.ConnectionState) error {
	return func(s *stream.Session, state *tls.ConnectionState) error {
		peer := server.Inspect(state, s.Offer, time.Now())
		s.Peer = peer
		ctx, cancel := context.WithTimeout(s.Context(), timeout)
		defer cancel()
		if err := server.CheckStatus(ctx, peer); err != nil {
			s.Logf(logs.Error, "%v", err)
		}
		if err := server.Check(peer); err != nil {
			var refused *ssl.ClientError
			if errors.As(err, &refused) && !refused.Missing {
				return fmt.Errorf("%w, of \"%s\"", err, peer.SubjectDN())
			}
			return err
		}
		return nil
	}
}
