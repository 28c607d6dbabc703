package side_test

import (
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"starling/side"
	"starling/side/sidetest"
)

// ending gives a text and then an error.
type ending struct {
	io.Reader
	err error
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if err == io.EOF {
		err = e.err
	}
	return n, err
}

// TestProxiedConnections: the lines are nginx's, and nothing behind a header is taken.
func TestProxiedConnections(t *testing.T) {
	reset := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	for _, c := range []struct {
		sent   string
		err    error
		source string
		broken bool
		line   string
	}{
		{"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nrest", io.EOF, "192.0.2.1:1", false, ""},
		{"PROXY UNKNOWN\r\nrest", io.EOF, "", false, ""},
		{"GET / HTTP/1.0\r\n\r\n", io.EOF, "", true, `broken header: "GET / HTTP/1.0" while reading PROXY protocol`},
		{"\r\nGET / HTTP/1.0\r\n\r\n", io.EOF, "", true, `broken header: "" while reading PROXY protocol`},
		{"\x16\x03\x01\"\n", io.EOF, "", true, `broken header: "\x16\x03\x01\"" while reading PROXY protocol`},
		{"PROXY TC", io.EOF, "", true, `broken header: "PROXY TC" (truncated header) while reading PROXY protocol`},
		{"", io.EOF, "", false, "client closed connection while reading PROXY protocol"},
		{"", os.ErrDeadlineExceeded, "", false, "client timed out (110: Connection timed out) while reading PROXY protocol"},
		{"PROXY TC", os.ErrDeadlineExceeded, "", false, "client timed out (110: Connection timed out) while reading PROXY protocol"},
		{"", reset, "", false, "recv() failed (104: Connection reset by peer) while reading PROXY protocol"},
	} {
		subject, conn := new(sidetest.Subject), &ending{strings.NewReader(c.sent), c.err}
		header, err := side.ReadProxied(conn, subject)
		source := ""
		if header != nil {
			source = header.Source.String()
		}
		if lines := strings.Join(subject.Lines, "\n"); source != c.source || side.IsBroken(err) != c.broken || lines != c.line ||
			(err == nil) != (c.line == "") {
			t.Errorf("%q, then %v: from %q, %v, log %q", c.sent, c.err, source, err, lines)
		}
		if rest, _ := io.ReadAll(conn); err == nil && string(rest) != "rest" {
			t.Errorf("%q: the next reader gets %q", c.sent, rest)
		}
	}
}

// A client that sends no header has all of what it sent taken, so that it sees the end of the connection and no reset;
// the log has its first line.
func TestUnproxiedConnectionsEnd(t *testing.T) {
	for sent, logged := range map[string]string{
		"GET /" + strings.Repeat("x", 500) + " HTTP/1.1\r\nHost: a\r\n\r\n": "GET /" + strings.Repeat("x", 251),
		"GET /a HTTP/1.1\r\nHost: a\r\n\r\n" + strings.Repeat("body", 100):  "GET /a HTTP/1.1",
		"\x16\x03\x01":               `\x16\x03\x01`,
		"PROXY TCP5 a b 1 2\r\nrest": "PROXY TCP5 a b 1 2",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := client.Write([]byte(sent)); err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		subject := new(sidetest.Subject)
		if _, err := side.ReadProxied(server, subject); !side.IsBroken(err) {
			t.Errorf("%.30q: %v", sent, err)
		}
		server.Close()
		if answer, err := io.ReadAll(client); len(answer) > 0 || err != nil {
			t.Errorf("%.30q: the client gets %q, %v", sent, answer, err)
		}
		if line := strings.Join(subject.Lines, "\n"); !strings.HasPrefix(line, `broken header: "`+logged+`"`) {
			t.Errorf("%.30q: the log: %s", sent, line)
		}
	}
}
