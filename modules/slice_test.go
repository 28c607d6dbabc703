package modules_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"starling/modules/web/addition"
	"starling/modules/web/core"
	modulegzip "starling/modules/web/gzip"
	"starling/modules/web/headers"
	"starling/modules/web/proxy"
	"starling/modules/web/rewrite"
	"starling/modules/web/slice"
	"starling/modules/web/upstream"
	"starling/web"
	"starling/web/webtest"
)

var sliceFamilies = []*web.Module{&core.Module, &rewrite.Module, &upstream.Module, &proxy.Module, &slice.Module, &headers.Module,
	&addition.Module, &modulegzip.Module}

// slicedBackend answers ranges of a text and tells which it was asked for. Faults, by the range, replace the answer.
type slicedBackend struct {
	*webtest.Backend
	text   string
	faults map[string]string
	// modified is its Last-Modified, "" for none.
	modified string
	mu       sync.Mutex
	asked    []string
}

func sliceBackend(t *testing.T, text string, faults map[string]string) *slicedBackend {
	s := &slicedBackend{text: text, faults: faults}
	s.Backend = webtest.Serve(t, func(p *webtest.Peer) {
		for head := p.Head(); head != ""; head = p.Head() {
			_, wanted, _ := strings.Cut(head, "Range: ")
			wanted, _, _ = strings.Cut(wanted, "\r\n")
			s.mu.Lock()
			s.asked = append(s.asked, strings.TrimPrefix(wanted, "bytes="))
			s.mu.Unlock()
			if fault, ok := s.faults[wanted]; ok {
				p.Say(fault)
				if strings.Contains(fault, "close") {
					return
				}
				continue
			}
			p.Say(s.answer(wanted))
		}
	})
	return s
}

const sliceETag = "ETag: \"a\"\r\nAccept-Ranges: bytes\r\n"

func (s *slicedBackend) answer(wanted string) string {
	var first, last int
	if n, _ := fmt.Sscanf(wanted, "bytes=%d-%d", &first, &last); n != 2 {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", sliceETag, len(s.text), s.text)
	}
	if first >= len(s.text) {
		return fmt.Sprintf("HTTP/1.1 416 No\r\nContent-Range: bytes */%d\r\nContent-Length: 0\r\n\r\n", len(s.text))
	}
	last = min(last, len(s.text)-1)
	headers := sliceETag
	if s.modified != "" {
		headers += "Last-Modified: " + s.modified + "\r\n"
	}
	return fmt.Sprintf("HTTP/1.1 206 Partial Content\r\n%sContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n%s",
		headers, first, last, len(s.text), last-first+1, s.text[first:last+1])
}

// ranges are those asked for since the last call.
func (s *slicedBackend) ranges() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := strings.Join(s.asked, " ")
	s.asked = nil
	return all
}

// TestSlices: which slices are fetched, and what the client gets.
func TestSlices(t *testing.T) {
	b := sliceBackend(t, "0123456789abcdef", nil)
	s := webtest.Start(t, sliceFamilies, `upstream u { server `+b.Addr+`; keepalive 4; } proxy_set_header Range $slice_range; proxy_set_header Connection "";
		server { location / { slice 4; proxy_pass http://u; }
		location /whole { slice 100; proxy_pass http://u; }
		location /named { set $x $slice_range; slice 4; return 200 "$x $slice_range"; }
		location /unread { slice 4; proxy_set_header Range $http_range; proxy_pass http://u; }
		location /off { proxy_pass http://u; }
		location /added { slice 8; add_after_body /off; types { } default_type text/html; addition_types *; proxy_pass http://u; } }`)
	for _, c := range []struct{ request, want, asked string }{
		{"GET /", "200 [bytes] 0123456789abcdef", "0-3 4-7 8-11 12-15"},
		{"GET /whole", "200 [bytes] 0123456789abcdef", "0-99"},
		{"HEAD /", "200 [bytes] ", "0-3"},
		{"GET / Range: bytes=5-6", "206 bytes 5-6/16[] 56", "4-7"},
		{"GET / Range: bytes=3-4", "206 bytes 3-4/16[] 34", "0-3 4-7"},
		{"GET / Range: bytes=10-", "206 bytes 10-15/16[] abcdef", "8-11 12-15"},
		{"GET / Range: bytes=-2", "206 bytes 14-15/16[] ef", "0-3 12-15"},
		{"GET / Range: bytes=-7", "206 bytes 9-15/16[] 9abcdef", "0-3 8-11 12-15"},
		{"GET / Range: bytes=1-2,4-5", "200 [bytes] 0123456789abcdef", "0-3 4-7 8-11 12-15"},
		{`GET / If-Range: "a"` + "\r\nRange: bytes=9-9", "206 bytes 9-9/16[] 9", "0-3 8-11"},
		{`GET / If-Range: "b"` + "\r\nRange: bytes=9-9", "200 [bytes] 0123456789abcdef", "0-3 4-7 8-11 12-15"},
		{"GET / Range: bytes=99-", "416 bytes */16[] ", "96-99"},
		{"GET /named Range: bytes=9-", "200 [] bytes=8-11 bytes=8-11", ""},
		{"GET /unread Range: bytes=9-9", "206 bytes 9-9/16[bytes] 9", "9-9"},
		{"GET /off Range: bytes=9-9", "200 [bytes] 0123456789abcdef", ""},
		{"GET /added", "200 [] 0123456789abcdef0123456789abcdef", "0-7 8-15 "},
	} {
		line, more, _ := strings.Cut(strings.Replace(c.request, "/ ", "/\x00", 1), "\x00")
		if before, after, ok := strings.Cut(line, " Range"); ok {
			line, more = before, "Range"+after
		}
		if more != "" {
			more += "\r\n"
		}
		r := s.Client().Do(line + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + more + "\r\n")
		got := r.Status[:4] + r.Header.Get("Content-Range") + "[" + r.Header.Get("Accept-Ranges") + "] " + r.Text
		if got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.request, got, c.want)
		}
		if asked := b.ranges(); asked != c.asked {
			t.Errorf("%s: asked for %q, want %q", c.request, asked, c.asked)
		}
	}
}

// TestManySlices: more slices than a request can have subrequests at once, over two connections to the server, and
// compressed as a whole.
func TestManySlices(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 100)
	b := sliceBackend(t, text, nil)
	s := webtest.Start(t, sliceFamilies, `upstream u { server `+b.Addr+`; keepalive 4; keepalive_requests 10000; }
		server { slice 1; gzip on; gzip_types *; location / { proxy_pass http://u; proxy_set_header Range $slice_range; proxy_set_header Connection ""; } }`)
	if r := s.Client().Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); r.Text != text {
		t.Errorf("%d bytes", len(r.Text))
	}
	if n := b.Accepted.Load(); n != 2 {
		t.Errorf("%d connections to the server", n)
	}
	r := s.Client().Do("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
	packed, err := gzip.NewReader(strings.NewReader(r.Text))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(packed); string(plain) != text || err != nil {
		t.Errorf("%d bytes, %v", len(plain), err)
	}
}

// TestBadSlices: a slice that does not belong to the others ends the response; a small one that was good waits, so that
// the client gets nothing.
func TestBadSlices(t *testing.T) {
	part := func(contentRange, etag, body string) string {
		return fmt.Sprintf("HTTP/1.1 206 P\r\nContent-Range: %s\r\nETag: %s\r\nContent-Length: %d\r\n\r\n%s", contentRange, etag, len(body), body)
	}
	for _, c := range []struct{ name, first, second, log string }{
		{"no range", "HTTP/1.1 206 P\r\nContent-Length: 2\r\n\r\n01", "", "[error] *1 invalid range in slice response"},
		{"no numbers", part("bytes", "a", "01"), "", "[error] *1 invalid range in slice response"},
		{"a number too large", part("bytes 0-9223372036854775808/9", "a", "01"), "", "invalid range in slice response"},
		{"no length", part("bytes 0-1/*", "a", "01"), "", "[error] *1 no complete length in slice response"},
		{"too long a range", part("bytes 0-2/100", "a", "012"), "", "[error] *1 unexpected range in slice response: 0-3, expected: 0-2"},
		{"another range", part("bytes 1-2/100", "a", "01"), "", "[error] *1 unexpected range in slice response: 1-3, expected: 0-2"},
		{"too short", part("bytes 0-1/100", "a", "0"), "", "[error] *1 slice response is not as long as its range"},
		{"too long", part("bytes 0-1/100", "a", "012"), "", "[error] *1 slice response is not as long as its range"},
		{"second whole", part("bytes 0-1/100", "a", "01"), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n23",
			"[error] *1 unexpected status code 200 in slice response"},
		{"second missing", part("bytes 0-1/100", "a", "01"), "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n23",
			"[error] *1 unexpected status code 404 in slice response"},
		{"second not there", part("bytes 0-1/100", "a", "01"), "close", "[error] *1 unexpected status code 502 in slice response"},
		{"second of another version", part("bytes 0-1/100", "a", "01"), part("bytes 2-3/100", "b", "23"), "[error] *1 etag mismatch in slice response"},
		{"second untagged", part("bytes 0-1/100", "a", "01"), "HTTP/1.1 206 P\r\nContent-Range: bytes 2-3/100\r\nContent-Length: 2\r\n\r\n23",
			"[error] *1 etag mismatch in slice response"},
		{"second too long", part("bytes 0-1/100", "a", "01"), part("bytes 2-3/100", "a", "234"), "[error] *1 slice response is not as long as its range"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := sliceBackend(t, "", map[string]string{"bytes=0-1": c.first, "bytes=2-3": c.second})
			s := b.Behind(sliceFamilies, `location / { slice 2; proxy_pass http://BACKEND; proxy_set_header Range $slice_range; }`)
			if got := s.Get("/"); got != "" && c.name != "too long" && c.name != "second too long" {
				t.Errorf("the client got %q", got)
			}
			s.Logged(c.log)
		})
	}
}

// TestCutSlice: a server that ends a later slice early ends the response, without bytes in the wrong place.
func TestCutSlice(t *testing.T) {
	text := strings.Repeat("0123456789", 500)
	b := sliceBackend(t, text, map[string]string{"bytes=2000-3999": "HTTP/1.1 206 P\r\n" + sliceETag +
		"Content-Range: bytes 2000-3999/5000\r\nContent-Length: 2000\r\nConnection: close\r\n\r\n0123"})
	s := b.Behind(sliceFamilies, `location / { slice 2000; proxy_pass http://BACKEND; proxy_set_header Range $slice_range; }`)
	got := s.Get("/")
	if _, body, _ := strings.Cut(got, "\r\n\r\n"); body != text[:2004] {
		t.Errorf("the client got %d bytes: %.200q", len(body), got)
	}
	s.Logged("upstream prematurely closed connection")
}
