package web_test

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// chunked is a request whose body is in pieces of one size, and a second request behind it.
func chunked(target string, bytes int) string {
	var body strings.Builder
	for left := bytes; left > 0; left -= 5 {
		n := min(5, left)
		fmt.Fprintf(&body, "%d\r\n%s\r\n", n, strings.Repeat("x", n))
	}
	return "POST " + target + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body.String() + "0\r\n\r\n" +
		"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
}

// statuses are those of all answers, the heads of the rejected cleaned of what the handler had put in.
func statuses(raw string) (all []string) {
	for _, part := range strings.Split(raw, "HTTP/1.1 ")[1:] {
		status := part[:3]
		if strings.Contains(part, "X-Said") {
			status += "!"
		}
		all = append(all, status)
	}
	return all
}

// TestTheLimitOfABodyThatNobodyReads: client_max_body_size counts for it as for one with a length, whoever answers.
func TestTheLimitOfABodyThatNobodyReads(t *testing.T) {
	s := start(t, `server { client_max_body_size 10; error_page 404 /page; error_page 413 =413 /large;
		location / { say ok; } location /deny { refuse 403; } location /missing { refuse 404; } location /page { say page; } location /large { say large; }
		location /stream { stream a b c; } location /close { refuse 444; } location /read { read; } location /off { client_max_body_size 0; say ok; }
		location /header { header X-Said x; say ok; } location /go { go_to /stream; } location /small { client_max_body_size 4; say ok; } }`)
	for _, test := range []struct {
		target string
		bytes  int
		want   string
	}{
		{"/", 0, "200 200"}, {"/", 10, "200 200"}, {"/", 11, "413"}, {"/", 1000, "413"}, {"/small", 5, "413"}, {"/small", 4, "200 200"},
		{"/deny", 10, "403 200"}, {"/deny", 11, "413"}, {"/missing", 10, "404 200"}, {"/missing", 11, "413"},
		{"/stream", 10, "200 200"}, {"/stream", 11, "413"}, {"/go", 11, "413"}, {"/read", 11, "413"}, {"/read", 10, "200 200"},
		{"/off", 100000, "200 200"}, {"/header", 10, "200! 200"}, {"/header", 11, "413"}, {"/close", 11, ""},
	} {
		if got := strings.Join(statuses(s.Send(chunked(test.target, test.bytes))), " "); got != test.want {
			t.Errorf("%s with %d bytes: %q, want %q", test.target, test.bytes, got, test.want)
		}
		if test.want != "413" {
			continue
		}
		if got := body(s.Send(chunked(test.target, test.bytes))); got != "large" {
			t.Errorf("%s with %d bytes: the page is %q", test.target, test.bytes, got)
		}
	}
	// One that waits for 100 Continue sends none.
	got := s.Send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
	if status(got) != "200 OK" || strings.Contains(got, "100 Continue") {
		t.Errorf("with Expect: %q", got)
	}
	if got := status(s.Send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n")); got != "400 Bad Request" {
		t.Errorf("a body that is no body: %s", got)
	}
}

// TestTheLimitOfABodyThatNobodyReadsOverHTTP2: the same for streams.
func TestTheLimitOfABodyThatNobodyReadsOverHTTP2(t *testing.T) {
	s := start(t, `http2 on; server { client_max_body_size 10; location / { say ok; } location /deny { refuse 403; } location /stream { stream o k; }
		location /off { client_max_body_size 0; say ok; } }`)
	for _, test := range []struct {
		path  string
		bytes int
		want  string
	}{
		{"/", 10, "200"}, {"/", 11, "413"}, {"/", 60000, "413"}, {"/deny", 10, "403"}, {"/deny", 11, "413"},
		{"/stream", 10, "200"}, {"/stream", 11, "413"}, {"/off", 60000, "200"},
	} {
		got := statusOfFrames(t, s.DialLoopback(), strings.Repeat("x", test.bytes), ":method POST", ":scheme http", ":path "+test.path, ":authority a")
		if got != test.want {
			t.Errorf("%s with %d bytes: %s, want %s", test.path, test.bytes, got, test.want)
		}
	}
}

// TestABodyThatDoesNotCome: the answer waits for it a while, and then goes out.
func TestABodyThatDoesNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, `server { lingering_time 10s; say ok; }`)
		for piece, want := range map[string]time.Duration{"": 300 * time.Millisecond, "1\r\nx\r\n": 10 * time.Second} {
			c, began := s.Client(), time.Now()
			c.Write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
			var dripping sync.WaitGroup
			dripping.Go(func() {
				for err := error(nil); piece != "" && err == nil; _, err = io.WriteString(c.Conn, piece) {
					time.Sleep(200 * time.Millisecond) // virtual
				}
			})
			if r := c.Read("POST"); r.Text != "ok" || !r.Close || time.Since(began) < want || time.Since(began) > want*5/4 { // deadlines have some slack
				t.Errorf("%q after %v, want it after %v", r.Text, time.Since(began), want)
			}
			c.Conn.Close()
			dripping.Wait()
		}
	})
}

// TestTheLimitOfABodyAfterARedirect: the location of an internal redirect or of an error page limits the body again,
// whether a handler has read it or not, and with or without a declared length.
func TestTheLimitOfABodyAfterARedirect(t *testing.T) {
	s := start(t, `server { client_max_body_size 0;
		location /read { read; go_to /page; } location /unread { go_to /page; } location /refuse { refuse 404; error_page 404 /page; }
		location /wide { read; go_to /widepage; } location /named { read; go_to_named page; }
		location /page { client_max_body_size 10; say page; } location /widepage { client_max_body_size 100; say page; }
		location @page { client_max_body_size 10; say page; }
		location /pages { read; go_to /paged; } location /paged { client_max_body_size 10; error_page 413 /large; say page; }
		location /large { say large; } }`)
	for _, test := range []struct {
		target string
		bytes  int
		want   string
	}{
		{"/read", 10, "200 page"}, {"/read", 11, "413"}, {"/unread", 10, "200 page"}, {"/unread", 11, "413"},
		{"/refuse", 10, "404 page"}, {"/refuse", 11, "413"}, {"/wide", 100, "200 page"}, {"/wide", 101, "413"},
		{"/named", 11, "200 page"}, // nginx does not check the limit of a named location
		{"/pages", 10, "200 page"}, {"/pages", 11, "413 large"},
	} {
		whole := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
			test.target, test.bytes, strings.Repeat("x", test.bytes))
		for kind, request := range map[string]string{"a length": whole, "chunks": chunked(test.target, test.bytes)} {
			answer := strings.Split(s.Send(request), "HTTP/1.1 ")[1] // the one in chunks has a second request behind it
			got := status(answer)[:3]
			if text := body(answer); text == "page" || text == "large" {
				got += " " + text
			}
			if got != test.want {
				t.Errorf("%s of %d bytes with %s: %s, want %s", test.target, test.bytes, kind, got, test.want)
			}
		}
	}
}
