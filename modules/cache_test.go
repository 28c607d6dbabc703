package modules_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"starling/admin"
	"starling/lib/testkit"
	"starling/modules/web/sub"
	"starling/web/webtest"
)

// origin is a server that counts its requests; answer can change while it runs.
type origin struct {
	*httptest.Server
	asked  atomic.Int32
	mu     sync.Mutex
	answer http.HandlerFunc
}

func newOrigin(t testing.TB, answer http.HandlerFunc) *origin {
	o := &origin{answer: answer}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.asked.Add(1)
		o.mu.Lock()
		do := o.answer
		o.mu.Unlock()
		do(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

func (o *origin) answers(answer http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer = answer
}

// cached starts a server with a cache in front of the origin; conf are more directives of the location.
func (o *origin) cached(t testing.TB, conf string, options ...webtest.Option) *webtest.Server {
	t.Helper()
	return webtest.Start(t, families, `keepalive_requests 1000000; proxy_cache_path cache levels=1:2 keys_zone=one:1m; server { location / {
		proxy_pass `+o.URL+`; proxy_cache one; add_header X-Cache $upstream_cache_status always; `+conf+` } }`, options...)
}

// originSays is an answer with headers in pairs.
func originSays(body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status := 200
		for i := 0; i+1 < len(headers); i += 2 {
			if headers[i] == "Status" {
				fmt.Sscan(headers[i+1], &status)
			} else {
				w.Header().Add(headers[i], headers[i+1])
			}
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// cacheStep is a request and what is expected of its response: the status of the cache, the status, the end of the body.
func cacheStep(t testing.TB, c *webtest.Client, request, cache, status, body string) webtest.Response {
	t.Helper()
	r := c.Do(strings.ReplaceAll(request, "|", "\r\n") + "\r\nHost: a\r\n\r\n")
	if got := r.Header.Get("X-Cache"); got != cache || r.Status[:3] != status || r.Text != body {
		t.Errorf("%s: %s %s %.80q, want %s %s %.80q", request, got, r.Status, r.Text, cache, status, body)
	}
	return r
}

const fresh = "max-age=100"

// What is answered from the cache, by the status, the method and the headers of both sides.
func TestCacheStores(t *testing.T) {
	for _, test := range []struct {
		name, conf string
		answer     http.HandlerFunc
		request    string
		stored     bool
	}{
		{"Cache-Control", ``, originSays("a", "Cache-Control", fresh), "GET / HTTP/1.1", true},
		{"nothing", ``, originSays("a"), "GET / HTTP/1.1", false},
		{"proxy_cache_valid", `proxy_cache_valid 1m;`, originSays("a"), "GET / HTTP/1.1", true},
		{"another status", `proxy_cache_valid 1m;`, originSays("a", "Status", "404"), "GET / HTTP/1.1", false},
		{"a status by name", `proxy_cache_valid 200 404 1m;`, originSays("a", "Status", "404"), "GET / HTTP/1.1", true},
		{"any", `proxy_cache_valid 200 0; proxy_cache_valid any 1m;`, originSays("a", "Status", "503"), "GET / HTTP/1.1", true},
		{"Set-Cookie", ``, originSays("a", "Cache-Control", fresh, "Set-Cookie", "a=b"), "GET / HTTP/1.1", false},
		{"an ignored Set-Cookie", `proxy_ignore_headers Set-Cookie;`, originSays("a", "Cache-Control", fresh, "Set-Cookie", "a=b"), "GET / HTTP/1.1", true},
		{"ignored Cache-Control", `proxy_ignore_headers Cache-Control;`, originSays("a", "Cache-Control", fresh), "GET / HTTP/1.1", false},
		{"POST", ``, originSays("a", "Cache-Control", fresh), "POST / HTTP/1.1|Content-Length: 0", false},
		{"POST with proxy_cache_methods", `proxy_cache_methods POST;`, originSays("a", "Cache-Control", fresh), "POST / HTTP/1.1|Content-Length: 0", true},
		{"HEAD", ``, originSays("a", "Cache-Control", fresh), "HEAD / HTTP/1.1", true},
		{"proxy_no_cache", `proxy_no_cache $arg_a $arg_b;`, originSays("a", "Cache-Control", fresh), "GET /?b=1 HTTP/1.1", false},
		{"proxy_no_cache 0", `proxy_no_cache $arg_a $arg_b;`, originSays("a", "Cache-Control", fresh), "GET /?b=0 HTTP/1.1", true},
		{"no buffering", `proxy_buffering off;`, originSays("a", "Cache-Control", fresh), "GET / HTTP/1.1", false},
		{"X-Accel-Buffering", ``, originSays("a", "Cache-Control", fresh, "X-Accel-Buffering", "no"), "GET / HTTP/1.1", false},
		{"a range", ``, originSays("a", "Cache-Control", fresh), "GET / HTTP/1.1|Range: bytes=0-0", true},
		{"a range beyond", `proxy_cache_max_range_offset 5;`, originSays("a", "Cache-Control", fresh), "GET / HTTP/1.1|Range: bytes=5-", false},
		{"a range before", `proxy_cache_max_range_offset 5;`, originSays("a", "Cache-Control", fresh), "GET / HTTP/1.1|Range: bytes=4-", true},
		{"off", `proxy_cache off;`, originSays("a", "Cache-Control", fresh), "GET / HTTP/1.1", false},
		{"off by a variable", `proxy_cache $arg_c;`, originSays("a", "Cache-Control", fresh), "GET /?c=off HTTP/1.1", false},
		{"by a variable", `proxy_cache $arg_c;`, originSays("a", "Cache-Control", fresh), "GET /?c=one HTTP/1.1", true},
		{"an intercepted error", `proxy_intercept_errors on; error_page 404 = @x; proxy_cache_valid 404 1m;`, originSays("a", "Status", "404"), "GET / HTTP/1.1", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := newOrigin(t, test.answer)
			s := webtest.Start(t, families, `proxy_cache_path cache keys_zone=one:1m; server { proxy_cache one; location / { proxy_pass `+o.URL+`; `+test.conf+` }
				location @x { return 200 x; } }`)
			c := s.LoopbackClient()
			for range 3 {
				c.Do(strings.ReplaceAll(test.request, "|", "\r\n") + "\r\nHost: a\r\n\r\n")
			}
			want := int32(3)
			if test.stored {
				want = 1
			}
			if n := o.asked.Load(); n != want {
				t.Errorf("the server was asked %d times, want %d", n, want)
			}
		})
	}
}

// The server is asked for all of a response, and the client gets what it asked for.
func TestCacheAnswers(t *testing.T) {
	var head atomic.Value
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		head.Store(r.Method + r.Header.Get("Range") + r.Header.Get("If-None-Match") + r.Header.Get("If-Modified-Since"))
		originSays("0123456789", "Cache-Control", fresh, "ETag", `"e"`, "Last-Modified", "Sun, 22 Nov 2026 10:20:30 GMT", "Accept-Ranges", "bytes", "Content-Type", "text/x")(w, r)
	})
	for _, first := range []string{"GET / HTTP/1.1", "HEAD / HTTP/1.1", "GET / HTTP/1.1|Range: bytes=2-3", `GET / HTTP/1.1|If-None-Match: "e"`} {
		s := o.cached(t, ``)
		c := s.LoopbackClient()
		c.Do(strings.ReplaceAll(first, "|", "\r\n") + "\r\nHost: a\r\n\r\n")
		if got := head.Load(); got != "GET" {
			t.Errorf("%s: the server got %s", first, got)
		}
		for range 2 {
			r := cacheStep(t, c, "GET / HTTP/1.1", "HIT", "200", "0123456789")
			if r.Header.Get("Content-Type") != "text/x" || r.Header.Get("ETag") != `"e"` || r.Header.Get("Accept-Ranges") != "bytes" {
				t.Errorf("%v", r.Header)
			}
			cacheStep(t, c, "HEAD / HTTP/1.1", "HIT", "200", "")
			cacheStep(t, c, "GET / HTTP/1.1|Range: bytes=2-3", "HIT", "206", "23")
			if r := c.Do("GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=10-\r\n\r\n"); r.StatusCode != 416 || r.Header.Get("Content-Range") != "bytes */10" {
				t.Errorf("a range beyond the end: %s", r.Status)
			}
			cacheStep(t, c, `GET / HTTP/1.1|If-None-Match: W/"e"`, "HIT", "304", "")
			cacheStep(t, c, "GET / HTTP/1.1|If-Modified-Since: Sun, 22 Nov 2026 10:20:30 GMT", "HIT", "304", "")
			if r := c.Do("GET / HTTP/1.1\r\nHost: a\r\nIf-Match: \"x\"\r\n\r\n"); r.StatusCode != 412 {
				t.Errorf("If-Match: %s", r.Status)
			}
			if r := c.Do("GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0,9-\r\n\r\n"); r.StatusCode != 206 ||
				!strings.Contains(r.Text, "bytes 9-9/10\r\n\r\n9\r\n--") {
				t.Errorf("two ranges: %s %s", r.Status, r.Text)
			}
		}
	}
	if n := o.asked.Load(); n != 4 {
		t.Errorf("the server was asked %d times", n)
	}
}

// A large stored response reaches the client whole, through a socket (sendfile), TLS-like pipes, filters and in part.
func TestCacheLarge(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 20_000)
	o := newOrigin(t, originSays(body, "Cache-Control", fresh, "Accept-Ranges", "bytes", "Content-Type", "text/plain"))
	s := webtest.Start(t, append(slices.Clone(families), &sub.Module), `proxy_cache_path cache keys_zone=one:1m; server { location / {
		proxy_pass `+o.URL+`; proxy_cache one; add_header X-Cache $upstream_cache_status; limit_rate $arg_rate; }
		location /sub { proxy_pass `+o.URL+`; proxy_cache one; add_header X-Cache $upstream_cache_status; sub_filter 012 x; sub_filter_types *; } }`)
	socket, pipe := s.LoopbackClient(), s.Client()
	cacheStep(t, socket, "GET / HTTP/1.1", "MISS", "200", body)
	for _, c := range []*webtest.Client{socket, pipe} {
		cacheStep(t, c, "GET / HTTP/1.1", "HIT", "200", body)
		cacheStep(t, c, "GET / HTTP/1.1|Range: bytes=100000-299999", "HIT", "206", body[100000:300000])
		cacheStep(t, c, "HEAD / HTTP/1.1", "HIT", "200", "")
	}
	cacheStep(t, socket, "GET /?rate=100m HTTP/1.1", "MISS", "200", body)
	cacheStep(t, socket, "GET /?rate=100m HTTP/1.1", "HIT", "200", body)
	cacheStep(t, socket, "GET /sub HTTP/1.1", "MISS", "200", "x"+body[3:])
	cacheStep(t, socket, "GET /sub HTTP/1.1", "HIT", "200", "x"+body[3:])
}

// A response whose head allows to store it was asked for as a whole. Its ranges and conditions are answered here, also
// if it is not kept, because nothing says for how long, as in nginx.
func TestCacheOfWhatIsNotKept(t *testing.T) {
	for _, c := range []struct {
		name, control, status, request, want string
	}{
		{"no freshness", "", "200", "Range: bytes=2-3", "206 bytes 2-3/10 - gzip 23"},
		{"several ranges of a body that passes once", "", "200", "Range: bytes=2-3,5-6", "200  bytes gzip 0123456789"},
		{"not to be stored", "no-store", "200", "Range: bytes=2-3", "200  bytes gzip 0123456789"},
		{"an error", "", "500", "Range: bytes=2-3", "500  - gzip 0123456789"},
		{"a condition", "", "200", `If-None-Match: "e"`, "304  - - "},
		{"a condition of what is not to be stored", "no-store", "200", `If-None-Match: "e"`, "200  bytes gzip 0123456789"},
	} {
		t.Run(c.name, func(t *testing.T) {
			headers := []string{"Status", c.status, "ETag", `"e"`, "Accept-Ranges", "bytes", "Content-Encoding", "gzip"}
			if c.control != "" {
				headers = append(headers, "Cache-Control", c.control)
			}
			s := newOrigin(t, originSays("0123456789", headers...)).cached(t, "")
			for range 2 {
				r := s.LoopbackClient().Do("GET / HTTP/1.1\r\nHost: a\r\n" + c.request + "\r\n\r\n")
				got := fmt.Sprintf("%s %s %s %s %s", r.Status[:3], r.Header.Get("Content-Range"),
					cmp.Or(r.Header.Get("Accept-Ranges"), "-"), cmp.Or(r.Header.Get("Content-Encoding"), "-"), r.Text)
				if got != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
			}
		})
	}
}

// A stale response is used as the configuration and the server allow.
func TestCacheStale(t *testing.T) {
	broken := func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }
	busy := originSays("busy", "Status", "503")
	for _, test := range []struct {
		name, conf, control string
		then                http.HandlerFunc
		cache, status, body string
	}{
		{"not allowed", ``, "", busy, "EXPIRED", "503", "busy"},
		{"http_503", `proxy_cache_use_stale http_503;`, "", busy, "STALE", "200", "old"},
		{"another condition", `proxy_cache_use_stale http_502;`, "", busy, "EXPIRED", "503", "busy"},
		{"error", `proxy_cache_use_stale error;`, "", broken, "STALE", "200", "old"},
		{"off again", `proxy_cache_use_stale error off;`, "", broken, "EXPIRED", "502", ""},
		{"stale-if-error", ``, ", stale-if-error=1000", broken, "STALE", "200", "old"},
		{"stale-if-error over", ``, ", stale-if-error=1", broken, "EXPIRED", "502", ""},
		{"revalidated", `proxy_cache_revalidate on;`, "", originSays("", "Status", "304", "Cache-Control", fresh), "REVALIDATED", "200", "old"},
		{"not revalidated", ``, "", originSays("", "Status", "304"), "EXPIRED", "304", ""},
		{"updating, in the foreground", `proxy_cache_use_stale updating;`, "", originSays("new", "Cache-Control", fresh), "EXPIRED", "200", "new"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := newOrigin(t, originSays("old", "Cache-Control", "max-age=1"+test.control, "ETag", `"e"`))
			s := o.cached(t, test.conf)
			c := s.LoopbackClient()
			cacheStep(t, c, "GET / HTTP/1.1", "MISS", "200", "old")
			pass(s, 5*time.Second)
			o.answers(test.then)
			r := c.Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if got := r.Header.Get("X-Cache"); got != test.cache || r.Status[:3] != test.status || test.body != "" && r.Text != test.body {
				t.Errorf("%s %s %q, want %s %s %q", got, r.Status, r.Text, test.cache, test.status, test.body)
			}
		})
	}
}

// pass lets the wall clock of a server go on by d.
func pass(s *webtest.Server, d time.Duration) {
	now := s.Plan.Clock.Now()
	s.Plan.Clock.Follow(now.WallMS - now.MonoMS + d.Milliseconds())
}

// With background updates, a stale response is sent at once and updated meanwhile.
func TestCacheBackgroundUpdate(t *testing.T) {
	for _, how := range []string{"proxy_cache_use_stale updating;", "# stale-while-revalidate\n"} {
		proceed := make(chan bool)
		o := newOrigin(t, originSays("old", "Cache-Control", "max-age=1, stale-while-revalidate=100"))
		s := o.cached(t, how+` proxy_cache_background_update on;`)
		first, second := s.LoopbackClient(), s.LoopbackClient()
		cacheStep(t, first, "GET / HTTP/1.1", "MISS", "200", "old")
		pass(s, 5*time.Second)
		o.answers(func(w http.ResponseWriter, r *http.Request) {
			<-proceed
			originSays("new", "Cache-Control", fresh)(w, r)
		})
		cacheStep(t, first, "GET / HTTP/1.1", "STALE", "200", "old")
		cacheStep(t, second, "GET / HTTP/1.1", "UPDATING", "200", "old")
		proceed <- true
		cacheStep(t, first, "GET / HTTP/1.1", "HIT", "200", "new") // it waits for the update that it began
		if n := o.asked.Load(); n != 2 {
			t.Errorf("the server was asked %d times", n)
		}
	}
}

// With proxy_cache_lock, many clients cause one request to the server.
func TestCacheLock(t *testing.T) {
	const clients = 1000
	proceed := make(chan bool)
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		<-proceed
		originSays("a", "Cache-Control", fresh)(w, r)
	})
	s := o.cached(t, `proxy_cache_lock on; proxy_cache_lock_timeout 1m; proxy_cache_lock_age 1m;`)
	var all sync.WaitGroup
	var hits, misses atomic.Int32
	begun := make(chan bool, clients)
	for range clients {
		all.Go(func() {
			c := s.LoopbackClient()
			begun <- true
			switch r := c.Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); r.Header.Get("X-Cache") + r.Text {
			case "MISSa":
				misses.Add(1)
			case "HITa":
				hits.Add(1)
			}
		})
	}
	for range clients {
		<-begun
	}
	proceed <- true
	close(proceed)
	all.Wait()
	if o.asked.Load() != 1 || misses.Load() != 1 || hits.Load() != clients-1 {
		t.Errorf("the server was asked %d times; %d misses, %d hits", o.asked.Load(), misses.Load(), hits.Load())
	}
}

// A purge removes a key, or all that begin with it; nothing else.
func TestCachePurge(t *testing.T) {
	o := newOrigin(t, originSays("a", "Cache-Control", fresh))
	s := o.cached(t, `proxy_cache_key $uri; proxy_cache_purge $http_x_purge;`)
	c := s.LoopbackClient()
	fill := func(status string, paths ...string) {
		t.Helper()
		for _, path := range paths {
			cacheStep(t, c, "GET "+path+" HTTP/1.1", status, "200", "a")
		}
	}
	purge := func(path, want string) {
		t.Helper()
		if r := c.Do("PURGE " + path + " HTTP/1.1\r\nHost: a\r\nX-Purge: 1\r\n\r\n"); r.Status[:3] != want {
			t.Errorf("purge of %s: %s, want %s", path, r.Status, want)
		}
	}
	fill("MISS", "/a/1", "/a/2", "/b")
	fill("HIT", "/a/1", "/a/2", "/b")
	purge("/a/1", "204")
	purge("/a/1", "404")
	fill("MISS", "/a/1")
	fill("HIT", "/a/1", "/a/2", "/b")
	purge("/a/*", "204")
	fill("MISS", "/a/1", "/a/2")
	fill("HIT", "/a/1", "/a/2", "/b")
	purge("/*", "204")
	fill("MISS", "/b")
}

// A client that leaves does not keep a response from being stored.
func TestCacheClientLeaves(t *testing.T) {
	body := strings.Repeat("x", 1<<20)
	arrived, proceed := make(chan bool), make(chan bool)
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- true
		<-proceed
		originSays(body, "Cache-Control", fresh)(w, r)
	})
	s := o.cached(t, ``)
	conn := s.DialLoopback()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-arrived
	conn.Close()
	proceed <- true
	o.answers(originSays("too late", "Cache-Control", "no-store"))
	testkit.Eventually(t, webtest.Patience, func() error {
		if r := s.LoopbackClient().Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); r.Header.Get("X-Cache") != "HIT" || r.Text != body {
			return fmt.Errorf("%s, %d bytes", r.Header.Get("X-Cache"), len(r.Text))
		}
		return nil
	})
}

// A response that its server does not complete is not stored, however much of it came.
func TestCacheIncomplete(t *testing.T) {
	for _, sent := range []int{5, 200_000} {
		o := newOrigin(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", fresh)
			w.Header().Set("Content-Length", "400000")
			io.WriteString(w, strings.Repeat("x", sent))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})
		s := o.cached(t, ``)
		for range 2 {
			if got := s.Get("/"); !strings.Contains(got, "X-Cache: MISS") {
				t.Errorf("%.200s", got)
			}
		}
		if n := o.asked.Load(); n != 2 {
			t.Errorf("%d bytes: the server was asked %d times", sent, n)
		}
	}
}

// A reload keeps what is stored, and refuses another folder or other levels for the same zone.
func TestCacheReload(t *testing.T) {
	o := newOrigin(t, originSays("a", "Cache-Control", fresh))
	dir := t.TempDir()
	first := o.cached(t, ``, webtest.Prefix(dir))
	cacheStep(t, first.LoopbackClient(), "GET / HTTP/1.1", "MISS", "200", "a")
	second := o.cached(t, ``, webtest.Prefix(dir), webtest.After(first))
	cacheStep(t, second.LoopbackClient(), "GET / HTTP/1.1", "HIT", "200", "a")
	for text, want := range map[string]string{
		"/elsewhere levels=1:2": `cache "one" uses the "/elsewhere" cache path while previously it used the "` + dir + `/cache" cache path in /test.conf:1`,
		dir + "/cache":          `cache "one" had previously different levels in /test.conf:1`,
	} {
		_, err := webtest.Load(t, families, `proxy_cache_path `+text+` keys_zone=one:1m; server { }`, webtest.Prefix(dir), webtest.After(second))
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	third := o.cached(t, ``, webtest.Prefix(dir)) // like a restart
	cacheStep(t, third.LoopbackClient(), "GET / HTTP/1.1", "HIT", "200", "a")
}

// Mistakes in the configuration are refused with nginx's words.
func TestCacheConfigurationErrors(t *testing.T) {
	for text, want := range map[string]string{
		`proxy_cache_path /c;`:                                                             `"proxy_cache_path" must have "keys_zone" parameter`,
		`proxy_cache_path /c levels=1:2;`:                                                  `"proxy_cache_path" must have "keys_zone" parameter`,
		`proxy_cache_path /c keys_zone=a;`:                                                 `invalid keys zone size "keys_zone=a"`,
		`proxy_cache_path /c keys_zone=a:x;`:                                               `invalid keys zone size "keys_zone=a:x"`,
		`proxy_cache_path /c keys_zone=a:4k;`:                                              `keys zone "keys_zone=a:4k" is too small`,
		`proxy_cache_path /c keys_zone=a:1m levels=1:3;`:                                   `invalid "levels" "levels=1:3"`,
		`proxy_cache_path /c keys_zone=a:1m levels=1:1:1:1;`:                               `invalid "levels" "levels=1:1:1:1"`,
		`proxy_cache_path /c keys_zone=a:1m inactive=x;`:                                   `invalid inactive value "inactive=x"`,
		`proxy_cache_path /c keys_zone=a:1m max_size=x;`:                                   `invalid max_size value "max_size=x"`,
		`proxy_cache_path /c keys_zone=a:1m min_free=x;`:                                   `invalid min_free value "min_free=x"`,
		`proxy_cache_path /c keys_zone=a:1m use_temp_path=x;`:                              `invalid use_temp_path value "use_temp_path=x", it must be "on" or "off"`,
		`proxy_cache_path /c keys_zone=a:1m loader_files=x;`:                               `invalid loader_files value "loader_files=x"`,
		`proxy_cache_path /c keys_zone=a:1m manager_sleep=x;`:                              `invalid manager_sleep value "manager_sleep=x"`,
		`proxy_cache_path /c keys_zone=a:1m manager_threshold=x;`:                          `invalid manager_threshold value "manager_threshold=x"`,
		`proxy_cache_path /c keys_zone=a:1m nonsense=x;`:                                   `invalid parameter "nonsense=x"`,
		`proxy_cache_path /c keys_zone=a:1m; proxy_cache_path /d keys_zone=a:1m;`:          `duplicate zone "a"`,
		`proxy_cache_path /c keys_zone=a:1m; proxy_cache_path /c keys_zone=b:1m;`:          `the same path name "/c" used in /test.conf:1 and`,
		`upstream u { zone a 64k; server 127.0.0.1; } proxy_cache_path /c keys_zone=a:1m;`: `the shared memory zone "a" is already declared for a different use`,
		`proxy_cache a;`:                                                `"proxy_cache" zone "a" is unknown`,
		`proxy_cache a; proxy_cache b;`:                                 `"proxy_cache" directive is duplicate`,
		`proxy_cache_valid x;`:                                          `invalid time value "x"`,
		`proxy_cache_valid 99 1m;`:                                      `invalid status "99"`,
		`proxy_cache_valid all 1m;`:                                     `invalid status "all"`,
		`proxy_cache_use_stale http_418;`:                               `invalid value "http_418"`,
		`proxy_cache_methods PUT;`:                                      `invalid value "PUT"`,
		`proxy_cache_lock maybe;`:                                       `invalid value "maybe" in "proxy_cache_lock" directive, it must be "on" or "off"`,
		`proxy_cache_min_uses x;`:                                       `"proxy_cache_min_uses" directive invalid number`,
		`proxy_cache_bypass $nosuch;`:                                   `unknown "nosuch" variable`,
		`proxy_cache_path // keys_zone=a:1m;`:                           `the root folder cannot be the folder of a cache`,
		`proxy_cache_purge PURGE from all;`:                             `"proxy_cache_purge" has the words of module ngx_cache_purge`,
		`proxy_cache_purge a $uri; proxy_cache_path /c keys_zone=a:1m;`: `"proxy_cache_purge" has the words of module ngx_cache_purge`,
		`server { proxy_cache_path /c keys_zone=a:1m; }`:                `"proxy_cache_path" directive is not allowed here`,
	} {
		_, err := webtest.Load(t, families, text)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// The API counts what a cache answers by its status; DELETE sets the figures to zero.
func TestCacheFigures(t *testing.T) {
	o := newOrigin(t, originSays("0123456789", "Cache-Control", fresh))
	s := o.cached(t, `proxy_cache_bypass $arg_bypass; proxy_cache_key k;`)
	c := s.LoopbackClient()
	cacheStep(t, c, "GET / HTTP/1.1", "MISS", "200", "0123456789")
	cacheStep(t, c, "GET / HTTP/1.1", "HIT", "200", "0123456789")
	cacheStep(t, c, "GET / HTTP/1.1", "HIT", "200", "0123456789")
	cacheStep(t, c, "GET /?bypass=1 HTTP/1.1", "BYPASS", "200", "0123456789")
	r := s.Resource("http/caches")
	figures := func() string {
		answer := r.Handle(&admin.Call{Method: "GET", Version: 9, Tail: []string{"one"}})
		text, err := json.Marshal(answer.Body)
		if err != nil || answer.Err != nil {
			t.Fatal(err, answer.Err)
		}
		_, after, _ := strings.Cut(string(text), `"hit"`)
		return after
	}
	const none, zero = `{"responses":0,"bytes":0}`, `{"responses":0,"bytes":0,"responses_written":0,"bytes_written":0}`
	const one = `{"responses":1,"bytes":10,"responses_written":1,"bytes_written":10}`
	if got, want := figures(), `:{"responses":2,"bytes":20},"stale":`+none+`,"updating":`+none+`,"revalidated":`+none+
		`,"miss":`+one+`,"expired":`+zero+`,"bypass":`+one+`}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if answer := r.Handle(&admin.Call{Method: "DELETE", Version: 9, Tail: []string{"one"}}); answer.Status != 204 {
		t.Errorf("DELETE: %+v", answer)
	}
	if got := figures(); strings.Contains(got, "1") || strings.Contains(got, "2") {
		t.Errorf("after the reset: %s", got)
	}
}
