package modules_test

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"testing"

	"starling/lib/testkit"
	"starling/web/webtest"
)

// plainBackend answers every head with the same bytes and allocates nothing for it.
func plainBackend(t testing.TB, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf, out := make([]byte, 4096), []byte(answer)
				for {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					if !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
						t.Errorf("the head came in pieces: %q", buf[:n])
						return
					}
					if _, err := c.Write(out); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// TestProxyingDoesNotAllocate: a GET or a POST over kept connections, and one that follows a learned session, cost no
// memory.
func TestProxyingDoesNotAllocate(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	const answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nSet-Cookie: session=12345\r\nX-A: b\r\n\r\nhello"
	addr := plainBackend(t, answer)
	for _, test := range []struct{ name, group, request string }{
		{"a queue that nobody needs", `queue 10;`, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"plain", ``, "GET /a HTTP/1.1\r\nHost: x\r\nUser-Agent: t\r\nAccept: */*\r\n\r\n"},
		{"sticky learn", `sticky learn zone=s:1m create=$upstream_cookie_session lookup=$cookie_session sync;`,
			"GET /a HTTP/1.1\r\nHost: x\r\nCookie: a=b; session=12345\r\n\r\n"},
		{"a body", ``, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na=bcd\r\n\r\n"},
		{"more headers", ``, "GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.2.3.4\r\nCookie: a=b\r\nReferer: y\r\n\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := webtest.Start(
				t,
				families,
				`upstream u { server `+addr+`; `+test.group+` } server { keepalive_requests 1000000; location / { proxy_pass http://u;
				proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; } }`,
			)
			c := s.DialLoopback()
			request, buf := []byte(test.request), make([]byte, 4096)
			roundTrip := func() {
				if _, err := c.Write(request); err != nil {
					t.Fatal(err)
				}
				for n := 0; !bytes.HasSuffix(buf[:n], []byte("hello")); {
					got, err := io.ReadAtLeast(c, buf[n:], 1)
					if err != nil {
						t.Fatal(err)
					}
					n += got
				}
			}
			for range 200 { // pools fill, the zone settles
				roundTrip()
			}
			const requests = 2000
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range requests {
				roundTrip()
			}
			runtime.ReadMemStats(&after)
			// A garbage collection meanwhile empties the pools, which then are filled again.
			if perRequest := float64(after.Mallocs-before.Mallocs) / requests; perRequest > 0.1 {
				t.Errorf("%.2f allocations per request", perRequest)
			}
		})
	}
}
