package ssl_test

import (
	"bufio"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	library "golang.org/x/crypto/ocsp"

	"starling/lib/certs"
	"starling/lib/testkit"
	"starling/modules/web/core"
	"starling/modules/web/ssl"
	"starling/ssl/ocsp/ocsptest"
	"starling/web"
	"starling/web/webtest"
)

var modules = []*web.Module{&core.Module, &ssl.Module, webtest.Say()}

// world is an authority, a server's and a client's certificate, as files that a configuration names.
type world struct {
	t       *testing.T
	root    *certs.Authority
	roots   *x509.CertPool
	client  tls.Certificate
	options []webtest.Option
}

func newWorld(t *testing.T) *world {
	t.Helper()
	root, other := authority(t, "root"), authority(t, "other")
	w := &world{t: t, root: root, roots: x509.NewCertPool()}
	w.roots.AppendCertsFromPEM(root.PEM)
	w.add("ca.crt", root.PEM)
	w.add("other-ca.crt", other.PEM)
	serverPEM, serverKey := issue(t, root, "one.example", "two.example", "localhost")
	w.add("server.crt", serverPEM)
	w.add("server.key", serverKey)
	clientPEM, clientKey := issue(t, root, "client")
	crl, err := root.Revoke(clientPEM)
	if err != nil {
		t.Fatal(err)
	}
	w.add("crl.pem", crl)
	if w.client, err = tls.X509KeyPair(clientPEM, clientKey); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) rootKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := w.root.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(w.root.PEM, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair.PrivateKey.(crypto.Signer)
}

func authority(t *testing.T, name string) *certs.Authority {
	t.Helper()
	a, err := certs.NewAuthority(name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a *certs.Authority, names ...string) (certificate, key []byte) {
	t.Helper()
	certificate, key, err := a.Issue(names...)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

func (w *world) add(name string, data []byte) {
	w.options = append(w.options, webtest.File("/"+name, string(data)))
}

func (w *world) start(text string) *webtest.Server {
	w.t.Helper()
	return webtest.Start(w.t, modules, text, w.options...)
}

// visitor is a TLS client: what it asks the handshake for, and whether it shows the client's certificate.
type visitor struct {
	name       string // SNI; empty: none
	host       string // of the Host header; empty: as name
	port       int    // which of the site's
	withoutKey bool
	anyName    bool // the server's certificate need not have the name
	change     func(*tls.Config)
}

// visit makes one request and returns status and body; a failed handshake is told by its error.
func (w *world) visit(s *webtest.Server, v visitor) (int, string) {
	w.t.Helper()
	config := &tls.Config{RootCAs: w.roots, ServerName: v.name, Certificates: []tls.Certificate{w.client}}
	if v.name == "" || v.anyName {
		config.InsecureSkipVerify = true
	}
	if v.withoutKey {
		config.Certificates = nil
	}
	if v.change != nil {
		v.change(config)
	}
	if v.host == "" {
		v.host = "localhost"
		if v.name != "" {
			v.host = v.name
		}
	}
	conn := tls.Client(s.DialLoopbackPort(v.port), config)
	defer conn.Close()
	if err := conn.Handshake(); err != nil {
		return 0, err.Error()
	}
	return get(w.t, conn, v.host)
}

func get(t *testing.T, conn net.Conn, host string) (int, string) {
	t.Helper()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err.Error()
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

const pair = "ssl_certificate server.crt; ssl_certificate_key server.key;\n"

func TestVariables(t *testing.T) {
	w := newWorld(t)
	s := w.start(pair + `
		ssl_client_certificate ca.crt;
		server { listen 127.0.0.1:443 ssl; ssl_verify_client optional;
			say "$ssl_protocol|$ssl_cipher|$ssl_server_name|$ssl_alpn_protocol|$ssl_session_reused|$ssl_early_data|$ssl_client_verify|$ssl_client_s_dn|$ssl_client_i_dn|$scheme|$https"; }`)
	_, got := w.visit(s, visitor{name: "one.example", change: func(c *tls.Config) {
		c.NextProtos = []string{"h2", "http/1.1"}
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	}})
	want := "TLSv1.2|ECDHE-ECDSA-AES128-GCM-SHA256|one.example|http/1.1|.||SUCCESS|CN=client,O=starling|CN=root,O=starling|https|on"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if _, got = w.visit(s, visitor{withoutKey: true}); !strings.HasSuffix(got, "|||.||NONE|||https|on") {
		t.Error(got)
	}
}

func TestVariablesOfTheHello(t *testing.T) {
	w := newWorld(t)
	s := w.start(pair + `
		ssl_client_certificate ca.crt; ssl_ecdh_curve prime256v1:X448;
		server { listen 127.0.0.1:443 ssl; ssl_verify_client optional;
			say "$ssl_curve|$ssl_curves|$ssl_ciphers|$ssl_sigalg|$ssl_client_sigalg|$ssl_client_s_dn_legacy|$ssl_client_i_dn_legacy|$ssl_sigalgs"; }`)
	status, got := w.visit(s, visitor{name: "one.example", change: func(c *tls.Config) {
		c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_RC4_128_SHA}
	}})
	want := "prime256v1|X25519:prime256v1|ECDHE-ECDSA-AES128-GCM-SHA256:0x0005|ecdsa_secp256r1_sha256|ecdsa_secp256r1_sha256|" +
		"/O=starling/CN=client|/O=starling/CN=root|"
	if rest, found := strings.CutPrefix(got, want); status != 200 || !found || !strings.Contains(rest, "rsa_pss_rsae_sha256:") {
		t.Errorf("got  %d %s\nwant %s…", status, got, want)
	}
	if lines := s.Log.Lines(); !slices.Contains(lines, `[warn] curve "X448" is not available, ignored in /test.conf:4`) {
		t.Error(lines)
	}
}

func TestWithoutTLSNothingIsKnown(t *testing.T) {
	s := webtest.Start(t, modules, `server { listen 127.0.0.1:80; say "<$ssl_protocol$ssl_client_verify$ssl_cipher>"; }`)
	if got := s.Get("/"); !strings.HasSuffix(got, "<>") {
		t.Error(got)
	}
}

func TestVerifyClient(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		what, settings string
		withoutKey     bool
		status         int
		body, line     string
	}{
		{"a good one", "ssl_verify_client on; ssl_client_certificate ca.crt;", false, 200, "SUCCESS", ""},
		{"none", "ssl_verify_client on; ssl_client_certificate ca.crt;", true, 400, "No required SSL certificate was sent",
			"[info] *1 client sent no required SSL certificate while reading client request headers, client: 127.0.0.1, server: "},
		{"none is needed", "ssl_verify_client optional; ssl_client_certificate ca.crt;", true, 200, "NONE", ""},
		{"a stranger's", "ssl_verify_client optional; ssl_trusted_certificate other-ca.crt;", false, 400, "The SSL certificate error",
			"[info] *1 client SSL certificate verify error: (21:unable to verify the first certificate) while reading"},
		{"a stranger's, let in", "ssl_verify_client optional_no_ca; ssl_trusted_certificate other-ca.crt;", false, 200,
			"FAILED:unable to verify the first certificate", ""},
		{"a revoked one", "ssl_verify_client on; ssl_client_certificate ca.crt; ssl_crl crl.pem;", false, 400, "The SSL certificate error",
			"[info] *1 client SSL certificate verify error: (23:certificate revoked) while reading"},
		{"not looked at", "ssl_client_certificate other-ca.crt;", false, 200, "NONE", ""},
		{"error_page of none", "ssl_verify_client on; ssl_client_certificate ca.crt; error_page 496 =403 /none;", true, 403, "at /none", ""},
		{"error_page of a bad one", "ssl_verify_client on; ssl_trusted_certificate other-ca.crt; error_page 495 /bad;", false, 400, "at /bad", ""},
	} {
		s := w.start(pair + "server { listen 127.0.0.1:443 ssl;" + c.settings + `
			location / { say "$ssl_client_verify"; } location /none { say "at $uri"; } location /bad { say "at $uri"; } }`)
		status, body := w.visit(s, visitor{name: "one.example", withoutKey: c.withoutKey})
		if status != c.status || !strings.Contains(body, c.body) {
			t.Errorf("%s: %d %s", c.what, status, body)
		}
		lines := s.Log.Lines()
		if c.line != "" && !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, c.line) }) {
			t.Errorf("%s: the log has %q", c.what, lines)
		}
	}
}

// The status of a client's certificate counts like its verification; the answer is cached for all servers of the name.
func TestOCSPOfClients(t *testing.T) {
	w := newWorld(t)
	responder := ocsptest.Serve(t, w.root.Certificate(), w.rootKey(t))
	s := w.start(pair + "ssl_client_certificate ca.crt; ssl_verify_client optional; ssl_ocsp on; ssl_ocsp_responder " + responder.URL + `;
		server { listen 127.0.0.1:443 ssl; say "$ssl_client_verify"; }
		server { listen 127.0.0.1:444 ssl; ssl_ocsp_cache shared:statuses:1m; say "$ssl_client_verify"; }
		server { listen 127.0.0.1:445 ssl; ssl_ocsp off; say "$ssl_client_verify"; }
		server { listen 127.0.0.1:446 ssl; error_page 495 =403 /bad; say "$ssl_client_verify"; }`)
	serial := w.client.Leaf.SerialNumber
	for _, c := range []struct {
		what       string
		said       int
		port       int
		withoutKey bool
		status     int
		body       string
	}{
		{"good", library.Good, 0, false, 200, "SUCCESS"},
		{"good, and cached", library.Good, 1, false, 200, "SUCCESS"},
		{"none", library.Revoked, 0, true, 200, "NONE"},
		{"revoked", library.Revoked, 0, false, 400, "The SSL certificate error"},
		{"revoked, but cached", library.Revoked, 1, false, 200, "SUCCESS"},
		{"revoked, but not asked about", library.Revoked, 2, false, 200, "SUCCESS"},
		{"revoked, with an error page", library.Revoked, 3, false, 403, "FAILED:certificate revoked"},
		{"no answer", -1, 3, false, 403, "FAILED:certificate status request failed"},
	} {
		responder.Set(serial, c.said)
		status, body := w.visit(s, visitor{name: "one.example", port: c.port, withoutKey: c.withoutKey})
		if status != c.status || !strings.Contains(body, c.body) {
			t.Errorf("%s: %d %s", c.what, status, body)
		}
	}
	lines := strings.Join(s.Log.Lines(), "\n")
	for _, want := range []string{
		"[info] *4 client SSL certificate verify error: certificate revoked while reading client request headers, client: ",
		"[error] *8 OCSP response not successful (3: try later) while requesting certificate status, responder: 127.0.0.1, client: ",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("no %s in\n%s", want, lines)
		}
	}
}

func TestStapling(t *testing.T) {
	w := newWorld(t)
	responder := ocsptest.Serve(t, w.root.Certificate(), w.rootKey(t))
	s := w.start(pair + "ssl_trusted_certificate ca.crt; ssl_stapling on; ssl_stapling_verify on; ssl_stapling_responder " + responder.URL + `;
		server { listen 127.0.0.1:443 ssl; say ok; }`)
	testkit.Eventually(t, time.Minute, func() error {
		conn := tls.Client(s.DialLoopbackPort(0), &tls.Config{RootCAs: w.roots, ServerName: "one.example"})
		defer conn.Close()
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		state := conn.ConnectionState()
		answer, err := library.ParseResponseForCert(state.OCSPResponse, state.PeerCertificates[0], w.root.Certificate())
		if err == nil && answer.Status != library.Good {
			t.Fatal(answer.Status)
		}
		return err
	})
}

// Two servers on one address: SNI chooses settings and certificates, Host may not lead to one that verifies clients.
func TestServersOfOneAddress(t *testing.T) {
	w := newWorld(t)
	s := w.start(`
		server { listen 127.0.0.1:443 ssl; server_name one.example;` + pair + `say "one $ssl_server_name"; }
		server { listen 127.0.0.1:443 ssl; server_name two.example;` + pair + `ssl_verify_client on; ssl_client_certificate ca.crt;
			say "two $ssl_client_verify"; }
		server { listen 127.0.0.1:443 ssl; server_name bare.example; ssl_verify_client on; say bare; }
		server { listen 127.0.0.1:443 ssl; server_name no.example; ssl_reject_handshake on; }
		server { listen 127.0.0.1:444 ssl default_server;` + pair + `ssl_verify_client optional; ssl_client_certificate ca.crt; say "three"; }
		server { listen 127.0.0.1:444 ssl; server_name one.example;` + pair + `say "four"; }`)
	for _, c := range []struct {
		visitor visitor
		status  int
		body    string
	}{
		{visitor{name: "one.example"}, 200, "one one.example"},
		{visitor{name: "two.example"}, 200, "two SUCCESS"},
		{visitor{name: "two.example:443", anyName: true}, 200, "two SUCCESS"}, // nginx looks for it without the port
		{visitor{name: "one.example", host: "two.example"}, 421, "Misdirected"},
		{visitor{host: "two.example"}, 400, "No required SSL certificate"}, // asked for by none: the handshake was with the default server
		{visitor{host: "one.example"}, 200, "one "},
		{visitor{name: "localhost"}, 200, "one localhost"},
		{visitor{name: "no.example"}, 0, "unrecognized name"},
		{visitor{name: "bare.example", anyName: true}, 400, "No required SSL certificate"}, // the default server's certificate, its own demand
		{visitor{name: "one.example", host: "unknown", port: 1}, 421, "Misdirected"},       // leads to the default server
		{visitor{name: "one.example", port: 1}, 200, "four"},
	} {
		status, body := w.visit(s, c.visitor)
		if status != c.status || !strings.Contains(body, c.body) {
			t.Errorf("SNI %q, Host %q: %d %s", c.visitor.name, c.visitor.host, status, body)
		}
	}
}

func TestSessionsAreResumed(t *testing.T) {
	w := newWorld(t)
	for settings, want := range map[string]string{
		"":                       ".r",
		"ssl_session_timeout 0;": "..",
		"ssl_session_cache shared:one:1m; ssl_session_timeout 0;":                          "..",
		"ssl_session_tickets off;":                                                         "..",
		"ssl_session_tickets off; ssl_session_cache shared:one:1m;":                        ".r",
		"ssl_session_tickets off; ssl_session_cache builtin:10;":                           ".r",
		"ssl_session_tickets off; ssl_session_cache none;":                                 "..",
		"ssl_session_tickets off; ssl_session_cache shared:one:1m; ssl_session_timeout 0;": "..",
	} {
		s := w.start(pair + "server { listen 127.0.0.1:443 ssl; ssl_client_certificate ca.crt; ssl_verify_client on;" + settings +
			"say $ssl_session_reused; }")
		cache := tls.NewLRUClientSessionCache(1)
		got := ""
		for range 2 {
			_, body := w.visit(s, visitor{name: "one.example", change: func(c *tls.Config) { c.ClientSessionCache = cache }})
			got += body
		}
		if got != want {
			t.Errorf("%q: %s", settings, got)
		}
	}
}

// As in nginx, servers with the same certificates resume each other's sessions, also by the tickets of key files.
func TestSessionsBelongToCertificates(t *testing.T) {
	w := newWorld(t)
	w.add("ticket.key", []byte(strings.Repeat("k", 48)))
	other, key := issue(t, authority(t, "third"), "other.example")
	w.add("other.crt", other)
	w.add("other.key", key)
	for _, settings := range []string{"", "ssl_session_cache shared:one:1m;", "ssl_session_ticket_key ticket.key;"} {
		s := w.start(settings + `
			server { listen 127.0.0.1:443 ssl; ` + pair + ` say "one$ssl_session_reused"; }
			server { listen 127.0.0.1:444 ssl; ` + pair + ` say "two$ssl_session_reused"; }
			server { listen 127.0.0.1:445 ssl; ssl_certificate other.crt; ssl_certificate_key other.key; say "three$ssl_session_reused"; }`)
		cache := tls.NewLRUClientSessionCache(1)
		got := ""
		for _, port := range []int{0, 1, 0, 2, 0} {
			_, body := w.visit(s, visitor{name: "one.example", port: port, anyName: true, change: func(c *tls.Config) { c.ClientSessionCache = cache }})
			got += body + " "
		}
		if want := "one. twor oner three. one. "; got != want {
			t.Errorf("%q: %s, want %s", settings, got, want)
		}
	}
}

func TestPlainHTTPAndOtherProtocols(t *testing.T) {
	w := newWorld(t)
	s := w.start(pair + "server { listen 127.0.0.1:443 ssl; say ok; }")
	if got := s.Get("/"); !strings.HasPrefix(got, "HTTP/1.1 400 ") || !strings.Contains(got, "The plain HTTP request was sent to HTTPS port") {
		t.Error(got)
	}
	status, got := w.visit(s, visitor{name: "one.example", change: func(c *tls.Config) { c.NextProtos = []string{"smtp"} }})
	if status != 0 || !strings.Contains(got, "no application protocol") {
		t.Error(status, got)
	}
	s = w.start("server { listen 127.0.0.1:443 ssl; ssl_reject_handshake on; }")
	if status, got = w.visit(s, visitor{name: "one.example"}); status != 0 || !strings.Contains(got, "unrecognized name") {
		t.Error(status, got)
	}
}

// Settings of old files start: nothing is lost, and the log tells what happens instead.
func TestSettingsWithoutEffect(t *testing.T) {
	w := newWorld(t)
	w.add("dh.pem", dhParameters(t, prime(2048), big.NewInt(5)))
	w.add("short.pem", dhParameters(t, prime(1024), big.NewInt(5)))
	s := w.start(pair + `ssl_dhparam dh.pem; ssl_early_data on; ssl_certificate_compression on;
		ssl_conf_command DHParameters dh.pem;
		server { listen 127.0.0.1:443; ssl on; say "$ssl_protocol"; }
		server { listen 127.0.0.1:80; ssl off; say "plain"; }
		server { listen 127.0.0.1:444 ssl; ssl_ciphers HIGH:@SECLEVEL=1; ssl_dhparam short.pem; }`)
	if status, got := w.visit(s, visitor{name: "one.example"}); status != 200 || got != "TLSv1.3" {
		t.Error("ssl on:", status, got)
	}
	if status, got := get(t, s.DialLoopbackPort(1), "localhost"); status != 200 || got != "plain" {
		t.Error("ssl off:", status, got)
	}
	lines := s.Log.Lines()
	for _, want := range []string{
		`[warn] the "ssl" directive is deprecated, use the "listen ... ssl" directive instead in /test.conf:4`,
		`[warn] the "ssl" directive is deprecated, use the "listen ... ssl" directive instead in /test.conf:5`,
		`[warn] "ssl_dhparam" has no effect: finite-field Diffie-Hellman is not available; clients use elliptic curves, ` +
			`which need no parameters in /test.conf:2`,
		`[warn] DHParameters has no effect: finite-field Diffie-Hellman is not available; clients use elliptic curves, ` +
			`which need no parameters in /test.conf:4`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no %s in %q", want, lines)
		}
	}
}

func TestProblems(t *testing.T) {
	w := newWorld(t)
	w.add("garbage", []byte("garbage"))
	w.add("empty", nil)
	w.add("torn.pem", []byte("-----BEGIN DH PARAMETERS-----\nMAYC"))
	w.add("one.pem", dhParameters(t, prime(2048)))
	w.add("1024.pem", dhParameters(t, prime(1024), big.NewInt(2)))
	w.add("1023.pem", dhParameters(t, prime(1023), big.NewInt(2)))
	w.add("2048.pem", dhParameters(t, prime(2048), big.NewInt(2)))
	tooShort := func(name string, bits, least int) string {
		return fmt.Sprintf(`SSL_CTX_set_tmp_dh("/%s") failed (dh key too small: %d bits; make a file with "openssl dhparam %d") in /test.conf:1`,
			name, bits, least)
	}
	const noParameters = `failed (no start line: Expecting: DH PARAMETERS) in /test.conf:1`
	for inside, want := range map[string]string{
		"listen 443 ssl;": `no "ssl_certificate" is defined for the "listen ... ssl" directive in /test.conf:1`,
		"listen 443 ssl; ssl_certificate server.crt;": `no "ssl_certificate_key" is defined for certificate "server.crt" in /test.conf:1`,
		"listen 443 ssl; ssl_certificate none.crt; ssl_certificate_key server.key;": `cannot load certificate "/none.crt": BIO_new_file() failed ` +
			`(No such file or directory) in /test.conf:1`,
		"listen 443 ssl; ssl_verify_client on;" + strings.TrimSpace(pair): `no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client in /test.conf:1`,
		"listen 443; ssl on;":   `no "ssl_certificate" is defined for the "listen ... ssl" directive in /test.conf:1`,
		"ssl maybe;":            `invalid value "maybe" in "ssl" directive, it must be "on" or "off" in /test.conf:1`,
		"ssl_early_data maybe;": `invalid value "maybe" in "ssl_early_data" directive, it must be "on" or "off" in /test.conf:1`,
		"ssl_dhparam none.pem;" + strings.TrimSpace(pair):                                  `BIO_new_file("/none.pem") failed (No such file or directory) in /test.conf:1`,
		"ssl_dhparam none.pem; ssl_reject_handshake on;":                                   `BIO_new_file("/none.pem") failed (No such file or directory) in /test.conf:1`,
		"ssl_dhparam empty;" + strings.TrimSpace(pair):                                     `PEM_read_bio_DHparams("/empty") ` + noParameters,
		"ssl_dhparam garbage;" + strings.TrimSpace(pair):                                   `PEM_read_bio_DHparams("/garbage") ` + noParameters,
		"ssl_dhparam server.crt;" + strings.TrimSpace(pair):                                `PEM_read_bio_DHparams("/server.crt") ` + noParameters,
		"ssl_dhparam torn.pem;" + strings.TrimSpace(pair):                                  `PEM_read_bio_DHparams("/torn.pem") ` + noParameters,
		"ssl_dhparam 1024.pem;" + strings.TrimSpace(pair):                                  tooShort("1024.pem", 1024, 2048),
		"ssl_ciphers HIGH:@SECLEVEL=2; ssl_dhparam 1024.pem;" + strings.TrimSpace(pair):    tooShort("1024.pem", 1024, 2048),
		"ssl_ciphers DEFAULT:@SECLEVEL=0; ssl_dhparam 1023.pem;" + strings.TrimSpace(pair): tooShort("1023.pem", 1023, 1024),
		"ssl_ciphers HIGH:@SECLEVEL=3; ssl_dhparam 2048.pem;" + strings.TrimSpace(pair):    tooShort("2048.pem", 2048, 3072),
		"ssl_dhparam one.pem;" + strings.TrimSpace(pair):                                   `PEM_read_bio_DHparams("/one.pem") failed (asn1 error) in /test.conf:1`,
		"listen 443 ssl; ssl_conf_command DHParameters empty;" + strings.TrimSpace(pair): `SSL_CONF_cmd("DHParameters", "/empty") failed ` +
			`(PEM_read_bio_DHparams("/empty") failed (no start line: Expecting: DH PARAMETERS)) in /test.conf:1`,
		`listen 443 ssl; ssl_ecdh_curve "";` + strings.TrimSpace(pair): `SSL_CTX_set1_curves_list("") failed (no curve) in /test.conf:1`,
		`ssl_password_file "";`:   `read() "/" failed (21: Is a directory) in /test.conf:1`,
		"ssl_password_file none;": `open() "/none" failed (2: No such file or directory) in /test.conf:1`,
		"listen 443 ssl; ssl_conf_command Certificate none.crt;" + strings.TrimSpace(pair): `cannot load certificate "/none.crt": BIO_new_file() failed ` +
			`(No such file or directory) in /test.conf:1`,
		"ssl_verify_client maybe;":                   `invalid value "maybe" in /test.conf:1`,
		"ssl_ocsp_cache shared:x;":                   `invalid OCSP cache "shared:x" in /test.conf:1`,
		"ssl_ocsp_cache shared:x:1k;":                `OCSP cache "shared:x:1k" is too small in /test.conf:1`,
		"ssl_ocsp maybe;":                            `invalid value "maybe" in /test.conf:1`,
		"ssl_session_cache shared:x;":                `invalid session cache "shared:x" in /test.conf:1`,
		"ssl_protocols TLSv9;":                       `invalid value "TLSv9" in /test.conf:1`,
		"location / { ssl_certificate server.crt; }": `"ssl_certificate" directive is not allowed here in /test.conf:1`,
	} {
		_, err := webtest.Load(t, modules, "server { "+inside+" }", w.options...)
		if err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", inside, err, want)
		}
	}
}
