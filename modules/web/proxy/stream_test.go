package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"starling/lib/testkit"
	"starling/web/webtest"
)

// TestUploadsStream: the server has the beginning of a body before the client sends the rest.
func TestUploadsStream(t *testing.T) {
	for _, conf := range []string{`proxy_request_buffering off;`, `proxy_request_buffering off; client_body_buffer_size 2; client_body_in_file_only on;`} {
		t.Run(conf, func(t *testing.T) {
			began, got := make(chan string, 1), make(chan string, 1)
			b := serve(t, func(p *peer) {
				head := p.head()
				began <- head + p.body(len("3\r\nabc\r\n"))
				got <- p.body(len("2\r\nde\r\n0\r\n\r\n"))
				p.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			})
			c := start(t, b, conf).Client()
			c.Write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
			if first := receive(t, began); !strings.Contains(first, "Transfer-Encoding: chunked\r\n") || !strings.HasSuffix(first, "3\r\nabc\r\n") {
				t.Errorf("%q", first)
			}
			c.Write("2\r\nde\r\n0\r\n\r\n")
			if rest := receive(t, got); rest != "2\r\nde\r\n0\r\n\r\n" {
				t.Errorf("%q", rest)
			}
			if r := c.Read("POST"); r.Text != "ok" {
				t.Errorf("%d %q", r.StatusCode, r.Text)
			}
		})
	}
}

// TestBigBodies: a body much larger than all buffers passes both ways.
func TestBigBodies(t *testing.T) {
	const size = 5 << 20
	b := serve(t, func(p *peer) {
		p.head()
		p.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size))
		if n, err := io.CopyN(p, p.r, size); err != nil {
			p.t.Errorf("after %d bytes: %v", n, err)
		}
	})
	// An answer that begins before the request has ended: the echo needs a client that reads while it writes.
	c := start(t, b, `client_max_body_size 0; proxy_request_buffering off;`).LoopbackClient()
	c.Write(fmt.Sprintf("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("0123456789abcdef", size/16)))
	if r := c.Read("PUT"); len(r.Text) != size || !strings.HasPrefix(r.Text, "0123456789abcdef0") {
		t.Errorf("%d bytes came back", len(r.Text))
	}
}

// TestEarlyAnswers: a server that answers before it has read the body is heard.
func TestEarlyAnswers(t *testing.T) {
	b := serve(t, func(p *peer) {
		p.head()
		p.say("HTTP/1.1 413 Too much\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno!")
	})
	c := start(t, b, `client_max_body_size 0; proxy_request_buffering off;`).LoopbackClient()
	go io.WriteString(c.Conn, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n"+strings.Repeat("x", 10_000_000)) // fails when the server hangs up
	if r := c.Read("PUT"); r.StatusCode != 413 || r.Text != "no!" {
		t.Errorf("%d %q", r.StatusCode, r.Text)
	}
}

// TestResponsesStream: without buffering a piece reaches the client before the server has the next one.
func TestResponsesStream(t *testing.T) {
	more := make(chan bool, 2)
	b := serve(t, func(p *peer) {
		p.head()
		p.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		<-more
		p.say("1\r\na\r\n")
		<-more
		p.say("1\r\nb\r\n0\r\n\r\n")
	})
	conn := start(t, b, `proxy_buffering off;`).Dial()
	conn.SetDeadline(time.Now().Add(patience))
	go io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	r := bufio.NewReader(conn)
	until := func(text string) {
		t.Helper()
		for seen := ""; !strings.HasSuffix(seen, text); {
			c, err := r.ReadByte()
			if err != nil {
				t.Fatalf("after %q: %v", seen, err)
			}
			seen += string(c)
		}
	}
	until("\r\n\r\n")
	more <- true
	until("1\r\na\r\n")
	more <- true
	until("1\r\nb\r\n0\r\n\r\n")
}

// TestCutShort: the client of an unfinished answer sees that it is unfinished.
func TestCutShort(t *testing.T) {
	for _, test := range []struct{ answer, want string }{
		{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "abc"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "3\r\nabc\r\n"},
	} {
		s := start(t, answers(t, test.answer), ``)
		_, body, _ := strings.Cut(s.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "\r\n\r\n")
		if body != test.want {
			t.Errorf("%q became %q", test.answer, body)
		}
		logged(t, s, "upstream prematurely closed connection while reading upstream")
	}
	s := start(t, answers(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n"), ``)
	s.Get("/")
	logged(t, s, "upstream sent invalid chunked response")
}

// TestTunnel: after 101 bytes go both ways, those that came early too.
func TestTunnel(t *testing.T) {
	b := serve(t, func(p *peer) {
		if head := p.head(); !strings.Contains(head, "Upgrade: websocket\r\n") {
			p.t.Errorf("%q", head)
		}
		p.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello")
		for range 2 {
			p.say("<" + p.body(4) + ">")
		}
	})
	s := start(t, b, `proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;`)
	conn := s.DialLoopback()
	conn.SetDeadline(time.Now().Add(patience))
	io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nping")
	want := "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello<ping>"
	r := bufio.NewReader(conn)
	got := ""
	for !strings.HasSuffix(got, "<ping>") {
		c, err := r.ReadByte()
		if err != nil {
			t.Fatalf("%q %v", got, err)
		}
		got += string(c)
	}
	if undated(got) != want {
		t.Errorf("got %q, want %q", undated(got), want)
	}
	io.WriteString(conn, "pong")
	rest, err := io.ReadAll(r)
	if string(rest) != "<pong>" || err != nil {
		t.Errorf("%q %v", rest, err)
	}
}

// TestClientLeaves: the connection to the server is closed when the client is gone.
func TestClientLeaves(t *testing.T) {
	asked, left := make(chan bool, 1), make(chan error, 1)
	b := serve(t, func(p *peer) {
		p.head()
		asked <- true
		_, err := p.r.ReadByte()
		left <- err
	})
	s := start(t, b, ``)
	conn := s.DialLoopback()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	receive(t, asked)
	conn.Close()
	if err := receive(t, left); err != io.EOF {
		t.Errorf("the server saw %v", err)
	}
	testkit.Eventually(t, patience, func() error {
		for _, line := range s.Log.Lines() {
			if strings.Contains(line, "client prematurely closed connection") {
				return nil
			}
		}
		return fmt.Errorf("nothing is logged")
	})
}

// TestConfigurationErrors: what nginx refuses, in its words.
func TestConfigurationErrors(t *testing.T) {
	tests := []struct{ conf, want string }{
		{`location / { proxy_pass ftp://a; }`, `invalid URL prefix in /test.conf:1`},
		{`location / { proxy_pass http://; }`, `no host in upstream "" in /test.conf:1`},
		{`location / { proxy_pass http://127.0.0.1:0; }`, `invalid port in upstream "127.0.0.1:0" in /test.conf:1`},
		{`location / { proxy_pass http://unix:; }`, `no path in the unix domain socket in upstream "unix:" in /test.conf:1`},
		{`location ~ a { proxy_pass http://127.0.0.1/b; }`, `"proxy_pass" cannot have URI part in location given by regular expression, or inside named location, ` +
			`or inside "if" statement, or inside "limit_except" block in /test.conf:1`},
		{`location @a { proxy_pass http://127.0.0.1/; }`, `"proxy_pass" cannot have URI part in location given by regular expression, or inside named location, ` +
			`or inside "if" statement, or inside "limit_except" block in /test.conf:1`},
		{`location / { proxy_pass http://127.0.0.1; proxy_pass http://127.0.0.1; }`, `"proxy_pass" directive is duplicate in /test.conf:1`},
		{`location / { proxy_redirect default; proxy_pass http://127.0.0.1; }`, `"proxy_redirect default" should be placed after the "proxy_pass" directive in /test.conf:1`},
		{`location / { proxy_pass http://$host; proxy_redirect default; }`, `"proxy_redirect default" cannot be used with "proxy_pass" directive with variables in /test.conf:1`},
		{`proxy_buffers 1 4k;`, `there must be at least 2 "proxy_buffers" in /test.conf:1`},
		{`proxy_buffer_size 64k;`, `"proxy_busy_buffers_size" must be less than the size of all "proxy_buffers" minus one buffer in /test.conf:1`},
		{`proxy_max_temp_file_size 1k;`, `"proxy_max_temp_file_size" must be equal to zero to disable temporary files usage or must be equal to or greater than ` +
			`the maximum of the value of "proxy_buffer_size" and one of the "proxy_buffers" in /test.conf:1`},
		{`proxy_next_upstream error http_418;`, `invalid value "http_418" in /test.conf:1`},
		{`proxy_http_version 3;`, `invalid value "3" in /test.conf:1`},
		{`proxy_cache one;`, `"proxy_cache" is not supported by starling in /test.conf:1`},
		{`proxy_bind 1.2.3.4 transparent;`, `parameter "transparent" is not supported by starling in /test.conf:1`},
		{`location / { proxy_pass https://127.0.0.1; proxy_ssl_verify on; }`, `no proxy_ssl_trusted_certificate for proxy_ssl_verify in /test.conf:1`},
	}
	for _, test := range tests {
		_, err := webtest.Load(t, modules, "server { "+test.conf+" }")
		if err == nil || err.Error() != test.want {
			t.Errorf("%s\ngot  %v\nwant %s", test.conf, err, test.want)
		}
	}
}
