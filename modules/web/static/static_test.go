package static_test

import (
	"context"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"starling/modules/web/core"
	"starling/modules/web/static"
	"starling/web"
	"starling/web/webtest"
)

var modules = []*web.Module{&core.Module, &static.Module}

// modified is when all files of the tests were.
var modified = time.Date(2026, 11, 22, 10, 20, 30, 123456789, time.UTC)

const (
	lastModified = "Sun, 22 Nov 2026 10:20:30 GMT"
	dayBefore    = "Sat, 21 Nov 2026 10:20:30 GMT"
	dayAfter     = "Mon, 23 Nov 2026 10:20:30 GMT"
	etag         = `"6b02c1ee-a"` // of ten bytes
)

// files makes a prefix with files by name; a name that ends in a slash is a directory.
func files(t *testing.T, list map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range list {
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			must(t, os.MkdirAll(path, 0o755))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o644))
		must(t, os.Chtimes(path, modified, modified))
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T, list map[string]string, text string) *webtest.Server {
	t.Helper()
	return webtest.Start(t, modules, text, webtest.Prefix(files(t, list)))
}

// request sends one request on a connection of its own; target may begin with a method.
func request(s *webtest.Server, target string, headers ...string) webtest.Response {
	method := "GET"
	if m, rest, cut := strings.Cut(target, " "); cut {
		method, target = m, rest
	}
	raw := method + " " + target + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
	for _, h := range headers {
		raw += h + "\r\n"
	}
	return s.Client().Do(raw + "\r\n")
}

func TestAFile(t *testing.T) {
	s := start(t, map[string]string{"html/a.html": "0123456789"}, `types { text/html html; } server { server_tokens off; }`)
	for method, body := range map[string]string{"GET": "0123456789", "HEAD": ""} {
		r := request(s, method+" /a.html")
		want := "200 text/html 10 " + lastModified + " " + etag + " bytes " + body
		got := fmt.Sprint(r.StatusCode, " ", r.Header.Get("Content-Type"), " ", r.ContentLength, " ", r.Header.Get("Last-Modified"), " ",
			r.Header.Get("ETag"), " ", r.Header.Get("Accept-Ranges"), " ", r.Text)
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", method, got, want)
		}
	}
}

func TestWhatIsServed(t *testing.T) {
	s := start(t, map[string]string{
		"html/index.html": "root", "html/a b.txt": "space", "html/sub/index.html": "sub", "html/sub/second.html": "second",
		"html/empty/": "", "html/none": "", "other/x.txt": "other", "html/sub/index.htm": "htm", "html/folder-index/index.html/": "",
	}, `server {
		location / { }
		location /second/ { alias html/sub/; index nothing.html second.html; }
		location /absolute/ { alias html/empty/; index nothing "/a b.txt"; }
		location /variable/ { alias html/sub/; index index.$arg_type; }
		location /other/ { alias other/; }
		location ~ ^/re/(.*)$ { alias other/$1; }
		location /empty/off/ { log_not_found off; }
	}`)
	for _, c := range []struct {
		target string
		status int
		want   string // body, or Location of a redirect
		line   string // of the error log
	}{
		{"/", 200, "root", ""},
		{"/a%20b.txt", 200, "space", ""},
		{"/none", 200, "", ""},
		{"/sub/", 200, "sub", ""},
		{"/sub", 301, "http://h/sub/", ""},
		{"/sub?a=b", 301, "http://h/sub/?a=b", ""},
		{"/second/", 200, "second", ""},
		{"/absolute/", 200, "space", ""},
		{"/variable/?type=htm", 200, "htm", ""},
		{"/other/x.txt", 200, "other", ""},
		{"/re/x.txt", 200, "other", ""},
		{"/empty/", 403, "", `[error] *N directory index of "DIR/html/empty/" is forbidden, client: `},
		{"/folder-index/", 301, "http://h/folder-index/index.html/", ""},
		{"/gone/", 404, "", `[error] *N "DIR/html/gone/index.html" is not found (2: No such file or directory), client: `},
		{"/none/", 404, "", `[error] *N "DIR/html/none/index.html" is not found (20: Not a directory), client: `},
		{"/none/x", 404, "", `[error] *N open() "DIR/html/none/x" failed (20: Not a directory), client: `},
		{"/gone.html", 404, "", `[error] *N open() "DIR/html/gone.html" failed (2: No such file or directory), client: `},
		{"/empty/off/gone", 404, "", ""},
		{"/" + strings.Repeat("x", 300), 404, "", `[error] *N open() "DIR/html/` + strings.Repeat("x", 300) + `" failed (36: File name too long), client: `},
		{"POST /a%20b.txt", 405, "", ""},
		{"POST /gone", 404, "", `[error] *N open() "DIR/html/gone" failed (2: No such file or directory), client: `},
		{"PUT /gone", 405, "", ""},
		{"DELETE /", 405, "", ""},
	} {
		s.Log.Lines()
		r := request(s, c.target)
		got := r.Text
		switch {
		case c.status == 301:
			got = r.Header.Get("Location")
		case c.status != 200:
			got = ""
		}
		if r.StatusCode != c.status || got != c.want {
			t.Errorf("%s: %d %s", c.target, r.StatusCode, got)
		}
		lines := strings.Join(s.Log.Lines(), "\n")
		line := strings.ReplaceAll(c.line, "DIR", s.Plan.Prefix)
		before, after, _ := strings.Cut(line, "*N")
		if line == "" && lines != "" || line != "" && !(strings.HasPrefix(lines, before) && strings.Contains(lines, after)) {
			t.Errorf("%s: the log has %s\nwant %s", c.target, lines, line)
		}
	}
}

func TestWhatMayNotBeRead(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	s := start(t, map[string]string{"html/secret": "x", "html/closed/index.html": "x"}, "server { }")
	must(t, os.Chmod(filepath.Join(s.Plan.Prefix, "html/secret"), 0))
	must(t, os.Chmod(filepath.Join(s.Plan.Prefix, "html/closed"), 0))
	t.Cleanup(func() { must(t, os.Chmod(filepath.Join(s.Plan.Prefix, "html/closed"), 0o755)) })
	for target, want := range map[string]string{
		"/secret":  `open() "DIR/html/secret" failed (13: Permission denied)`,
		"/closed/": `"DIR/html/closed/index.html" is forbidden (13: Permission denied)`,
	} {
		r := request(s, target)
		if lines := strings.Join(s.Log.Lines(), "\n"); r.StatusCode != 403 || !strings.Contains(lines, strings.ReplaceAll(want, "DIR", s.Plan.Prefix)) {
			t.Errorf("%s: %d, log %s", target, r.StatusCode, lines)
		}
	}
}

// A pipe without a writer must not hold the request.
func TestWhatIsNoFile(t *testing.T) {
	s := start(t, map[string]string{"html/": ""}, "server { }")
	must(t, syscall.Mkfifo(filepath.Join(s.Plan.Prefix, "html/pipe"), 0o644))
	r := request(s, "/pipe")
	if lines := strings.Join(s.Log.Lines(), "\n"); r.StatusCode != 404 ||
		!strings.HasPrefix(lines, `[crit] *1 "`+s.Plan.Prefix+`/html/pipe" is not a regular file, client: `) {
		t.Errorf("%d, log %s", r.StatusCode, lines)
	}
}

func TestConditions(t *testing.T) {
	s := start(t, map[string]string{"html/a": "0123456789"}, `server {
		location /before { alias html/a; if_modified_since before; }
		location /off { alias html/a; if_modified_since off; }
		location /untagged { alias html/a; etag off; }
		location / { }
	}`)
	for _, c := range []struct {
		target, header string
		status         int
	}{
		{"/a", "If-Modified-Since: " + lastModified, 304},
		{"/a", "If-Modified-Since: " + dayBefore, 200},
		{"/a", "If-Modified-Since: " + dayAfter, 200}, // exact
		{"/a", "If-Modified-Since: nonsense", 200},
		{"/before", "If-Modified-Since: " + dayAfter, 304},
		{"/before", "If-Modified-Since: " + dayBefore, 200},
		{"/off", "If-Modified-Since: " + lastModified, 200},
		{"/a", "If-None-Match: " + etag, 304},
		{"/a", "If-None-Match: W/" + etag, 304},
		{"/a", `If-None-Match: "x", ` + etag, 304},
		{"/a", "If-None-Match: *", 304},
		{"/a", `If-None-Match: "x"`, 200},
		{"/untagged", "If-None-Match: " + etag, 200},
		{"/a", "If-None-Match: \"x\"\r\nIf-Modified-Since: " + lastModified, 200},
		{"/a", "If-None-Match: " + etag + "\r\nIf-Modified-Since: " + dayBefore, 200},
		{"/a", "If-None-Match: " + etag + "\r\nIf-Modified-Since: " + lastModified, 304},
		{"HEAD /a", "If-None-Match: " + etag, 304},
		{"/a", "If-Unmodified-Since: " + lastModified, 200},
		{"/a", "If-Unmodified-Since: " + dayAfter, 200},
		{"/a", "If-Unmodified-Since: " + dayBefore, 412},
		{"/a", "If-Match: " + etag, 200},
		{"/a", "If-Match: *", 200},
		{"/a", "If-Match: W/" + etag, 412},
		{"/a", `If-Match: "x"`, 412},
		{"/a", "If-Match: \"x\"\r\nIf-None-Match: " + etag, 412},
	} {
		r := request(s, c.target, c.header)
		if r.StatusCode != c.status {
			t.Errorf("%s with %q: %d, want %d", c.target, c.header, r.StatusCode, c.status)
			continue
		}
		if c.status == 304 {
			if r.Header.Get("ETag") != etag || r.Header.Get("Last-Modified") != lastModified ||
				r.Header.Get("Accept-Ranges")+r.Header.Get("Content-Type") != "" ||
				r.ContentLength > 0 || len(r.TransferEncoding) > 0 {
				t.Errorf("%s with %q: %v", c.target, c.header, r.Header)
			}
		}
	}
}

func TestRanges(t *testing.T) {
	s := start(t, map[string]string{"html/a": "0123456789", "html/none": ""}, `server { location / { } location /whole { alias html/a; max_ranges 0; } }`)
	for _, c := range []struct {
		target, headers string
		status          int
		content, body   string
	}{
		{"/a", "bytes=2-4", 206, "bytes 2-4/10", "234"},
		{"/a", "BYTES= 2 - 4 ", 206, "bytes 2-4/10", "234"},
		{"/a", "bytes=9-", 206, "bytes 9-9/10", "9"},
		{"/a", "bytes=0-", 206, "bytes 0-9/10", "0123456789"},
		{"/a", "bytes=-3", 206, "bytes 7-9/10", "789"},
		{"/a", "bytes=-30", 206, "bytes 0-9/10", "0123456789"},
		{"/a", "bytes=8-99", 206, "bytes 8-9/10", "89"},
		{"/a", "bytes=10-", 416, "bytes */10", ""},
		{"/a", "bytes=-0", 416, "bytes */10", ""},
		{"/a", "bytes=4-2", 416, "bytes */10", ""},
		{"/a", "bytes=-", 416, "bytes */10", ""},
		{"/a", "bytes=x", 416, "bytes */10", ""},
		{"/a", "bytes=1-x", 416, "bytes */10", ""},
		{"/a", "bytes=1--2", 416, "bytes */10", ""},
		{"/a", "bytes=99999999999999999999-", 416, "bytes */10", ""},
		{"/a", "bytes=", 200, "", "0123456789"},
		{"/a", "lines=1-2", 200, "", "0123456789"},
		{"/a", "bytes=- 3", 416, "bytes */10", ""},
		{"/a", "bytes=0000000000000000000000002-4", 206, "bytes 2-4/10", "234"},
		{"/a", "bytes=9223372036854775808-", 416, "bytes */10", ""},
		{"/a", "bytes=2-9223372036854775807", 206, "bytes 2-9/10", "23456789"},
		{"/a", "bytes=2-4,99-", 206, "bytes 2-4/10", "234"},
		{"/a", "bytes=0-1,x", 416, "bytes */10", ""},
		{"/a", "bytes=0-1,", 416, "bytes */10", ""},
		{"/a", "bytes=0-5,5-9", 200, "", "0123456789"},
		{"/none", "bytes=0-1,2-3", 200, "", ""},
		{"/whole", "bytes=0-1", 200, "", "0123456789"},
		{"/none", "bytes=0-", 200, "", ""},
		{"/none", "bytes=-5", 200, "", ""},
		{"/none", "bytes=1-", 416, "bytes */0", ""},
		{"HEAD /a", "bytes=2-4", 206, "bytes 2-4/10", ""},
		{"/a", "bytes=2-4\r\nIf-Range: " + etag, 206, "bytes 2-4/10", "234"},
		{"/a", "bytes=2-4\r\nIf-Range: " + lastModified, 206, "bytes 2-4/10", "234"},
		{"/a", "bytes=2-4\r\nIf-Range: \"x\"", 200, "", "0123456789"},
		{"/a", "bytes=2-4\r\nIf-Range: W/" + etag, 200, "", "0123456789"},
		{"/a", "bytes=2-4\r\nIf-Range: " + dayAfter, 200, "", "0123456789"},
	} {
		r := request(s, c.target, "Range: "+c.headers)
		body := r.Text
		if c.status == 416 {
			body = ""
		}
		if r.StatusCode != c.status || r.Header.Get("Content-Range") != c.content || body != c.body {
			t.Errorf("%s with %q: %d, %s, %q", c.target, c.headers, r.StatusCode, r.Header.Get("Content-Range"), body)
		}
		if ranges := r.Header.Get("Accept-Ranges"); (ranges == "bytes") != (c.status == 200 && c.target != "/whole") {
			t.Errorf("%s with %q: Accept-Ranges is %q", c.target, c.headers, ranges)
		}
	}
}

// Several ranges come in the order of the request, each with a head of its own, as nginx sends them.
func TestSeveralRanges(t *testing.T) {
	s := start(t, map[string]string{"html/a.txt": "0123456789", "html/big.txt": strings.Repeat("0123456789", 10<<10)}, `
types { text/plain txt; } http2 on;
server { location /two { alias html/a.txt; max_ranges 2; } location /untyped { alias html/a.txt; types { } default_type ""; } location / { } }`)
	const (
		three = "\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89" +
			"\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-0/10\r\n\r\n0" +
			"\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n--B--\r\n"
		untyped = "\r\n--B\r\nContent-Range: bytes 1-1/10\r\n\r\n1\r\n--B\r\nContent-Range: bytes 3-3/10\r\n\r\n3\r\n--B--\r\n"
	)
	big := "\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 5-70004/102400\r\n\r\n" + strings.Repeat("5678901234", 7000) +
		"\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 102399-102399/102400\r\n\r\n9\r\n--B--\r\n"
	many := strings.Repeat("0-0,", 20)
	for _, c := range []struct {
		target, headers string
		status          int
		body            string
	}{
		{"/a.txt", "bytes=-2, 0-0 ,99-,0-1", 206, three},
		{"HEAD /a.txt", "bytes=-2,0-0,0-1", 206, ""},
		{"/big.txt", "bytes=5-70004,-1", 206, big},
		{"/a.txt", "bytes=1-1,3-3\r\nIf-Range: \"x\"", 200, "0123456789"},
		{"/two", "bytes=0-0,1-1,2-2", 200, "0123456789"},
		{"/two", "bytes=0-0,99-,1-1,0-x", 416, ""},
		{"/untyped", "bytes=1-1,3-3", 206, untyped},
		{"/a.txt", "bytes=" + many + "0-0", 200, "0123456789"}, // which costs less than 21 parts
	} {
		r := request(s, c.target, "Range: "+c.headers)
		mediaType, boundary, _ := strings.Cut(r.Header.Get("Content-Type"), "; boundary=")
		body, length := r.Text, r.Header.Get("Content-Length")
		if c.status == 416 {
			body = ""
		}
		if c.status == 206 {
			if mediaType != "multipart/byteranges" || len(boundary) != 20 || r.Header.Get("Content-Range") != "" {
				t.Errorf("%s with %q: %v", c.target, c.headers, r.Header)
			}
			if body != "" && length != fmt.Sprint(len(body)) || body == "" && length != fmt.Sprint(len(three)+4*19) {
				t.Errorf("%s with %q: Content-Length is %s", c.target, c.headers, length)
			}
			body = strings.ReplaceAll(body, "--"+boundary, "--B")
		}
		if r.StatusCode != c.status || body != c.body {
			t.Errorf("%s with %q: %d, %q", c.target, c.headers, r.StatusCode, body)
		}
	}
	first := request(s, "/a.txt", "Range: bytes=0-0,1-1").Header.Get("Content-Type")
	if second := request(s, "/a.txt", "Range: bytes=0-0,1-1").Header.Get("Content-Type"); first == second {
		t.Errorf("two responses have the boundary of %s", first)
	}
}

// HTTP/2 gets the same bytes.
func TestSeveralRangesOverHTTP2(t *testing.T) {
	s := start(t, map[string]string{"html/a": "0123456789"}, `http2 on; server { }`)
	transport := &http.Transport{Protocols: new(http.Protocols),
		DialContext: func(context.Context, string, string) (net.Conn, error) { return s.DialLoopback(), nil }}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	r, err := http.NewRequest("GET", "http://h/a", nil)
	must(t, err)
	r.Header.Set("Range", "bytes=1-2,-1")
	response, err := transport.RoundTrip(r)
	must(t, err)
	defer response.Body.Close()
	_, parameters, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	must(t, err)
	parts := multipart.NewReader(response.Body, parameters["boundary"])
	for _, want := range []string{"bytes 1-2/10 12", "bytes 9-9/10 9"} {
		part, err := parts.NextPart()
		must(t, err)
		text, err := io.ReadAll(part)
		must(t, err)
		if got := part.Header.Get("Content-Range") + " " + string(text); got != want || response.StatusCode != 206 {
			t.Errorf("%d, got %s, want %s", response.StatusCode, got, want)
		}
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Error(err)
	}
}

// An error page is sent whole, whatever the request says about dates and ranges.
func TestErrorPages(t *testing.T) {
	s := start(t, map[string]string{"html/404": "0123456789"}, `server {
		error_page 404 /404; location /ok { error_page 404 =200 /404; } location /own { error_page 404 = /404; } }`)
	for target, want := range map[string]string{
		"/gone":     `404 0123456789 "` + strings.Trim(etag, `"`) + `"  `,
		"/ok/gone":  `206 23 "` + strings.Trim(etag, `"`) + `" ` + lastModified + " bytes 2-3/10",
		"/own/gone": `206 23 "` + strings.Trim(etag, `"`) + `" ` + lastModified + " bytes 2-3/10",
	} {
		r := request(s, target, "Range: bytes=2-3")
		got := fmt.Sprint(r.StatusCode, " ", r.Text, " ", r.Header.Get("ETag"), " ", r.Header.Get("Last-Modified"), " ", r.Header.Get("Content-Range"))
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", target, got, want)
		}
	}
}

func TestBigFilesAndKeptConnections(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 100<<10/16*7)
	s := start(t, map[string]string{"html/big": big, "html/a": "small"}, "server { }")
	c := s.LoopbackClient()
	for _, target := range []string{"/big", "/a", "/big", "/gone", "/a"} {
		r := c.Do("GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n")
		if want := map[string]string{"/big": big, "/a": "small"}[target]; target != "/gone" && r.Text != want {
			t.Errorf("%s: %d bytes, want %d", target, len(r.Text), len(want))
		}
	}
}

func TestProblems(t *testing.T) {
	for inside, want := range map[string]string{
		`index "";`:     `index "" in "index" directive is invalid`,
		"index $nope;":  `unknown "nope" variable`,
		"autoindex on;": `"autoindex" is not supported by starling`,
		"index;":        `invalid number of arguments in "index" directive`,
	} {
		_, err := webtest.Load(t, modules, "server { "+inside+" }")
		if err == nil || err.Error() != want+" in /test.conf:1" {
			t.Errorf("%s\ngot  %v\nwant %s", inside, err, want)
		}
	}
}

// Several types blocks of one level add up, as after an include of mime.types; an outer level is not inherited then.
func TestTypesOfOneLevelAddUp(t *testing.T) {
	s := start(t, map[string]string{"html/a.html": "a", "html/in/a.mjs": "m", "html/in/a.html": "i", "html/a.mjs": "m"}, `
		types { text/html html; } types { text/javascript mjs; }
		server { location / { } location /in/ { types { text/x-in mjs; } } }`)
	for target, want := range map[string]string{
		"/a.html": "text/html", "/a.mjs": "text/javascript", "/in/a.mjs": "text/x-in", "/in/a.html": "text/plain",
	} {
		if got := request(s, target).Header.Get("Content-Type"); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}
