package modules_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"starling/lib/certs"
	"starling/web/webtest"
)

// TestKeptConnectionsOfOthers: a location that verifies its server does not use a connection of one that does not.
func TestKeptConnectionsOfOthers(t *testing.T) {
	ca, err := certs.NewAuthority("ca")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Pair("app.example.com")
	if err != nil {
		t.Fatal(err)
	}
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) }))
	backend.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	backend.StartTLS()
	defer backend.Close()
	s := webtest.Start(t, families, `upstream u { server `+strings.TrimPrefix(backend.URL, "https://")+`; keepalive 4; }
		server {
			location /lax { proxy_pass https://u; }
			location /strict { proxy_pass https://u; proxy_ssl_verify on; proxy_ssl_trusted_certificate /ca.pem; proxy_ssl_name $arg_name; }
		}`, webtest.File("/ca.pem", string(ca.PEM)))
	c := s.Client()
	ask := func(target string) webtest.Response { return c.Do("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n") }
	first := ask("/lax")
	if again := ask("/lax"); first.StatusCode != 200 || again.Text != first.Text {
		t.Errorf("%d: two connections, %s and %s", first.StatusCode, first.Text, again.Text)
	}
	if r := ask("/strict?name=other.example.com"); r.StatusCode != 502 {
		t.Errorf("another name: %d", r.StatusCode)
	}
	strict := ask("/strict?name=app.example.com")
	if strict.StatusCode != 200 || strict.Text == first.Text {
		t.Errorf("the right name: %d over %s, not verified over %s", strict.StatusCode, strict.Text, first.Text)
	}
}

// A certificate that the request names is shown on connections for it, and such a connection serves no request that
// names another.
func TestCertificatesThatRequestsName(t *testing.T) {
	ca, err := certs.NewAuthority("ca")
	if err != nil {
		t.Fatal(err)
	}
	var options []webtest.Option
	for _, name := range []string{"one", "two"} {
		cert, key, err := ca.Issue(name)
		if err != nil {
			t.Fatal(err)
		}
		options = append(options, webtest.File("/"+name+".crt", string(cert)), webtest.File("/"+name+".key", string(key)))
	}
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if shown := r.TLS.PeerCertificates; len(shown) > 0 {
			name = shown[0].Subject.CommonName
		}
		fmt.Fprint(w, name, " at ", r.RemoteAddr)
	}))
	backend.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	backend.StartTLS()
	defer backend.Close()
	s := webtest.Start(t, families, `upstream u { server `+strings.TrimPrefix(backend.URL, "https://")+`; keepalive 4; }
		server { proxy_ssl_certificate $arg_crt; proxy_ssl_certificate_key $arg_key; proxy_ssl_certificate_cache max=2;
			location / { proxy_pass https://u; } location /b/ { proxy_pass https://u; proxy_ssl_certificate $arg_crt.crt; } }`, options...)
	places := map[string]string{}
	for _, test := range []struct{ query, want, log string }{
		{"/?crt=one.crt&key=one.key", "one", ""},
		{"/?crt=two.crt&key=two.key", "two", ""},
		{"/?crt=two.crt&key=two.key", "two", ""},
		{"/", "nobody", ""},
		{"/b/?crt=one&key=one.key", "one", ""},
		{"/?crt=three.crt&key=two.key", "500", `cannot load certificate "/three.crt": BIO_new_file() failed (No such file or directory) while SSL handshaking to upstream`},
		{"/?crt=one.crt&key=two.key", "500", `SSL_CTX_use_PrivateKey("/two.key") failed (key values mismatch with certificate "/one.crt")`},
		{"/?crt=x/../one.crt&key=one.key", "500", `certificate or key path "x/../one.crt" contains ".." from a variable`},
		{"/?crt=one.crt&key=engine:x", "500", `loading "engine:..." certificate keys is not supported`},
	} {
		r := s.Client().Do("GET " + test.query + " HTTP/1.1\r\nHost: x\r\n\r\n")
		got, at, _ := strings.Cut(r.Text, " at ")
		if r.StatusCode != 200 {
			got, at = fmt.Sprint(r.StatusCode), ""
		}
		if got != test.want {
			t.Errorf("%s: the server saw %s, want %s", test.query, got, test.want)
		}
		if before, known := places[at]; known && at != "" && before != got {
			t.Errorf("%s: over a connection of %s", test.query, before)
		}
		places[at] = got
		if all := strings.Join(s.Log.Lines(), "\n"); !strings.Contains(all, test.log) {
			t.Errorf("%s: the log has %q", test.query, all)
		}
	}
}
