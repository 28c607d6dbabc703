package gzip_test

import (
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"starling/conf"
	"starling/lib/testkit"
	"starling/modules/web/core"
	packer "starling/modules/web/gzip"
	"starling/web"
	"starling/web/webtest"
)

var text = strings.Repeat("hello, world; ", 1000)

// answering writes the text in pieces; the path names the media type, the arguments further headers
// ("ETag=x&Expires=y").
func answering() *web.Module {
	return &web.Module{
		Module: conf.Module{Name: "answering", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
		Handlers: []web.Hook{{Phase: web.Content, Build: func(*web.Block) (web.Handler, error) {
			return func(r *web.Request) web.Result {
				r.Out.ContentType = []byte(strings.TrimPrefix(string(r.Path), "/"))
				r.Out.ContentLength = int64(len(text))
				for pair := range strings.SplitSeq(string(r.Query), "&") {
					if name, value, found := strings.Cut(pair, "="); found {
						r.AddHeader([]byte(name), []byte(strings.ReplaceAll(value, "+", " ")))
					}
				}
				for rest := text; rest != ""; rest = rest[min(777, len(rest)):] {
					if _, err := r.Write([]byte(rest[:min(777, len(rest))])); err != nil {
						return web.Done
					}
				}
				return web.Done
			}, nil
		}}},
	}
}

func modules() []*web.Module { return []*web.Module{&core.Module, &packer.Module, answering()} }

// get returns the response, and its text unpacked where it says that it is packed.
func get(t *testing.T, s *webtest.Server, target string, headers ...string) (webtest.Response, string) {
	t.Helper()
	if len(headers) == 0 {
		headers = []string{"Accept-Encoding: gzip"}
	}
	response := s.Client().Do("GET " + target + " HTTP/1.1\r\nHost: a\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n")
	if response.Header.Get("Content-Encoding") != "gzip" {
		return response, response.Text
	}
	reader, err := gzip.NewReader(strings.NewReader(response.Text))
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(unpacked)
}

func TestWhatIsCompressed(t *testing.T) {
	s := webtest.Start(t, modules(), `gzip on; gzip_disable msie6 "^Odd"; server {
		location / { } location /application/ { gzip_types application/json; gzip_proxied any; } location /all/ { gzip_types *; }
		location /long/ { gzip_types *; gzip_min_length 1m; } location /off/ { gzip off; gzip_types *; } location /vary/ { gzip_types *; gzip_vary on; }
		location /cached/ { gzip_types *; gzip_proxied no-cache expired auth; } location /fresh/ { gzip_types *; gzip_proxied no_etag; } }`)
	for _, c := range []struct {
		target, headers string
		packed          bool
	}{
		{"/text/html", "", true},
		{"/Text/HTML; charset=utf-8", "", true},
		{"/text/plain", "", false},
		{"/application/json", "", true},
		{"/all/x", "", true},
		{"/long/x", "", false},
		{"/off/x", "", false},
		{"/text/html?Content-Encoding=br", "", false},
		{"/text/html", "X: y", false},
		{"/text/html", "Accept-Encoding: br, gzip;q=0.5", true},
		{"/text/html", "Accept-Encoding: gzip;q=0", false},
		{"/text/html", "Accept-Encoding: gzip;q=0.000", false},
		{"/text/html", "Accept-Encoding: gzipped", false},
		{"/text/html", "Accept-Encoding: gzip\r\nUser-Agent: Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)", false},
		{"/text/html", "Accept-Encoding: gzip\r\nUser-Agent: Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)", true},
		{"/text/html", "Accept-Encoding: gzip\r\nUser-Agent: odd", false},
		{"/text/html", "Accept-Encoding: gzip\r\nVia: x", false},
		{"/application/json", "Accept-Encoding: gzip\r\nVia: x", true},
		{"/cached/x?Cache-Control=No-Cache", "Accept-Encoding: gzip\r\nVia: x", true},
		{"/cached/x?Cache-Control=private", "Accept-Encoding: gzip\r\nVia: x", false},
		{"/cached/x?Expires=Mon,+28+Sep+1970+06:00:00+GMT", "Accept-Encoding: gzip\r\nVia: x", true},
		{"/cached/x", "Accept-Encoding: gzip\r\nVia: x\r\nAuthorization: y", true},
		{"/fresh/x", "Accept-Encoding: gzip\r\nVia: x", true},
		{"/fresh/x?ETag=y", "Accept-Encoding: gzip\r\nVia: x", false},
	} {
		target := strings.ReplaceAll(c.target, " ", "%20")
		headers := []string{c.headers}
		if c.headers == "" {
			headers = nil
		}
		response, got := get(t, s, target, headers...)
		encoding := response.Header.Get("Content-Encoding")
		if (encoding == "gzip") != c.packed || got != text {
			t.Errorf("%s %q: encoded %q, %d bytes of text", c.target, c.headers, encoding, len(got))
		}
	}
	response, _ := get(t, s, `/vary/x?ETag="a"&Accept-Ranges=bytes`)
	if h := response.Header; h.Get("ETag") != `W/"a"` || h.Get("Accept-Ranges") != "" || h.Get("Vary") != "Accept-Encoding" || response.ContentLength >= 0 {
		t.Errorf("headers %v", h)
	}
	if response, _ := get(t, s, "/vary/x", "X: y"); response.Header.Get("Vary") != "Accept-Encoding" {
		t.Error("what could be compressed for others lacks Vary")
	}
}

// TestETags: a strong tag becomes a weak one, and what is no tag goes, as in nginx; uncompressed they stay as they are.
func TestETags(t *testing.T) {
	s := webtest.Start(t, modules(), `gzip on; server { location / { } }`)
	for etag, want := range map[string]string{
		`"a"`: `W/"a"`, `""`: `W/""`, `"a`: `W/"a`, `W/"a"`: `W/"a"`, `W/a`: `W/a`,
		`W/`: ``, `W`: ``, `w/"a"`: ``, `a`: ``, `sha256:00`: ``, `'a'`: ``, `a"b"`: ``, ``: ``,
	} {
		for _, method := range []string{"GET", "HEAD"} {
			for accept, want := range map[string]string{"gzip": want, "identity": etag} {
				response := s.Client().Do(method + " /text/html?ETag=" + etag + "&X=y HTTP/1.1\r\nHost: a\r\nAccept-Encoding: " + accept + "\r\n\r\n")
				_, sent := response.Header["Etag"]
				if got := response.Header.Get("ETag"); got != want || sent != (want != "" || accept == "identity") || response.Header.Get("X") != "y" {
					t.Errorf("%s, %s: %q became %q (sent: %v), want %q", method, accept, etag, got, sent, want)
				}
			}
		}
	}
}

// TestHead: HEAD gets the head that GET would get.
func TestHead(t *testing.T) {
	s := webtest.Start(t, modules(), `gzip on; gzip_vary on; server { location / { } }`)
	for _, accept := range []string{"gzip", "identity"} {
		c, rest := s.Client(), " /text/html?ETag=%22x%22 HTTP/1.1\r\nHost: a\r\nAccept-Encoding: "+accept+"\r\n\r\n"
		get, head := c.Do("GET"+rest), c.Do("HEAD"+rest)
		for _, name := range []string{"Content-Encoding", "Vary", "ETag", "Content-Length"} {
			if got, want := head.Header.Get(name), get.Header.Get(name); got != want || name == "Vary" && got == "" {
				t.Errorf("%s %s: %q, GET has %q", accept, name, got, want)
			}
		}
		if get.Header.Get("Content-Encoding") != strings.TrimPrefix(accept, "identity") || head.Text != "" {
			t.Errorf("%s: %v %q", accept, get.Header, head.Text)
		}
	}
}

func TestProblems(t *testing.T) {
	for text, want := range map[string]string{
		"gzip_comp_level 10;":     `value must be between 1 and 9 in /test.conf:1`,
		"gzip_http_version 2;":    `invalid value "2" in /test.conf:1`,
		"gzip_proxied sometimes;": `invalid value "sometimes" in /test.conf:1`,
		"gzip_disable (;":         `pcre2_compile() failed: missing closing parenthesis in "(" in /test.conf:1`,
	} {
		if _, err := webtest.Load(t, modules(), text+" server { }"); err == nil || err.Error() != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestCompressingDoesNotAllocate(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	s := webtest.Start(t, []*web.Module{&core.Module, &packer.Module, webtest.Say()},
		`gzip on; gzip_types *; gzip_min_length 0; server { location / { say "hello, hello, hello, hello"; } }`)
	if n := s.Allocations("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); n > 0 {
		t.Errorf("%v allocations without compression", n)
	}
}
