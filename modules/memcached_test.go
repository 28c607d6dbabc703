package modules_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"starling/lib/testkit"
	"starling/modules/web/lookup"
	"starling/web/webtest"
)

// memcachedSays is a memcached that says the same to every line.
func memcachedSays(t testing.TB, say string) *webtest.Backend {
	return webtest.Serve(t, func(p *webtest.Peer) {
		for {
			if _, err := p.R.ReadString('\n'); err != nil {
				return
			}
			p.Say(strings.ReplaceAll(say, "|", "\r\n"))
		}
	})
}

// TestMemcachedPieces: the answer may come in pieces of any length.
func TestMemcachedPieces(t *testing.T) {
	const say = "VALUE /a.txt 0 8\r\nSEE-THIS\r\nEND\r\n"
	for cut := 1; cut < len(say); cut++ {
		more := make(chan bool)
		b := webtest.Serve(t, func(p *webtest.Peer) {
			for {
				if _, err := p.R.ReadString('\n'); err != nil {
					return
				}
				p.Say(say[:cut])
				<-more
				p.Say(say[cut:])
			}
		})
		s := webtest.Start(t, families, `upstream u { server `+b.Addr+`; } server { location / { set $memcached_key $uri; memcached_pass u; } }`)
		c := s.LoopbackClient()
		for range 2 { // the second over the same connection
			c.Write("GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n")
			more <- true
			if r := c.Read("GET"); r.StatusCode != 200 || r.Text != "SEE-THIS" {
				t.Errorf("cut at %d: %d %q", cut, r.StatusCode, r.Text)
			}
		}
		if n := b.Accepted.Load(); n != 1 {
			t.Errorf("cut at %d: %d connections", cut, n)
		}
	}
}

// TestMemcachedConnections: which answers leave a connection of use, and that a group of both families keeps them
// apart.
func TestMemcachedConnections(t *testing.T) {
	for _, test := range []struct {
		name, say string
		requests  []string
		want      int32
	}{
		{"values", "VALUE k 0 1|a|END|", []string{"GET /a", "GET /a", "GET /a"}, 1},
		{"nothing found", "END|", []string{"GET /a", "GET /a"}, 1},
		{"a HEAD leaves the value", "VALUE k 0 1|a|END|", []string{"HEAD /a", "GET /a", "GET /a"}, 2},
		{"a HEAD of nothing", "END|", []string{"HEAD /a", "GET /a"}, 1},
		{"a wrong trailer", "VALUE k 0 1|a|XXX|", []string{"GET /a", "GET /a"}, 2},
		{"too much", "END|END|", []string{"GET /a", "GET /a"}, 2},
		{"another family", "VALUE k 0 1|a|END|", []string{"GET /a", "GET /proxy", "GET /a"}, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := memcachedSays(t, test.say)
			s := webtest.Start(t, families, `upstream u { server `+b.Addr+`; keepalive 10; } server { set $memcached_key k;
				location / { memcached_pass u; } location /proxy { proxy_pass http://u; } }`)
			c := s.LoopbackClient()
			for _, request := range test.requests {
				r := c.Do(request + " HTTP/1.1\r\nHost: a\r\n\r\n")
				if strings.HasPrefix(request, "HEAD") && (r.Text != "" || r.StatusCode == 200 && r.ContentLength != 1) {
					t.Errorf("%s: %d %q", request, r.ContentLength, r.Text)
				}
			}
			if n := b.Accepted.Load(); n != test.want {
				t.Errorf("%d connections, want %d", n, test.want)
			}
		})
	}
}

// TestMemcachedNextUpstream: who is asked after a server that fails or has nothing.
func TestMemcachedNextUpstream(t *testing.T) {
	for _, test := range []struct{ first, conf, want string }{
		{"END|", ``, "404 1"},
		{"END|", `memcached_next_upstream not_found;`, "200 2"},
		{"END|", `memcached_next_upstream not_found; memcached_next_upstream_tries 1;`, "404 1"},
		{"ERROR|", ``, "502 1"},
		{"ERROR|", `memcached_next_upstream invalid_response;`, "200 2"},
		{"", ``, "200 2"},
		{"", `memcached_next_upstream off;`, "502 1"},
	} {
		var tries atomic.Int32
		script := func(say string) *webtest.Backend {
			return webtest.Serve(t, func(p *webtest.Peer) {
				p.R.ReadString('\n')
				tries.Add(1)
				p.Say(strings.ReplaceAll(say, "|", "\r\n"))
			})
		}
		first, second := script(test.first), script("VALUE k 0 1|a|END|")
		s := webtest.Start(t, families, `upstream u { server `+first.Addr+` weight=9; server `+second.Addr+`; }
			server { location / { set $memcached_key k; memcached_pass u; `+test.conf+` } }`)
		if got := fmt.Sprint(s.Get("/")[9:12], " ", tries.Load()); got != test.want {
			t.Errorf("%q, then %s: got %s, want %s %v", test.first, test.conf, got, test.want, s.Log.Lines())
		}
	}
}

// TestMemcachedVariables: $upstream_… tell of memcached too, and of both families where an error page came between.
func TestMemcachedVariables(t *testing.T) {
	b := memcachedSays(t, "END|")
	origin := webtest.Answers(t, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
	s := b.Behind(families, `location / { set $memcached_key k; memcached_pass BACKEND; error_page 404 = @origin; add_header X "[$proxy_host]"; }
		location @origin { proxy_pass http://`+origin.Addr+`; add_header X "$upstream_addr $upstream_status $proxy_host"; }
		location /found { set $memcached_key k; memcached_pass `+memcachedSays(t, "VALUE k 0 1|a|END|").Addr+`; add_header X "[$proxy_host] $upstream_status"; }`)
	want := "X: " + b.Addr + " : " + origin.Addr + " 404 : 201 " + origin.Addr + "\r\n"
	if got := s.Get("/"); !strings.Contains(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := s.Get("/found"), "X: [] 200\r\n"; !strings.Contains(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestMemcachedValuesDoNotAllocate: a value over kept connections costs no memory.
func TestMemcachedValuesDoNotAllocate(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	say := []byte("VALUE k 0 5\r\nhello\r\nEND\r\n")
	b := webtest.Serve(t, func(p *webtest.Peer) {
		for {
			if _, err := p.R.ReadSlice('\n'); err != nil {
				return
			}
			if _, err := p.Write(say); err != nil {
				return
			}
		}
	})
	s := webtest.Start(t, append(slices.Clone(families), &lookup.Module), `map $uri $memcached_key { default k; } upstream u { server `+b.Addr+`; }
		server { keepalive_requests 1000000; location / { memcached_pass u; memcached_gzip_flag 1; } }`)
	c := s.DialLoopback()
	request, buf := []byte("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"), make([]byte, 4096)
	get := func() {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		for n := 0; !bytes.HasSuffix(buf[:n], []byte("hello")); {
			got, err := io.ReadAtLeast(c, buf[n:], 1)
			if err != nil {
				t.Fatal(err)
			}
			n += got
		}
	}
	for range 200 { // pools fill
		get()
	}
	const requests = 2000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range requests {
		get()
	}
	runtime.ReadMemStats(&after)
	if perRequest := float64(after.Mallocs-before.Mallocs) / requests; perRequest > 0.1 {
		t.Errorf("%.2f allocations per request", perRequest)
	}
}
