package beside

import (
	"fmt"
	"strings"
)

// regexes are locations by regular expression, each with a path that matches.
var regexes = [][2]string{
	{`\.txt$`, "/a.txt"}, {`^/re/(.*)$`, "/re/x/y"}, {`^/(?<seg>[^/]+)/(?<tail>.*)$`, "/seg/tail.txt"}, {`\.(gif|html)$`, "/b.GIF"},
	{`/dir(/|$)`, "/dir"}, {`^/A/b`, "/a/B"}, {` `, "/sp%20ace.txt"}, {`^/(\w)(\w)?`, "/ab"}, {`//`, "//x"},
}

// anyLocation is a location in a server or in another location with a prefix; nil if it would be a duplicate.
func (g *grammar) anyLocation(inside string, depth int, used map[string]bool) *node {
	var words, path string
	switch g.r.IntN(8) {
	case 0, 1:
		re := regexes[g.r.IntN(len(regexes))]
		words, path = g.pick("~", "~*")+` "`+re[0]+`"`, re[1]
		if strings.Contains(re[0], "<seg>") {
			g.variables = append(g.variables, "$seg", "$tail")
		}
	default:
		path = inside + g.pick("/", "/a", "/a/", "/a/b", "/dir/", "/dir", "/pages", "/pages/", "/a.txt", "/p", "/p/", "/img/", "/A",
			"/index.html", "/noindex/")
		words = g.pick("", "", "", "", "= ", "^~ ") + path
	}
	key := strings.TrimPrefix(words, "^~ ")
	if used[key] {
		return nil
	}
	used[key] = true
	return g.location(words, path, depth)
}

// location is a location with settings, rewriting, and one way to respond.
func (g *grammar) location(words, path string, depth int) *node {
	if path != "" {
		g.paths = append(g.paths, path)
	}
	outer := g.taken
	g.taken = map[string]bool{}
	n := block("location", words)
	for range g.r.IntN(4) {
		n.block = append(n.block, g.setting("location")...)
	}
	for range g.r.IntN(3) {
		n.block = append(n.block, g.rewriting(0)...)
	}
	n.block = append(n.block, g.content(words, path)...)
	isPrefix := !strings.HasPrefix(words, "=") && !strings.HasPrefix(words, "@") && !strings.HasPrefix(words, "~")
	if depth < 2 && g.one(4) && isPrefix {
		used := map[string]bool{}
		for range 1 + g.r.IntN(2) {
			inside := strings.TrimSuffix(path, "/")
			if l := g.anyLocation(inside, depth+1, used); l != nil && l.words != words {
				n.block = append(n.block, l)
			}
		}
	}
	g.taken = outer
	return n
}

// content is how a location responds.
func (g *grammar) content(words, path string) []*node {
	named, regex := strings.HasPrefix(words, "@"), strings.HasPrefix(words, "~")
	switch g.r.IntN(9) {
	case 0, 1:
		return []*node{g.returns()}
	case 2:
		if named {
			break
		}
		if regex {
			return []*node{leaf("alias", g.pick("ROOT/$1", "ROOT/pages/$1", "ROOT/a.txt", "ROOT$uri"))}
		}
		// Without the slash at the end of a folder, autoindex of nginx looks for another one.
		return []*node{leaf("alias", g.pick("ROOT/", "ROOT/pages/", "ROOT/dir/", "ROOT/a.txt", "ROOT/$arg_a"))}
	case 3:
		words := g.pick("$uri", "$uri $uri/", "$uri/ $uri", "$uri.html $uri", "/pages/$arg_a", "/a.txt")
		last := []string{"/index.html", "=404", "=204", "/pages/gone.html?x=$args", "=444", "$uri.txt", "=503", "/missing"}
		last = append(last, g.named...)
		return []*node{leaf("try_files", words, g.pick(last...))}
	case 4, 5, 6:
		return g.proxy(named || regex)
	case 7:
		return []*node{leaf("root", g.pick("ROOT", "ROOT/pages", "ROOT/dir/", "ROOT/$arg_a", "ROOT/missing"))}
	}
	return nil
}

// returns leaves out statuses below 200: nginx sends a body with them, which no client can read.
func (g *grammar) returns() *node {
	code := g.pick("200", "200", "204", "301", "302", "303", "307", "308", "400", "401", "402", "403", "404", "405", "408", "410", "413", "416", "418",
		"444", "499", "500", "502", "503", "504", "599", "201", "206", "304", "426", "451", "600", "999", "305", "429", "494", "497")
	if code == "600" && !g.one(20) {
		code = "426"
	}
	switch code[0] {
	case '3':
		return leaf("return", code, g.pick("/elsewhere", "http://example.com/x?$args", `"/sp ace"`, "$uri", "https://$host$request_uri",
			"/x?a=$arg_a#f", "rel", "//host/x"))
	case '2':
		return leaf("return", code, g.text())
	}
	if g.one(2) && code != "444" { // nginx sends a response with it
		return leaf("return", code, g.text())
	}
	if g.one(6) {
		return leaf("return", g.pick("http://example.com$request_uri", "$scheme://x/", "https://e/"))
	}
	return leaf("return", code)
}

// rewriting is directives of the rewrite module.
func (g *grammar) rewriting(depth int) []*node {
	switch g.r.IntN(6) {
	case 0, 1:
		name := fmt.Sprintf("$s%d", g.r.IntN(3))
		n := leaf("set", name, g.text())
		g.variables = append(g.variables, name)
		return []*node{n}
	case 2, 3:
		return []*node{g.rewrite()}
	case 4:
		if depth > 0 {
			return []*node{leaf("break")}
		}
		n := block("if", g.condition())
		for range 1 + g.r.IntN(2) {
			n.block = append(n.block, g.rewriting(depth+1)...)
		}
		if g.one(2) {
			n.block = append(n.block, g.returns())
		}
		return []*node{n}
	}
	if g.one(3) {
		return []*node{leaf("break")}
	}
	return nil
}

func (g *grammar) rewrite() *node {
	from := g.pick(`^/re/(.*)$`, `^/a(.*)$`, `^`, `(.*)\.txt$`, `^/(\w+)/(\w+)`, `^/p/(.*)`, `/dir`, `"^/(\w{3})"`, `^/$`, `(?i)^/A`)
	to := g.pick("/a/$1", "/pages/$1?x=1", "/$1?", "/new", "/a.txt", "/$arg_a", "/dir/?$args&y=$1", "http://example.com/$1", "$uri/x",
		"/é $1", "/%2e/$1", "/x?a=1?")
	return leaf("rewrite", from, `"`+to+`"`, g.pick("", "last", "break", "redirect", "permanent", "last"))
}

func (g *grammar) condition() string {
	v := g.variable()
	value := g.pick("a", "GET", "one", `""`, "/a", "1")
	switch g.r.IntN(8) {
	case 0:
		return "(" + v + ")"
	case 1:
		return "(" + v + " = " + value + ")"
	case 2:
		return "(" + v + " != " + value + ")"
	case 3:
		return "(" + v + ` ~ "` + g.pick("^a", "(.)(.)", "^$", `^/(\w+)`) + `")`
	case 4:
		return "(" + v + ` !~ "` + g.pick("^a", "(.)", "^$") + `")`
	case 5:
		return "(" + v + ` ~* "` + g.pick("^A", "X", "get") + `")`
	case 6:
		return "(" + v + ` !~* "` + g.pick("^A", "X", "post") + `")`
	}
	return "(" + g.pick("-f", "!-f", "-d", "!-d", "-e", "!-e", "-x", "!-x") + " " + g.pick("$request_filename", "ROOT$uri", "ROOT/$arg_a",
		"ROOT/a.txt") + ")"
}

// proxy is a proxy_pass with its settings.
func (g *grammar) proxy(bare bool) []*node {
	to := "BACKEND"
	switch {
	case len(g.groups) > 0 && g.one(2):
		to = g.pick(g.groups...)
	case g.one(8):
		to = g.pick("NOBODY", "CLOSER")
	}
	uri := g.pick("", "", "/", "/x", "/x/", "/x?y=z", "/s503", "/sp%20ace/", "$request_uri", "/$arg_a", "/b$is_args$args")
	if bare && !strings.Contains(uri, "$") {
		uri = ""
	}
	all := []*node{leaf("proxy_pass", "http://"+to+uri), leaf("proxy_http_version", g.pick("1.1", "1.1", "1.0")), leaf("proxy_set_header",
		`Connection ""`)}
	for range g.r.IntN(4) {
		all = append(all, g.proxySetting()...)
	}
	return all
}

func (g *grammar) proxySetting() []*node {
	once := g.once
	switch g.r.IntN(16) {
	case 0, 1:
		return []*node{leaf("proxy_set_header", g.pick("X-A", "X-New", "Host", "X-Real", "Accept-Encoding", "Cookie", "User-Agent"), g.text())}
	case 2:
		return once("proxy_redirect", g.pick("off", "default", "http://BACKEND/ /back/", "~^http://[^/]+(/.*)$ $1", "/ /root/",
			"~*/LOC(.*) http://$host/$1"))
	case 3:
		return []*node{leaf("proxy_hide_header", g.pick("X-Answer", "Set-Cookie", "x-lower", "Content-Type", "ETag"))}
	case 4:
		return []*node{leaf("proxy_pass_header", g.pick("Server", "Date", "X-Accel-Expires", "X-Pad"))}
	case 5:
		return once("proxy_ignore_headers", g.pick("X-Accel-Redirect", "X-Accel-Charset", "Cache-Control Expires", "X-Accel-Limit-Rate"))
	case 6:
		return once("proxy_intercept_errors", "on")
	case 7:
		return once("proxy_next_upstream", g.pick("error", "error timeout http_503", "http_502 http_404", "off",
			"error invalid_header http_500 non_idempotent", "http_403"))
	case 8:
		return once("proxy_next_upstream_tries", g.pick("1", "2", "0"))
	case 9:
		return once("proxy_buffering", g.pick("off", "on"))
	case 10:
		return once("proxy_request_buffering", g.pick("off", "on"))
	case 11:
		return once("proxy_method", g.pick("GET", "POST", "$arg_b", "FOO"))
	case 12:
		return once("proxy_pass_request_headers", g.pick("off", "on"))
	case 13:
		return []*node{leaf("proxy_cookie_path", g.pick("/ /base/", "~^/(.*) /x/$1"))}
	case 14:
		return []*node{leaf("proxy_cookie_domain", g.pick("back.example $host", "off", "~\\.?(\\w+)$ $1.org"))}
	}
	return once("proxy_force_ranges", "on")
}
