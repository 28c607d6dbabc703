package web_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"starling/conf"
	"starling/lib/testkit"
	"starling/web"
	"starling/web/webtest"
)

// waiting is a module whose handler waits until the test answers or the client leaves.
type waiting struct {
	begun  chan struct{}
	answer chan struct{}
	left   chan struct{}
}

func newWaiting() *waiting {
	return &waiting{make(chan struct{}), make(chan struct{}), make(chan struct{}, 10)}
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
					return 499
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
	s := webtest.Start(t, []*web.Module{&web.Core, w.module()}, `server { listen 80; }`)
	client := s.LoopbackClient()
	// The connection goes on after requests that were watched, for long or not at all; also with another request waiting behind.
	parked := func() error {
		if !web.Parked(s.Site) {
			return errors.New("nobody waits for the socket")
		}
		return nil
	}
	for _, long := range []bool{false, true, false} {
		client.Write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		<-w.begun
		if long {
			testkit.Eventually(t, time.Minute, parked)
		}
		w.answer <- struct{}{}
		if got := client.Read("GET").Text; got != "waited" {
			t.Fatalf("got %q", got)
		}
	}
	client.Write("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
	for range 2 {
		<-w.begun
		testkit.Eventually(t, time.Minute, parked)
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

func TestWatchOfStreams(t *testing.T) {
	w := newWaiting()
	s := webtest.Start(t, []*web.Module{&web.Core, w.module()}, `http2 on; server { listen 80; }`)
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
