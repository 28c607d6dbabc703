package web_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"

	"starling/conf"
	"starling/modules/web/core"
	"starling/web"
	"starling/web/webtest"
)

// waiting is a module whose handler waits until the test answers or the client leaves.
type waiting struct {
	begun  chan struct{}
	answer chan struct{}
	left   chan struct{}
	stays  bool // the handler answers although the client has left
}

func newWaiting() *waiting {
	return &waiting{begun: make(chan struct{}), answer: make(chan struct{}), left: make(chan struct{}, 10)}
}

func (w *waiting) module() *web.Module {
	return &web.Module{
		Module: conf.Module{Name: "waiting", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
		Handlers: []web.Hook{{Phase: web.Content, Build: func(*web.Block) (web.Handler, error) {
			return func(r *web.Request) web.Result {
				gone := make(chan struct{}, 1)
				r.Watch(func(arg any) { arg.(chan struct{}) <- struct{}{} }, gone)
				defer r.Unwatch()
				w.begun <- struct{}{}
				select {
				case <-gone:
					w.left <- struct{}{}
					if !w.stays {
						return 499
					}
					return r.Respond(200, "text/plain", []byte("anyway"))
				case <-w.answer:
					r.Unwatch()
					return r.Respond(200, "text/plain", []byte("waited"))
				}
			}, nil
		}}},
	}
}

func TestWatch(t *testing.T) {
	w := newWaiting()
	s := webtest.Start(t, []*web.Module{&core.Module, w.module()}, `server { listen 80; }`)
	client := s.LoopbackClient()
	// The connection goes on after requests that were watched, also with another request waiting behind.
	for range 3 {
		client.Write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		<-w.begun
		if !web.LooksAfter(s.Site) {
			t.Fatal("the client's disconnect is not watched for")
		}
		w.answer <- struct{}{}
		if got := client.Read("GET").Text; got != "waited" {
			t.Fatalf("got %q", got)
		}
	}
	client.Write("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
	for range 2 {
		<-w.begun
		w.answer <- struct{}{}
		if got := client.Read("GET").Text; got != "waited" {
			t.Fatalf("got %q", got)
		}
	}
	client.Write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-w.begun
	client.Conn.Close()
	<-w.left
}

// TestWatchTooLate: that a client closed its side before a request is looked at is told all the same.
func TestWatchTooLate(t *testing.T) {
	w := newWaiting()
	w.stays = true
	s := webtest.Start(t, []*web.Module{&core.Module, w.module()}, `server { listen 80; }`)
	client := s.LoopbackClient()
	if _, err := client.Conn.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := client.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		<-w.begun
		<-w.left
		if got := client.Read("GET").Text; got != "anyway" {
			t.Fatalf("got %q", got)
		}
	}
}

func TestWatchOfStreams(t *testing.T) {
	w := newWaiting()
	s := webtest.Start(t, []*web.Module{&core.Module, w.module()}, `http2 on; server { listen 80; }`)
	client := http2Client(t, s, false)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	get := func(ctx context.Context) {
		request, err := http.NewRequestWithContext(ctx, "GET", "http://a/", nil)
		if err == nil {
			var response *http.Response
			if response, err = client.Do(request); err == nil {
				response.Body.Close()
			}
		}
		done <- err
	}
	go get(t.Context())
	<-w.begun
	w.answer <- struct{}{}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// The client resets a stream.
	go get(ctx)
	<-w.begun
	cancel()
	<-w.left
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
