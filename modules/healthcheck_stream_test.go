package modules_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"starling/lib/certs"
	"starling/lib/testkit"
	"starling/modules/stream/core"
	"starling/modules/stream/healthcheck"
	"starling/modules/stream/proxy"
	"starling/modules/stream/upstream"
	"starling/stream/streamtest"
	"starling/web/webtest"
)

// streamChecked starts a stream block with health checks.
func streamChecked(t *testing.T, text string, files streamtest.Files) *streamtest.Server {
	t.Helper()
	s := streamtest.Start(t, "stream { "+text+" }", files, &core.Module, &upstream.Module, &proxy.Module, &healthcheck.Module)
	if err := s.Plan.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// talker accepts connections, says something, and tells all that it got when a connection ends.
func talker(t *testing.T, says string, config *tls.Config) (address string, got <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	heard := make(chan string, 100)
	return webtest.ServeOn(t, l, func(p *webtest.Peer) {
		p.Say(says)
		data, _ := io.ReadAll(p) // to the end or a failure
		heard <- string(data)
	}).Addr, heard
}

// TestStreamHealthCheckMatches: the first verdict on a server that sends these data as soon as it gets a connection.
func TestStreamHealthCheckMatches(t *testing.T) {
	for _, c := range []struct{ name, tests, says, want string }{
		{"a connection", "", "", "healthy while connecting to upstream"},
		{"an empty match", " ", "", "healthy while connecting to upstream"},
		{"something to send", "send QUIT;", "", "healthy while sending data to upstream"},
		{"a text", "expect +OK;", "+OK ready", "healthy while checking response"},
		{"a text further on", "expect ready;", "+OK ready", "healthy while checking response"},
		{"another text", "expect -ERR;", "+OK ready", "unhealthy while checking response: upstream timed out (110: Connection timed out)"},
		{"bytes", `expect \x80\xff\x00;`, "a\x80\xff\x00b", "healthy while checking response"},
		{"an expression", `expect ~ "^\+OK";`, "+OK ready", "healthy while checking response"},
		{"one in any case", `expect ~* "ok R";`, "+OK ready", "healthy while checking response"},
		{"one for bytes", `expect ~ "^\x80.\xff$";`, "\x80\x00\xff", "healthy while checking response"},
		{"not a character of that number", `expect ~ "\x80";`, "\u0080"[:1] + "x", "unhealthy while checking response: upstream timed out (110: Connection timed out)"},
		{"send and expect", `send "PING\r\n"; expect ~ PONG;`, "PONG", "healthy while checking response"},
		{"too much", `expect ~ b$;`, strings.Repeat("a", 1<<20), "unhealthy while checking response: the server sent other data than expected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			address, _ := talker(t, c.says, nil)
			match, name := "", ""
			if c.tests != "" {
				match, name = "match=ok", "ok"
			}
			timeout := "1m"
			if strings.Contains(c.want, "timed out") {
				timeout = "1s" // a busy machine needs some for what comes before
			}
			s := streamChecked(t, `match ok { `+c.tests+` } upstream u { zone u 64k; server `+address+`; }
				server { listen 127.0.0.1:1; proxy_pass u; health_check mandatory `+match+`; health_check_timeout `+timeout+`; }`, nil)
			step, reason, fails := strings.Cut(c.want, ": ")
			want := fmt.Sprintf("peer is %s, health check \"%s\" of peer %s in upstream \"u\"", step, name, address)
			if fails {
				want += ": " + reason
			}
			if got := s.Log.Await(t, "peer is"); !strings.HasSuffix(got, "] "+want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestStreamHealthChecks(t *testing.T) {
	ca, err := certs.NewAuthority("ca")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Pair("app.example")
	if err != nil {
		t.Fatal(err)
	}
	secret := &tls.Config{Certificates: []tls.Certificate{pair}}
	open, _ := talker(t, "", nil)
	sealed, _ := talker(t, "", secret)
	dead := testkit.FreeAddress(t)
	files := streamtest.Files{"ca.pem": ca.PEM}
	_, port, _ := net.SplitHostPort(open)
	for _, c := range []struct{ name, server, text, want string }{
		{"nobody listens", dead, "health_check;", "unhealthy while connecting to upstream, health check \"\" of peer " + dead +
			" in upstream \"u\": connect() failed (111: Connection refused)"},
		{"another port", "127.0.0.1:1", "health_check mandatory port=" + port + ";", "healthy while connecting to upstream, health check \"\" of peer " +
			"127.0.0.1:1 in upstream \"u\", port " + port},
		{"TLS", sealed, "proxy_ssl on; proxy_ssl_verify on; proxy_ssl_name app.example; proxy_ssl_trusted_certificate ca.pem; health_check mandatory;",
			"healthy while connecting to upstream"},
		{"TLS of another name", sealed, "proxy_ssl on; proxy_ssl_verify on; proxy_ssl_trusted_certificate ca.pem; health_check;",
			"unhealthy while SSL handshaking to upstream"},
		{"TLS where there is none", open, "proxy_ssl on; proxy_connect_timeout 100ms; health_check;", "unhealthy while SSL handshaking to upstream"},
		{"a PROXY header", open, "proxy_protocol on; health_check mandatory match=ping;", "healthy while sending data to upstream"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := streamChecked(t, `match ping { send ping; } upstream u { zone u 64k; server `+c.server+`; }
				server { listen 127.0.0.1:1; proxy_pass u; `+c.text+` }`, files)
			if got := s.Log.Await(t, "peer is"); !strings.Contains(got, "peer is "+c.want) {
				t.Errorf("got %s", got)
			}
		})
	}
}

// TestStreamHealthCheckSends: what a server gets of a check.
func TestStreamHealthCheckSends(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "health_check;", ""},
		{"the text", "health_check match=ping;", "pi\x00ng\r\n"},
		{"a PROXY header before it", "proxy_protocol on; health_check match=ping;", "PROXY UNKNOWN\r\npi\x00ng\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			address, heard := talker(t, "", nil)
			streamChecked(t, `match ping { send "pi\x00ng\r\n"; } upstream u { zone u 64k; server `+address+`; }
				server { listen 127.0.0.1:1; proxy_pass u; `+c.text+` }`, nil)
			if got := <-heard; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestDatagramHealthChecks: without tests, the absence of an ICMP error passes; with them, an answer must match.
func TestDatagramHealthChecks(t *testing.T) {
	for _, c := range []struct{ name, tests, answers, want string }{
		{"an answer", "", "x", "healthy while checking response"},
		{"none", "", "", "healthy while sending data to upstream"},
		{"the expected", `send ping; expect \x24;`, "a$", "healthy while checking response"},
		{"among others", `send ping; expect ~ ^b;`, "a b", "healthy while checking response"},
		{"never", `send ping; expect ~ ^c;`, "a b", "unhealthy while checking response: upstream timed out (110: Connection timed out)"},
		{"too many others", `send ping; expect ~ ^c;`, strings.Repeat("a ", 70), "unhealthy while checking response: the server sent other data than expected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			socket, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer socket.Close()
			heard := make(chan string, 10)
			go func() {
				data := make([]byte, 100)
				for {
					n, from, err := socket.ReadFrom(data)
					if err != nil {
						return
					}
					heard <- string(data[:n])
					for _, answer := range strings.Fields(c.answers) {
						socket.WriteTo([]byte(answer), from)
					}
				}
			}()
			match, sends := "", "nginx health check"
			if c.tests != "" {
				match, sends = "match=ok", "ping"
			}
			timeout := "1m"
			if strings.Contains(c.want, "timed out") {
				timeout = "1s" // a busy machine needs some for what comes before
			}
			s := streamChecked(t, `match ok { `+c.tests+` } upstream u { zone u 64k; server `+socket.LocalAddr().String()+`; }
				server { listen 127.0.0.1:1 udp; proxy_pass u; health_check mandatory udp `+match+`; health_check_timeout `+timeout+`; }`, nil)
			if got := <-heard; got != sends {
				t.Errorf("sent %q, want %q", got, sends)
			}
			step, reason, fails := strings.Cut(c.want, ": ")
			got := s.Log.Await(t, "peer is")
			if !strings.Contains(got, "peer is "+step+",") || fails && !strings.HasSuffix(got, ": "+reason) {
				t.Errorf("got %s", got)
			}
		})
	}
	s := streamChecked(t, `upstream u { zone u 64k; server 127.0.0.1:1; }
		server { listen 127.0.0.1:1 udp; proxy_pass u; health_check udp; }`, nil)
	if got := s.Log.Await(t, "peer is"); !strings.Contains(got, "peer is unhealthy while") || !strings.HasSuffix(got, "(111: Connection refused)") {
		t.Errorf("got %s", got)
	}
}
