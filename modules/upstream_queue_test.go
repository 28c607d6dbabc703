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

// told is a backend that answers each request as the test says; "" closes the connection.
func (f fleet) told(t *testing.T, name string) (arrived, answer chan string) {
	arrived, answer = make(chan string, 10), make(chan string, 10)
	f.backend(t, name, func(r *http.Request) string {
		arrived <- r.URL.Path
		return <-answer
	})
	return arrived, answer
}

// TestQueueAndOutdatedConnections: a request whose idle connection turns out to be closed is retried on a new one to
// the same server, and those who wait in the queue do not take its place.
func TestQueueAndOutdatedConnections(t *testing.T) {
	for name, c := range map[string]struct{ method, first, second string }{
		"one server":         {"GET", "", ""},
		"a session's server": {"GET", "sticky cookie id; server 127.0.0.1:1 down;", ""},
		"one other is busy":  {"GET", "", "server {b} max_conns=1;"},
		"with a body":        {"PUT", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := fleet{}
			arrived, answer := f.told(t, "a")
			busy := f.held(t, "b")
			s := f.start(t, `upstream u { zone u 64k; `+c.first+` server {a} max_conns=1; `+c.second+` queue 5 timeout=1h; }
				server { add_header X-Addr $upstream_addr; location / { proxy_pass http://u; } }`)
			answers := map[string]chan webtest.Response{}
			ask := func(path string) {
				answers[path] = make(chan webtest.Response, 1)
				client := s.Client()
				go func() {
					answers[path] <- client.Do(c.method + " " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
				}()
			}
			expect := func(path, reply string) {
				t.Helper()
				if got := webtest.Receive(t, arrived); got != path {
					t.Fatalf("%s came to the server, want %s", got, path)
				}
				answer <- reply
			}
			ask("/warm")
			expect("/warm", reply(200, "/warm"))
			if r := <-answers["/warm"]; r.StatusCode != 200 {
				t.Fatal(r.StatusCode)
			}
			if c.second != "" {
				ask("/busy")
				if got := webtest.Receive(t, busy.arrived); got != "/busy" {
					t.Fatal(got)
				}
			}
			testkit.Eventually(t, webtest.Patience, func() error {
				if n := groups.Of[*web.Request](s.Plan).Named("u").Pool.Idle(); n != 1 {
					return fmt.Errorf("%d idle connections, want 1", n)
				}
				return nil
			})
			ask("/first") // on the idle connection
			if got := webtest.Receive(t, arrived); got != "/first" {
				t.Fatal(got)
			}
			ask("/second")
			queueSize(t, s, 1)
			answer <- "" // closes it without a response
			expect("/first", reply(200, "/first"))
			expect("/second", reply(200, "/second"))
			for _, path := range []string{"/first", "/second"} {
				if r := <-answers[path]; r.StatusCode != 200 || r.Text != path {
					t.Errorf("%s: %d %q", path, r.StatusCode, r.Text)
				} else if want := f["a"].addr + ", " + f["a"].addr; path == "/first" && r.Header.Get("X-Addr") != want {
					t.Errorf("%s was tried at %s, want %s", path, r.Header.Get("X-Addr"), want)
				}
			}
			if c.second != "" {
				busy.answer <- struct{}{}
				if r := <-answers["/busy"]; r.StatusCode != 200 {
					t.Errorf("/busy: %d", r.StatusCode)
				}
			}
		})
	}
}

// TestOutdatedConnectionsThatAreNotRetried: the place of such a request goes to the next in the queue.
func TestOutdatedConnectionsThatAreNotRetried(t *testing.T) {
	f := fleet{}
	arrived, answer := f.told(t, "a")
	s := f.start(t, `upstream u { zone u 64k; server {a} max_conns=1; queue 5 timeout=1h; }
		server { location / { proxy_pass http://u; } }`)
	do := func(method, path string) chan webtest.Response {
		done, client := make(chan webtest.Response, 1), s.Client()
		go func() { done <- client.Do(method + " " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n") }()
		return done
	}
	warm := do("GET", "/warm")
	webtest.Receive(t, arrived)
	answer <- reply(200, "warm")
	<-warm
	posted := do("POST", "/posted")
	webtest.Receive(t, arrived)
	waits := do("GET", "/waits")
	queueSize(t, s, 1)
	answer <- ""
	if r := <-posted; r.StatusCode != 502 {
		t.Errorf("a POST whose connection was closed: %d", r.StatusCode)
	}
	if got := webtest.Receive(t, arrived); got != "/waits" {
		t.Errorf("%s came to the server", got)
	}
	answer <- reply(200, "waits")
	if r := <-waits; r.StatusCode != 200 {
		t.Errorf("the next in the queue: %d", r.StatusCode)
	}
}
