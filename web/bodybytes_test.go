package web_test

import (
	"testing"

	"starling/conf"
	"starling/web"
	"starling/web/webtest"
)

// $body_bytes_sent is what follows the head on the wire, as in nginx: the framing counts, and the head never does.
func TestBodyBytesSent(t *testing.T) {
	sent := make(chan int64, 1)
	logger := &web.Module{Module: conf.Module{Name: "logger", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
		Handlers: []web.Hook{{Phase: web.Log, Build: func(*web.Block) (web.Handler, error) {
			return func(r *web.Request) web.Result { sent <- r.BodyBytesSent(); return web.Declined }, nil
		}}}}
	s := webtest.Start(t, append(modules(), logger), `http2 on;
		server { listen 80; location / { say 0123456789; } location /stream { stream a b c; } location /none { refuse 204; } }`)
	for _, c := range []struct {
		request string
		want    int64
	}{
		{"GET / HTTP/1.1", 10},
		{"HEAD / HTTP/1.1", 0},
		{"GET /none HTTP/1.1", 0},
		{"GET /stream HTTP/1.0", 3},
		{"GET /stream HTTP/1.1", 3*int64(len("1\r\na\r\n")) + int64(len("0\r\n\r\n"))},
		{"HEAD /stream HTTP/1.1", 0},
	} {
		s.Send(c.request + "\r\nHost: a\r\nConnection: close\r\n\r\n")
		if got := <-sent; got != c.want {
			t.Errorf("%s: %d, want %d", c.request, got, c.want)
		}
	}
	const frameHead = 9
	ask(t, http2Client(t, s, false), "GET", "http://a/", "")
	if got := <-sent; got != frameHead+10 {
		t.Errorf("over HTTP/2: %d, want %d", got, frameHead+10)
	}
}
