package web_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"starling/lib/testkit"
	"starling/modules/web/core"
	"starling/web"
	"starling/web/webtest"
)

// http2Client speaks HTTP/2 with a server, by prior knowledge or over TLS.
func http2Client(t *testing.T, s *webtest.Server, sealed bool) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols),
		DialContext: func(context.Context, string, string) (net.Conn, error) { return s.DialLoopback(), nil }}
	if sealed {
		transport.Protocols.SetHTTP2(true)
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	} else {
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// ask sends a request and says the answer as "status body".
func ask(t *testing.T, client *http.Client, method, url, body string, headers ...string) string {
	t.Helper()
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Add(name, value)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	return fmt.Sprintf("%d %s", response.StatusCode, text)
}

func TestHTTP2(t *testing.T) {
	s := start(t, `
http2 on;
server {
	listen 80; server_name one;
	location / { say "$server_protocol $http2 $scheme $request $http_host $host $connection_requests"; }
	location /headers { say "$http_x_a|$http_cookie|$cookie_b|$content_length"; }
	location /read { read; }
	location /stream { stream a b c; }
	location /promise { promise 10; }
	location /unanswered { unanswered; }
	location /deny { refuse 403; }
	location /close { refuse 444; }
	location /small { client_max_body_size 3; read; }
	location /slow { say "0123456789"; limit_rate 100000; }
}
server { listen 80; server_name two; say two; }
server { listen 80; server_name off; http2 off; say off; }`)
	client := http2Client(t, s, false)
	for _, c := range []struct{ method, url, body, headers, want string }{
		{"GET", "http://one/a?b=c", "", "", "200 HTTP/2.0 h2c http GET /a?b=c HTTP/2.0 one one 1"},
		{"GET", "http://two/", "", "", "200 two"},
		{"GET", "http://one:8080/", "", "", "200 HTTP/2.0 h2c http GET / HTTP/2.0 one:8080 one 1"},
		{"GET", "http://off/", "", "", "421 "},
		{"GET", "http://one/headers", "", "X-A: 1,X-A: 2,Cookie: a=1,Cookie: b=2", "200 1, 2|a=1; b=2|2|"},
		{"POST", "http://one/read", strings.Repeat("body", 50000), "", "200 " + strings.Repeat("body", 50000)},
		{"GET", "http://one/stream", "", "", "200 abc"},
		{"GET", "http://one/deny", "", "", "403 "},
		{"POST", "http://one/small", "toolong", "", "413 "},
		{"GET", "http://one/slow", "", "", "200 0123456789"},
		{"HEAD", "http://one/", "", "", "200 "},
		{"CONNECT", "http://one/", "", "", "405 "},
		{"TRACE", "http://one/", "", "", "405 "},
	} {
		if c.method == "CONNECT" {
			continue // the client cannot send what is to be refused
		}
		var headers []string
		if c.headers != "" {
			headers = strings.Split(c.headers, ",")
		}
		got := ask(t, client, c.method, c.url, c.body, headers...)
		if !strings.HasPrefix(got, c.want) || strings.HasPrefix(c.want, "200") && got != c.want {
			t.Errorf("%s %s: got %.80q, want %.80q", c.method, c.url, got, c.want)
		}
	}
	for _, path := range []string{"/promise", "/close"} {
		response, err := client.Get("http://one" + path)
		if err == nil {
			_, err = io.ReadAll(response.Body)
			response.Body.Close()
		}
		if err == nil {
			t.Errorf("%s: an answer that is not whole looks as if it were", path)
		}
	}
	if got := ask(t, client, "GET", "http://one/unanswered", ""); !strings.HasPrefix(got, "500") {
		t.Errorf("a handler that does not answer: %s", got)
	}
}

// One port serves both; what is no preface is HTTP/1.
func TestHTTP2BesideHTTP1(t *testing.T) {
	s := start(t, `server { listen 80; http2 on; say "$server_protocol"; } server { listen 81; say "$server_protocol"; }`)
	if got := ask(t, http2Client(t, s, false), "GET", "http://a/", ""); got != "200 HTTP/2.0" {
		t.Errorf("got %s", got)
	}
	if got := body(s.Get("/")); got != "HTTP/1.1" {
		t.Errorf("got %s", got)
	}
	for _, text := range []string{"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "INVALID CONNECTION PREFACE\r\n\r\n"} { // RFC 9113, 3.4
		if got := s.Send(text); !strings.HasSuffix(got, "\x07"+strings.Repeat("\x00", 12)+"\x01") {
			t.Errorf("%q: no GOAWAY with PROTOCOL_ERROR: % x", text, got)
		}
	}
	if got := status(s.Send("GET /a b HTTP/1.1\r\n\r\n")); got != "400 Bad Request" {
		t.Errorf("a bad request: %s", got)
	}
	conn := s.DialPort(1)
	go io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	all, _ := io.ReadAll(conn)
	if got := status(string(all)); got != "400 Bad Request" {
		t.Errorf("a preface where HTTP/2 is off: %s", got)
	}
}

func TestHTTP2OverTLS(t *testing.T) {
	modules := []*web.Module{&core.Module, probe(nil), tlsProbe(t)}
	s := webtest.Start(t, modules, `
say "$server_name $server_protocol $http2 $https";
server { listen 443 ssl; server_name a; certificate a; http2 on; }
server { listen 443 ssl; server_name b; certificate b; }`)
	if got := ask(t, http2Client(t, s, true), "GET", "https://a/", ""); got != "200 a HTTP/2.0 h2 on" {
		t.Errorf("got %s", got)
	}
	// The server that SNI names decides.
	for name, want := range map[string]string{"a": "h2", "b": ""} {
		conn := tls.Client(s.Dial(), &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		if got := conn.ConnectionState().NegotiatedProtocol; got != want {
			t.Errorf("%s: negotiated %q, want %q", name, got, want)
		}
	}
	all := webtest.Start(t, modules, `say "$http2"; server { listen 443 ssl http2; server_name a; certificate a; }`)
	if got := ask(t, http2Client(t, all, true), "GET", "https://a/", ""); got != "200 h2" {
		t.Errorf("listen ... http2: %s", got)
	}
	if lines := strings.Join(all.Log.Lines(), "\n"); !strings.Contains(lines, `the "listen ... http2" directive is deprecated`) {
		t.Errorf("no warning of it: %s", lines)
	}
}

// A reload lets streams end and takes no more.
func TestHTTP2Retires(t *testing.T) {
	holding := make(chan struct{})
	s := webtest.Start(t, []*web.Module{&core.Module, probe(holding)}, `http2 on; server { listen 80; location /hold { hold; } location / { say hello; } }`)
	client := http2Client(t, s, false)
	answer := make(chan string, 1)
	go func() { answer <- ask(t, client, "GET", "http://a/hold", "") }()
	<-holding
	s.Site.Retire()
	select {
	case <-s.Site.Drained():
		t.Error("drained with a stream in progress")
	default:
	}
	holding <- struct{}{}
	if got := <-answer; got != "200 held" {
		t.Errorf("got %s", got)
	}
	<-s.Site.Drained()

	// One that is idle ends at once.
	s = start(t, `http2 on; server { listen 80; say hello; }`)
	client = http2Client(t, s, false)
	ask(t, client, "GET", "http://a/", "")
	s.Site.Retire()
	<-s.Site.Drained()
}

func TestIdleConnectionsAreCounted(t *testing.T) {
	s := start(t, `http2 on; server { listen 80; say hello; }`)
	client := http2Client(t, s, false)
	ask(t, client, "GET", "http://a/", "")
	counts := func(idle, active int64) func() error {
		return func() error {
			if f := s.Plan.Connections.Figures(); f.Idle != idle || f.Active != active {
				return fmt.Errorf("%+v", f)
			}
			return nil
		}
	}
	testkit.Eventually(t, time.Minute, counts(1, 0))
	plain := s.DialLoopback() // of HTTP/1, before and after its first request
	testkit.Eventually(t, time.Minute, counts(2, 0))
	roundTrips(t, plain, []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 1, 1)
	testkit.Eventually(t, time.Minute, counts(2, 0))
	plain.Close()
	client.CloseIdleConnections()
	testkit.Eventually(t, time.Minute, counts(0, 0))
}

// TestHTTP2BodiesAreAsLongAsDeclared: content-length 0 with DATA is no proper request, whoever answers it.
func TestHTTP2BodiesAreAsLongAsDeclared(t *testing.T) {
	s := start(t, `http2 on; server { listen 80; location / { say ok; } location /read { read; } location /deny { refuse 403; } }`)
	for _, path := range []string{"/", "/read", "/deny"} {
		for _, test := range []struct{ length, body, want string }{
			{"0", "", ""}, {"0", "x", "400"}, {"0", "xy", "400"},
		} {
			want := test.want
			if want == "" {
				want = map[string]string{"/": "200", "/read": "200", "/deny": "403"}[path]
			}
			got := statusOfFrames(t, s.DialLoopback(), test.body, ":method POST", ":scheme http", ":path "+path, ":authority a", "content-length "+test.length)
			if got != want {
				t.Errorf("%s with content-length %s and %q: %s, want %s", path, test.length, test.body, got, want)
			}
		}
	}
}

// statusOfFrames sends a request and its body in frames of their own, and gives the status of the answer.
func statusOfFrames(t *testing.T, conn net.Conn, body string, fields ...string) string {
	t.Helper()
	sendFrames(t, conn, body, fields...)
	for {
		kind, payload := readFrame(t, conn)
		if kind == frameHeaders {
			answer, err := hpack.NewDecoder(4096, nil).DecodeFull(payload)
			if err != nil || answer[0].Name != ":status" {
				t.Fatal(answer, err)
			}
			return answer[0].Value
		}
	}
}

const frameData, frameHeaders, frameSettings, frameWindow = 0, 1, 4, 8

func frame(kind, flags byte, stream uint32, payload string) string {
	head := append(binary.BigEndian.AppendUint32(nil, uint32(len(payload)<<8)|uint32(kind)), flags)
	return string(binary.BigEndian.AppendUint32(head, stream)) + payload
}

// sendFrames starts a connection with a request on stream 1.
func sendFrames(t *testing.T, conn net.Conn, body string, fields ...string) {
	t.Helper()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, " ")
		if err := encoder.WriteField(hpack.HeaderField{Name: name, Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	const endStream, endHeaders = 1, 4
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+frame(frameSettings, 0, 0, "")+
		frame(frameHeaders, endHeaders, 1, block.String())+frame(frameData, endStream, 1, body)); err != nil {
		t.Fatal(err)
	}
}

func readFrame(t *testing.T, conn net.Conn) (kind byte, payload []byte) {
	t.Helper()
	head := make([]byte, 9)
	if _, err := io.ReadFull(conn, head); err != nil {
		t.Fatal(err)
	}
	payload = make([]byte, binary.BigEndian.Uint32(head)>>8)
	if _, err := io.ReadFull(conn, payload); err != nil {
		t.Fatal(err)
	}
	return head[3], payload
}
