package modules_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"starling/lib/testkit"
	"starling/web/webtest"
)

// TestHealthChecksConnect as the location says, whichever way a connection is made.
func TestHealthChecksConnect(t *testing.T) {
	for _, c := range []struct{ name, network, conf, from string }{
		{"plain TCP", "tcp", "", "127.0.0.1"},
		{"an address of our own", "tcp", "proxy_bind 127.0.0.7;", "127.0.0.7"},
		{"an address of a variable", "tcp", "proxy_bind $request_method$arg_none;", "127.0.0.1"}, // "GET" is none: the system selects
		{"keepalive probes", "tcp", "proxy_socket_keepalive on;", "127.0.0.1"},
		{"a unix socket", "unix", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := "127.0.0.1:0"
			if c.network == "unix" {
				address = filepath.Join(testkit.SocketDir(t), "s")
			}
			l, err := net.Listen(c.network, address)
			if err != nil {
				t.Fatal(err)
			}
			from := make(chan string, 100)
			server := webtest.ServeOn(t, l, func(p *webtest.Peer) {
				host, _, _ := net.SplitHostPort(p.RemoteAddr().String())
				from <- host
				p.Head()
				p.Say(page)
			}).Addr
			if c.network == "unix" {
				server = "unix:" + server
			}
			s := webtest.Start(t, checkedFamilies, `upstream u { zone u 64k; server `+server+`; }
				server { location / { proxy_pass http://u; `+c.conf+` health_check mandatory interval=10ms; } }`)
			if got := s.AwaitLog("peer is"); !strings.Contains(got, "peer is healthy") {
				t.Error(got)
			}
			for range 2 {
				if got := webtest.Receive(t, from); got != c.from {
					t.Errorf("a check from %q, want %q", got, c.from)
				}
			}
		})
	}
}
