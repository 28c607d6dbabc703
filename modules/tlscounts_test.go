package modules_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"starling/admin"
	"starling/lib/certs"
	"starling/lib/testkit"
	"starling/modules"
	"starling/plan"
	"starling/stream/streamtest"
	"starling/web/webtest"
)

// tlsOf calls a resource of a site ("http/server_zones/a") and returns the ssl object of its answer.
func tlsOf(t *testing.T, resources []admin.Resource, path string) map[string]any {
	t.Helper()
	for _, r := range resources {
		tail, found := strings.CutPrefix(path, r.Path)
		if !found || tail != "" && tail[0] != '/' {
			continue
		}
		call := &admin.Call{Method: "GET", Version: 9}
		if tail != "" {
			call.Tail = strings.Split(tail[1:], "/")
		}
		a := r.Handle(call)
		if a.Err != nil {
			t.Fatal(path, a.Err)
		}
		text, err := json.Marshal(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		var body struct {
			SSL   map[string]any
			Peers []struct{ SSL map[string]any }
		}
		if err := json.Unmarshal(text, &body); err != nil {
			t.Fatal(err)
		}
		if len(body.Peers) > 0 {
			return body.Peers[0].SSL
		}
		if body.SSL == nil {
			if err := json.Unmarshal(text, &body.SSL); err != nil {
				t.Fatal(err)
			}
		}
		return body.SSL
	}
	t.Fatalf("no resource for %s", path)
	return nil
}

// expectTLS waits for figures: a failure is counted after the client noticed it.
func expectTLS(t *testing.T, resources func() []admin.Resource, path, want string) {
	t.Helper()
	testkit.Eventually(t, time.Minute, func() error {
		object := tlsOf(t, resources(), path)
		verify := object["verify_failures"].(map[string]any)
		got := fmt.Sprint(object["handshakes"], object["handshakes_failed"], object["session_reuses"], object["peer_rejected_cert"], " ",
			verify["no_cert"], verify["other"])
		if got != want {
			return errors.New(path + ": " + got + ", want " + want)
		}
		return nil
	})
}

// A status zone counts the handshakes with the server that TLS named, and the process those of all.
func TestTLSOfStatusZones(t *testing.T) {
	ca, err := certs.NewAuthority("ca")
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := ca.Issue("a.example", "b.example")
	if err != nil {
		t.Fatal(err)
	}
	const servers = `
		server { LISTEN ssl; server_name a.example; status_zone a; ssl_certificate /s.crt; ssl_certificate_key /s.key; ANSWER }
		server { LISTEN ssl; server_name b.example; status_zone b; ssl_certificate /s.crt; ssl_certificate_key /s.key;
			ssl_verify_client on; ssl_client_certificate /ca.crt; ANSWER }`
	side := func(listen, answer string) string {
		return strings.NewReplacer("LISTEN", listen, "ANSWER", answer).Replace(servers)
	}
	shake := func(conn io.Closer, client *tls.Conn) {
		defer conn.Close()
		if client.Handshake() == nil {
			io.WriteString(client, "GET / HTTP/1.0\r\nHost: "+client.ConnectionState().ServerName+"\r\n\r\n")
			io.Copy(io.Discard, client) // the ticket comes with it
		}
	}
	check := func(t *testing.T, prefix string, dial func() (io.Closer, func(*tls.Config) *tls.Conn), resources func() []admin.Resource) {
		t.Helper()
		cache := tls.NewLRUClientSessionCache(1)
		for _, config := range []*tls.Config{
			{ServerName: "a.example", InsecureSkipVerify: true, ClientSessionCache: cache},
			{ServerName: "a.example", InsecureSkipVerify: true, ClientSessionCache: cache},
			{ServerName: "a.example"}, // does not know the authority
			{ServerName: "b.example", InsecureSkipVerify: true},
			{ServerName: "unknown.example", InsecureSkipVerify: true},
		} {
			conn, client := dial()
			shake(conn, client(config))
		}
		expectTLS(t, resources, prefix+"/server_zones/a", "3 1 1 1 0 0")
		expectTLS(t, resources, prefix+"/server_zones/b", "1 0 0 0 1 0")
	}
	t.Run("http", func(t *testing.T) {
		s := webtest.Start(t, modules.Web(), side("listen 127.0.0.1:443", "return 204;"),
			webtest.File("/s.crt", string(cert)), webtest.File("/s.key", string(key)), webtest.File("/ca.crt", string(ca.PEM)))
		check(t, "http", func() (io.Closer, func(*tls.Config) *tls.Conn) {
			conn := s.DialLoopbackPort(0)
			return conn, func(c *tls.Config) *tls.Conn { return tls.Client(conn, c) }
		}, s.Site.Resources)
		expectTLS(t, s.Site.Resources, "ssl", "4 1 1 1 1 0")
	})
	t.Run("stream", func(t *testing.T) {
		s := streamtest.Start(t, "stream {"+side("listen 127.0.0.1:443", "return x;")+"}",
			streamtest.Files{"s.crt": cert, "s.key": key, "ca.crt": ca.PEM}, modules.Stream()...)
		check(t, "stream", func() (io.Closer, func(*tls.Config) *tls.Conn) {
			conn := s.Dial(0)
			return conn, func(c *tls.Config) *tls.Conn { return tls.Client(conn, c) }
		}, s.Site.Resources)
		if f := s.Plan.Traffic().Handshakes.Figures(); f.Handshakes != 4 || f.Failed != 1 || *f.VerifyFailures.NoCert != 1 {
			t.Errorf("of the process: %+v", f)
		}
	})
}

// A server of a group shows the handshakes with it, and the process counts them too.
func TestTLSOfUpstreamServers(t *testing.T) {
	b, ca := webtest.ServeTLS(t, "app.example.com", func(p *webtest.Peer) {
		if p.Head() != "" {
			p.Answer("x")
		}
	})
	s := webtest.Start(t, modules.Web(), `upstream u { zone u 64k; server `+b.Addr+` max_fails=0; }
		server {
			location /lax { proxy_pass https://u; proxy_ssl_session_reuse off; }
			location /strict { proxy_pass https://u; proxy_ssl_verify on; proxy_ssl_trusted_certificate /ca.pem; proxy_ssl_name $arg_name; }
		}`, webtest.File("/ca.pem", string(ca.PEM)))
	plan.Part[admin.Catalog](s.Plan).Resources = s.Site.Resources()
	for _, target := range []string{"/lax", "/strict?name=other.example.com", "/strict?name=app.example.com"} {
		s.Get(target)
	}
	for path, clients := range map[string]bool{"http/upstreams/u": false, "ssl": true} {
		object := tlsOf(t, s.Site.Resources(), path)
		verify := object["verify_failures"].(map[string]any)
		if got := fmt.Sprint(object["handshakes"], object["handshakes_failed"], " ", verify["hostname_mismatch"]); got != "2 1 1" {
			t.Errorf("%s: %s in %v", path, got, object)
		}
		_, cipher := object["no_common_cipher"]
		if _, cert := verify["no_cert"]; cert != clients || cipher != clients {
			t.Errorf("%s: %v", path, object)
		}
	}
	call := &admin.Call{Method: "DELETE", Version: 9, Tail: []string{"u"}}
	for _, r := range s.Site.Resources() {
		if r.Path == "http/upstreams" {
			r.Handle(call)
		}
	}
	if got := tlsOf(t, s.Site.Resources(), "http/upstreams/u"); got["handshakes"] != 0.0 {
		t.Errorf("after a reset: %v", got)
	}
}
