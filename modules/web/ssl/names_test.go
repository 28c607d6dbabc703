package ssl_test

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"

	"starling/conf"
	"starling/vars"
	"starling/web"
	"starling/web/webtest"
)

// certificate is the name in the certificate that a server shows, or the handshake's error.
func (w *world) certificate(s *webtest.Server, port int, name string, change func(*tls.Config)) string {
	w.t.Helper()
	config := &tls.Config{InsecureSkipVerify: true, ServerName: name}
	if change != nil {
		change(config)
	}
	conn := tls.Client(s.DialLoopbackPort(port), config)
	defer conn.Close()
	if err := conn.Handshake(); err != nil {
		return err.Error()
	}
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// forNames adds a pair <name>.crt and <name>.key for each name.
func (w *world) forNames(names ...string) {
	root := authority(w.t, "names")
	for _, name := range names {
		cert, key := issue(w.t, root, name)
		w.add(name+".crt", cert)
		w.add(name+".key", key)
	}
}

func TestCertificatesWithVariables(t *testing.T) {
	w := newWorld(t)
	w.forNames("a.example", "b.example", "none.example")
	root := authority(t, "text")
	cert, key := issue(t, root, "text.example")
	texts := web.Module{Module: conf.Module{Name: "texts", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]}, Variables: []vars.Variable[*web.Request]{
		{Name: "text_crt", Append: func(_ *web.Request, _ string, dst []byte) ([]byte, bool) { return append(dst, cert...), true }},
		{Name: "text_key", Append: func(_ *web.Request, _ string, dst []byte) ([]byte, bool) { return append(dst, key...), true }},
	}}
	s := webtest.Start(t, append([]*web.Module{&texts}, modules...), `
		server { listen 127.0.0.1:443 ssl; ssl_certificate $ssl_server_name.crt; ssl_certificate_key $ssl_server_name.key; say "$ssl_server_name"; }
		server { listen 127.0.0.1:443 ssl; server_name fixed.example; ssl_certificate b.example.crt; ssl_certificate_key b.example.key; say fixed; }
		server { listen 127.0.0.1:444 ssl; http2 on; ssl_certificate data:$text_crt; ssl_certificate_key data:$text_key; say text; }
		server { listen 127.0.0.1:444 ssl; server_name empty.example; ssl_certificate data:$arg_x; ssl_certificate_key a.example.key; say empty; }`, w.options...)
	for _, c := range []struct {
		port       int
		name, want string
		log        string
	}{
		{0, "a.example", "a.example", ""},
		{0, "b.example", "b.example", ""},
		{0, "fixed.example", "b.example", ""},
		{0, "c.example", "remote error: tls: internal error", `[error] *4 cannot load certificate "/c.example.crt": BIO_new_file() failed ` +
			`(No such file or directory) in /test.conf:2 while SSL handshaking, client: 127.0.0.1, server: 127.0.0.1:443`},
		{0, "../a.example", "remote error: tls: internal error",
			`[error] *5 client sent invalid server name "../a.example": not used in the certificate path in /test.conf:2 while SSL handshaking`},
		{0, "x/a.example", "remote error: tls: internal error", `[error] *6 client sent invalid server name "x/a.example"`},
		{0, "", "remote error: tls: internal error", `[error] *7 cannot load certificate "/.crt": BIO_new_file() failed`},
		{1, "a.example", "text.example", ""},
		{1, "empty.example", "remote error: tls: internal error", `[error] *9 cannot load certificate "data:...": PEM_read_bio_X509_AUX() failed (no start line`},
	} {
		if got := w.certificate(s, c.port, c.name, nil); got != c.want {
			t.Errorf("%q: %s, want %s", c.name, got, c.want)
		}
		if lines := s.Log.Lines(); c.log != "" && !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, c.log) }) {
			t.Errorf("%q: the log has %q", c.name, lines)
		}
	}
	if status, body := w.visit(s, visitor{name: "a.example", anyName: true}); status != 200 || body != "a.example" {
		t.Error(status, body)
	}
}

// A shared session cache lets servers resume each other's sessions, on other addresses too, if they have the same
// certificates.
func TestSessionsBelongToACertificate(t *testing.T) {
	w := newWorld(t)
	w.forNames("a.example", "b.example")
	const names = "ssl_certificate $ssl_server_name.crt; ssl_certificate_key $ssl_server_name.key;"
	s := w.start(`ssl_session_cache shared:one:1m;
		server { listen 127.0.0.1:443 ssl; ssl_certificate a.example.crt; ssl_certificate_key a.example.key; }
		server { listen 127.0.0.1:444 ssl; ssl_certificate a.example.crt; ssl_certificate_key a.example.key; }
		server { listen 127.0.0.1:445 ssl; ssl_certificate b.example.crt; ssl_certificate_key b.example.key; }
		server { listen 127.0.0.1:446 ssl; ` + names + ` }
		server { listen 127.0.0.1:447 ssl; ` + names + ` }
		server { listen 127.0.0.1:448 ssl; ssl_session_cache none; ssl_certificate a.example.crt; ssl_certificate_key a.example.key; }`)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, c := range []struct {
			first, second int
			resumed       bool
		}{{0, 0, true}, {0, 1, true}, {0, 2, false}, {0, 3, false}, {3, 3, true}, {3, 4, true}, {0, 5, false}, {5, 5, true}} {
			cache := tls.NewLRUClientSessionCache(1)
			for i, port := range []int{c.first, c.second} {
				conn := tls.Client(s.DialLoopbackPort(port), &tls.Config{InsecureSkipVerify: true, ServerName: "a.example", MaxVersion: version,
					ClientSessionCache: cache})
				if status, _ := get(t, conn, "a.example"); status != 403 {
					t.Fatal(status)
				}
				if got := conn.ConnectionState().DidResume; got != (i == 1 && c.resumed) {
					t.Errorf("%x, port %d after %d: resumed %v", version, port, c.first, got)
				}
				conn.Close()
			}
		}
	}
}
