package forward_test

import (
	"strings"
	"testing"

	"starling/web/webtest"
)

// TestForceRanges: the server knows no ranges, and its responses are served in parts all the same.
func TestForceRanges(t *testing.T) {
	b := webtest.Serve(t, func(p *webtest.Peer) {
		const described = "ETag: \"a\"\r\nLast-Modified: Sun, 22 Nov 2026 10:20:30 GMT\r\nAccept-Ranges: none\r\nContent-Range: odd\r\n"
		switch head := p.Head(); {
		case strings.Contains(head, "/chunked "):
			p.Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n")
		case strings.Contains(head, "/404 "):
			p.Say("HTTP/1.1 404 Not Found\r\n" + described + "Content-Length: 10\r\n\r\n0123456789")
		case strings.HasPrefix(head, "HEAD "):
			p.Say("HTTP/1.1 200 OK\r\n" + described + "Content-Length: 10\r\n\r\n")
		case head != "":
			p.Say("HTTP/1.1 200 OK\r\n" + described + "Content-Length: 10\r\n\r\n01")
			p.Say("23456")
			p.Say("789")
		}
	})
	s := b.Proxied(modules, `proxy_force_ranges on; location / { proxy_pass http://BACKEND; }
		location /off { proxy_force_ranges off; proxy_pass http://BACKEND; }
		location /small { proxy_buffering off; proxy_pass http://BACKEND; }
		location /none { max_ranges 0; proxy_pass http://BACKEND; }`)
	for _, c := range []struct{ target, headers, want string }{
		{"GET /", "Range: bytes=2-4\r\n", "206 bytes 2-4/10 [] 234"},
		{"GET /small", "Range: bytes=-3\r\n", "206 bytes 7-9/10 [] 789"},
		{"GET /", "Range: bytes=1-8\r\n", "206 bytes 1-8/10 [] 12345678"},
		{"HEAD /", "Range: bytes=2-4\r\n", "206 bytes 2-4/10 [] "},
		{"GET /", "", "200 odd [bytes] 0123456789"},
		{"GET /", "Range: bytes=1-2,4-5\r\n", "200 odd [bytes] 0123456789"}, // a stream has one range, as in nginx
		{"GET /", "Range: bytes=1-2,44-55\r\n", "206 bytes 1-2/10 [] 12"},
		{"GET /", "Range: bytes=1-2\r\nIf-Range: \"a\"\r\n", "206 bytes 1-2/10 [] 12"},
		{"GET /", "Range: bytes=1-2\r\nIf-Range: \"b\"\r\n", "200 odd [bytes] 0123456789"},
		{"GET /", "Range: bytes=1-2\r\nIf-Range: Sun, 22 Nov 2026 10:20:30 GMT\r\n", "206 bytes 1-2/10 [] 12"},
		{"GET /", "Range: bytes=1-2\r\nIf-Range: Sun, 22 Nov 2026 10:20:31 GMT\r\n", "200 odd [bytes] 0123456789"},
		{"GET /chunked", "Range: bytes=1-2\r\n", "200  [] 0123456789"},
		{"GET /404", "Range: bytes=1-2\r\n", "404 odd [] 0123456789"},
		{"GET /off", "Range: bytes=1-2\r\n", "200 odd [none] 0123456789"},
		{"GET /none", "Range: bytes=1-2\r\n", "200 odd [] 0123456789"},
	} {
		r := s.Client().Do(c.target + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + c.headers + "\r\n")
		got := strings.Join([]string{r.Status[:3], r.Header.Get("Content-Range"), "[" + strings.Join(r.Header["Accept-Ranges"], ",") + "]", r.Text}, " ")
		if got != c.want {
			t.Errorf("%s with %q\ngot  %s\nwant %s", c.target, c.headers, got, c.want)
		}
	}
	r := s.Client().Do("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nRange: bytes=10-\r\n\r\n")
	if r.StatusCode != 416 || strings.Join(r.Header["Content-Range"], "|") != "bytes */10" ||
		r.Header.Get("Last-Modified") != "" || !strings.Contains(r.Text, "416 Requested Range") {
		t.Errorf("%d %v %s", r.StatusCode, r.Header, r.Text)
	}
}
