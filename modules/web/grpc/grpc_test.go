package grpc_test

import (
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"starling/web/webtest"
)

// request is the head of a request as a server gets it.
type request struct {
	lines  []string
	end    bool
	stream uint32
	framer *http2.Framer
}

// answer sends a response that is only a head.
func (q *request) answer(lines ...string) { q.head(true, lines...) }

func (q *request) head(end bool, lines ...string) {
	var block strings.Builder
	e := hpack.NewEncoder(&block)
	for _, line := range lines {
		name, value, _ := strings.Cut(line[1:], ":")
		e.WriteField(hpack.HeaderField{Name: line[:1] + name, Value: strings.TrimPrefix(value, " ")})
	}
	q.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: q.stream, BlockFragment: []byte(block.String()), EndHeaders: true, EndStream: end})
}

// serve runs script for each request of a server of HTTP/2.
func serve(t *testing.T, script func(q *request)) *webtest.Backend {
	return webtest.Serve(t, func(p *webtest.Peer) {
		io.ReadFull(p.R, make([]byte, len(http2.ClientPreface)))
		f := http2.NewFramer(p.Conn, p.R)
		f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		f.WriteSettings()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			if h, ok := frame.(*http2.MetaHeadersFrame); ok {
				q := &request{end: h.StreamEnded(), stream: h.StreamID, framer: f}
				for _, field := range h.Fields {
					q.lines = append(q.lines, field.Name+": "+field.Value)
				}
				script(q)
			}
		}
	})
}

// TestHeads: what a server gets of the client's head, and of grpc_set_header.
func TestHeads(t *testing.T) {
	for _, c := range []struct{ conf, send, want string }{
		{``, "GET /a.B/C?x HTTP/1.1|Host: client|TE: gzip, trailers;q=1|X-Some: Thing|Connection: close",
			":method: GET|:scheme: http|:path: /a.B/C?x|:authority: BACKEND|te: trailers|x-some: Thing"},
		{``, "PURGE / HTTP/1.1|Host: client|TE: gzip|Keep-Alive: 1|Upgrade: x|Proxy-Connection: y|Connection: close",
			":method: PURGE|:scheme: http|:path: /|:authority: BACKEND"},
		{`grpc_set_header Host $host:1; grpc_set_header X-Empty ""; grpc_set_header X-Two "$arg_a$arg_a"; grpc_set_header X-Some $arg_none;`,
			"GET /?a=%0ab HTTP/1.1|Host: client|X-Some: gone|X-Empty: gone|Connection: close",
			":method: GET|:scheme: http|:path: /?a=%0ab|:authority: client:1|x-two: %0ab%0ab"},
		{`grpc_set_header Host ""; grpc_set_header TE trailers; grpc_set_header Connection upgrade; grpc_set_header Transfer-Encoding x;`,
			"GET / HTTP/1.1|Host: client|Connection: close",
			":method: GET|:scheme: http|:path: /|:authority: BACKEND|te: trailers"},
	} {
		got := make(chan *request, 1)
		b := serve(t, func(q *request) {
			got <- q
			q.answer(":status: 200")
		})
		s := b.Behind(modules, `location / { grpc_pass BACKEND; `+c.conf+` }`)
		s.Send(strings.ReplaceAll(c.send, "|", "\r\n") + "\r\n\r\n")
		q := webtest.Receive(t, got)
		if want := strings.ReplaceAll(c.want, "BACKEND", b.Addr); strings.Join(q.lines, "|") != want || !q.end {
			t.Errorf("got  %s\nwant %s", strings.Join(q.lines, "|"), want)
		}
	}
}

// TestLengths: the length that the client declared is passed on, and none is invented.
func TestLengths(t *testing.T) {
	got := make(chan *request, 1)
	b := serve(t, func(q *request) {
		got <- q
		q.answer(":status: 200")
	})
	s := b.Behind(modules, `location / { grpc_pass BACKEND; }`)
	for send, want := range map[string]string{
		"Content-Length: 3\r\n\r\nabc":                            "content-length: 3",
		"Content-Length: 0\r\n\r\n":                               "content-length: 0",
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n": "",
	} {
		s.Send("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + send)
		q := webtest.Receive(t, got)
		i := slices.IndexFunc(q.lines, func(line string) bool { return strings.HasPrefix(line, "content-length") })
		if found := i >= 0; found != (want != "") || found && q.lines[i] != want {
			t.Errorf("%q: %q", send, q.lines)
		}
	}
}

// TestLastPiece: what the client sends last ends the body, without another frame.
func TestLastPiece(t *testing.T) {
	asked := make(chan struct{}, 1)
	data := make(chan string, 10)
	b := serve(t, func(q *request) {
		asked <- struct{}{}
		for {
			frame, err := q.framer.ReadFrame()
			if err != nil {
				return
			}
			d, ok := frame.(*http2.DataFrame)
			if !ok {
				continue
			}
			data <- string(d.Data())
			if d.StreamEnded() {
				close(data)
				q.answer(":status: 200")
				return
			}
		}
	})
	c := b.Behind(modules, `location / { grpc_pass BACKEND; }`).LoopbackClient()
	c.Write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
	webtest.Receive(t, asked)
	c.Write("abc")
	if got := webtest.Receive(t, data); got != "abc" {
		t.Errorf("%q", got)
	}
	c.Write("def")
	if got := webtest.Receive(t, data); got != "def" {
		t.Errorf("%q", got)
	}
	if more, ok := <-data; ok {
		t.Errorf("another frame: %q", more)
	}
	if r := c.Read("POST"); r.StatusCode != 200 {
		t.Error(r.StatusCode)
	}
}

// TestResponses to a client of HTTP/1: with trailers, without those headers that nginx hides, and with lengths.
func TestResponses(t *testing.T) {
	b := serve(t, func(q *request) {
		if slices.Contains(q.lines, ":method: HEAD") {
			q.answer(":status: 200", "content-length: 5")
			return
		}
		q.head(false, ":status: 203", "content-type: application/grpc", "server: hidden", "x-kept: shown", "x-mine: 1", "date: hidden")
		q.framer.WriteData(q.stream, false, []byte("body"))
		q.head(true, "grpc-status: 7")
	})
	s := b.Behind(modules, `location / { grpc_pass grpc://BACKEND; grpc_hide_header X-Mine; }`)
	got := webtest.Undated(s.Get("/"))
	for _, want := range []string{"HTTP/1.1 203 ", "\r\nx-kept: shown\r\n", "Content-Type: application/grpc", "4\r\nbody\r\n0\r\ngrpc-status: 7\r\n\r\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	if strings.Contains(got, "hidden") || strings.Contains(got, "x-mine") {
		t.Errorf("%q", got)
	}
	if got := s.Send("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.Contains(got, "Content-Length: 5") {
		t.Errorf("%q", got)
	}
}

// TestUnreachable: a client of gRPC understands nginx's page as a status.
func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	s := webtest.Start(t, modules, `server { http2 on; location / { grpc_pass `+l.Addr().String()+`; } }`)
	if _, err := dial(t, s).UnaryCall(within(t), &testpb.SimpleRequest{}); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	s.Logged(`upstream: "grpc://` + l.Addr().String() + `/grpc.testing.TestService/UnaryCall"`)
}

// TestInherited: limit_except has no grpc_pass of its own and uses that around it.
func TestInherited(t *testing.T) {
	b := serve(t, func(q *request) { q.answer(":status: 200", "x-from: server") })
	s := b.Behind(modules, `location / { grpc_pass BACKEND; limit_except GET { } }`)
	if got := s.Send("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"); !strings.Contains(got, "x-from: server") {
		t.Errorf("%q", got)
	}
}

// TestConfigurationErrors: what nginx refuses, in its words.
func TestConfigurationErrors(t *testing.T) {
	for conf, want := range map[string]string{
		`grpc_pass 127.0.0.1;`:                            `no port in upstream "127.0.0.1" in /test.conf:1`,
		`grpc_pass grpcs://127.0.0.1;`:                    `no port in upstream "127.0.0.1" in /test.conf:1`,
		`grpc_pass grpc://127.0.0.1:1/x;`:                 `invalid host in upstream "127.0.0.1:1/x" in /test.conf:1`,
		`grpc_pass http://127.0.0.1:1;`:                   `invalid host in upstream "http://127.0.0.1:1" in /test.conf:1`,
		`grpc_pass 127.0.0.1:1; grpc_pass 127.0.0.1:1;`:   `"grpc_pass" directive is duplicate in /test.conf:1`,
		`limit_except GET { grpc_pass 127.0.0.1:1; }`:     `"grpc_pass" directive is not allowed here in /test.conf:1`,
		`grpc_next_upstream not_found;`:                   `invalid value "not_found" in /test.conf:1`,
		`grpc_buffering on;`:                              `unknown directive "grpc_buffering" in /test.conf:1`,
		`grpc_request_buffering on;`:                      `unknown directive "grpc_request_buffering" in /test.conf:1`,
		`grpc_ssl_verify on; grpc_pass grpcs://a.test:1;`: `host not found in upstream "a.test" in /test.conf:1`,
	} {
		_, err := webtest.Load(t, modules, "server { location / { "+conf+"\n} }")
		if err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", conf, err, want)
		}
	}
}
