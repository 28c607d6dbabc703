package modules_test

import (
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"starling/modules/web/grpc"
	"starling/web"
	"starling/web/webtest"
)

// speaksHTTP2 is a server of HTTP/2 that runs answer for each request, with the names and values of its head.
func speaksHTTP2(t testing.TB, answer func(f *http2.Framer, stream uint32, head map[string]string)) *webtest.Backend {
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
				head := map[string]string{}
				for _, field := range h.Fields {
					head[field.Name] = field.Value
				}
				answer(f, h.StreamID, head)
			}
		}
	})
}

// onlyHead answers with a status, and "x-path" for the path that was asked for.
func onlyHead(f *http2.Framer, stream uint32, head map[string]string) {
	var block strings.Builder
	e := hpack.NewEncoder(&block)
	e.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	e.WriteField(hpack.HeaderField{Name: "x-path", Value: head[":path"]})
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte(block.String()), EndHeaders: true, EndStream: true})
}

// grpcFamilies are those of the other tests, and grpc.
func grpcFamilies() []*web.Module { return append([]*web.Module{&grpc.Module}, families...) }

const grpcPost = "POST /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"

// TestGRPCUnprocessed: a server that has not begun a POST does not fail it, the next one gets it; one that has does.
func TestGRPCUnprocessed(t *testing.T) {
	for code, want := range map[http2.ErrCode]string{http2.ErrCodeRefusedStream: "HTTP/1.1 200", http2.ErrCodeCancel: "HTTP/1.1 502"} {
		var asked atomic.Int32
		answer := func(f *http2.Framer, stream uint32, head map[string]string) {
			if asked.Add(1) == 1 {
				f.WriteRSTStream(stream, code)
				return
			}
			onlyHead(f, stream, head)
		}
		a, b := speaksHTTP2(t, answer), speaksHTTP2(t, answer)
		s := webtest.Start(t, grpcFamilies(), `upstream u { server `+a.Addr+`; server `+b.Addr+`; } server { location / { grpc_pass u; } }`)
		if got := s.Send(grpcPost); !strings.HasPrefix(got, want) {
			t.Errorf("%v: %q", code, got)
		}
	}
}

// TestGRPCGoAway: a kept connection that the server has said farewell to is not used again.
func TestGRPCGoAway(t *testing.T) {
	closed := make(chan struct{})
	var asked atomic.Int32
	b := speaksHTTP2(t, func(f *http2.Framer, stream uint32, head map[string]string) {
		onlyHead(f, stream, head)
		if asked.Add(1) == 1 {
			f.WriteGoAway(stream, http2.ErrCodeNo, nil)
			for {
				if _, err := f.ReadFrame(); err != nil {
					close(closed)
					return
				}
			}
		}
	})
	s := webtest.Start(t, grpcFamilies(), `upstream u { server `+b.Addr+`; } server { location / { grpc_pass u; } }`)
	for range 2 {
		if got := s.Send(grpcPost); !strings.HasPrefix(got, "HTTP/1.1 200") {
			t.Errorf("%q", got)
		}
		webtest.Receive(t, closed)
	}
	if n := b.Accepted.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// TestGRPCKeepsConnections: one serves many requests, of several locations if the group says so, and no other family's.
func TestGRPCKeepsConnections(t *testing.T) {
	b := speaksHTTP2(t, onlyHead)
	s := webtest.Start(t, grpcFamilies(), `upstream u { server `+b.Addr+`; keepalive 4; }
		server { location / { grpc_pass u; } location /b { grpc_pass grpc://u; } location /c { proxy_pass http://u; } }`)
	for _, path := range []string{"/a", "/a", "/b", "/b"} {
		if got := s.Get(path); !strings.Contains(got, "x-path: "+path+"\r\n") {
			t.Errorf("%s: %q", path, got)
		}
	}
	if n := b.Accepted.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	if got := s.Get("/c"); !strings.HasPrefix(got, "HTTP/1.1 502") {
		t.Errorf("HTTP/1.1 on a connection of HTTP/2: %q", got)
	}
}

// TestGRPCPath: the path after a rewrite, and a destination with variables.
func TestGRPCPath(t *testing.T) {
	b := speaksHTTP2(t, onlyHead)
	s := webtest.Start(t, grpcFamilies(), `server { location / { rewrite ^/v1/(.*) "/my $1" break; grpc_pass grpc://$arg_to; } }`)
	if got := s.Get("/v1/x?to=" + b.Addr); !strings.Contains(got, "x-path: /my%20x?to="+b.Addr+"\r\n") {
		t.Errorf("%q", got)
	}
	if got := s.Get("/x?to=" + b.Addr + "/uri"); !strings.HasPrefix(got, "HTTP/1.1 500") {
		t.Errorf("%q", got)
	}
	s.Logged(`invalid host in upstream "` + b.Addr + `/uri"`)
}
