package ssl

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// shake connects a client and a server in memory and returns both results.
func shake(t *testing.T, client, server *tls.Config) (atClient, atServer tls.ConnectionState, clientErr, serverErr error) {
	t.Helper()
	// A real socket rather than net.Pipe: both sides may write their last words at once.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		raw, err := l.Accept()
		if err != nil {
			serverErr = err
			return
		}
		defer raw.Close()
		c := tls.Server(raw, server)
		if serverErr = c.Handshake(); serverErr == nil {
			atServer = c.ConnectionState()
			_, _ = c.Write([]byte("x")) // lets a TLS 1.3 client see whether it was refused
		}
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	c := tls.Client(raw, client)
	if clientErr = c.Handshake(); clientErr == nil {
		atClient = c.ConnectionState()
		_, clientErr = c.Read(make([]byte, 1))
	}
	raw.Close()
	<-done
	return atClient, atServer, clientErr, serverErr
}

// world is a root with a server and a client, as files.
type world struct {
	files
	root   *authority
	client *x509.Certificate
}

func newWorld(t *testing.T) *world {
	// Handshakes happen now, not at the time of the other tests.
	saved := now
	now = time.Now()
	t.Cleanup(func() { now = saved })
	w := &world{files: files{}, root: newAuthority(t, "root")}
	server, key := w.root.leaf("server.example", nil)
	w.files["server.crt"], w.files["server.key"] = certPEM(server), keyPEM(t, key)
	client, key := w.root.leaf("client.example", nil)
	w.files["client.crt"], w.files["client.key"] = certPEM(client), keyPEM(t, key)
	w.files["ca.crt"] = certPEM(w.root.cert)
	w.files["other-ca.crt"] = certPEM(newAuthority(t, "other").cert)
	w.client = client
	return w
}

func (w *world) server(t *testing.T, change func(*ServerSettings)) *Server {
	t.Helper()
	s := NewServerSettings()
	s.Certificates = []CertificateFile{{"server.crt", "server.key"}}
	change(&s)
	built, warnings, err := s.Build(w.read)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	return built
}

func (w *world) clientOf(t *testing.T, change func(*ClientSettings)) *Client {
	t.Helper()
	s := NewClientSettings()
	change(&s)
	built, warnings, err := s.Build(w.read)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	return built
}

func TestVerifyClient(t *testing.T) {
	w := newWorld(t)
	with := w.clientOf(t, func(s *ClientSettings) { s.Certificates = []CertificateFile{{"client.crt", "client.key"}} }).Config("", false)
	without := w.clientOf(t, func(*ClientSettings) {}).Config("", false)
	for _, c := range []struct {
		mode, ca, verify, want string
		client                 *tls.Config
	}{
		{"on", "ca.crt", "SUCCESS", "", with},
		{"on", "ca.crt", "NONE", "client sent no required SSL certificate", without},
		{"optional", "ca.crt", "NONE", "", without},
		{"optional", "other-ca.crt", "FAILED:unable to verify the first certificate",
			"client SSL certificate verify error: (21:unable to verify the first certificate)", with},
		{"optional_no_ca", "other-ca.crt", "FAILED:unable to verify the first certificate", "", with},
		{"off", "ca.crt", "NONE", "", with},
	} {
		for _, inHandshake := range []bool{false, true} {
			server := w.server(t, func(s *ServerSettings) {
				s.VerifyClient, s.Trusted, s.VerifyInHandshake = VerifyClientWords[c.mode], []string{c.ca}, inHandshake
			})
			_, state, clientErr, serverErr := shake(t, c.client, server.Config)
			if inHandshake {
				var refused *ClientError
				if (c.want != "") != errors.As(serverErr, &refused) || c.want != "" && refused.Error() != c.want || (clientErr != nil) != (c.want != "") {
					t.Errorf("%s with %s in the handshake: server %v, client %v", c.mode, c.ca, serverErr, clientErr)
				}
				continue
			}
			if serverErr != nil || clientErr != nil {
				t.Errorf("%s with %s: %v, %v", c.mode, c.ca, serverErr, clientErr)
				continue
			}
			peer := server.Inspect(&state, nil, time.Now())
			got := ""
			if err := server.Check(peer); err != nil {
				got = err.Error()
			}
			if peer.Verify() != c.verify || got != c.want {
				t.Errorf("%s with %s: %s, %s", c.mode, c.ca, peer.Verify(), got)
			}
		}
	}
}

func TestVerifyServer(t *testing.T) {
	w := newWorld(t)
	server := w.server(t, func(*ServerSettings) {}).Config
	for _, c := range []struct{ ca, name, want string }{
		{"ca.crt", "server.example", ""},
		{"ca.crt", "server.example:443", ""},
		{"ca.crt", "other.example", `upstream SSL certificate does not match "other.example"`},
		{"ca.crt", "10.0.0.1", `upstream SSL certificate does not match "10.0.0.1" (it has no IP addresses: add them to the certificate, or set the name to verify)`},
		{"other-ca.crt", "server.example", "upstream SSL certificate verify error: (21:unable to verify the first certificate)"},
		{"", "other.example", ""},
	} {
		client := w.clientOf(t, func(s *ClientSettings) { s.Verify, s.Trusted = c.ca != "", []string{c.ca} })
		_, _, err, _ := shake(t, client.Config(c.name, false), server)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s %s: %s", c.ca, c.name, got)
		}
	}
}

func TestServerName(t *testing.T) {
	w := newWorld(t)
	server := w.server(t, func(*ServerSettings) {})
	client := w.clientOf(t, func(*ClientSettings) {})
	for _, c := range []struct {
		name string
		send bool
		want string
	}{{"a.example", true, "a.example"}, {"a.example:443", true, "a.example"}, {"a.example", false, ""}, {"10.0.0.1", true, ""}, {"", true, ""}} {
		_, state, err, _ := shake(t, client.Config(c.name, c.send), server.Config)
		if err != nil || state.ServerName != c.want {
			t.Errorf("%+v: %q %v", c, state.ServerName, err)
		}
	}
	if first, again := client.Config("x", true), client.Config("x", true); first != again {
		t.Error("sessions cannot be reused: the configuration is made anew")
	}
}

func TestResumedSessionsAreVerifiedToo(t *testing.T) {
	w := newWorld(t)
	server := w.server(t, func(s *ServerSettings) { s.VerifyClient, s.ClientCA = VerifyOn, "ca.crt" })
	client := w.clientOf(t, func(s *ClientSettings) {
		s.Certificates = []CertificateFile{{"client.crt", "client.key"}}
		s.Verify, s.Trusted = true, []string{"ca.crt"}
	})
	config := client.Config("server.example", true)
	for i := range 2 {
		_, state, err, _ := shake(t, config, server.Config)
		if err != nil || state.DidResume != (i == 1) {
			t.Fatalf("connection %d: resumed %v, %v", i, state.DidResume, err)
		}
		if peer := server.Inspect(&state, nil, time.Now()); peer.Verify() != "SUCCESS" || (peer.SessionReused() == "r") != (i == 1) {
			t.Errorf("connection %d: %s %s", i, peer.Verify(), peer.SessionReused())
		}
	}
}

func TestRejectHandshake(t *testing.T) {
	w := newWorld(t)
	s := NewServerSettings()
	s.RejectHandshake = true
	server, _, err := s.Build(w.read)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err, _ = shake(t, w.clientOf(t, func(*ClientSettings) {}).Config("a.example", true), server.Config)
	if err == nil || !strings.HasSuffix(err.Error(), "unrecognized name") {
		t.Errorf("the client saw %v", err)
	}
}

func TestProtocolsAndCiphersAreUsed(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		protocols, ciphers string
		commands           [][2]string
		protocol, cipher   string
	}{
		{"TLSv1.2 TLSv1.3", "HIGH:!aNULL:!MD5", nil, "TLSv1.3", "TLS_AES_128_GCM_SHA256"},
		{"TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384", nil, "TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"},
		{"TLSv1.2 TLSv1.3", "ECDHE+CHACHA20", [][2]string{{"MaxProtocol", "TLSv1.2"}}, "TLSv1.2", "ECDHE-ECDSA-CHACHA20-POLY1305"},
		{"TLSv1 TLSv1.1", "ECDHE-ECDSA-AES128-SHA", nil, "TLSv1.1", "ECDHE-ECDSA-AES128-SHA"},
		{"TLSv1.3", "DEFAULT", [][2]string{{"Protocol", "-ALL,TLSv1.2"}, {"CipherString", "AESGCM+AES128"}}, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"},
	} {
		server := w.server(t, func(s *ServerSettings) {
			var err error
			if s.Protocols, err = ParseProtocols(strings.Fields(c.protocols)); err != nil {
				t.Fatal(err)
			}
			s.Ciphers, s.Commands = c.ciphers, c.commands
		})
		client := w.clientOf(t, func(s *ClientSettings) { s.Protocols = allProtocols })
		_, state, err, serverErr := shake(t, client.Config("", false), server.Config)
		if err != nil {
			t.Errorf("%+v: %v %v", c, err, serverErr)
			continue
		}
		if p := server.Inspect(&state, nil, time.Now()); p.Protocol() != c.protocol || !strings.HasPrefix(p.CipherName(), c.cipher[:4]) ||
			c.protocol != "TLSv1.3" && p.CipherName() != c.cipher {
			t.Errorf("%+v: got %s %s", c, p.Protocol(), p.CipherName())
		}
	}
}

func TestTicketKeysAreSharedBetweenServers(t *testing.T) {
	w := newWorld(t)
	w.files["ticket.key"] = []byte(strings.Repeat("k", 48))
	w.files["other.key"] = []byte(strings.Repeat("o", 80))
	config := w.clientOf(t, func(*ClientSettings) {}).Config("server.example", true)
	with := func(keys ...string) *tls.Config {
		return w.server(t, func(s *ServerSettings) { s.TicketKeys = keys }).Config
	}
	for i, c := range []struct {
		server *tls.Config
		want   bool
	}{{with("ticket.key"), false}, {with("ticket.key"), true}, {with("other.key", "ticket.key"), true}, {with("ticket.key"), false}} {
		_, state, err, _ := shake(t, config, c.server)
		if err != nil || state.DidResume != c.want {
			t.Errorf("connection %d: resumed %v, %v", i, state.DidResume, err)
		}
	}
	off := w.server(t, func(s *ServerSettings) { s.NoTickets = true })
	for range 2 {
		if _, state, err, _ := shake(t, w.clientOf(t, func(*ClientSettings) {}).Config("x", true), off.Config); err != nil || state.DidResume {
			t.Error("resumed without tickets", err)
		}
	}
}

func TestNamedConfigsAreBounded(t *testing.T) {
	client := newWorld(t).clientOf(t, func(*ClientSettings) {})
	for i := range 3 * maxNamedConfigs {
		client.Config(strings.Repeat("a", i%60)+"."+strings.Repeat("b", i/60), true)
	}
	if n := len(client.configs); n > maxNamedConfigs {
		t.Errorf("%d configurations are kept", n)
	}
}
