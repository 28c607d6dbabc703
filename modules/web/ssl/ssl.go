package ssl

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"starling/conf"
	"starling/logs"
	"starling/ssl"
	"starling/web"
)

// protocols are those that a client may request by ALPN; a client that requests only others is rejected, as by nginx.
var protocols = []string{"http/1.1", "http/1.0", "http/0.9"}

// The statuses that error_page can distinguish; clients see 400.
const (
	statusCertificateError   web.Result = 495
	statusCertificateMissing web.Result = 496
)

// serve builds the TLS of a server that has certificates, even if it does not listen with ssl itself: it may share the
// address of one that does. A server without certificates may still read the results of the address's default server.
func serve(b *web.Block, server *web.Server) error {
	s := conf.SettingsOf[Settings](b.Scope)
	server.AlwaysTLS = s.on
	if mode := s.VerifyClient; mode != ssl.VerifyOff {
		server.VerifiesClients, server.VerifyClient = true, mode
		server.AfterHandshake = func(r *web.Request) web.Result { return check(mode, r) }
	}
	if !s.HasCertificates() && !s.RejectHandshake {
		return nil
	}
	finder, err := s.Pair(b.Plan)
	if err != nil {
		return err
	}
	settings := s.ServerSettings
	settings.ALPN = protocols
	settings.Shows, settings.OfferOf = ssl.ShowsOf(web.Side.Variables(b.Plan).Uses), web.OfferOf
	settings.Context = []string{"http"}
	if finder != nil {
		settings.Context = append(settings.Context, finder.Words()...)
		settings.Find = func(hello *tls.ClientHelloInfo) ([]*tls.Certificate, error) { return find(finder, hello) }
	}
	if err := b.Plan.ShareTLS(&settings, s.Caches, server.Core.Resolver); err != nil {
		return err
	}
	built, warnings, err := settings.Build(b.Plan.ReadFile)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		b.Plan.Log.Logf(logs.Warn, "%v", conf.At(b.Scope.Node, "%s", w))
	}
	b.Plan.UseCertificates("ssl_certificate", b.Scope.Node, built.Used())
	server.TLS = built.Config
	b.Plan.FetchStaples(built)
	server.Inspect = func(c *web.Conn, state *tls.ConnectionState) *ssl.Peer { return inspect(built, server, c, state) }
	return nil
}

// inspect verifies the client's certificate after a handshake. The client waits for answers of OCSP responders.
func inspect(built *ssl.Server, server *web.Server, c *web.Conn, state *tls.ConnectionState) *ssl.Peer {
	peer := built.Inspect(state, c.Offer, time.Now())
	ctx, cancel := context.WithTimeout(c.Context(), server.Core.HeaderTimeout)
	defer cancel()
	if err := built.CheckStatus(ctx, peer); err != nil {
		c.Logf(logs.Error, "%v", err)
	}
	return peer
}

// find selects the certificates of a handshake.
func find(finder *ssl.Finder[*web.Request], hello *tls.ClientHelloInfo) (all []*tls.Certificate, err error) {
	web.DuringHandshake(hello, func(r *web.Request) {
		if all, err = finder.Find(hello.ServerName, r); err != nil {
			r.Conn.Logf(logs.Error, "%v while SSL handshaking", err)
			err = ssl.ErrNotFound
		}
	})
	return all, err
}

// check admits a request if the client's certificate satisfies ssl_verify_client.
func check(mode ssl.VerifyClient, r *web.Request) web.Result {
	err := mode.Check(r.Conn.Peer)
	if err == nil {
		return web.Declined
	}
	r.Logf(logs.Info, "%v while reading client request headers", err)
	var refused *ssl.ClientError
	if errors.As(err, &refused) && refused.Missing {
		return statusCertificateMissing
	}
	return statusCertificateError
}
