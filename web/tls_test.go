package web_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"starling/conf"
	"starling/lib/certs"
	"starling/modules/web/core"
	"starling/web"
	"starling/web/webtest"
)

// tlsProbe gives each server with `certificate <name>` a certificate of its own.
func tlsProbe(t *testing.T) *web.Module {
	type settings struct{ name string }
	m := &web.Module{Module: conf.Module{Name: "tls_probe", New: conf.NewOf[settings], Clone: conf.CloneOf[settings],
		Directives: []conf.Directive{{Name: "certificate", Syntax: "<name>", In: conf.Server,
			Set: conf.Field(func(s *settings) *string { return &s.name }, conf.String)}}}}
	m.Server = func(b *web.Block, s *web.Server) error {
		if name := conf.Settings[settings](b.Scope, &m.Module).name; name != "" {
			s.TLS = &tls.Config{Certificates: []tls.Certificate{issued(t, name)}}
			s.AfterHandshake = func(*web.Request) web.Result {
				if strings.HasPrefix(name, "closed") {
					return 496
				}
				return web.Declined
			}
		}
		return nil
	}
	return m
}

func TestTLS(t *testing.T) {
	s := webtest.Start(t, []*web.Module{&core.Module, probe(nil), tlsProbe(t)}, `
say "$server_name $scheme $https";
server { listen 443 ssl; server_name a; certificate a; }
server { listen 443 ssl; server_name b; certificate b; }
server { listen 443 ssl; server_name closed; certificate closed; }`)
	for _, c := range []struct{ sni, host, certificate, want string }{
		{"a", "a", "a", "200 OK|a https on"},
		{"b", "b", "b", "200 OK|b https on"},
		{"", "b", "a", "200 OK|b https on"},
		{"unknown", "x", "a", "200 OK|a https on"},
		{"closed", "closed", "closed", "400 Bad Request|"},
	} {
		under := s.Dial()
		conn := tls.Client(under, &tls.Config{ServerName: c.sni, InsecureSkipVerify: true})
		if err := conn.Handshake(); err != nil {
			t.Fatalf("%s: %v", c.sni, err)
		}
		if got := conn.ConnectionState().PeerCertificates[0].DNSNames[0]; got != c.certificate {
			t.Errorf("SNI %q: the certificate of %s, want %s", c.sni, got, c.certificate)
		}
		reader := bufio.NewReader(conn)
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+c.host+"\r\n\r\n")
		r, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(r.Body)
		got := r.Status + "|" + string(text)
		if got != c.want && !(strings.HasSuffix(c.want, "|") && strings.Contains(got, "No required SSL certificate was sent")) {
			t.Errorf("SNI %q, Host %q: got %s, want %s", c.sni, c.host, got, c.want)
		}
		under.Close()
	}
}

// Host decides even if it is missing: the server that TLS named has no part in the answer.
func TestRequestsWithoutHostOverTLS(t *testing.T) {
	const named = `say "$server_name";
server { listen 443 ssl; server_name a; certificate a; error_page 400 /a; }
server { listen 443 ssl; server_name b; certificate b; error_page 400 /b; }`
	for _, c := range []struct{ more, line, want string }{
		{"", "GET / HTTP/1.1", "400 Bad Request|a"},
		{"", "GET / HTTP/1.0", "200 OK|a"},
		{`server { listen 443 ssl; server_name c ""; certificate c; error_page 400 /c; }`, "GET / HTTP/1.1", "400 Bad Request|c"},
	} {
		s := webtest.Start(t, []*web.Module{&core.Module, probe(nil), tlsProbe(t)}, named+c.more)
		conn := tls.Client(s.Dial(), &tls.Config{ServerName: "b", InsecureSkipVerify: true})
		io.WriteString(conn, c.line+"\r\n\r\n")
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(r.Body)
		if got := r.Status + "|" + string(text); got != c.want {
			t.Errorf("%s %s: got %s, want %s", c.more, c.line, got, c.want)
		}
		conn.NetConn().Close()
	}
}

func TestPlainHTTPToTLS(t *testing.T) {
	s := webtest.Start(t, []*web.Module{&core.Module, probe(nil), tlsProbe(t)},
		`server { listen 443 ssl; certificate a; location / { say no; } }
		 server { listen 444 ssl; certificate a; error_page 497 https://$host$request_uri; }`)
	if got := s.Get("/"); status(got) != "400 Bad Request" || !strings.Contains(got, "The plain HTTP request was sent to HTTPS port") {
		t.Errorf("got %q", got)
	}
	conn := s.DialPort(1)
	go io.WriteString(conn, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	all, _ := io.ReadAll(conn)
	if got := string(all); status(got) != "302 Moved Temporarily" || !strings.Contains(got, "\r\nLocation: https://h/x\r\n") {
		t.Errorf("got %q", got)
	}
}

// TestNoTLSAtAll: what does not even look like HTTP gets its answer too, although most of it is never read: the
// connection is not reset.
func TestNoTLSAtAll(t *testing.T) {
	s := webtest.Start(t, []*web.Module{&core.Module, probe(nil), tlsProbe(t)}, `say x; server { listen 443 ssl; certificate a; }`)
	conn := s.DialLoopback()
	defer conn.Close()
	if _, err := io.WriteString(conn, strings.Repeat("junk", 1000)); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	if got, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 400 ") {
		t.Errorf("%.40q %v", got, err)
	}
}

func TestAClientThatOnlyConnectsToTLS(t *testing.T) {
	s := webtest.Start(t, []*web.Module{&core.Module, tlsProbe(t)}, `server { listen 443 ssl; certificate a; }`)
	s.Dial().Close()
	s.Site.Retire()
	<-s.Site.Drained()
}

func issued(t *testing.T, name string) tls.Certificate {
	t.Helper()
	authority, err := certs.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM, err := authority.Issue(name)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}
