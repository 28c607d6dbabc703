package proxy_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"starling/lib/certs"
	"starling/modules/stream/core"
	"starling/modules/stream/proxy"
	"starling/stream"
	"starling/stream/streamtest"
	"starling/upstream/groups"
)

func TestProblems(t *testing.T) {
	for _, c := range []struct{ block, want string }{
		{"server { listen 1; proxy_pass 127.0.0.1; }", `no port in upstream "127.0.0.1" in /test.conf:1`},
		{"server { listen 1; proxy_pass nowhere; }", `no port in upstream "nowhere" in /test.conf:1`},
		{"server { listen 1; proxy_pass 127.0.0.1:0; }", `invalid port in upstream "127.0.0.1:0" in /test.conf:1`},
		{"server { listen 1; proxy_pass unix:; }", `no path in the unix domain socket in upstream "unix:" in /test.conf:1`},
		{"upstream u { server 127.0.0.1:1; } server { listen 1; proxy_pass u:1; }", `upstream "u" may not have port 1 in /test.conf:1`},
		{"server { listen 1; proxy_pass 127.0.0.1:1; proxy_upload_rate fast; }", `"proxy_upload_rate" directive invalid value in /test.conf:1`},
		{"server { listen 1; proxy_pass 127.0.0.1:1; proxy_bind 127.0.0.1 transparent; }", `parameter "transparent" is not supported by starling in /test.conf:1`},
		{"server { listen 1; proxy_pass 127.0.0.1:1; proxy_bind nowhere; }", `invalid address "nowhere" in /test.conf:1`},
		{"server { listen 1; proxy_pass 127.0.0.1:1; proxy_ssl on; proxy_ssl_verify on; }", `no proxy_ssl_trusted_certificate for proxy_ssl_verify in /test.conf:1`},
		{"server { listen 1; proxy_pass 127.0.0.1:1; proxy_protocol v3; }", `invalid value "v3" in /test.conf:1`},
	} {
		text := "stream { " + c.block + " }"
		if got := streamtest.Problem(t, text, &core.Module, upstreamBlocks(), &proxy.Module); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, c.want)
		}
	}
}

func TestASessionWithItsVariables(t *testing.T) {
	address := backend(t, func(conn *net.TCPConn) {
		buf := make([]byte, 5)
		if _, err := io.ReadFull(conn, buf); err == nil {
			io.WriteString(conn, "you said "+string(buf))
		}
	})
	s := start(t, `server { listen 1; proxy_pass ADDRESS;
		record "$status $protocol $upstream_addr $upstream_bytes_sent $upstream_bytes_received $bytes_received $bytes_sent"; }`, address)
	conn := s.Dial(0)
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); string(got) != "you said hello" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, want := s.next(), "200 TCP "+address+" 5 14 5 14"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s.logged("] *1 upstream disconnected, bytes from/to client:5/14, bytes from/to upstream:14/5")
}

// TestBulkBothWays goes the way through the kernel, and every byte must arrive.
func TestBulkBothWays(t *testing.T) {
	s := start(t, "server { listen 1; proxy_pass ADDRESS; proxy_half_close on; record \"$upstream_bytes_sent $upstream_bytes_received $bytes_sent\"; }",
		backend(t, func(conn *net.TCPConn) {
			echo(conn)
			conn.CloseWrite()
		}))
	random := rand.NewChaCha8([32]byte{1})
	data := make([]byte, 8<<20)
	random.Read(data)
	conn := s.Dial(0).(*net.TCPConn)
	go func() {
		conn.Write(data)
		conn.CloseWrite()
	}()
	sum := sha256.New()
	if n, err := io.Copy(sum, conn); n != int64(len(data)) || err != nil {
		t.Fatalf("%d bytes came back, %v", n, err)
	}
	if want := sha256.Sum256(data); !bytes.Equal(sum.Sum(nil), want[:]) {
		t.Error("what came back is not what was sent")
	}
	if got, want := s.next(), "8388608 8388608 8388608"; got != want {
		t.Errorf("counted %s, want %s", got, want)
	}
}

func TestHalfClose(t *testing.T) {
	for _, c := range []struct{ setting, want string }{{"on", "last words"}, {"off", ""}} {
		s := start(t, "server { listen 1; proxy_pass ADDRESS; proxy_half_close "+c.setting+"; }", backend(t, func(conn *net.TCPConn) {
			io.Copy(io.Discard, conn) // until the client has ended its half
			io.WriteString(conn, "last words")
		}))
		conn := s.Dial(0).(*net.TCPConn)
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(conn); string(got) != c.want || err != nil {
			t.Errorf("proxy_half_close %s: got %q, %v", c.setting, got, err)
		}
	}
}

func TestAnotherServerIsTriedWhileConnecting(t *testing.T) {
	alive, dead, dead2 := backend(t, echo), deadPort(t), deadPort(t)
	group := "upstream u { server " + dead + "; server " + dead2 + "; server " + alive + "; } record \"$status $upstream_addr\"; "
	for _, c := range []struct{ settings, want string }{
		{"", "200 " + dead + ", " + dead2 + ", " + alive},
		{"proxy_next_upstream off;", "502 " + dead},
		{"proxy_next_upstream_tries 2;", "502 " + dead + ", " + dead2},
	} {
		s := start(t, group+"server { listen 1; proxy_pass u; "+c.settings+" }", "")
		conn := s.Dial(0)
		if strings.HasPrefix(c.want, "200") {
			ask(t, conn, "hello")
			conn.Close()
		} else if got, err := io.ReadAll(conn); len(got) > 0 || err != nil {
			t.Errorf("%s: got %q, %v", c.settings, got, err)
		}
		if got := s.next(); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.settings, got, c.want)
		}
		s.logged(
			"[error] *1 connect() failed (111: Connection refused) while connecting to upstream, client: 127.0.0.1, server: 0.0.0.0:1, upstream: \"" + dead +
				"\", bytes from/to client:0/0, bytes from/to upstream:0/0",
		)
	}
}

func TestNoLiveServers(t *testing.T) {
	s := start(t, "upstream u { server 127.0.0.1:1 down; } server { listen 1; proxy_pass u; record \"$status $upstream_addr\"; }", "")
	if got := s.Ask(0); got != "" {
		t.Errorf("got %q", got)
	}
	if got := s.next(); got != "502 u" {
		t.Errorf("got %s", got)
	}
	s.logged(`[error] *1 no live upstreams while connecting to upstream, client: 127.0.0.1, server: 0.0.0.0:1, upstream: "u"`)
}

func TestSilenceEndsASession(t *testing.T) {
	s := start(t, "server { listen 1; proxy_pass ADDRESS; proxy_timeout 30ms; }", backend(t, echo))
	// Nothing is said at all: an answer might take longer than the timeout.
	if got := s.Ask(0); got != "" {
		t.Errorf("got %q", got)
	}
	if got := s.next(); got != "200" {
		t.Errorf("status %s", got)
	}
	s.logged("connection timed out (110: Connection timed out) while proxying connection")
}

func TestAddressesWithVariables(t *testing.T) {
	address := backend(t, echo)
	for _, c := range []struct{ text, status, log string }{
		{address + "$none", "200", ""},
		{"u$none", "200", ""},
		{"127.0.0.1$none", "500", `no port in upstream "127.0.0.1"`},
		{"u:1$none", "500", "no resolver defined to resolve u"},
		{"nowhere:1$none", "500", "no resolver defined to resolve nowhere"},
		{"x/y$none", "500", `invalid host in upstream "x/y"`},
	} {
		s := start(t, "upstream u { server ADDRESS; } server { listen 1; proxy_pass "+c.text+"; }", address)
		conn := s.Dial(0)
		if c.status == "200" {
			ask(t, conn, "hello")
			conn.Close()
		}
		if got := s.next(); got != c.status {
			t.Errorf("%s: status %s", c.text, got)
		}
		s.logged(c.log)
	}
}

func TestProxyProtocol(t *testing.T) {
	for setting, want := range map[string]string{
		"on": "PROXY TCP4 127.0.0.1 127.0.0.1 ",
		"v2": "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01",
	} {
		s := start(t, "server { listen 1; proxy_pass ADDRESS; proxy_protocol "+setting+"; }", backend(t, func(conn *net.TCPConn) {
			buf := make([]byte, len(want))
			io.ReadFull(conn, buf)
			conn.Write(buf)
		}))
		if got := s.Ask(0); got != want {
			t.Errorf("%s: the server got %q", setting, got)
		}
	}
}

func TestTLSToServers(t *testing.T) {
	ca, err := certs.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Pair("backend.example")
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"one", "two"}}
	address := backend(t, func(conn *net.TCPConn) {
		sealed := tls.Server(conn, config)
		if sealed.Handshake() == nil {
			state := sealed.ConnectionState()
			fmt.Fprintf(sealed, "%s %s", state.ServerName, state.NegotiatedProtocol)
			sealed.CloseWrite()
		}
	})
	for _, c := range []struct{ settings, want, log string }{
		{"proxy_ssl_server_name on; proxy_ssl_name backend.example; proxy_ssl_verify on; proxy_ssl_trusted_certificate ca.crt; proxy_ssl_alpn two$none;",
			"backend.example two", ""},
		{"", " ", ""},
		{"proxy_ssl_name other.example; proxy_ssl_verify on; proxy_ssl_trusted_certificate ca.crt;", "",
			`upstream SSL certificate does not match "other.example" while SSL handshaking to upstream`},
	} {
		s := startWith(t, "server { listen 1; proxy_pass ADDRESS; proxy_ssl on; "+c.settings+" }", address, streamtest.Files{"ca.crt": ca.PEM})
		if got := s.Ask(0); got != c.want {
			t.Errorf("%s: got %q", c.settings, got)
		}
		s.logged(c.log)
	}
}

func TestCertificatesWithVariables(t *testing.T) {
	ca, err := certs.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	files := streamtest.Files{}
	for _, name := range []string{"one", "two"} {
		if files[name+".crt"], files[name+".key"], err = ca.Issue(name); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.X509KeyPair(files["one.crt"], files["one.key"])
	if err != nil {
		t.Fatal(err)
	}
	address := backend(t, func(conn *net.TCPConn) {
		sealed := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert})
		if sealed.Handshake() == nil {
			name := "nobody"
			if shown := sealed.ConnectionState().PeerCertificates; len(shown) > 0 {
				name = shown[0].Subject.CommonName
			}
			io.WriteString(sealed, name)
			sealed.CloseWrite()
		}
	})
	for _, c := range []struct{ settings, want, log string }{
		{"proxy_ssl_certificate one$none.crt; proxy_ssl_certificate_key one$none.key;", "one", ""},
		{"proxy_ssl_certificate two$none.crt; proxy_ssl_certificate_key two$none.key;", "two", ""},
		{"proxy_ssl_certificate $none; proxy_ssl_certificate_key $none;", "nobody", ""},
		{"proxy_ssl_certificate three$none.crt; proxy_ssl_certificate_key one.key$none;", "",
			`[error] *1 cannot load certificate "/three.crt": BIO_new_file() failed (No such file or directory)`},
	} {
		s := startWith(t, "server { listen 1; proxy_pass ADDRESS; proxy_ssl on; "+c.settings+" }", address, files)
		if got := s.Ask(0); got != c.want {
			t.Errorf("%s: the server saw %q, want %q", c.settings, got, c.want)
		}
		s.logged(c.log)
	}
}

func TestRates(t *testing.T) {
	s := start(t, "server { listen 1; proxy_pass ADDRESS; proxy_download_rate 1m; proxy_upload_rate 1m; }", backend(t, echo))
	ask(t, s.Dial(0), strings.Repeat("x", 100<<10)) // less than a second's worth passes
}

func TestConnectionsAreCounted(t *testing.T) {
	address := backend(t, echo)
	s := start(t, "upstream u { zone u 64k; server ADDRESS; } server { listen 1; proxy_pass u; }", address)
	conn := s.Dial(0)
	ask(t, conn, "hello")
	conn.Close()
	s.next()
	report := groups.Of[*stream.Session](s.Plan).Named("u").StreamReport(s.Plan.Clock.Now()) // what the API shows
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"server":"` + address + `"`, `"connections":1`, `"sent":5`, `"received":5`, `"active":0`, `"zone":"u"`, `"state":"up"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}

// TestBindThatIsNoAddress: it is logged, and the system chooses, as in nginx.
func TestBindThatIsNoAddress(t *testing.T) {
	s := start(t, "server { listen 1; proxy_pass ADDRESS; proxy_bind nowhere$none; }", backend(t, func(conn *net.TCPConn) { io.WriteString(conn, "served") }))
	if got := s.Ask(0); got != "served" {
		t.Errorf("got %q", got)
	}
	s.logged(`invalid local address "nowhere"`)
}

// TestBindIsEvaluatedForEachConnection, so proxy_bind_dynamic needs no effect.
func TestBindIsEvaluatedForEachConnection(t *testing.T) {
	first, second := deadPort(t), deadPort(t)
	s := start(t, "upstream u { server "+first+"; server "+second+"; } server { listen 1; proxy_pass u; proxy_bind \"to $upstream_addr\"; }", "")
	if got := s.Ask(0); got != "" {
		t.Errorf("got %q", got)
	}
	s.logged(`invalid local address "to ` + first + ", " + second + `"`)
}
