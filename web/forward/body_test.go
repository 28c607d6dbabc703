package forward_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"starling/lib/testkit"
	"starling/plan"
	"starling/web"
	"starling/web/webtest"
)

// longBody does not fit into client_body_buffer_size, nor into one read.
var longBody = strings.Repeat("0123456789abcdef", 20000)

func withLength(method, body string) string {
	return fmt.Sprintf("%s /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", method, len(body), body)
}

func inChunks(method, body string) string {
	return fmt.Sprintf("%s /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", method, len(body), body)
}

// TestServersAreShielded: nothing is asked of a server before the client has sent all of its body.
func TestServersAreShielded(t *testing.T) {
	b := webtest.Serve(t, func(p *webtest.Peer) {
		if _, body := p.Request(); body != longBody {
			p.T.Errorf("%d bytes", len(body))
		}
		p.Say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	s := b.Proxied(modules, ``)
	c := s.LoopbackClient()
	request := withLength("POST", longBody)
	io.WriteString(c.Conn, request[:len(request)-5])
	testkit.Eventually(t, webtest.Patience, func() error {
		for _, line := range s.Log.Lines() {
			if strings.Contains(line, "[warn]") && strings.Contains(line, "a client request body is buffered to a temporary file") {
				return nil
			}
		}
		return fmt.Errorf("no file is told of")
	})
	if n := b.Accepted.Load(); n != 0 {
		t.Errorf("%d connections to the server while the body was coming", n)
	}
	io.WriteString(c.Conn, request[len(request)-5:])
	if r := c.Read("POST"); r.Text != "ok" {
		t.Errorf("%d %q", r.StatusCode, r.Text)
	}
}

// TestBodiesByName: a server is told where the body is instead of being sent it.
func TestBodiesByName(t *testing.T) {
	for _, request := range []string{withLength("POST", "hello"), inChunks("POST", "hello"), withLength("POST", longBody), withLength("POST", "")} {
		name := ""
		b := webtest.Serve(t, func(p *webtest.Peer) {
			head, body := p.Request()
			_, rest, _ := strings.Cut(head, "X-File: ")
			name, _, _ = strings.Cut(rest, "\r\n")
			content, err := os.ReadFile(name)
			if err != nil || body != "" || strings.Contains(head, "Content-Length") ||
				!strings.HasSuffix(strings.TrimSuffix(request, "\r\n0\r\n\r\n"), "\r\n"+string(content)) {
				p.T.Errorf("%q with a file of %d bytes: %v", head, len(content), err)
			}
			p.Say("HTTP/1.1 204 No Content\r\n\r\n")
		})
		s := b.Proxied(modules, `client_body_in_file_only clean; proxy_pass_request_body off; proxy_set_header Content-Length "";
			proxy_set_header X-File $request_body_file;`)
		if got := s.Send(request); !strings.HasPrefix(got, "HTTP/1.1 204") {
			t.Errorf("%q %v", got, s.Log.Lines())
		}
		testkit.Eventually(t, webtest.Patience, func() error {
			if _, err := os.Stat(name); !os.IsNotExist(err) {
				return fmt.Errorf("%s is still there: %v", name, err)
			}
			return nil
		})
	}
}

// TestBodyVariables: $request_body is there when it is used, whatever framed it; what is in a file has a name instead.
func TestBodyVariables(t *testing.T) {
	for _, test := range []struct{ conf, request, want string }{
		{``, withLength("POST", "hello"), "Content-Length: 7||[hello]"},
		{``, inChunks("POST", "hello"), "Content-Length: 7||[hello]"},
		{`proxy_request_buffering off;`, inChunks("POST", "hello"), "Content-Length: 7||[hello]"},
		{`proxy_request_buffering off; client_body_buffer_size 1m;`, withLength("POST", longBody), "Content-Length: 320002||[" + longBody + "]"},
		{`client_body_buffer_size 2;`, inChunks("POST", "hello"), "Content-Length: 2||[]"},
		{``, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "Content-Length: 2||[]"},
	} {
		got := make(chan string, 1)
		b := webtest.Serve(t, func(p *webtest.Peer) {
			head, body := p.Request()
			got <- head + body
			p.Say("HTTP/1.1 204 No Content\r\n\r\n")
		})
		s := b.Proxied(modules, test.conf+` proxy_set_body "[$request_body]";`)
		s.Send(test.request)
		if got := webtest.Receive(t, got); !strings.HasSuffix(got, strings.ReplaceAll(test.want, "|", webtest.CRLF)) {
			t.Errorf("%s %.200q: %.300q (%d bytes), want %.100q", test.conf, test.request, got, len(got), test.want)
		}
	}
}

// TestHalfABodyIsNoVariable: while a body is passed on as it comes, what came of it with the head is not taken for all
// of it.
func TestHalfABodyIsNoVariable(t *testing.T) {
	for _, test := range []struct{ body, want string }{{"hello", "hello"}, {longBody, ""}} {
		got := make(chan string, 1)
		b := webtest.Serve(t, func(p *webtest.Peer) {
			head, _ := p.Request()
			_, value, _ := strings.Cut(head, "X-Body: ")
			value, _, _ = strings.Cut(value, webtest.CRLF)
			got <- value
			p.Say("HTTP/1.1 204 No Content\r\n\r\n")
		})
		s := b.Proxied(modules, `location / { proxy_pass http://BACKEND; proxy_request_buffering off; proxy_set_header X-Body $request_body; }`)
		s.Send(withLength("POST", test.body))
		if got := webtest.Receive(t, got); got != test.want {
			t.Errorf("%d bytes: %.100q, want %q", len(test.body), got, test.want)
		}
	}
}

// TestBodiesAfterErrorPages: what was kept is sent again by the location that answers instead; what was passed on is
// gone.
func TestBodiesAfterErrorPages(t *testing.T) {
	for _, test := range []struct{ name, conf, page, request, want, log string }{
		{"in memory", ``, "@other", inChunks("POST", "hello"), "POST hello", ""},
		{"in a file", ``, "@other", withLength("POST", longBody), "POST " + longBody, ""},
		{"as it comes, and all of it came with the head", `proxy_request_buffering off;`, "@other", withLength("POST", "hello"), "POST hello", ""},
		{"as it comes", `proxy_request_buffering off;`, "@other", withLength("POST", longBody), "502", "request body was streamed and cannot be read again"},
		{"as it comes, for a GET", `proxy_request_buffering off;`, "/other", withLength("POST", longBody), "GET ", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := make(chan string, 1)
			b := webtest.Serve(t, func(p *webtest.Peer) {
				head, body := p.Request()
				if strings.HasPrefix(head, "POST /x HTTP/1.0") { // the first location
					p.Say("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
					return
				}
				method, _, _ := strings.Cut(head, " ")
				got <- method + " " + body
				p.Say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			})
			s := b.Proxied(
				modules,
				`location /x { proxy_pass http://BACKEND; proxy_http_version 1.0; proxy_intercept_errors on; error_page 503 = `+test.page+`; `+test.conf+` }
				location @other { proxy_pass http://BACKEND; } location /other { proxy_pass http://BACKEND; }`,
			)
			response := s.Send(test.request)
			if test.log != "" {
				if s.Logged(test.log); !strings.HasPrefix(response, "HTTP/1.1 "+test.want) {
					t.Errorf("%q", response)
				}
				return
			}
			if got := webtest.Receive(t, got); got != test.want {
				t.Errorf("got %.100q (%d), want %.100q", got, len(got), test.want)
			}
		})
	}
}

// TestPagesOfTooLargeBodies: the page that error_page names for 413 is not refused for the same size once more, and its
// location sees no body.
func TestPagesOfTooLargeBodies(t *testing.T) {
	tooLong := strings.Repeat("x", 2000)
	waiting := "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\nExpect: 100-continue\r\n\r\n"
	for _, request := range []string{withLength("POST", tooLong), inChunks("POST", tooLong), waiting} {
		for page, want := range map[string]string{
			"/page": "413 GET page", "=200 /page": "200 GET page", "@page": "413 POST page", "@streamed": "413 POST page",
		} {
			b := webtest.Serve(t, func(p *webtest.Peer) {
				head := p.Head()
				method, _, _ := strings.Cut(head, " ")
				if strings.Contains(head, "chunked") || strings.Contains(head, "Content-Length") && !strings.Contains(head, "Content-Length: 0\r\n") {
					p.T.Errorf("%s: %q", page, head)
				}
				p.Say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s page", len(method)+5, method))
			})
			s := b.Proxied(modules, `client_max_body_size 1k; location /x { proxy_pass http://BACKEND; error_page 413 `+page+`; }
				location /page { proxy_pass http://BACKEND; } location @page { proxy_pass http://BACKEND; }
				location @streamed { proxy_pass http://BACKEND; proxy_request_buffering off; }`)
			r := s.LoopbackClient().Do(request)
			if got := fmt.Sprint(r.StatusCode, " ", r.Text); got != want || !r.Close {
				t.Errorf("%s %.60q: %q, want %q %v", page, request, got, want, s.Log.Lines())
			}
		}
	}
}

// TestFullSpoolStreams: where no more goes to files, what is there is sent first and the rest as it comes.
func TestFullSpoolStreams(t *testing.T) {
	for _, limit := range []int64{100, 100_000} {
		for _, request := range []string{withLength("PUT", longBody), inChunks("PUT", longBody)} {
			got := make(chan string, 1)
			b := webtest.Serve(t, func(p *webtest.Peer) {
				request, err := http.ReadRequest(p.R)
				if err != nil {
					return
				}
				body, err := io.ReadAll(request.Body)
				if err != nil {
					p.T.Error(err)
				}
				got <- string(body)
				p.Say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			})
			s := webtest.Start(t, modules, `server { location / { proxy_pass http://`+b.Addr+`; } }`, func(p *plan.Plan) { web.LimitBodyFiles(p, limit) })
			response := s.Send(request)
			if body := webtest.Receive(t, got); body != longBody || !strings.HasPrefix(response, "HTTP/1.1 200") {
				t.Errorf("limit %d: the server got %d bytes, the client %q", limit, len(body), response)
			}
			s.Logged("; streaming this one")
		}
	}
}

// TestEarlyAnswersToFiles: a server that answers before it has read a body in a file is heard, and its connection is
// not used again.
func TestEarlyAnswersToFiles(t *testing.T) {
	for _, conf := range []string{``, `client_body_buffer_size 40m;`} {
		b := webtest.Serve(t, func(p *webtest.Peer) {
			if p.Head() != "" {
				p.Say("HTTP/1.1 413 Too much\r\nContent-Length: 3\r\n\r\nno!")
				p.R.WriteTo(io.Discard)
			}
		})
		s := b.Proxied(modules, `client_max_body_size 0; `+conf)
		c := s.LoopbackClient()
		big := strings.Repeat("x", 32<<20)
		for range 2 {
			c.Write("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: " + strconv.Itoa(len(big)) + "\r\n\r\n" + big)
			if r := c.Read("PUT"); r.StatusCode != 413 || r.Text != "no!" {
				t.Errorf("%d %q", r.StatusCode, r.Text)
			}
		}
		if n := b.Accepted.Load(); n != 2 {
			t.Errorf("%d connections", n)
		}
	}
}

// TestCutBodyFiles: where somebody cuts the file of a body before a server has all of it, the client gets no answer
// that looks whole, the server's connection is closed, and the log says which file it was.
func TestCutBodyFiles(t *testing.T) {
	huge := strings.Repeat("0123456789abcdef", 1<<20) // more than sockets take while nobody reads
	for _, test := range []struct {
		name, body    string
		before, after string // what the server says
		seen          string // by the client, before the file is cut
		want          string
	}{
		{"while it is sent", huge, "", "", "", "HTTP/1.1 500 "},
		{"while it is sent, behind half an answer", huge, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nearly", "", "\r\n\r\nearly", "HTTP/1.1 200 "},
		{"before an error page sends it again", longBody, "", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "", "HTTP/1.1 500 "},
	} {
		t.Run(test.name, func(t *testing.T) {
			names, cut, ended := make(chan string, 1), make(chan bool), make(chan error, 1)
			b := webtest.Serve(t, func(p *webtest.Peer) {
				head := p.Head()
				_, rest, found := strings.Cut(head, "X-File: ")
				if !found { // the connection for the error page
					if head != "" {
						p.T.Errorf("a request without its body was sent: %q", head)
					}
					return
				}
				if test.after != "" {
					p.Body(len(test.body))
				}
				p.Say(test.before)
				name, _, _ := strings.Cut(rest, "\r\n")
				names <- name
				<-cut
				p.Say(test.after)
				n, err := p.R.WriteTo(io.Discard)
				if os.IsTimeout(err) || n >= int64(len(test.body)) {
					ended <- fmt.Errorf("the connection was not closed in the body: %d bytes more, %v", n, err)
				}
				ended <- nil
			})
			s := b.Proxied(
				modules,
				`client_max_body_size 0; client_body_in_file_only clean; location / { proxy_pass http://BACKEND; proxy_set_header X-File $request_body_file;
				proxy_intercept_errors on; error_page 503 = @other; } location @other { proxy_pass http://BACKEND; }`,
			)
			conn := s.DialLoopback()
			conn.SetDeadline(time.Now().Add(webtest.Patience))
			go io.WriteString(conn, withLength("PUT", test.body))
			got, name, in := "", webtest.Receive(t, names), bufio.NewReader(conn)
			for !strings.HasSuffix(got, test.seen) {
				c, err := in.ReadByte()
				if err != nil {
					t.Fatalf("after %q: %v", got, err)
				}
				got += string(c)
			}
			if err := os.Truncate(name, 1000); err != nil {
				t.Fatal(err)
			}
			close(cut)
			rest, err := io.ReadAll(in)
			if got += string(rest); err != nil || !strings.HasPrefix(got, test.want) || test.seen != "" && string(rest) != "" {
				t.Errorf("the client got %q %v", got, err)
			}
			if err := webtest.Receive(t, ended); err != nil {
				t.Error(err)
			}
			s.Logged(`[crit] *1 pread() "` + name + `" failed (file was truncated), cannot reread the request body`)
		})
	}
}
