package modules_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"starling/modules/web/static"
	"starling/web/webtest"
)

// The page of 416 has what filters have added to the response whose range it rejects, as in nginx; what they add to the
// page as well is there once.
func TestHeadersOfUnsatisfiableRanges(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := newOrigin(t, originSays("abc", "Cache-Control", fresh, "Accept-Ranges", "bytes", "X-Server", "s", "X-Always", "server"))
	const added = `add_header X-Always $status always; add_header X-Ok o; expires 1h; `
	s := webtest.Start(t, append(slices.Clone(families), &static.Module), `proxy_cache_path cache keys_zone=one:1m; server {
		location /file { `+added+`alias `+dir+`/a; }
		location /cached { `+added+`proxy_cache one; proxy_pass `+o.URL+`; }
		location /forced { `+added+`proxy_force_ranges on; proxy_pass `+o.URL+`; }
		location /other { `+added+`error_page 416 /page; alias `+dir+`/a; }
		location /page { add_header X-Page p always; return 200 page; } }`)
	for _, c := range []struct{ path, want string }{
		{"/file", "bytes */3 always=416 ok=o server= page= max-age=3600"},
		{"/cached", "bytes */3 always=server,416 ok=o server=s page= max-age=3600"},
		{"/cached", "bytes */3 always=server,416 ok=o server=s page= max-age=3600"},
		{"/forced", "bytes */3 always=server,416 ok=o server=s page= max-age=3600"},
		{"/other", "bytes */3 always=200 ok=o server= page=p max-age=3600"},
	} {
		r := s.Client().Do("GET " + c.path + " HTTP/1.1\r\nHost: a\r\nRange: bytes=9-\r\n\r\n")
		h := r.Header
		got := fmt.Sprintf("%s always=%s ok=%s server=%s page=%s %s", h.Get("Content-Range"), strings.Join(h["X-Always"], ","), strings.Join(h["X-Ok"], ","),
			strings.Join(h["X-Server"], ","), strings.Join(h["X-Page"], ","), strings.Join(h["Cache-Control"], ","))
		if r.StatusCode != 416 || got != c.want || h.Get("Expires") == "" || h.Get("Last-Modified") != "" || h.Get("Accept-Ranges") != "" {
			t.Errorf("%s: %s %s\n%v\nwant %s", c.path, r.Status, got, h, c.want)
		}
	}
}

// Variables of a try that is not over tell of what has arrived, in a header too: head and body so far.
func TestUpstreamVariablesInHeaders(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
	rest := make(chan struct{})
	b := webtest.Serve(t, func(p *webtest.Peer) {
		if request := p.Head(); strings.Contains(request, "/whole") {
			p.Say(head + "abcdef")
			return
		}
		p.Say(head + "ab")
		<-rest
		p.Say("cdef")
	})
	s := b.Behind(families, `location / { proxy_pass http://BACKEND; add_trailer X-End $upstream_bytes_received,$upstream_response_length;
		add_header X-Now $upstream_bytes_received,$upstream_response_length,$upstream_response_time,$upstream_status; }`)
	for path, want := range map[string]int{"/whole": len(head) + 6, "/part": len(head) + 2} {
		conn := s.Dial()
		if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := r.Header.Get("X-Now"), fmt.Sprintf("%d,0,-,200", want); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
		if path == "/part" {
			close(rest)
		}
		if body, err := io.ReadAll(r.Body); string(body) != "abcdef" || err != nil {
			t.Errorf("%s: %q, %v", path, body, err)
		}
		if got, want := r.Trailer.Get("X-End"), fmt.Sprintf("%d,6", len(head)+6); got != want {
			t.Errorf("%s: at the end %s, want %s", path, got, want)
		}
	}
}

// Several headers of one name are one value; of those that a response has once, the first counts, from a cache too.
func TestVariablesOfDuplicateUpstreamHeaders(t *testing.T) {
	b := webtest.Serve(t, func(p *webtest.Peer) {
		p.Head()
		p.Say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: \"a\"\r\nETag: \"b\"\r\nExpires:\r\nExpires: 2\r\nX-A: 1\r\nX-A:\r\nX_A: 3\r\n" +
			"Cache-Control: x\r\nCache-Control: y\r\nVary: a\r\nVary: b\r\nX-Accel-Charset: c\r\nX-Accel-Charset: d\r\nStatus: 1\r\nStatus: 2\r\n\r\nok")
	})
	const names = `"$upstream_http_etag|$upstream_http_expires|$upstream_http_x_a|$upstream_http_cache_control|$upstream_http_vary|` +
		`$upstream_http_x_accel_charset|$upstream_http_status|$sent_http_etag|$sent_http_cache_control|$sent_http_status"`
	s := webtest.Start(t, families, strings.ReplaceAll(`proxy_cache_path cache keys_zone=one:1m; server { add_trailer X-All `+names+`;
		location / { proxy_pass http://BACKEND; } location /cached { proxy_cache one; proxy_cache_valid 1m;
		proxy_ignore_headers Cache-Control Expires Vary; proxy_pass http://BACKEND; } }`, "BACKEND", b.Addr))
	for _, path := range []string{"/", "/cached", "/cached"} {
		got := s.Get(path, "TE: trailers")
		if want := "X-All: \"a\"||1, , 3|x, y|a, b|c, d|1|\"a\"|x, y|1\r\n"; !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// $upstream_response_length is the length of the body on the wire, as in nginx.
func TestUpstreamResponseLengthOfChunks(t *testing.T) {
	b := webtest.Serve(t, func(p *webtest.Peer) {
		p.Head()
		p.Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n")
	})
	s := b.Behind(families, `location / { proxy_pass http://BACKEND; add_trailer X-Length $upstream_response_length; }`)
	if got, want := s.Get("/", "TE: trailers"), fmt.Sprintf("X-Length: %d\r\n", len("3;x=y\r\nabc\r\n0\r\n\r\n")); !strings.Contains(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// $upstream_bytes_received counts all that the server has sent: interim responses, and heads that it does not end.
func TestUpstreamBytesReceived(t *testing.T) {
	const hint, final = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	const ends = "HTTP/1.1 200 OK\r\nX: "
	answers := map[string]string{"/final": final, "/hint": hint + final, "/hints": hint + "HTTP/1.1 100 Continue\r\n\r\n" + hint + final,
		"/only": hint, "/ends": ends, "/ends-later": hint + ends, "/nothing": "", "/no-body": hint + "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"}
	b := webtest.Serve(t, func(p *webtest.Peer) {
		for {
			path := strings.Fields(p.Head() + " - -")[1]
			p.Say(answers[path])
			if !strings.HasSuffix(answers[path], final) {
				return
			}
		}
	})
	s := webtest.Start(t, families, `upstream u { server `+b.Addr+`; keepalive 1; } server { location / { proxy_pass http://u;
		proxy_next_upstream off; add_header X-Bytes $upstream_bytes_received always; } }`)
	for range 2 { // on a connection that was used, too
		for _, path := range slices.Sorted(maps.Keys(answers)) {
			if got, want := s.Get(path), fmt.Sprintf("X-Bytes: %d\r\n", len(answers[path])); !strings.Contains(got, want) {
				t.Errorf("%s: got %q, want %q", path, got, want)
			}
		}
	}
}

// The header Trailer of a server is passed on, whether its trailers are or not, as nginx does; from a cache too.
func TestTrailerIsPassed(t *testing.T) {
	b := webtest.Serve(t, func(p *webtest.Peer) {
		p.Head()
		p.Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nX-T: v\r\n\r\n")
	})
	s := webtest.Start(t, families, strings.ReplaceAll(`proxy_cache_path cache keys_zone=one:1m; server { location / { proxy_pass http://BACKEND; }
		location /passed { proxy_pass_trailers on; proxy_pass http://BACKEND; }
		location /hidden { proxy_hide_header Trailer; proxy_pass http://BACKEND; }
		location /cached { proxy_cache one; proxy_cache_valid 1m; proxy_pass_trailers on; proxy_pass http://BACKEND; } }`, "BACKEND", b.Addr))
	for _, c := range []struct {
		path            string
		trailer, passed bool
	}{{"/", true, false}, {"/passed", true, true}, {"/hidden", false, false}, {"/cached", true, true}, {"/cached", true, false}} {
		got := s.Get(c.path, "TE: trailers")
		head, body, _ := strings.Cut(got, "\r\n\r\n")
		if strings.Contains(head, "\r\nTrailer: X-T") != c.trailer || !strings.Contains(body, "abc") || strings.Contains(body, "X-T: v") != c.passed {
			t.Errorf("%s: %q", c.path, got)
		}
	}
}

// $upstream_cache_… of each way in which a request can be answered.
func TestUpstreamCacheVariables(t *testing.T) {
	asked := make(chan string, 10)
	first := originSays("a", "Cache-Control", "max-age=50", "ETag", `"e"`, "Last-Modified", modified)
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("X-Since") + "|" + r.Header.Get("X-Match")
		if r.Header.Get("If-None-Match") != "" {
			w.Header().Set("Cache-Control", fresh)
			w.WriteHeader(304)
			return
		}
		first(w, r)
	})
	s := o.cached(t, `proxy_cache_key $uri; proxy_cache_revalidate on; proxy_cache_bypass $arg_bypass; add_header X-Key $upstream_cache_key always;
		add_header X-Age $upstream_cache_age always; add_header X-Stored "$upstream_cache_last_modified|$upstream_cache_etag" always;
		proxy_set_header X-Since $upstream_cache_last_modified; proxy_set_header X-Match $upstream_cache_etag;`)
	get := func(target string) (status string, age int) {
		t.Helper()
		h := s.LoopbackClient().Do("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n").Header
		if key, stored := h.Get("X-Key"), h.Get("X-Stored"); key != "/k" || stored != "|" {
			t.Errorf("%s: key %q, stored %q", target, key, stored)
		}
		age, err := strconv.Atoi(h.Get("X-Age"))
		if err != nil {
			age = -1
		}
		return h.Get("X-Cache"), age
	}
	for _, target := range []string{"/k", "/k?bypass=1"} {
		status, age := get(target)
		if want := map[string]string{"/k": "MISS", "/k?bypass=1": "BYPASS"}[target]; status != want || age != -1 {
			t.Errorf("%s: %s, age %d, want %s", target, status, age, want)
		}
		if got := webtest.Receive(t, asked); got != "|" {
			t.Errorf("%s: the server is told %q", target, got)
		}
	}
	for _, step := range []struct {
		after       time.Duration
		status      string
		age         int // and at most two seconds more, which the test took
		revalidates bool
	}{{3 * time.Second, "HIT", 3, false}, {60 * time.Second, "REVALIDATED", 0, true}, {5 * time.Second, "HIT", 5, false}} {
		pass(s, step.after)
		if status, age := get("/k"); status != step.status || age < step.age || age > step.age+2 {
			t.Errorf("after %v: %s, age %d, want %s, %d", step.after, status, age, step.status, step.age)
		}
		if step.revalidates {
			if got := webtest.Receive(t, asked); got != modified+`|"e"` {
				t.Errorf("the server is told %q", got)
			}
		}
	}
}
