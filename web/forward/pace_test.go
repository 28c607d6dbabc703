package forward_test

import (
	"strings"
	"testing"
	"time"

	"starling/web/webtest"
)

// TestRates: what slows a response down, and what lifts the limit. A response of 6,000 bytes at 4,000 in a second takes
// half of one, because those of the first are there at once; at 1 in a second it would take longer than tests wait.
func TestRates(t *testing.T) {
	b := webtest.Serve(t, func(p *webtest.Peer) {
		head := p.Head()
		_, headers, _ := strings.Cut(head, "X-Say: ")
		headers, _, _ = strings.Cut(headers, "\r\n")
		if headers != "" {
			headers = strings.ReplaceAll(headers, "|", "\r\n") + "\r\n"
		}
		p.Say("HTTP/1.1 200 OK\r\nContent-Length: 6000\r\n" + headers + "\r\n" + strings.Repeat("0123456789", 600))
	})
	for _, c := range []struct {
		conf, says string
		limited    bool
	}{
		{"proxy_limit_rate 4000;", "", true},
		{"proxy_limit_rate $arg_rate;", "", true},
		{"proxy_limit_rate $arg_none;", "", false},
		{"proxy_limit_rate 0;", "", false},
		{"proxy_limit_rate 1; proxy_buffering off;", "", false},
		{"proxy_limit_rate 1;", "X-Accel-Buffering: no", false},
		{"proxy_limit_rate 4000; proxy_ignore_headers X-Accel-Buffering;", "X-Accel-Buffering: no", true},
		{"proxy_limit_rate 4000; proxy_buffering off;", "X-Accel-Buffering: YES", true},
		{"proxy_limit_rate 4000;", "X-Accel-Buffering: maybe", true},
		{"limit_rate 4000;", "", true},
		{"limit_rate 1; proxy_buffering off;", "", false},
		{"limit_rate 1;", "X-Accel-Buffering: no", false},
		{"limit_rate 1;", "X-Accel-Buffering: yes|X-Accel-Buffering: no|X-Accel-Buffering: maybe", false},
		{"proxy_limit_rate 4000;", "X-Accel-Buffering: no|X-Accel-Buffering: yes", true},
		{"limit_rate 1;", "X-Accel-Limit-Rate: 0", false},
		{"limit_rate 1;", "X-Accel-Limit-Rate: 0|X-Accel-Limit-Rate: 1", false},
		{"limit_rate 1;", "X-Accel-Limit-Rate: 100000", false},
		{"limit_rate 4000;", "X-Accel-Limit-Rate: 1k", true},
		{"limit_rate 4000; proxy_ignore_headers X-Accel-Limit-Rate;", "X-Accel-Limit-Rate: 0", true},
		{"", "X-Accel-Limit-Rate: 4000", true},
	} {
		t.Run(c.conf+c.says, func(t *testing.T) {
			t.Parallel()
			client := b.Proxied(modules, c.conf).LoopbackClient()
			began := time.Now()
			r := client.Do("GET /?rate=4000 HTTP/1.1\r\nHost: a\r\nX-Say: " + c.says + "\r\n\r\n")
			if r.Text != strings.Repeat("0123456789", 600) {
				t.Errorf("%q", r.Text)
			}
			if took := time.Since(began); c.limited && took < 450*time.Millisecond {
				t.Errorf("6,000 bytes at 4,000 a second took %v", took)
			}
		})
	}
}

// TestRatesBesideAnUpload: while a response waits for its rate, the rest of the request can come; the wait neither
// reads it nor ends the time that its client has for it.
func TestRatesBesideAnUpload(t *testing.T) {
	got := make(chan string, 1)
	b := webtest.Serve(t, func(p *webtest.Peer) {
		p.Head()
		p.Say("HTTP/1.1 200 OK\r\nContent-Length: 6000\r\n\r\n" + strings.Repeat("0123456789", 599))
		got <- p.Body(len("1\r\na\r\n1\r\nb\r\n0\r\n\r\n"))
		p.Say("0123456789")
	})
	for _, conf := range []string{"proxy_limit_rate 4000;", "limit_rate 4000;"} {
		c := b.Proxied(modules, "proxy_request_buffering off; "+conf).LoopbackClient()
		c.Write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
		for n, piece := 0, make([]byte, 8000); n < 5990; { // which takes several waits
			got, err := c.Conn.Read(piece)
			if err != nil {
				t.Fatalf("%s: after %d bytes: %v", conf, n, err)
			}
			n += got
		}
		c.Write("1\r\nb\r\n0\r\n\r\n")
		if body := webtest.Receive(t, got); body != "1\r\na\r\n1\r\nb\r\n0\r\n\r\n" {
			t.Errorf("%s: the server got %q", conf, body)
		}
	}
}
