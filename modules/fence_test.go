package modules_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"starling/cluster/strict"
	"starling/lib/clock"
	"starling/lib/testkit"
	"starling/modules/web/authrequest"
	"starling/modules/web/grpc"
	"starling/modules/web/limitconn"
	"starling/modules/web/mirror"
	"starling/modules/web/slice"
	"starling/plan"
	"starling/web"
	"starling/web/webtest"
)

var fenceFamilies = append([]*web.Module{&limitconn.Module, &mirror.Module, &authrequest.Module, &grpc.Module, &slice.Module}, families...)

// stubborn is a server that never finishes what it is asked for below /hang, and reports when a connection with such a
// request was closed by the other side.
type stubborn struct {
	*webtest.Backend
	arrived, closed chan string
	mu              sync.Mutex
	conns           []net.Conn
	gone            bool
}

// accept keeps a connection for quit; false after that.
func (b *stubborn) accept(c net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns = append(b.conns, c)
	return !b.gone
}

// quit closes all its connections, so that what the test has left there ends, and answers nothing any more.
func (b *stubborn) quit() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone = true
	for _, c := range b.conns {
		c.Close()
	}
}

// answers are what it sends before it hangs, or as a whole.
var stubbornAnswers = map[string]string{
	"/hang/head":    "",
	"/hang/part":    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nCache-Control: max-age=60\r\n\r\npart",
	"/hang/to-end":  "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\npart",
	"/hang/upgrade": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nhello",
	"/hang/no":      "HTTP/1.1 503 No\r\nContent-Length: 100000\r\n\r\nno",
	"/ok":           "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
}

func newStubborn(t *testing.T, sealed bool) *stubborn {
	b := &stubborn{arrived: make(chan string, 100), closed: make(chan string, 100)}
	var updates atomic.Int32
	script := func(p *webtest.Peer) {
		if !b.accept(p.Conn) {
			return
		}
		if begin, _ := p.R.Peek(3); string(begin) == "PRI" {
			b.serveHTTP2(p)
			return
		}
		for {
			line, _, _ := strings.Cut(p.Head(), "\r\n")
			words := strings.Fields(line)
			if len(words) < 2 {
				return
			}
			path := words[1]
			b.arrived <- path
			if path == "/update" && updates.Add(1) == 1 {
				p.Say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: max-age=1\r\n\r\nok")
				return
			}
			p.Say(stubbornAnswers[path])
			if path != "/ok" {
				b.awaitEnd(p.R, path)
				return
			}
		}
	}
	if sealed {
		b.Backend, _ = webtest.ServeTLS(t, "origin", script)
	} else {
		b.Backend = webtest.Serve(t, script)
	}
	return b
}

// awaitEnd reports that the other side has closed the connection.
func (b *stubborn) awaitEnd(r io.Reader, path string) {
	if _, err := io.Copy(io.Discard, r); err == nil || !os.IsTimeout(err) {
		b.closed <- path
	}
}

// serveHTTP2 answers no request.
func (b *stubborn) serveHTTP2(p *webtest.Peer) {
	io.ReadFull(p.R, make([]byte, len(http2.ClientPreface)))
	f := http2.NewFramer(p.Conn, p.R)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.WriteSettings()
	path := ""
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			if !os.IsTimeout(err) {
				b.closed <- path
			}
			return
		}
		if h, ok := frame.(*http2.MetaHeadersFrame); ok {
			path = h.PseudoValue("path")
			b.arrived <- path
		}
	}
}

// decideAlone makes the strict zone of a server decide: it is the only member of its cluster.
func decideAlone(t *testing.T, p *plan.Plan) *strict.Gate {
	t.Helper()
	for _, z := range p.Zones.All() {
		strictly, ok := z.Value.(interface{ Gate() *strict.Gate })
		if !ok || strictly.Gate() == nil {
			continue
		}
		gate, nowUS := strictly.Gate(), clock.SteadyUS()
		limit, keys := gate.ConnLimit()
		config := strict.Config{IDs: []uint64{1}, Incarnation: 1, Slots: limit, LeaseUS: 3_600_000_000, KeysMost: keys}
		gate.Open(strict.New(config, nowUS), []string{"this:9000"}, func(strict.Envelope) {}, func() {})
		gate.Install(strict.View{Number: 1, Members: []strict.Member{{Incarnation: 1, Birth: 1}}, Founding: true}, nowUS)
		gate.Tick(nowUS + 1)
		return gate
	}
	t.Fatal("there is no strict zone")
	return nil
}

// counted waits until a gate counts so many connections.
func counted(t *testing.T, gate *strict.Gate, want int64) {
	t.Helper()
	testkit.Eventually(t, webtest.Patience, func() error {
		open := int64(0)
		for _, k := range gate.ShownConns(10) {
			open += k.Open
		}
		if open != want {
			return fmt.Errorf("%d connections are counted, want %d", open, want)
		}
		return nil
	})
}

// fall makes the fence fall around all that a gate counts.
func fall(t *testing.T, gate *strict.Gate, want int) {
	t.Helper()
	ends := gate.EndAll()
	if len(ends) != want {
		t.Fatalf("%d connections would be ended, want %d", len(ends), want)
	}
	for _, end := range ends {
		end()
	}
}

// fenced is a request that goes on without its client. A fence must end it.
type fenced struct {
	name   string
	conf   string // of the server; the counted requests are below /c
	ask    string // the path, or a whole head with body
	sealed bool   // the origin speaks TLS
	http2  bool   // so does the client
	// before is asked before, and stays at the origin.
	before string
	// again asks until something arrives at the origin that hangs.
	again bool
	at    []string // what arrives at the origin
	ends  []string // which of that the origin sees end
	files int      // that the cache has at last
}

const goesOn = `proxy_ignore_client_abort on; `

// TestAFenceEndsTheWorkOfServers: when a node must end what a strict zone counts, no server goes on with it, and it
// leaves its place. Nothing of it begins afterwards.
func TestAFenceEndsTheWorkOfServers(t *testing.T) {
	hang := []string{"/hang/head"}
	upgrade := "GET /c HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	upload := "POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome"
	for _, x := range []fenced{
		{name: "before the head", conf: goesOn + `location /c { proxy_pass ORIGIN/hang/head; }`, at: hang, ends: hang},
		{name: "client of HTTP/2", http2: true, conf: goesOn + `location /c { proxy_pass ORIGIN/hang/head; }`, at: hang, ends: hang},
		{name: "within the body", conf: goesOn + `location /c { proxy_pass ORIGIN/hang/part; }`,
			at: []string{"/hang/part"}, ends: []string{"/hang/part"}},
		{name: "to the end of the connection", conf: goesOn + `location /c { proxy_pass ORIGIN/hang/to-end; }`,
			at: []string{"/hang/to-end"}, ends: []string{"/hang/to-end"}},
		{name: "without proxy_ignore_client_abort", conf: `location /c { proxy_pass ORIGIN/hang/head; }`, at: hang, ends: hang},
		{name: "TLS", sealed: true, conf: goesOn + `location /c { proxy_pass ORIGIN/hang/head; }`, at: hang, ends: hang},
		{name: "TLS within the body", sealed: true, conf: goesOn + `location /c { proxy_pass ORIGIN/hang/to-end; }`,
			at: []string{"/hang/to-end"}, ends: []string{"/hang/to-end"}},
		{name: "HTTP/2", conf: goesOn + `location /c { proxy_pass ORIGIN/hang/head; proxy_http_version 2; }`, at: hang, ends: hang},
		{name: "HTTP/2 with TLS", sealed: true, conf: goesOn + `location /c { proxy_pass ORIGIN/hang/head; proxy_http_version 2; }`,
			at: hang, ends: hang},
		{name: "gRPC", conf: `location /c { grpc_pass ADDRESS; }`, at: []string{"/c"}, ends: []string{"/c"}},
		{name: "a WebSocket", conf: `location /c { proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
			proxy_pass ORIGIN/hang/upgrade; }`, ask: upgrade, at: []string{"/hang/upgrade"}, ends: []string{"/hang/upgrade"}},
		{name: "a body that is read", conf: goesOn + `location /c { proxy_request_buffering off; client_max_body_size 0;
			proxy_pass ORIGIN/hang/head; }`, ask: upload, at: hang, ends: hang},
		{name: "a body that is collected", conf: goesOn + `location /c { client_max_body_size 0; proxy_pass ORIGIN/hang/head; }`,
			ask: upload},
		{name: "a large answer behind an error page", conf: `location /c { proxy_pass ORIGIN/hang/no; proxy_intercept_errors on;
			error_page 503 /c-other; proxy_set_header Connection ""; proxy_http_version 1.1; }
			location /c-other { internal; ` + goesOn + `proxy_pass ORIGIN/hang/head; }`, at: []string{"/hang/no", "/hang/head"},
			ends: []string{"/hang/no", "/hang/head"}},
		{name: "another server", conf: goesOn + `location /c { proxy_pass http://two/hang/head; proxy_next_upstream error timeout
			http_502 http_504; }`, at: hang, ends: hang},
		{name: "an error page", conf: goesOn + `error_page 502 504 /c-other; location /c { proxy_pass ORIGIN/hang/head; }
			location /c-other { internal; proxy_pass ORIGIN/other; }`, at: hang, ends: hang},
		{name: "auth_request", conf: `location /c { auth_request /auth; proxy_pass ORIGIN/ok; }
			location /auth { ` + goesOn + `proxy_pass ORIGIN/hang/head; }`, at: hang, ends: hang},
		{name: "mirror", conf: `location /c { mirror /copy; proxy_pass ORIGIN/hang/part; ` + goesOn + ` }
			location /copy { proxy_pass ORIGIN/hang/head; }`, at: []string{"/hang/head", "/hang/part"}, ends: []string{"/hang/head", "/hang/part"}},
		{name: "mirror of a request that was answered", conf: `location /c { mirror /copy; proxy_pass ORIGIN/ok; }
			location /copy { proxy_pass ORIGIN/hang/head; }`, at: []string{"/hang/head", "/ok"}, ends: hang},
		{name: "post_action", conf: `location /c { post_action /told; proxy_pass ORIGIN/ok; }
			location /told { proxy_pass ORIGIN/hang/head; }`, at: []string{"/ok", "/hang/head"}, ends: hang},
		{name: "slices", conf: `location /c { slice 1k; proxy_set_header Range $slice_range; proxy_pass ORIGIN/hang/head; ` + goesOn + `}`,
			at: hang, ends: hang},
		{name: "a queue", before: "/busy", conf: goesOn + `location /busy { proxy_pass http://u/hang/part; }
			location /c { proxy_pass http://u/other; }`},
		{name: "a fill of the cache", conf: `location /c { proxy_cache one; proxy_pass ORIGIN/hang/head; }`, at: hang, ends: hang},
		{name: "a fill that has begun", conf: `location /c { proxy_cache one; proxy_pass ORIGIN/hang/to-end; }`,
			at: []string{"/hang/to-end"}, ends: []string{"/hang/to-end"}},
		{name: "proxy_cache_lock", before: "/busy", conf: `proxy_cache one; proxy_cache_key k; proxy_cache_lock on; proxy_cache_lock_timeout 1h;
			proxy_cache_lock_age 1h; location /busy { proxy_pass ORIGIN/hang/part; } location /c { proxy_pass ORIGIN/other; }`},
		{name: "an update in the background", again: true, files: 1, conf: `location /c { proxy_cache one; proxy_cache_key k;
			proxy_cache_background_update on; proxy_cache_use_stale updating; proxy_pass ORIGIN/update; }`,
			at: []string{"/update"}, ends: []string{"/update"}},
		{name: "proxy_store", conf: `location /c { proxy_store stored/file; proxy_pass ORIGIN/hang/part; }`,
			at: []string{"/hang/part"}, ends: []string{"/hang/part"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			x.run(t)
		})
	}
}

// start starts a server before the origin.
func (x *fenced) start(t *testing.T, b *stubborn) *webtest.Server {
	scheme := "http://"
	if x.sealed {
		scheme = "https://"
	}
	return webtest.Start(t, fenceFamilies, strings.NewReplacer("ORIGIN", scheme+b.Addr, "ADDRESS", b.Addr,
		"location /c {", "location /c { limit_conn conns 3;").Replace(`
		limit_conn_zone $host zone=conns:1m sync strict;
		proxy_cache_path cache keys_zone=one:1m;
		upstream u { zone u 64k; server ADDRESS max_conns=1; queue 10 timeout=1h; }
		upstream two { server ADDRESS; server ADDRESS backup; }
		server { http2 on; `+x.conf+` }`))
}

func (x *fenced) run(t *testing.T) {
	b := newStubborn(t, x.sealed)
	s := x.start(t, b)
	gate := decideAlone(t, s.Plan)
	t.Cleanup(b.quit)
	if x.before != "" {
		io.WriteString(s.DialLoopback(), "GET "+x.before+" HTTP/1.1\r\nHost: a\r\n\r\n")
		webtest.Receive(t, b.arrived)
	}
	x.client(t, s, b)
	for range x.at {
		webtest.Receive(t, b.arrived)
	}
	if strings.Contains(x.conf, "//u/") {
		queueSize(t, s, 1)
	}
	counted(t, gate, 1)
	fall(t, gate, 1)
	for range x.ends {
		webtest.Receive(t, b.closed)
	}
	counted(t, gate, 0)
	if n := len(b.arrived); n > 0 {
		t.Errorf("the origin is asked for %s afterwards", <-b.arrived)
	}
	files := 0
	for _, pattern := range []string{"cache/" + strings.Repeat("[0-9a-f]", 32) + "*", "stored/*"} {
		found, err := filepath.Glob(filepath.Join(s.Plan.Prefix, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files += len(found)
	}
	if files != x.files {
		t.Errorf("%d files are left, want %d", files, x.files)
	}
}

// client sends the request as a client that does not leave.
func (x *fenced) client(t *testing.T, s *webtest.Server, b *stubborn) {
	const get = "GET /c HTTP/1.1\r\nHost: a\r\n\r\n"
	switch {
	case x.again:
		s.LoopbackClient().Do(get)
		webtest.Receive(t, b.arrived)
		testkit.Eventually(t, webtest.Patience, func() error {
			// A connection each: that of the request which starts the update waits for its end.
			if s.LoopbackClient().Do(get); len(b.arrived) == 0 {
				return errors.New("the response is not stale yet")
			}
			return nil
		})
	case x.http2:
		transport := &http.Transport{Protocols: new(http.Protocols)}
		transport.Protocols.SetUnencryptedHTTP2(true)
		conn := s.DialLoopback()
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return conn, nil }
		r, err := http.NewRequest("GET", "http://a/c", nil)
		if err != nil {
			t.Fatal(err)
		}
		go transport.RoundTrip(r)
	default:
		io.WriteString(s.DialLoopback(), cmp.Or(x.ask, get))
	}
}

// TestAFenceLetsOthersFill: those who wait for a response that a fenced request fetches go on as after its failure.
func TestAFenceLetsOthersFill(t *testing.T) {
	b := newStubborn(t, false)
	x := fenced{conf: `proxy_cache one; proxy_cache_key k; proxy_cache_lock on; proxy_cache_lock_timeout 1h; proxy_cache_lock_age 1h;
		location /c { proxy_pass ORIGIN/hang/part; } location /waits { proxy_pass ORIGIN/ok; }`}
	s := x.start(t, b)
	gate := decideAlone(t, s.Plan)
	t.Cleanup(b.quit)
	x.client(t, s, b)
	if got := webtest.Receive(t, b.arrived); got != "/hang/part" {
		t.Fatalf("the origin is asked for %s", got)
	}
	waits := make(chan webtest.Response, 1)
	c := s.LoopbackClient()
	go func() { waits <- c.Do("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n") }()
	fall(t, gate, 1)
	if got := webtest.Receive(t, b.closed); got != "/hang/part" {
		t.Errorf("%s was ended", got)
	}
	if got := webtest.Receive(t, waits); got.Text != "ok" {
		t.Errorf("who waited gets %d %q", got.StatusCode, got.Text)
	}
}

// TestLimitConnCountsWhatGoesOn: as in nginx, a request counts until the last of its work is done, though its client has
// the response. A zone that is strict must not give a place away that a server still serves.
func TestLimitConnCountsWhatGoesOn(t *testing.T) {
	for name, conf := range map[string]string{
		"mirror":      `location /c { mirror /copy; proxy_pass ORIGIN/ok; } location /copy { proxy_pass ORIGIN/hang/head; }`,
		"post_action": `location /c { post_action /told; proxy_pass ORIGIN/ok; } location /told { proxy_pass ORIGIN/hang/head; }`,
	} {
		for _, strictly := range []string{"", " sync strict"} {
			t.Run(name+strictly, func(t *testing.T) {
				t.Parallel()
				b := newStubborn(t, false)
				s := webtest.Start(t, fenceFamilies, `limit_conn_zone $host zone=conns:1m`+strictly+`; server { `+
					strings.NewReplacer("ORIGIN", "http://"+b.Addr, "location /c {", "location /c { limit_conn conns 1;").Replace(conf)+` }`)
				t.Cleanup(b.quit)
				if strictly != "" {
					decideAlone(t, s.Plan)
				}
				c := s.LoopbackClient()
				const get = "GET /c HTTP/1.1\r\nHost: a\r\n\r\n"
				if r := c.Do(get); r.Text != "ok" {
					t.Fatalf("%d %q", r.StatusCode, r.Text)
				}
				webtest.Receive(t, b.arrived)
				webtest.Receive(t, b.arrived)
				if r := s.LoopbackClient().Do(get); r.StatusCode != 503 {
					t.Errorf("the second of one gets %d", r.StatusCode)
				}
				b.quit()
				testkit.Eventually(t, webtest.Patience, func() error {
					if r := s.LoopbackClient().Do(get); r.StatusCode != 502 { // the origin is gone
						return fmt.Errorf("after the end of the first one, the second gets %d", r.StatusCode)
					}
					return nil
				})
			})
		}
	}
}
