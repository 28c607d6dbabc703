package modules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starling/modules/web/authbasic"
	"starling/modules/web/core"
	"starling/modules/web/proxy"
	"starling/modules/web/rewrite"
	"starling/modules/web/upstream"
	"starling/web"
	"starling/web/webtest"
)

var afterFamilies = []*web.Module{&core.Module, &rewrite.Module, &authbasic.Module, &upstream.Module, &proxy.Module}

// TestPostAction: another server is told what became of a response, and the client sees nothing of it.
func TestPostAction(t *testing.T) {
	told := make(chan string, 10)
	b := webtest.Serve(t, func(p *webtest.Peer) {
		head, body := p.Request()
		line, _, _ := strings.Cut(head, " HTTP")
		told <- line + " " + body
		p.Say("HTTP/1.1 503 No\r\nContent-Length: 6\r\nSet-Cookie: a=b\r\n\r\nHIDDEN")
	})
	s := b.Behind(afterFamilies, `post_action /told; error_page 503 /never;
		location / { return 200 "answer"; }
		location /named { post_action @told; return 404; }
		location /none { post_action /missing; return 200 "none"; }
		location /down { post_action @down; return 200 "down"; }
		location = /told { internal; proxy_pass http://BACKEND/$status-$body_bytes_sent-$request_completion-$request_uri; }
		location @told { proxy_pass http://BACKEND/named-$status; }
		location @down { proxy_pass http://127.0.0.1:1; }
		location = /missing { return 404; }
		location = /never { return 200 "never"; }`)
	c := s.Client()
	for _, x := range []struct{ request, body, want, told string }{
		{"GET /a", "", "200 answer", "GET /200-6-OK-/a "},
		{"POST /b", "body", "200 answer", "POST /200-6-OK-/b body"},
		{"HEAD /c", "", "200 ", "HEAD /200-0-OK-/c "},
		{"GET /named", "", "404 <html>", "GET /named-404 "},
		{"GET /none", "", "200 none", ""},
		{"GET /down", "", "200 down", ""},
		{"GET /last", "", "200 answer", "GET /200-6-OK-/last "},
	} {
		r := c.Do(x.request + " HTTP/1.1\r\nHost: a\r\nContent-Length: " + length(x.body) + "\r\n\r\n" + x.body) // over one connection
		if got := r.Status[:4] + r.Text; !strings.HasPrefix(got, x.want) || r.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %s", x.request, got)
		}
		if x.told != "" {
			if got := webtest.Receive(t, told); got != x.told {
				t.Errorf("%s: told %q, want %q", x.request, got, x.told)
			}
		}
	}
	if len(told) > 0 {
		t.Errorf("told %q", <-told)
	}
}

func length(body string) string {
	if body == "" {
		return "0"
	}
	return "4"
}

// TestPostActionOfALostClient: it is requested although the client has gone.
func TestPostActionOfALostClient(t *testing.T) {
	told, slow := make(chan string, 10), make(chan bool)
	b := webtest.Serve(t, func(p *webtest.Peer) {
		line, _, _ := strings.Cut(p.Head(), " HTTP")
		told <- line
		if strings.Contains(line, "slow") {
			p.Say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
			<-slow
		}
		p.Say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	defer close(slow)
	s := b.Behind(afterFamilies, `location / { proxy_pass http://BACKEND; proxy_buffering off; post_action /told; }
		location = /told { proxy_pass http://BACKEND/told-$status-$request_completion; }`)
	c := s.LoopbackClient()
	c.Write("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	if line := webtest.Receive(t, told); line != "GET /slow" {
		t.Errorf("%q", line)
	}
	c.Conn.Close()
	if line := webtest.Receive(t, told); line != "GET /told-499-" && line != "GET /told-200-" {
		t.Errorf("%q", line)
	}
}

// TestAuthDelay: a 401 takes its time, whichever way it comes about; nothing else does.
func TestAuthDelay(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("u:{PLAIN}p\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := webtest.Start(t, afterFamilies, `auth_delay 300ms; auth_basic x; auth_basic_user_file `+users+`;
		server { location / { } location /any { satisfy any; } }`)
	for _, c := range []struct {
		path, password string
		status         int
		late           bool
	}{
		{"/x", "bad", 401, true}, {"/any/x", "bad", 401, true}, {"/x", "p", 404, false},
	} {
		began := time.Now()
		r := s.Client().Do("GET " + c.path + " HTTP/1.1\r\nHost: a\r\nAuthorization: Basic " +
			map[string]string{"p": "dTpw", "bad": "dTpi"}[c.password] + "\r\n\r\n")
		if took := time.Since(began); r.StatusCode != c.status || c.late && took < 290*time.Millisecond {
			t.Errorf("%s: %d after %v", c.path, r.StatusCode, took)
		}
		if c.late {
			s.Logged("delaying unauthorized request")
		}
	}
}
