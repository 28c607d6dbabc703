package h1

import (
	"bytes"
	"io"
	"testing"
)

const browserRequest = "GET /static/app.js?v=12 HTTP/1.1\r\nHost: www.Example.com\r\nConnection: keep-alive\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\nReferer: https://www.example.com/index.html\r\n" +
	"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\nX-Custom: 1\r\n\r\n"

const benchRequest = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"

const upstreamResponse = "HTTP/1.1 200 OK\r\nServer: backend\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\nContent-Type: text/plain\r\n" +
	"Content-Length: 1024\r\nConnection: keep-alive\r\n\r\n"

// endless delivers the same message for ever, one per read.
type endless string

func (e endless) Read(p []byte) (int, error) { return copy(p, e), nil }

// proxied is one proxied request without the sockets: the hot path of this package.
type proxied struct {
	client, upstream Buffer
	request          RequestHead
	response         ResponseHead
	body             Body
	toClient         Writer
	toUpstream       Writer
	dates            DateClock
	second           int64
}

func newProxied(request, response string) *proxied {
	x := &proxied{second: 1795439000}
	x.client.Attach(endless(request))
	x.upstream.Attach(endless(response))
	x.toClient.Attach(io.Discard)
	x.toUpstream.Attach(io.Discard)
	return x
}

func (x *proxied) run() error {
	x.request.Reset()
	if err := ReadRequest(&x.client, &x.request, &DefaultLimits); err != nil {
		return err
	}
	head := AppendRequestLine(x.toUpstream.Start(), x.request.Method, x.request.Target, Version11)
	head = AppendHeaders(head, x.request.Headers, HopByHop)
	if err := x.toUpstream.Write(AppendHeadEnd(head)); err != nil {
		return err
	}
	x.response.Reset()
	if err := ReadResponse(&x.upstream, &x.response, 4096); err != nil {
		return err
	}
	kind, length := x.response.Body(x.request.MethodID)
	x.body.StartResponse(&x.upstream, kind, length)
	body, err := x.body.Take()
	if err != nil {
		return err
	}
	head = AppendStatusLine(x.toClient.Start(), x.response.Status, x.response.Line)
	head = append(head, "Date: "...)
	head = append(x.dates.Append(head, x.second), "\r\n"...)
	head = AppendHeaders(head, x.response.Headers, HopByHop|SetOf(HeaderDate))
	if err := x.toClient.Write(AppendHeadEnd(head), body); err != nil {
		return err
	}
	x.client.Recycle()
	x.upstream.Recycle()
	return nil
}

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	kilobyte := string(bytes.Repeat([]byte("x"), 1024))
	chunked := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" + kilobyte + "\r\n0\r\n\r\n"
	cases := []struct{ name, request, response string }{
		{"plain", browserRequest, upstreamResponse + kilobyte},
		{"chunked", benchRequest, chunked},
		{"decoded path, absolute form", "GET http://A.b/%61/../c HTTP/1.1\r\nHost: x\r\n\r\n", upstreamResponse + kilobyte},
	}
	for _, c := range cases {
		x := newProxied(c.request, c.response)
		if n := testing.AllocsPerRun(1000, func() {
			if err := x.run(); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations per request", c.name, n)
		}
	}
}

func TestNoAllocationsOnSockets(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	near, far := socketPair(t)
	var b Buffer
	var h RequestHead
	var w Writer
	b.Attach(near)
	w.Attach(near)
	request, answer := []byte(browserRequest), make([]byte, 8192)
	large := make([]byte, 4000) // beyond what is joined: writev
	if n := testing.AllocsPerRun(200, func() {
		if _, err := far.Write(request); err != nil {
			t.Fatal(err)
		}
		if err := b.Wait(); err != nil {
			t.Fatal(err)
		}
		h.Reset()
		if err := ReadRequest(&b, &h, &DefaultLimits); err != nil {
			t.Fatal(err)
		}
		if err := w.Write(AppendHeadEnd(AppendStatusLine(w.Start(), 200, nil)), large); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(far, answer[:4019]); err != nil {
			t.Fatal(err)
		}
		b.Recycle()
	}); n > 0 {
		t.Errorf("%v allocations per request", n)
	}
}

func BenchmarkParseRequest(b *testing.B) {
	for name, text := range map[string]string{"bench": benchRequest, "browser": browserRequest} {
		b.Run(name, func(b *testing.B) {
			var buf Buffer
			var h RequestHead
			buf.Attach(endless(text))
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				h.Reset()
				if err := ReadRequest(&buf, &h, &DefaultLimits); err != nil {
					b.Fatal(err)
				}
				buf.Recycle()
			}
		})
	}
}

func BenchmarkParseResponse(b *testing.B) {
	var buf Buffer
	var h ResponseHead
	buf.Attach(endless(upstreamResponse))
	b.ReportAllocs()
	for b.Loop() {
		h.Reset()
		if err := ReadResponse(&buf, &h, 4096); err != nil {
			b.Fatal(err)
		}
		buf.Recycle()
	}
}

func BenchmarkProxied(b *testing.B) {
	for name, request := range map[string]string{"bench": benchRequest, "browser": browserRequest} {
		b.Run(name, func(b *testing.B) {
			x := newProxied(request, upstreamResponse+string(make([]byte, 1024)))
			b.ReportAllocs()
			for b.Loop() {
				if err := x.run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkChunkedBody(b *testing.B) {
	chunk := string(AppendChunkSize(nil, 8000)) + string(bytes.Repeat([]byte("x"), 8000)) + "\r\n"
	var buf Buffer
	var body Body
	buf.Attach(endless(chunk))
	body.StartResponse(&buf, BodyChunked, 0)
	p := make([]byte, 32<<10)
	b.SetBytes(8000)
	for b.Loop() {
		if _, err := body.Read(p); err != nil {
			b.Fatal(err)
		}
	}
}
