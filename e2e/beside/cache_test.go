package beside

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// cacheConf is a cache in front of a server; %[1]s is the folder, %[2]s the server.
const cacheConf = `daemon off; master_process off; user root; pid %[1]s/pid; error_log stderr emerg;
events { }
http {
	access_log off;
	client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	proxy_cache_path %[1]s/cache levels=1:2 keys_zone=c:1m;
	proxy_cache c;
	proxy_cache_key $request_uri;
	proxy_http_version 1.1;
	proxy_set_header Connection "";
	add_header X-Cache $upstream_cache_status always;
	server {
		listen unix:%[1]s/socket;
		location / { proxy_pass http://%[2]s; }
		location /valid { proxy_cache_valid 1h; proxy_cache_valid 404 1h; proxy_pass http://%[2]s; }
		location /ignore { proxy_ignore_headers Cache-Control Expires Set-Cookie Vary X-Accel-Expires; proxy_cache_valid 1h; proxy_pass http://%[2]s; }
		location /bypass { proxy_cache_bypass $http_x_bypass; proxy_no_cache $http_x_no; proxy_pass http://%[2]s; }
		location /stale { proxy_cache_use_stale http_503 http_404; proxy_cache_revalidate on; proxy_pass http://%[2]s; }
		location /uses { proxy_cache_min_uses 2; proxy_pass http://%[2]s; }
		location /head { proxy_cache_convert_head off; proxy_cache_key $request_method$request_uri; proxy_pass http://%[2]s; }
		location /post { proxy_cache_methods POST; proxy_pass http://%[2]s; }
		location /offset { proxy_cache_max_range_offset 3; proxy_pass http://%[2]s; }
		location /slice { slice 5; proxy_set_header Range $slice_range; proxy_cache_key $request_uri$slice_range; proxy_cache_valid 206 1h; proxy_pass http://%[2]s; }
		location /forced { proxy_force_ranges on; proxy_pass http://%[2]s; }
	}
}
`

// teller is a server whose answers have the headers that the request names in X-Answer, and in the body how many there
// were for its path.
func teller(t *testing.T) string {
	var numbers sync.Map
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/slice") {
			w.Header().Set("ETag", `"e"`)
			http.ServeContent(w, r, "", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), strings.NewReader("0123456789abcdefghijkl"))
			return
		}
		status := 200
		for line := range strings.SplitSeq(r.Header.Get("X-Answer"), "|") {
			if name, value, ok := strings.Cut(line, ": "); ok && name == "Status" {
				fmt.Sscan(value, &status)
			} else if ok {
				w.Header().Add(name, value)
			}
		}
		if status == 304 && r.Header.Get("If-None-Match") == "" && r.Header.Get("If-Modified-Since") == "" {
			status = 400
		}
		number, _ := numbers.LoadOrStore(r.RequestURI, new(atomic.Int64))
		body := fmt.Sprintf("body %03d", number.(*atomic.Int64).Add(1))
		if status != 304 {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// cacheSeries are requests for one path, with the headers of the answers. A request is "METHOD|more headers".
var cacheSeries = []struct {
	path, answer string
	requests     []string
}{
	{"/", "", []string{"GET", "GET"}},
	{"/", "Cache-Control: max-age=100", []string{"GET", "GET", "HEAD", "GET"}},
	{"/", "Cache-Control: MAX-AGE=100", []string{"GET", "GET"}},
	{"/", "Cache-Control: max-age=100, private", []string{"GET", "GET"}},
	{"/", "Cache-Control: no-cache, max-age=100", []string{"GET", "GET"}},
	{"/", "Cache-Control: no-store", []string{"GET", "GET"}},
	{"/", "Cache-Control: max-age=0", []string{"GET", "GET"}},
	{"/", "Cache-Control: s-maxage=100, max-age=0", []string{"GET", "GET"}},
	{"/", "Cache-Control: max-age=100, s-maxage=0", []string{"GET", "GET"}},
	{"/", "Cache-Control: max-age=1x", []string{"GET", "GET"}},
	{"/", "Cache-Control: max-age=\"100\"", []string{"GET", "GET"}},
	{"/", "Cache-Control: public|Cache-Control: max-age=100", []string{"GET", "GET"}},
	{"/", "Cache-Control: max-age=100|Cache-Control: no-store", []string{"GET", "GET"}},
	{"/", "Expires: Thu, 31 Dec 2037 23:55:55 GMT", []string{"GET", "GET"}},
	{"/", "Expires: Thu, 01 Jan 1970 00:00:01 GMT", []string{"GET", "GET"}},
	{"/", "Expires: 0", []string{"GET", "GET"}},
	{"/", "Expires: Thu, 31 Dec 2037 23:55:55 GMT|Cache-Control: no-cache", []string{"GET", "GET"}},
	{"/", "Expires: 0|Cache-Control: max-age=100", []string{"GET", "GET"}},
	{"/", "X-Accel-Expires: 100", []string{"GET", "GET"}},
	{"/", "X-Accel-Expires: @4000000000", []string{"GET", "GET"}},
	{"/", "X-Accel-Expires: 0|Cache-Control: max-age=100", []string{"GET", "GET"}},
	// X-Accel-Expires with no-store is not here: nginx 1.22 does not store that answer, later ones do.
	{"/", "X-Accel-Expires: nonsense|Cache-Control: max-age=100", []string{"GET", "GET"}},
	{"/", "Cache-Control: max-age=100|Set-Cookie: a=b", []string{"GET", "GET"}},
	{"/", "Cache-Control: max-age=100|Vary: *", []string{"GET", "GET"}},
	{"/", "Cache-Control: max-age=100|Vary: X-A", []string{"GET|X-A: 1", "GET|X-A: 1", "GET|X-A: 2", "GET", "GET|X-A: 1", "GET|X-A: 2"}},
	{"/", "Cache-Control: max-age=100|Vary: Accept-Encoding, X-A", []string{"GET|X-A: 1", "GET|X-A:  1", "GET|x-a: 1|Accept-Encoding: gzip", "GET|X-A: 1"}},
	{"/", "Cache-Control: max-age=100|Vary: X-A|Vary: X-B", []string{"GET|X-A: 1", "GET|X-A: 1|X-B: 1", "GET|X-B: 2|X-A: 1", "GET|X-A: 1"}},
	{"/", "Cache-Control: max-age=100|Status: 404", []string{"GET", "GET"}},
	{"/", "Cache-Control: max-age=100|Status: 301|Location: /x", []string{"GET", "GET"}},
	{"/", "Cache-Control: max-age=100|Status: 500", []string{"GET", "GET"}},
	{"/", "Cache-Control: max-age=100|ETag: \"e\"|Last-Modified: Fri, 02 Jan 2026 03:04:05 GMT", []string{
		"GET", "GET|If-None-Match: \"e\"", "GET|If-None-Match: \"f\"", "GET|If-Modified-Since: Fri, 02 Jan 2026 03:04:05 GMT",
		"GET|If-Modified-Since: Fri, 02 Jan 2026 03:04:04 GMT", "GET|If-Match: \"f\"", "GET|If-Unmodified-Since: Fri, 02 Jan 2026 03:04:04 GMT",
		"GET|Range: bytes=2-4", "GET|Range: bytes=2-4|If-Range: \"e\"", "GET|Range: bytes=2-4|If-Range: \"f\"", "HEAD|If-None-Match: \"e\""}},
	{"/", "Cache-Control: max-age=100", []string{"GET|Range: bytes=1-2", "GET|Range: bytes=1-2", "GET|Range: bytes=-3", "GET|Range: bytes=100-", "GET|Range: bytes=0-0,2-3", "HEAD|Range: bytes=1-2"}},
	{"/", "Cache-Control: max-age=100|Accept-Ranges: bytes", []string{"GET|Range: bytes=1-2", "GET|Range: bytes=1-2", "GET|Range: bytes=5-"}},
	{"/", "Cache-Control: max-age=100", []string{"HEAD", "GET", "HEAD"}},
	{"/", "Cache-Control: max-age=100|Content-Type: a/b|X-Own: 1|X-Own: 2", []string{"GET", "GET"}},
	{"/valid", "", []string{"GET", "GET"}},
	{"/valid", "Status: 404", []string{"GET", "GET"}},
	{"/valid", "Status: 302|Location: /x", []string{"GET", "GET"}},
	{"/valid", "Status: 403", []string{"GET", "GET"}},
	{"/valid", "Cache-Control: no-cache", []string{"GET", "GET"}},
	{"/ignore", "Cache-Control: no-store|Set-Cookie: a=b|Vary: X-A|Expires: 0|X-Accel-Expires: 0", []string{"GET|X-A: 1", "GET|X-A: 2"}},
	{"/bypass", "Cache-Control: max-age=100", []string{"GET|X-No: 1", "GET", "GET", "GET|X-Bypass: 1", "GET", "GET|X-Bypass: 1|X-No: 1", "GET", "GET|X-Bypass: 0"}},
	{"/uses", "Cache-Control: max-age=100", []string{"GET", "GET", "GET"}},
	{"/head", "Cache-Control: max-age=100", []string{"HEAD", "HEAD", "GET", "GET"}},
	{"/post", "Cache-Control: max-age=100", []string{"POST|Content-Length: 0", "POST|Content-Length: 0", "GET"}},
	{"/", "Cache-Control: max-age=100", []string{"POST|Content-Length: 0", "GET", "POST|Content-Length: 0"}},
	{"/offset", "Cache-Control: max-age=100", []string{"GET|Range: bytes=3-4", "GET|Range: bytes=2-4", "GET|Range: bytes=3-4"}},
	{"/forced", "Cache-Control: max-age=100", []string{"GET|Range: bytes=2-4", "GET|Range: bytes=2-4"}},
}

// sliceRequests are for a response in slices: with none, some and all of them stored. Ranges beyond it are not here:
// nginx runs the header filters twice for their 416, so that its page has each added header twice. Nor is HEAD with 412:
// its Content-Length counts the name in the page.
var sliceRequests = []string{
	"GET|Range: bytes=0-0", "GET|Range: bytes=3-12", "GET|Range: bytes=-3", "GET|Range: bytes=10-", "GET|Range: bytes=21-30",
	"GET|Range: bytes=-100", "GET|Range: bytes=1-2,6-7", "HEAD|Range: bytes=6-7", "HEAD",
	"GET|If-None-Match: \"e\"", "GET|If-None-Match: \"f\"", "GET|If-Modified-Since: Fri, 02 Jan 2026 03:04:05 GMT",
	"GET|If-Match: \"f\"", "GET|If-None-Match: \"e\"|Range: bytes=6-7",
	"GET|If-Unmodified-Since: Fri, 02 Jan 2026 03:04:04 GMT", "GET|If-Range: \"e\"|Range: bytes=6-7",
	"GET|If-Range: \"f\"|Range: bytes=6-7",
}

// staleSeries are answers that are stale after a second, and what the server says then.
var staleSeries = []struct{ path, first, then string }{
	{"/", "Cache-Control: max-age=1", "Cache-Control: max-age=100"},
	{"/", "Cache-Control: max-age=1, stale-if-error=100", "Status: 503"},
	{"/", "Cache-Control: max-age=1", "Status: 503"},
	{"/stale", "Cache-Control: max-age=1", "Status: 503"},
	{"/stale", "Cache-Control: max-age=1", "Status: 404"},
	{"/stale", "Cache-Control: max-age=1", "Status: 500"},
	{"/stale", "Cache-Control: max-age=1|ETag: \"e\"", "Status: 304|Cache-Control: max-age=100"},
	{"/stale", "Cache-Control: max-age=1|Last-Modified: Fri, 02 Jan 2026 03:04:05 GMT", "Status: 304|Cache-Control: max-age=100"},
	{"/stale", "Cache-Control: max-age=1|ETag: \"e\"", "Cache-Control: max-age=100|ETag: \"f\""},
}

// cacheAnswer is the answer of a cache to a request, which tells the server behind it what to answer.
func cacheAnswer(socket, path, request, answer string) (string, error) {
	method, more, _ := strings.Cut(request, "|")
	raw := method + " " + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Answer: " + answer + "\r\n"
	if more != "" {
		raw += strings.ReplaceAll(more, "|", "\r\n") + "\r\n"
	}
	got, err := roundTrip(socket, raw+"\r\n")
	return comparable(got), err
}

var cacheStatus = regexp.MustCompile(`X-Cache: (\S+)`)

// Both store the same, for as long, and answer alike from it.
func TestCacheBesideNginx(t *testing.T) {
	nginx := nginxToCompare(t, "nginx")
	t.Parallel()
	var sockets [2]string
	for i, program := range []string{harness.Binary, nginx} {
		server := teller(t)
		sockets[i] = besideWith(t, program, func(dir string) string { return fmt.Sprintf(cacheConf, dir, server) })
	}
	compare := func(path, request, answer string) {
		t.Helper()
		var answers [2]string
		for i, socket := range sockets {
			var err error
			if answers[i], err = cacheAnswer(socket, path, request, answer); err != nil {
				t.Fatal(err)
			}
		}
		if answers[0] != answers[1] {
			t.Errorf("%s %s of %q\nwe answer    %q\nnginx answers %q", path, request, answer, answers[0], answers[1])
		}
	}
	for i, s := range cacheSeries {
		for _, request := range s.requests {
			compare(fmt.Sprintf("%s?%d", s.path, i), request, s.answer)
		}
	}
	for i, request := range sliceRequests {
		for _, next := range []string{request, request, "GET", request} {
			compare(fmt.Sprint("/slice?", i), next, "")
		}
	}
	for i, s := range staleSeries {
		compare(fmt.Sprintf("%s?stale%d", s.path, i), "GET", s.first)
	}
	for _, socket := range sockets { // a page like the others, and the last: when it is stale, all are
		if _, err := cacheAnswer(socket, "/?clock", "GET", "Cache-Control: max-age=1"); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, harness.Patience, func() error {
			got, err := cacheAnswer(socket, "/?clock", "GET", "Cache-Control: no-store")
			if status := cacheStatus.FindStringSubmatch(got); err == nil && (status == nil || status[1] != "EXPIRED") {
				err = fmt.Errorf("it is not stale yet: %v", status)
			}
			return err
		})
	}
	for i, s := range staleSeries {
		compare(fmt.Sprintf("%s?stale%d", s.path, i), "GET", s.then)
		compare(fmt.Sprintf("%s?stale%d", s.path, i), "GET", s.then)
	}
}
