package modules_test

import (
	"fmt"
	"strings"
	"testing"

	"starling/web/webtest"
)

// TestKeptConnectionsOfOthers: a location that verifies its server does not use a connection of one that does not.
func TestKeptConnectionsOfOthers(t *testing.T) {
	b, ca := webtest.ServeTLS(t, "app.example.com", func(p *webtest.Peer) {
		for p.Head() != "" {
			p.Answer(p.RemoteAddr().String())
		}
	})
	s := webtest.Start(t, families, `upstream u { server `+b.Addr+`; keepalive 4; }
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
	b, ca := webtest.ServeTLS(t, "app.example.com", func(p *webtest.Peer) {
		for p.Head() != "" {
			name := "nobody"
			if shown := p.TLS().PeerCertificates; len(shown) > 0 {
				name = shown[0].Subject.CommonName
			}
			p.Answer(name + " at " + p.RemoteAddr().String())
		}
	})
	var options []webtest.Option
	for _, name := range []string{"one", "two"} {
		cert, key, err := ca.Issue(name)
		if err != nil {
			t.Fatal(err)
		}
		options = append(options, webtest.File("/"+name+".crt", string(cert)), webtest.File("/"+name+".key", string(key)))
	}
	s := webtest.Start(t, families, `upstream u { server `+b.Addr+`; keepalive 4; }
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
		{"/?crt=one.crt&key=engine:x", "500", `keys in engines are not supported by starling`},
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
