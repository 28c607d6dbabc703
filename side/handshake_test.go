package side_test

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"testing"

	"starling/lib/certs"
	"starling/side"
)

// TestCallbacksOfAHandshakeKnowTheirSubject, each that of its own connection and kind, although they share a
// configuration.
func TestCallbacksOfAHandshakeKnowTheirSubject(t *testing.T) {
	ca, err := certs.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := ca.Issue("a.example")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	type connection struct{ asked []string }
	type session struct{ asked []string }
	inner := &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		side.SubjectOf[*session](hello).asked = append(side.SubjectOf[*session](hello).asked, "certificate")
		return &pair, nil
	}}
	config := &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c := side.SubjectOf[*connection](hello)
		c.asked = append(c.asked, hello.ServerName)
		return inner, nil
	}}
	for _, name := range []string{"one.example", "two.example"} {
		near, far := net.Pipe()
		c, s := new(connection), new(session)
		ctx := side.WithSubject(side.WithSubject(context.Background(), c), s)
		if ctx.Done() != nil {
			t.Error("the context can end, which costs a goroutine for each handshake")
		}
		client := tls.Client(near, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		done := make(chan error, 1)
		go func() { done <- client.Handshake() }()
		if err := tls.Server(far, config).HandshakeContext(ctx); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		near.Close()
		far.Close()
		if !slices.Equal(c.asked, []string{name}) || !slices.Equal(s.asked, []string{"certificate"}) {
			t.Errorf("%s: %q, %q", name, c.asked, s.asked)
		}
	}
}
