package modules_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"starling/lib/testkit"
	"starling/web/webtest"
)

// TestLargeBodiesMoveOn: a body that is in a file is sent whole to the next server when the first fails after it had
// all of it.
func TestLargeBodiesMoveOn(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 20000)
	head := "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
	for _, request := range []string{
		fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(long), long),
		fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", head, len(long), long),
	} {
		for _, status := range []int{0, 503} {
			var addrs []string
			answers := []int{status, 200}
			for i := range answers {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if body, err := io.ReadAll(r.Body); err != nil || string(body) != long || r.ContentLength != int64(len(long)) {
						t.Errorf("server %d got %d bytes of %d (%d announced): %v", i, len(body), len(long), r.ContentLength, err)
					}
					if answers[i] == 0 {
						panic(http.ErrAbortHandler) // closes the connection
					}
					w.WriteHeader(answers[i])
				}))
				t.Cleanup(server.Close)
				addrs = append(addrs, server.Listener.Addr().String())
			}
			s := webtest.Start(t, families, `upstream u { server `+addrs[0]+`; server `+addrs[1]+` backup; }
				server { add_header X-Status $upstream_status; location / { proxy_pass http://u; proxy_next_upstream error http_503; } }`)
			got := s.Send(request)
			if want := fmt.Sprintf("\r\nX-Status: %d, 200\r\n", map[int]int{0: 502, 503: 503}[status]); !strings.Contains(got, want) {
				t.Errorf("%q lacks %q %v", got, want, s.Log.Lines())
			}
		}
	}
}

// hasty starts a server that hands each connection, with its number, to a script that decides when to read.
func hasty(t testing.TB, network, addr string, script func(n int32, c net.Conn)) (accepted *atomic.Int32, at string) {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	accepted = new(atomic.Int32)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n := accepted.Add(1)
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(webtest.Patience))
				script(n, c)
			}()
		}
	}()
	return accepted, l.Addr().String()
}

// readHead reads a request's head and nothing behind it.
func readHead(c net.Conn) string {
	head, buf := []byte(nil), make([]byte, 1)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		if _, err := c.Read(buf); err != nil {
			return ""
		}
		head = append(head, buf[0])
	}
	return string(head)
}

// comes reads until the end of a connection, or until text comes.
func comes(c net.Conn, text string) bool {
	for seen, buf := []byte(nil), make([]byte, 64<<10); ; {
		n, err := c.Read(buf)
		if seen = append(seen, buf[:n]...); bytes.Contains(seen, []byte(text)) {
			return true
		}
		if err != nil {
			return false
		}
		seen = append(seen[:0], seen[max(0, len(seen)-len(text)):]...)
	}
}

// hugeBody is more than sockets take while nobody reads.
var hugeBody = strings.Repeat("0123456789abcdef", 1<<20)

// TestConnectionsOfUnsentBodies: where a server answered before it had the whole body, the next request goes over
// another connection, for the server would take it for the rest.
func TestConnectionsOfUnsentBodies(t *testing.T) {
	for _, test := range []struct{ name, conf string }{
		{"in memory", `client_body_buffer_size 16m;`},
		{"in a file", ``},
		{"as it comes", `proxy_request_buffering off;`},
	} {
		t.Run(test.name, func(t *testing.T) {
			answered, mixed := make(chan bool), make(chan bool, 1)
			accepted, addr := hasty(t, "tcp", "127.0.0.1:0", func(n int32, c net.Conn) {
				head := readHead(c)
				io.WriteString(c, reply(200, strings.Fields(head)[1]))
				if n == 1 {
					<-answered
					mixed <- comes(c, "GET /next")
				}
			})
			s := webtest.Start(t, families, `upstream u { server `+addr+`; keepalive 4; }
				server { location / { proxy_pass http://u; client_max_body_size 0; `+test.conf+` } }`)
			c := s.LoopbackClient()
			if r := c.Do(fmt.Sprintf("PUT /first HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(hugeBody), hugeBody)); r.Text != "/first" {
				t.Errorf("%d %q", r.StatusCode, r.Text)
			}
			close(answered)
			if r := c.Do("GET /next HTTP/1.1\r\nHost: a\r\n\r\n"); r.Text != "/next" {
				t.Errorf("%d %q", r.StatusCode, r.Text)
			}
			if <-mixed {
				t.Error("the next request came behind a part of the body")
			}
			if n := accepted.Load(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// TestConnectionsAfterUnsentBodies: what one server did not take of a body says nothing about the connection to the one
// that answers in its place, which is used again.
func TestConnectionsAfterUnsentBodies(t *testing.T) {
	const other, retry, page = `server {b} backup;`, `proxy_next_upstream error http_503;`, `proxy_intercept_errors on; error_page 503 =200 /page;`
	small := hugeBody[:60_000]
	for _, test := range []struct{ name, backup, conf, body, want string }{
		{"in memory", other, retry + `client_body_buffer_size 16m;`, hugeBody, "503, 200"},
		{"in a file", other, retry, hugeBody, "503, 200"},
		{"with the head", other, retry + `client_body_buffer_size 64k; proxy_set_header X-Much ` + strings.Repeat("$request_body", 8) + `;`, small, "503, 200"},
		{"then an error page that takes no body", "", page + `client_body_buffer_size 16m;`, hugeBody, "503 : 200"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, busy := hasty(t, "unix", filepath.Join(testkit.SocketDir(t), "s"), func(_ int32, c net.Conn) {
				io.WriteString(c, reply(503, "")) // and closes, with all of the request unread
			})
			f := fleet{}
			f.backend(t, "b", func(r *http.Request) string { return reply(200, r.Method) })
			s := f.start(t, `upstream u { server unix:`+busy+` max_fails=0; `+test.backup+` keepalive 4; } upstream v { server {b}; keepalive 4; }
				server { add_header X-Status $upstream_status; client_max_body_size 0;
				location / { proxy_pass http://u; `+test.conf+` }
				location /page { proxy_pass http://v; proxy_pass_request_body off; proxy_set_header Content-Length ""; } }`)
			c := s.LoopbackClient()
			for range 2 {
				r := c.Do(fmt.Sprintf("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(test.body), test.body))
				if got := r.Header.Get("X-Status"); r.StatusCode != 200 || got != test.want {
					t.Errorf("%d, upstream status %q, want %q %v", r.StatusCode, got, test.want, s.Log.Lines())
				}
			}
			if n := f["b"].accepted.Load(); n != 1 {
				t.Errorf("%d connections to the server that answered", n)
			}
		})
	}
}
