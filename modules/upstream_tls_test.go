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
	cert, key, err := ca.Issue("app.example.com")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
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
