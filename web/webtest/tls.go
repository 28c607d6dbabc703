package webtest

import (
	"bufio"
	"crypto/tls"
	"testing"

	"starling/lib/certs"
)

// ServeTLS is Serve over TLS. The backend has a certificate for the name, which the authority returned has signed, and
// asks for that of a client without verifying it.
func ServeTLS(t testing.TB, name string, script func(p *Peer)) (*Backend, *certs.Authority) {
	t.Helper()
	ca, err := certs.NewAuthority("ca")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Pair(name)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert}
	return Serve(t, func(p *Peer) {
		sealed := tls.Server(p.Conn, config)
		defer sealed.Close()
		script(&Peer{sealed, bufio.NewReader(sealed), p.T})
	}), ca
}

// TLS is the state of a connection to a backend of ServeTLS. It is complete once a head has been read.
func (p *Peer) TLS() tls.ConnectionState { return p.Conn.(*tls.Conn).ConnectionState() }
