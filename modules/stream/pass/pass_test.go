package pass_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"starling/modules/stream/pass"
	"starling/modules/stream/returns"
	"starling/modules/stream/sslpreread"
	"starling/stream/streamtest"
)

func start(t *testing.T, text string) *streamtest.Server {
	t.Helper()
	return streamtest.Start(t, text, nil, &pass.Module, &returns.Module, &sslpreread.Module)
}

func TestPass(t *testing.T) {
	s := start(t, `stream {
		server { listen 127.0.0.1:1; pass 127.0.0.1:9; }
		server { listen 127.0.0.1:2; pass 127.0.0.1:8; }
		server { listen 127.0.0.1:3; pass 127.0.0.1:3; }
		server { listen 127.0.0.1:4; pass 127.0.0.1$bytes_sent; }
		server { listen 127.0.0.1:5; pass "nowhere:$bytes_sent"; }
		server { listen 127.0.0.1:9; return "passed on from $remote_addr"; }
	}`)
	for n, c := range []struct{ want, log string }{
		{"passed on from 127.0.0.1", ""},
		{"", `port not found for "127.0.0.1:8" while passing connection to port`},
		{"", "stream pass cycle while passing connection to port"},
		{"", `no port in pass "127.0.0.10"`},
		{"", `invalid port in pass "nowhere:0"`},
	} {
		if got := s.Ask(n); got != c.want {
			t.Errorf("%d: got %q, want %q", n, got, c.want)
		}
		if lines := strings.Join(s.Log.Lines(), "\n"); !strings.Contains(lines, c.log) {
			t.Errorf("%d: no %q in\n%s", n, c.log, lines)
		}
	}
}

// TestNothingIsLostByLooking passes a connection that ssl_preread has looked at: the next server reads it from the start.
func TestNothingIsLostByLooking(t *testing.T) {
	s := start(t, `stream {
		server { listen 127.0.0.1:1; ssl_preread on; pass 127.0.0.1:9; }
		server { listen 127.0.0.1:9; ssl_preread on; return "version $ssl_preread_protocol"; }
	}`)
	conn := s.Dial(0)
	if _, err := conn.Write([]byte{0x80, 0x1c, 1, 0, 2}); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, len("version SSLv2"))
	if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "version SSLv2" {
		t.Errorf("got %q, %v", buf, err)
	}
}

func TestProblems(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1":   `no port in "127.0.0.1" of the "pass" directive`,
		"127.0.0.1:0": `invalid port in "127.0.0.1:0" of the "pass" directive`,
	} {
		got := streamtest.Problem(t, fmt.Sprintf("stream { server { listen 1; pass %s; } }", address), &pass.Module)
		if got != want+" in /test.conf:1" {
			t.Errorf("%s: got %s", address, got)
		}
	}
}
