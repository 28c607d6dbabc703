package ssl_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	library "golang.org/x/crypto/ocsp"

	"starling/lib/certs"
	"starling/lib/testkit"
	"starling/modules/stream/core"
	"starling/modules/stream/ssl"
	"starling/ssl/ocsp/ocsptest"
	"starling/stream/streamtest"
)

// pki is an authority with one certificate.
type pki struct {
	ca        *certs.Authority
	cert, key []byte
}

func newPKI(t *testing.T, name string) pki {
	t.Helper()
	ca, err := certs.NewAuthority("authority of " + name)
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := ca.Issue(name)
	if err != nil {
		t.Fatal(err)
	}
	return pki{ca, cert, key}
}

// talk makes the handshake on a new connection and returns what the server says, "" if it says nothing.
func talk(t *testing.T, s *streamtest.Server, config *tls.Config) string {
	t.Helper()
	conn := tls.Client(s.Dial(0), config)
	text, err := io.ReadAll(conn)
	if err != nil && len(text) > 0 {
		t.Fatal(err)
	}
	return string(text)
}

func TestHandshakeAndVariables(t *testing.T) {
	server, client := newPKI(t, "server.example"), newPKI(t, "client.example")
	stranger := newPKI(t, "stranger.example")
	files := streamtest.Files{"s.crt": server.cert, "s.key": server.key, "client_ca.crt": client.ca.PEM}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(server.ca.PEM)
	clientConfig := func(p *pki) *tls.Config {
		config := &tls.Config{RootCAs: roots, ServerName: "server.example"}
		if p != nil {
			pair, err := tls.X509KeyPair(p.cert, p.key)
			if err != nil {
				t.Fatal(err)
			}
			// Also sent to a server that does not name its authority.
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		return config
	}
	for _, c := range []struct {
		verify string
		client *pki
		want   string
		log    string
	}{
		{"off", nil, "TLSv1.3 server.example NONE  ", ""},
		{"on", &client, "TLSv1.3 server.example SUCCESS CN=client.example,O=starling ", ""},
		{"on", nil, "", "client sent no required SSL certificate"},
		{"on", &stranger, "", "client SSL certificate verify error: ("},
		{"optional", nil, "TLSv1.3 server.example NONE  ", ""},
		{"optional_no_ca", &stranger, "TLSv1.3 server.example FAILED:", ""},
	} {
		s := streamtest.Start(t, `stream { server { listen 1 ssl; ssl_certificate s.crt; ssl_certificate_key s.key;
			ssl_verify_client `+c.verify+`; ssl_trusted_certificate client_ca.crt;
			say "$ssl_protocol $ssl_server_name $ssl_client_verify $ssl_client_s_dn $ssl_ciphers$ssl_curves$ssl_sigalgs$ssl_sigalg"; } }`, files, &core.Module, &ssl.Module, streamtest.Say())
		got := talk(t, s, clientConfig(c.client))
		if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.verify, got, c.want)
		}
		if c.want != "" && (!strings.HasSuffix(got, "_sha512ecdsa_secp256r1_sha256") || !strings.Contains(got, "SHA256X25519MLKEM768:")) {
			t.Errorf("%s: %q shows no offer", c.verify, got)
		}
		if lines := s.Log.Lines(); c.log != "" && !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, c.log) }) {
			t.Errorf("%s: no %q in %q", c.verify, c.log, lines)
		}
	}
}

func TestOCSPOfClientsAndStapling(t *testing.T) {
	server, client := newPKI(t, "server.example"), newPKI(t, "client.example")
	pair, err := tls.X509KeyPair(client.cert, client.key)
	if err != nil {
		t.Fatal(err)
	}
	responderOf := func(p pki) *ocsptest.Responder {
		key, err := p.ca.KeyPEM()
		if err != nil {
			t.Fatal(err)
		}
		ca, err := tls.X509KeyPair(p.ca.PEM, key)
		if err != nil {
			t.Fatal(err)
		}
		return ocsptest.Serve(t, p.ca.Certificate(), ca.PrivateKey.(crypto.Signer))
	}
	aboutClients, aboutServer := responderOf(client), responderOf(server)
	s := streamtest.Start(t, `stream { server { listen 1 ssl; ssl_certificate s.crt; ssl_certificate_key s.key;
		ssl_verify_client on; ssl_client_certificate client_ca.crt; ssl_ocsp leaf; ssl_ocsp_responder `+aboutClients.URL+`;
		ssl_stapling on; ssl_trusted_certificate server_ca.crt; ssl_stapling_responder `+aboutServer.URL+`;
		say "$ssl_client_verify"; } }`,
		streamtest.Files{"s.crt": server.cert, "s.key": server.key, "client_ca.crt": client.ca.PEM, "server_ca.crt": server.ca.PEM},
		&core.Module, &ssl.Module, streamtest.Say())
	config := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}}
	for _, c := range []struct {
		status    int
		want, log string
	}{
		{library.Good, "SUCCESS", ""},
		{library.Revoked, "", `client SSL certificate verify error: certificate revoked, of "CN=client.example,O=starling"`},
		{-1, "", "OCSP response not successful (3: try later) while requesting certificate status, responder: 127.0.0.1"},
	} {
		aboutClients.Set(pair.Leaf.SerialNumber, c.status)
		if got := talk(t, s, config); got != c.want {
			t.Errorf("%d: %q", c.status, got)
		}
		if lines := s.Log.Lines(); c.log != "" && !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, c.log) }) {
			t.Errorf("no %s in %q", c.log, lines)
		}
	}
	testkit.Eventually(t, time.Minute, func() error {
		conn := tls.Client(s.Dial(0), config)
		defer conn.Close()
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		_, err := library.ParseResponse(conn.ConnectionState().OCSPResponse, server.ca.Certificate())
		return err
	})
}

func TestForeignBytesEndTheConnection(t *testing.T) {
	server := newPKI(t, "server.example")
	s := streamtest.Start(t, `stream { server { listen 1 ssl; ssl_certificate s.crt; ssl_certificate_key s.key; say x; } }`,
		streamtest.Files{"s.crt": server.cert, "s.key": server.key}, &core.Module, &ssl.Module, streamtest.Say())
	conn := s.Dial(0)
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if text, _ := io.ReadAll(conn); strings.Contains(string(text), "x") { // how it is cut off does not matter
		t.Errorf("got %q", text)
	}
}

func TestAHandshakeHasATime(t *testing.T) {
	server := newPKI(t, "server.example")
	s := streamtest.Start(t, `stream { server { listen 1 ssl; ssl_certificate s.crt; ssl_certificate_key s.key; ssl_handshake_timeout 10ms; say x; } }`,
		streamtest.Files{"s.crt": server.cert, "s.key": server.key}, &core.Module, &ssl.Module, streamtest.Say())
	conn := s.Dial(0)
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the server spoke first")
	}
}

func TestProblems(t *testing.T) {
	server := newPKI(t, "server.example")
	files := streamtest.Files{"s.crt": server.cert, "s.key": server.key}
	for _, c := range []struct{ text, want string }{
		{``, `no "ssl_certificate" is defined for the "listen ... ssl" directive in /test.conf:1`},
		{`ssl_certificate s.crt;`, `no "ssl_certificate_key" is defined for certificate "s.crt" in /test.conf:1`},
		{`ssl_certificate $none; ssl_certificate_key s.key;`, `unknown "none" variable in /test.conf:1`},
		{`ssl_client_certificate $ssl_server_name;`, `variables in "ssl_client_certificate" are not supported by starling in /test.conf:1`},
		{`ssl_certificate s.crt; ssl_certificate_key engine:x;`, `keys in engines are not supported by starling ("engine:x"): ` +
			`use a file, or a server that has the engine behind a stream proxy in /test.conf:1`},
		{`ssl_certificate data:x; ssl_certificate_key s.key;`,
			`cannot load certificate "data:...": PEM_read_bio_X509_AUX() failed (no start line: Expecting: TRUSTED CERTIFICATE) in /test.conf:1`},
		{`ssl_certificate_cache valid=1s;`, `"ssl_certificate_cache" must have the "max" parameter in /test.conf:1`},
		{`ssl_session_cache shared:a:1k;`, `invalid session cache "shared:a:1k" in /test.conf:1`},
		{`ssl_verify_client maybe;`, `invalid value "maybe" in /test.conf:1`},
		{`ssl_password_file x;`, `open() "/x" failed (2: No such file or directory) in /test.conf:1`},
		{`ssl_dhparam x; ssl_certificate s.crt; ssl_certificate_key s.key;`, `BIO_new_file("/x") failed (No such file or directory) in /test.conf:1`},
		{`ssl_protocols TLSv9;`, `invalid value "TLSv9" in /test.conf:1`},
	} {
		_, err := streamtest.Build(t, "stream { server { listen 1 ssl; say x; "+c.text+" } }", files, &core.Module, &ssl.Module, streamtest.Say())
		if err == nil || err.Error() != c.want {
			t.Errorf("%s\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
	for _, good := range []string{"ssl_session_cache shared:SSL:10m;", "ssl_session_cache builtin:1000 shared:SSL:10m;", "ssl_session_cache off;",
		"ssl_session_timeout 1d;", "ssl_prefer_server_ciphers on;", "ssl_protocols TLSv1.2;", "ssl_alpn h2 http/1.1;", "ssl_session_tickets off;"} {
		if _, err := streamtest.Build(t, "stream { server { listen 1 ssl; say x; ssl_certificate s.crt; ssl_certificate_key s.key; "+good+" } }",
			files, &core.Module, &ssl.Module, streamtest.Say()); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func TestCertificatesWithVariables(t *testing.T) {
	a, b := newPKI(t, "a.example"), newPKI(t, "b.example")
	s := streamtest.Start(t, `stream { ssl_session_cache shared:one:1m;
		server { listen 1 ssl; ssl_certificate $ssl_server_name.crt; ssl_certificate_key $ssl_server_name.key; say "$ssl_server_name$ssl_session_reused"; }
		server { listen 2 ssl; ssl_certificate a.example.crt; ssl_certificate_key a.example.key; say "fixed$ssl_session_reused"; } }`,
		streamtest.Files{"a.example.crt": a.cert, "a.example.key": a.key, "b.example.crt": b.cert, "b.example.key": b.key},
		&core.Module, &ssl.Module, streamtest.Say())
	cache := tls.NewLRUClientSessionCache(1)
	for _, c := range []struct{ name, certificate, want, log string }{
		{"a.example", "a.example", "a.example.", ""},
		{"b.example", "b.example", "b.example.", ""},
		{"b.example", "b.example", "b.exampler", ""},
		{"c.example", "", "", `cannot load certificate "/c.example.crt": BIO_new_file() failed (No such file or directory) in /test.conf:2 while SSL handshaking, client: `},
		{"../a.example", "", "", `client sent invalid server name "../a.example": not used in the certificate path in /test.conf:2 while SSL handshaking`},
	} {
		conn := tls.Client(s.Dial(0), &tls.Config{InsecureSkipVerify: true, ServerName: c.name, ClientSessionCache: cache})
		text, _ := io.ReadAll(conn) // the end of a refused one does not matter
		certificate := ""
		if shown := conn.ConnectionState().PeerCertificates; len(shown) > 0 {
			certificate = shown[0].Subject.CommonName
		}
		if string(text) != c.want || certificate != c.certificate {
			t.Errorf("%s: %q with the certificate of %q", c.name, text, certificate)
		}
		if lines := s.Log.Lines(); c.log != "" && !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, c.log) }) {
			t.Errorf("%s: no %q in %q", c.name, c.log, lines)
		}
	}
}
