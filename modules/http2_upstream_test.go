package modules_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"starling/web/webtest"
)

// newHTTP2Origin is an origin that speaks HTTP/1 and HTTP/2 on one port, with TLS or without.
func newHTTP2Origin(t *testing.T, tls bool, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(answer)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetHTTP2(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	if s.EnableHTTP2 = tls; tls {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// TestBothVersionsInOneGroup: a kept connection serves the version that it was made for.
func TestBothVersionsInOneGroup(t *testing.T) {
	for _, tls := range []bool{false, true} {
		origin := newHTTP2Origin(t, tls, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto, " ", r.RemoteAddr) })
		scheme, address, _ := strings.Cut(origin.URL, "://")
		s := webtest.Start(t, families, `upstream u { server `+address+`; keepalive 4; } server {
			location /1 { proxy_pass `+scheme+`://u; proxy_http_version 1.1; }
			location /2 { proxy_pass `+scheme+`://u; proxy_http_version 2; add_header X-Host $proxy_host; } }`)
		c := s.Client()
		last := map[string]string{}
		for _, target := range []string{"/1", "/1", "/2", "/2", "/2", "/1"} {
			r := c.Do("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")
			proto, from, _ := strings.Cut(r.Text, " ")
			if want := map[string]string{"/1": "HTTP/1.1", "/2": "HTTP/2.0"}[target]; proto != want {
				t.Errorf("TLS %v, %s: %q, want %s; %q", tls, target, r.Text, want, s.Log.Lines())
			}
			if target == "/2" && (r.Header.Get("X-Host") != "u" || last[target] != "" && last[target] != from) {
				t.Errorf("TLS %v: not on the kept connection: %s, %s", tls, r.Header, r.Text)
			}
			last[target] = from
		}
	}
}

// TestHTTP2Cache: responses of HTTP/2 are stored and revalidated like others.
func TestHTTP2Cache(t *testing.T) {
	var asked, conditional atomic.Int32
	origin := newHTTP2Origin(t, false, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("If-None-Match") == `"x"` && r.Header.Get("If-Modified-Since") != "" {
			conditional.Add(1)
			w.WriteHeader(304)
			return
		}
		w.Header().Set("ETag", `"x"`)
		w.Header().Set("Accept-Ranges", "bytes")
		w.Header().Set("Content-Length", "100000")
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		io.WriteString(w, strings.Repeat("0123456789", 10_000))
	})
	s := webtest.Start(t, families, `proxy_cache_path cache keys_zone=one:1m; server { location / { proxy_pass `+origin.URL+`;
		proxy_http_version 2; proxy_cache one; proxy_cache_valid 200 1m; proxy_cache_revalidate on; add_header X-Cache $upstream_cache_status; } }`)
	c := s.LoopbackClient()
	for _, want := range []string{"MISS", "HIT", "REVALIDATED"} {
		if want == "REVALIDATED" {
			pass(s, time.Hour)
		}
		r := c.Do("GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=99990-\r\nIf-None-Match: \"other\"\r\n\r\n")
		if r.StatusCode != 206 || r.Text != "0123456789" || r.Header.Get("X-Cache") != want {
			t.Errorf("%d %.80q %v, want %s", r.StatusCode, r.Text, r.Header, want)
		}
	}
	if asked.Load() != 2 || conditional.Load() != 1 {
		t.Errorf("asked %d times, with conditions %d times", asked.Load(), conditional.Load())
	}
}
