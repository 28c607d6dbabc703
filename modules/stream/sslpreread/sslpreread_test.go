package sslpreread_test

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"starling/modules/stream/core"
	"starling/modules/stream/sslpreread"
	"starling/stream/streamtest"
)

// clientHello is what a client of the standard library says first.
func clientHello(t *testing.T, config *tls.Config) []byte {
	t.Helper()
	near, far := net.Pipe()
	go func() {
		tls.Client(near, config).Handshake()
		near.Close()
	}()
	head := make([]byte, 5)
	if _, err := io.ReadFull(far, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(far, body); err != nil {
		t.Fatal(err)
	}
	far.Close()
	return append(head, body...)
}

func ask(t *testing.T, s *streamtest.Server, pieces ...[]byte) string {
	t.Helper()
	conn := s.Dial(0)
	for _, p := range pieces {
		if _, err := conn.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	got, err := io.ReadAll(conn)
	if err != nil && len(got) == 0 && !strings.Contains(err.Error(), "reset") { // what was not read makes the kernel reset
		t.Fatal(err)
	}
	return string(got)
}

func TestVariables(t *testing.T) {
	s := streamtest.Start(t, `stream { server { listen 1; ssl_preread on;
		say "$ssl_preread_protocol,$ssl_preread_server_name,$ssl_preread_alpn_protocols"; } }`, nil, &core.Module, &sslpreread.Module, streamtest.Say())
	full := clientHello(t, &tls.Config{ServerName: "a.example", NextProtos: []string{"h2", "http/1.1"}})
	bare := clientHello(t, &tls.Config{InsecureSkipVerify: true})
	for _, c := range []struct {
		name   string
		pieces [][]byte
		want   string
	}{
		{"whole", [][]byte{full}, "TLSv1.3,a.example,h2,http/1.1"},
		{"in pieces", [][]byte{full[:3], full[3:70], full[70:]}, "TLSv1.3,a.example,h2,http/1.1"},
		{"over two records", [][]byte{split(full, 40)}, "TLSv1.3,a.example,h2,http/1.1"},
		{"nothing asked for", [][]byte{bare}, "TLSv1.3,,"},
		{"SSL 2", [][]byte{{0x80, 0x1c, 1, 0, 2, 0, 3}}, "SSLv2,,"},
		{"no TLS", [][]byte{[]byte("GET / HTTP/1.0\r\n")}, ",,"},
	} {
		if got := ask(t, s, c.pieces...); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// split makes two records of one.
func split(record []byte, at int) []byte {
	body := record[5:]
	out := append([]byte{record[0], record[1], record[2], 0, byte(at)}, body[:at]...)
	rest := len(body) - at
	return append(append(out, record[0], record[1], record[2], byte(rest>>8), byte(rest)), body[at:]...)
}

func TestServersAreChosenByName(t *testing.T) {
	s := streamtest.Start(t, `stream { ssl_preread on;
		server { listen 1; say first; }
		server { listen 1; server_name exact.example; say exact; }
		server { listen 1; server_name *.example; say asterisk; }
		server { listen 1; server_name *.long.example; say longer; }
		server { listen 1; server_name mail.*; say ending; }
		server { listen 1; server_name .dot.test; say dot; }
		server { listen 1; server_name ~^(?<who>[a-z]+)\.regex\.test$; say $who; }
	}`, nil, &core.Module, &sslpreread.Module, streamtest.Say())
	for name, want := range map[string]string{
		"exact.example": "exact", "EXACT.example.": "exact", "a.example": "asterisk", "a.long.example": "longer", "long.example": "asterisk",
		"mail.org": "ending", "dot.test": "dot", "x.dot.test": "dot", "jim.regex.test": "jim", "other.test": "first",
	} {
		if got := ask(t, s, clientHello(t, &tls.Config{ServerName: name})); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestBounds(t *testing.T) {
	s := streamtest.Start(t, `stream { ssl_preread on; server { listen 1; preread_buffer_size 50; say never; }
		server { listen 2; preread_timeout 10ms; say never; } }`, nil, &core.Module, &sslpreread.Module, streamtest.Say())
	if got := ask(t, s, clientHello(t, &tls.Config{ServerName: "a.example"})); got != "" {
		t.Errorf("got %q", got)
	}
	if lines := strings.Join(s.Log.Lines(), "\n"); !strings.Contains(lines, "[error] *1 preread buffer full while prereading client data") {
		t.Errorf("not logged:\n%s", lines)
	}
	if got := s.Ask(1); got != "" {
		t.Errorf("after the timeout: %q", got)
	}
	conn := s.Dial(0).(*net.TCPConn)
	conn.Write([]byte{0x16, 3})
	conn.CloseWrite() // in the middle of it
	if got, err := io.ReadAll(conn); len(got) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("got %q, %v", got, err)
	}
}
