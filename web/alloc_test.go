package web_test

import (
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// roundTrips sends a request n times on one connection; both sides work in this process, and the client allocates
// nothing.
func roundTrips(t testing.TB, conn net.Conn, request []byte, responseBytes, n int) {
	buf := make([]byte, responseBytes)
	for range n {
		if _, err := conn.Write(request); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, buf); err != nil {
			t.Fatal(err)
		}
	}
}

// responseLength is how long the response to a request on a kept connection is.
func responseLength(t testing.TB, conn net.Conn, request []byte) int {
	if _, err := conn.Write(request); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	total := 0
	for {
		n, err := conn.Read(buf[total:])
		if err != nil {
			t.Fatal(err)
		}
		total += n
		head, body, whole := strings.Cut(string(buf[:total]), "\r\n\r\n")
		if whole && strings.Contains(head, "Content-Length: "+strconv.Itoa(len(body))) {
			return total
		}
	}
}

func TestARequestDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := start(t, `
keepalive_requests 1000000000;
server {
    server_name www.example.org *.example.net;
    status_zone s;
    location / { status_zone l; say "prefix $uri $arg_a $http_user_agent $remote_addr"; }
    location = /exact { status_zone "l$uri"; say "exact"; }
    location ~ \.(?:png|jpg)$ { say "picture"; }
    location = /signed { server_tokens "shop/$arg_v"; say "signed"; }
    location /deep/ { location /deep/er { error_page 404 /x; say "$request_id"; } }
}`)
	conn := s.DialLoopback()
	for _, c := range []struct{ name, head string }{
		{"prefix", "GET /some/path?a=1 HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"},
		{"exact", "GET /exact HTTP/1.1\r\nHost: a.example.net\r\n\r\n"},
		{"regex", "GET /x.png HTTP/1.1\r\nHost: A.EXAMPLE.NET:8080\r\n\r\n"},
		{"escaped", "GET /a/%41/../b//c HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"nested", "GET /deep/er HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"server token", "GET /signed?v=1 HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"head", "HEAD /exact HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"body", "POST /exact HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"},
	} {
		t.Run(c.name, func(t *testing.T) {
			request := []byte(c.head)
			length := 0
			if c.name == "head" {
				length = headLength(t, conn, request)
			} else {
				length = responseLength(t, conn, request)
			}
			roundTrips(t, conn, request, length, 50) // pools fill, stacks grow
			const n = 500
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			roundTrips(t, conn, request, length, n)
			runtime.ReadMemStats(&after)
			// A second may begin meanwhile (the date), and a collection may empty the pools.
			if got := after.Mallocs - before.Mallocs; got > n/10 {
				t.Errorf("%d allocations in %d requests", got, n)
			}
		})
	}
}

func headLength(t testing.TB, conn net.Conn, request []byte) int {
	if _, err := conn.Write(request); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	n, err := conn.Read(buf)
	if err != nil || !strings.HasSuffix(string(buf[:n]), "\r\n\r\n") {
		t.Fatalf("%q %v", buf[:n], err)
	}
	return n
}

// BenchmarkStatusZone compares requests that a status zone counts with others, from one client per core: counting takes
// no lock, and no memory that cores share.
func BenchmarkStatusZone(b *testing.B) {
	for name, zone := range map[string]string{"none": "", "server": "status_zone all;"} {
		b.Run(name, func(b *testing.B) {
			s := start(b, `keepalive_requests 1000000000; server { `+zone+` location / { say "hello"; } }`)
			request := []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
			length := responseLength(b, s.DialLoopback(), request)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(next *testing.PB) {
				conn := s.DialLoopback()
				for next.Next() {
					roundTrips(b, conn, request, length, 1)
				}
			})
		})
	}
}

func BenchmarkRequest(b *testing.B) {
	s := start(b, `keepalive_requests 1000000000; server { location / { say "hello"; } }`)
	conn := s.DialLoopback()
	request := []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	length := responseLength(b, conn, request)
	b.ReportAllocs()
	for b.Loop() {
		roundTrips(b, conn, request, length, 1)
	}
}
