package modules_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"starling/lib/testkit"
	pool "starling/upstream"
	"starling/upstream/groups"
	"starling/web"
	"starling/web/webtest"
)

// held is a backend that answers a request when the test lets it; each answer is the path asked for.
type held struct {
	arrived chan string
	answer  chan struct{}
}

func (f fleet) held(t *testing.T, name string) *held {
	h := &held{arrived: make(chan string, 100), answer: make(chan struct{}, 100)}
	f.backend(t, name, func(r *http.Request) string {
		h.arrived <- r.URL.Path
		<-h.answer
		return reply(200, r.URL.Path)
	})
	t.Cleanup(func() { close(h.answer) })
	return h
}

// queueSize waits until so many requests wait.
func queueSize(t *testing.T, s *webtest.Server, want int) pool.QueueReport {
	t.Helper()
	g := groups.Of[*web.Request](s.Plan).Named("u")
	testkit.Eventually(t, webtest.Patience, func() error {
		if got := g.Report(s.Plan.Clock.Now()).Queue.Size; got != want {
			return fmt.Errorf("%d requests wait, want %d", got, want)
		}
		return nil
	})
	return *g.Report(s.Plan.Clock.Now()).Queue
}

// TestQueue: requests beyond max_conns wait their turn, those beyond the queue get 502, and a client that leaves gives
// up its place.
func TestQueue(t *testing.T) {
	f := fleet{}
	a := f.held(t, "a")
	s := f.start(t, `upstream u { zone u 64k; server {a} max_conns=1; queue 2 timeout=1h; }
		server { add_header X-Waited $upstream_queue_time; location / { proxy_pass http://u; } }`)
	answers := map[string]chan webtest.Response{}
	ask := func(path string) {
		answers[path] = make(chan webtest.Response, 1)
		c := s.Client()
		go func() { answers[path] <- c.Do("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n") }()
	}
	ask("/1")
	if got := <-a.arrived; got != "/1" {
		t.Fatal(got)
	}
	ask("/2")
	queueSize(t, s, 1)
	leaves := s.DialLoopback()
	io.WriteString(leaves, "GET /left HTTP/1.1\r\nHost: x\r\n\r\n")
	queueSize(t, s, 2)
	if r := s.Client().Do("GET /full HTTP/1.1\r\nHost: x\r\n\r\n"); r.StatusCode != 502 {
		t.Errorf("a request to a full queue: %d", r.StatusCode)
	}
	leaves.Close()
	queueSize(t, s, 1)
	ask("/3")
	if got, want := queueSize(t, s, 2), (pool.QueueReport{Size: 2, MaxSize: 2, Overflows: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for i, path := range []string{"/1", "/2", "/3"} {
		if i > 0 {
			if got := <-a.arrived; got != path {
				t.Errorf("%s came to the server, want %s", got, path)
			}
		}
		a.answer <- struct{}{}
		r := <-answers[path]
		waited := regexp.MustCompile(`^[0-9]+\.[0-9]{3}$`).MatchString(r.Header.Get("X-Waited"))
		if r.Text != path || waited != (i > 0) || i == 0 && r.Header.Get("X-Waited") != "-" {
			t.Errorf("%s: %d %q, waited %q", path, r.StatusCode, r.Text, r.Header.Get("X-Waited"))
		}
	}
}

// TestQueueLogs: what ends the wait is told in the error log.
func TestQueueLogs(t *testing.T) {
	f := fleet{}
	a := f.held(t, "a")
	s := f.start(t, `upstream u { zone u 64k; server {a} max_conns=1; queue 1 timeout=1ms; }
		upstream v { zone v 64k; server {a} down; queue 1; }
		server { location / { proxy_pass http://u; } location /v { proxy_pass http://v; } }`)
	first, answered := s.Client(), make(chan webtest.Response, 1)
	go func() { answered <- first.Do("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n") }()
	<-a.arrived
	if r := s.Client().Do("GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"); r.StatusCode != 502 {
		t.Errorf("a request that waited too long: %d", r.StatusCode)
	}
	leaves := s.DialLoopback()
	io.WriteString(leaves, "GET /v HTTP/1.1\r\nHost: x\r\n\r\n")
	v := groups.Of[*web.Request](s.Plan).Named("v")
	size := func() int { return v.Report(s.Plan.Clock.Now()).Queue.Size }
	testkit.Eventually(t, webtest.Patience, func() error {
		if size() == 0 {
			return fmt.Errorf("the request has not come")
		}
		return nil
	})
	if r := s.Client().Do("GET /v HTTP/1.1\r\nHost: x\r\n\r\n"); r.StatusCode != 502 {
		t.Errorf("a request to a full queue: %d", r.StatusCode)
	}
	leaves.Close()
	var lines []string
	for _, want := range []string{
		"[error] *2 upstream timed out in the queue while connecting to upstream",
		"[error] *4 upstream queue is full while connecting to upstream",
		"[info] *3 client prematurely closed connection while waiting in the upstream queue",
	} {
		testkit.Eventually(t, webtest.Patience, func() error {
			lines = append(lines, s.Log.Lines()...)
			if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, want) }) {
				return fmt.Errorf("no %q in\n%s", want, strings.Join(lines, "\n"))
			}
			return nil
		})
	}
	a.answer <- struct{}{}
	<-answered
}
