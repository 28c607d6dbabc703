package modules_test

import (
	"strings"
	"testing"

	"starling/lib/testkit"
	"starling/modules/web/access"
	"starling/modules/web/authrequest"
	"starling/modules/web/core"
	"starling/modules/web/headers"
	"starling/modules/web/rewrite"
	"starling/web"
	"starling/web/webtest"
)

var authRequestModules = []*web.Module{&core.Module, &rewrite.Module, &access.Module, &authrequest.Module, &headers.Module, webtest.Say()}

const authRequestText = `server {
	server_name here;
	auth_request_set $who $arg_user;
	location / { auth_request /auth; auth_request_set $answered "$uri:$status_of"; set $status_of mine; say "$answered|$who"; }
	location /off { auth_request /auth; location /off/in { auth_request off; say free; } }
	location /any { satisfy any; allow 192.0.2.1; deny all; auth_request /auth; say granted; }
	location /all { deny all; auth_request /auth; say granted; }
	location /page { auth_request /auth; error_page 401 = @login; say granted; }
	location @login { say "log in"; }
	location = /auth {
		internal;
		add_header X-Not-Sent x;
		set $status_of auth;
		if ($arg_answer = 401) { return 401; }
		if ($arg_answer = 403) { return 403; }
		if ($arg_answer = 302) { return 302 /x; }
		if ($arg_answer = 500) { return 500; }
		if ($http_answer = 401) { return 401; }
		if ($http_answer = 403) { return 403; }
		if ($http_answer = 302) { return 302 /x; }
		return 204;
	}
	location /cycle { auth_request /cycle; say never; }
}`

func TestAuthRequest(t *testing.T) {
	s := webtest.Start(t, authRequestModules, authRequestText)
	for _, c := range []struct{ target, answer, want string }{
		{"/?user=me", "", "200 /auth:auth|"}, // the variables are those of the subrequest
		{"/", "401", "401"},
		{"/", "403", "403"},
		{"/", "302", "500"},
		{"/off/in", "403", "200 free"},
		{"/any", "", "200 granted"},
		{"/any", "403", "403"},
		{"/any", "401", "401"},
		{"/all", "", "403"},
		{"/page", "401", "200 log in"},
		{"/auth", "", "404"},
	} {
		head, body, _ := strings.Cut(s.Get(c.target, "Answer: "+c.answer), "\r\n\r\n")
		got := strings.Fields(head)[1]
		if got == "200" {
			got += " " + body
		}
		if got != c.want {
			t.Errorf("%s with %q: got %s, want %s", c.target, c.answer, got, c.want)
		}
		if strings.Contains(head, "X-Not-Sent") {
			t.Errorf("%s: the head of the subrequest reached the client:\n%s", c.target, head)
		}
	}
	lines := strings.Join(s.Log.Lines(), "\n")
	if !strings.Contains(lines, "auth request unexpected status: 302,") {
		t.Errorf("got %s", lines)
	}
}

func TestAuthRequestOfItself(t *testing.T) {
	s := webtest.Start(t, authRequestModules, authRequestText)
	// Access control is not for subrequests, so that this is none.
	if got := s.Get("/cycle"); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("got %q", got)
	}
}

func TestAuthRequestMistakes(t *testing.T) {
	for text, problem := range map[string]string{
		`auth_request;`:                     `invalid number of arguments in "auth_request" directive`,
		`auth_request_set x y;`:             `invalid variable name "x"`,
		`auth_request_set $host y;`:         `the duplicate "host" variable`,
		`auth_request_set $x $nowhere;`:     `unknown "nowhere" variable`,
		`auth_request /a; auth_request /b;`: `"auth_request" directive is duplicate`,
	} {
		_, err := webtest.Load(t, authRequestModules, "\n"+text+"\n server { }")
		if want := problem + " in /test.conf:2"; err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestAuthRequestDoesNotAllocate(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	s := webtest.Start(t, []*web.Module{&core.Module, &authrequest.Module, webtest.Say()},
		`server { keepalive_requests 1000000; location / { auth_request /auth; say ok; } location = /auth { say yes; } }`)
	if n := s.Allocations("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
