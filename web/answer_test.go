package web_test

import (
	"strings"
	"testing"

	"starling/nginx/version"
)

func TestPages(t *testing.T) {
	s := start(t, `server { location / { refuse 404; } location /off { server_tokens off; refuse 502; } location /teapot { refuse 418; } }`)
	const page = "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n" +
		"<hr><center>" + version.Server + "</center>\r\n</body>\r\n</html>\r\n"
	if got := body(s.Get("/")); got != page {
		t.Errorf("got %q", got)
	}
	off := s.Get("/off")
	if !strings.Contains(off, "\r\nServer: starling\r\n") || !strings.Contains(off, "<hr><center>starling</center>") {
		t.Errorf("got %q", off)
	}
	if got := s.Get("/teapot"); status(got) != "418 " || body(got) != "" {
		t.Errorf("got %q", got)
	}
}

func TestErrorPage(t *testing.T) {
	s := start(t, `
server {
    error_page 404 /missing.html;
    error_page 403 =200 /fine.html;
    error_page 500 502 = /own.html;
    error_page 503 @busy;
    error_page 401 http://elsewhere/login?from=$uri;
    error_page 410 =301 http://elsewhere/gone;
    error_page 405 /again;
    location / { refuse 404; }
    location /403 { refuse 403; }
    location /502 { refuse 502; }
    location /503 { refuse 503; }
    location /401 { refuse 401; }
    location /410 { refuse 410; }
    location /405 { refuse 405; }
    location = /missing.html { internal; say "missing $uri $request_uri $request_method"; }
    location = /fine.html { say "fine"; }
    location = /own.html { say "own"; }
    location = /again { refuse 404; }
    location /recursive { recursive_error_pages on; error_page 404 /recursive; refuse 404; }
    location @busy { say "busy $uri"; }
}`)
	for uri, want := range map[string]string{
		"/x?a=1":        "404 Not Found|missing /missing.html /x?a=1 GET",
		"/missing.html": "404 Not Found|missing /missing.html /missing.html GET",
		"/403":          "200 OK|fine",
		"/502":          "200 OK|own",
		"/503":          "503 Service Temporarily Unavailable|busy /503",
	} {
		got := s.Get(uri)
		if got := status(got) + "|" + body(got); got != want {
			t.Errorf("%s: got %q, want %q", uri, got, want)
		}
	}
	if got := s.Send("POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"); body(got) != "missing /missing.html /x GET" {
		t.Errorf("a POST: %q", got)
	}
	for uri, want := range map[string]string{
		"/401": "302 Moved Temporarily Location: http://elsewhere/login?from=/401",
		"/410": "301 Moved Permanently Location: http://elsewhere/gone",
	} {
		got := s.Get(uri)
		_, location, _ := strings.Cut(got, "\r\nLocation: ")
		location, _, _ = strings.Cut(location, "\r\n")
		if got := status(got) + " Location: " + location; got != want {
			t.Errorf("%s: got %s, want %s", uri, got, want)
		}
	}
	if got := s.Get("/405"); status(got) != "404 Not Found" || !strings.Contains(body(got), "<h1>404") {
		t.Errorf("an error page that fails: %q", got)
	}
	if got := s.Get("/recursive"); status(got) != "404 Not Found" && status(got) != "500 Internal Server Error" {
		t.Errorf("a cycle of error pages: %q", got)
	}
}

func TestRedirectsInside(t *testing.T) {
	s := start(t, `
server {
    location / { go_to "/end?x=y"; }
    location /end { internal; say "$uri $args"; }
    location /named { go_to_named there; }
    location /unnamed { go_to_named nowhere; }
    location /loop { go_to /loop; }
    location @there { say "there $uri"; }
}`)
	for uri, want := range map[string]string{"/": "/end x=y", "/named": "there /named"} {
		if got := body(s.Get(uri)); got != want {
			t.Errorf("%s: got %q, want %q", uri, got, want)
		}
	}
	for _, uri := range []string{"/loop", "/unnamed"} {
		if got := status(s.Get(uri)); got != "500 Internal Server Error" {
			t.Errorf("%s: %s", uri, got)
		}
	}
	log := strings.Join(s.Log.Lines(), "\n")
	for _, want := range []string{
		`rewrite or internal redirection cycle while internally redirecting to "/loop", client: unix:, server: , request: "GET /loop HTTP/1.1", host: "localhost"`,
		`could not find named location "nowhere"`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
	if got := status(s.Get("/end")); got != "404 Not Found" {
		t.Errorf("an internal location from outside: %s", got)
	}
}

func TestSatisfy(t *testing.T) {
	s := start(t, `
server {
    say "in";
    location /all { access 1; }
    location /any { satisfy any; access 403; }
    location /anygranted { satisfy any; access 1; }
    location /denied { access 403; }
}`)
	for _, c := range []struct{ uri, password, want string }{
		{"/all", "", "200 OK"},
		{"/all", "wrong", "401 Unauthorized"},
		{"/any", "", "403 Forbidden"},
		{"/any", "wrong", "401 Unauthorized"},
		{"/any", "right", "200 OK"},
		{"/anygranted", "wrong", "200 OK"},
		{"/denied", "right", "403 Forbidden"},
	} {
		var headers []string
		if c.password != "" {
			headers = []string{"X-Password: " + c.password}
		}
		if got := status(s.Get(c.uri, headers...)); got != c.want {
			t.Errorf("%s with %q: got %s, want %s", c.uri, c.password, got, c.want)
		}
	}
}

func TestAHandlerThatSaysNothingIsAnError(t *testing.T) {
	s := start(t, `server { location / { unanswered; } }`)
	if got := status(s.Get("/")); got != "500 Internal Server Error" {
		t.Errorf("got %s", got)
	}
}

// A text of server_tokens replaces name and version in header and pages; an empty one removes them.
func TestServerTokens(t *testing.T) {
	s := start(t, `server { server_tokens "shop/$arg_v"; location / { refuse 404; } location /ok { say yes; }
		location /none { server_tokens ""; refuse 404; } location /outer { error_page 404 /none; refuse 404; } }`)
	for _, c := range []struct{ target, header, page string }{
		{"/?v=1", "Server: shop/1\r\n", "<hr><center>shop/1</center>"},
		{"/?v=<b>", "Server: shop/<b>\r\n", "<hr><center>shop/&lt;b&gt;</center>"},
		{"/ok", "Server: shop/\r\n", ""},
		{"/none", "", ""},
		{"/outer", "", ""},
	} {
		got := s.Get(c.target)
		if !strings.Contains(got, c.header) || strings.Contains(got, "Server:") != (c.header != "") {
			t.Errorf("%s: header: %q", c.target, got)
		}
		if !strings.Contains(body(got), c.page) || strings.Contains(got, "<hr>") != (c.page != "") {
			t.Errorf("%s: page: %q", c.target, got)
		}
	}
}
