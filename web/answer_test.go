package web_test

import (
	"fmt"
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
	if got := s.Get("/recursive"); status(got) != "500 Internal Server Error" || !strings.Contains(body(got), "<h1>500") {
		t.Errorf("a cycle of error pages: %q", got)
	}
}

// The default server responds to a target with an invalid path, whatever host the target names.
func TestTheServerOfAnInvalidTarget(t *testing.T) {
	s := start(t, `
server { error_page 400 =200 /page; location /page { say "default $host $http_host"; } }
server { server_name b; error_page 400 =200 /page; location / { say "b"; } location /page { say "b $host"; } }`)
	for target, want := range map[string]string{
		"http://b/x": "b", "http://b/../x": "default  ", "http://b/%00": "default  ", "http://b:8/%zz": "default  ", "/%00": "default  ",
	} {
		if got := body(s.Send("GET " + target + " HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n")); got != want {
			t.Errorf("%s: got %q, want %q", target, got, want)
		}
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

const (
	agentMSIE   = "User-Agent: Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 5.1)"
	agentChrome = "User-Agent: Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120 Safari/537.36"
)

// Pages of errors are long enough for MSIE and Chrome not to show a text of their own instead.
func TestMSIEPadding(t *testing.T) {
	s := start(t, `server {
		location / { refuse 404; }
		location /off { msie_padding off; refuse 404; }
		location /tokens { server_tokens off; refuse 503; }
		location /inner { refuse 497; }
		location /moved { refuse 303; }
		location /teapot { refuse 418; }
		location /own { error_page 404 =200 /said; refuse 404; }
		location /said { say said; }
	}`)
	const line = "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n"
	for _, c := range []struct {
		target, agent string
		lines         int
	}{
		{"/", agentMSIE, 6}, {"/", agentChrome, 6}, {"/tokens", agentMSIE, 6}, {"/inner", agentChrome, 6},
		{"/", "User-Agent: curl/8.0", 0}, {"/", "X-Agent: MSIE 8.0", 0},
		{"/off", agentMSIE, 0}, {"/moved", agentMSIE, 0}, {"/teapot", agentMSIE, 0}, {"/own", agentMSIE, 0},
	} {
		got := s.Get(c.target, c.agent)
		padding := strings.Repeat(line, c.lines)
		if strings.Count(got, line) != c.lines || c.lines > 0 && !strings.HasSuffix(got, "</body>\r\n</html>\r\n"+padding) {
			t.Errorf("%s for %s: got %q", c.target, c.agent, got)
		}
		if want := fmt.Sprintf("\r\nContent-Length: %d\r\n", len(body(got))); !strings.Contains(got, want) {
			t.Errorf("%s for %s: %q lacks %q", c.target, c.agent, got, want)
		}
	}
	if got := s.Send("GET /\r\n"); strings.Contains(got, line) || !strings.Contains(got, "404 Not Found") {
		t.Errorf("HTTP/0.9: %q", got)
	}
	head := s.Send("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + agentMSIE + "\r\n\r\n")
	if want := fmt.Sprintf("\r\nContent-Length: %d\r\n", len(body(s.Get("/", agentMSIE)))); body(head) != "" || !strings.Contains(head, want) {
		t.Errorf("HEAD: %q lacks %q", head, want)
	}
}

// error_page with a URL redirects, whatever the status: MSIE gets a page that does it.
func TestMSIERefreshOfErrorPages(t *testing.T) {
	s := start(t, `msie_refresh on; server {
		error_page 404 =303 "http://a/$uri?q='1'";
		error_page 403 http://b/<x>;
		error_page 401 /said;
		location / { refuse 404; }
		location /403 { refuse 403; }
		location /401 { refuse 401; }
		location /off { msie_refresh off; refuse 404; }
		location /said { say said; }
	}`)
	page := func(target string) string {
		return `200 OK|<html><head><meta http-equiv="Refresh" content="0; URL=` + target + "\"></head><body></body></html>\r\n"
	}
	for _, c := range []struct{ target, want string }{
		{"/x", page("http://a//x?q=%271%27")}, {"/403", page("http://b/%3Cx%3E")}, {"/401", "401 Unauthorized|said"},
	} {
		got := s.Get(c.target, agentMSIE)
		if status(got)+"|"+body(got) != c.want || strings.Contains(got, "\r\nLocation:") {
			t.Errorf("%s: got %q, want %s", c.target, got, c.want)
		}
	}
	for target, agent := range map[string]string{"/x": agentChrome, "/off": agentMSIE} {
		got := s.Get(target, agent)
		if status(got) != "303 See Other" || !strings.Contains(got, "\r\nLocation: http://a/"+target+"?q='1'\r\n") {
			t.Errorf("%s for %s: got %q", target, agent, got)
		}
	}
}
