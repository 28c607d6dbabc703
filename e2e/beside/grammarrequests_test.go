package beside

import (
	"fmt"
	"strings"
)

// exchange is what is sent over one connection, from an address of the client, with the methods of its requests.
type exchange struct {
	raw     string
	methods []string
	from    string
}

// exchanges are requests to the configuration that was generated.
func (g *grammar) exchanges(n int) (all []exchange) {
	for range n {
		x := exchange{from: g.pick("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.9")}
		for range g.r.IntN(8) / 6 * g.r.IntN(4) { // sometimes requests before the last
			g.request(&x, false)
		}
		g.request(&x, true)
		all = append(all, x)
	}
	return all
}

func (g *grammar) request(x *exchange, last bool) {
	method := "GET"
	if g.one(3) {
		method = g.pick("HEAD", "HEAD", "POST", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND", "PATCH", "FOO", "MKCOL", "SEARCH")
	}
	target := g.target()
	if g.one(12) {
		target = "http://" + g.host() + target
	}
	version := "HTTP/1.1"
	if last && g.one(8) {
		version = "HTTP/1.0"
	}
	head := method + " " + target + " " + version + "\r\n"
	if version == "HTTP/1.1" || g.one(2) {
		head += "Host: " + g.host() + "\r\n"
	}
	for range g.r.IntN(4) {
		if field := g.header(); last || !refusing(field) {
			head += field + "\r\n"
		}
	}
	if last && (version == "HTTP/1.1" || g.one(2)) {
		head += "Connection: close\r\n"
	}
	body := ""
	if method == "POST" || method == "PUT" || method == "PATCH" || g.one(15) {
		body = g.pick("", "a", "abcde", "0123456789abcdef", strings.Repeat("x", 1500))
		if version == "HTTP/1.1" && g.one(3) && !g.limited { // too large a chunked body gets 413 from us, whoever responds
			head += "Transfer-Encoding: chunked\r\n"
			if body != "" {
				body = fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
			}
			body += "0\r\n\r\n"
		} else {
			head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
		}
	}
	x.raw += head + "\r\n" + body
	x.methods = append(x.methods, method)
}

var files = strings.Fields(`/ /a.txt /empty.txt /unknown.xyz /missing /pages /pages/ /noindex /noindex/ /dir/sub /sp%20ace.txt /index.html
	/pages/gone.html /page.shtml /z.gif /pages/index.html /dir/sub/index.html`)

func (g *grammar) target() string {
	path := g.pick(files...)
	if len(g.paths) > 0 && !g.one(3) {
		path = g.pick(g.paths...)
	}
	switch g.r.IntN(14) {
	case 0:
		path += g.pick("x", "/x", "/", "/a/b", "/index.html", "//", "a.txt", "/location", "/chunked", "/s404")
	case 1:
		path = g.pick("/.", "/x/..", "/", "//", "/./.", "/%2e") + path
	case 2:
		path += g.pick("/..", "/.", "/../", "%2f", "%2F..", ";x=1", "%3fq", "%20", "+", "%25", "%c3%a9", "é", "%0a", "#f", "%23", "\\", "|\"<>")
	case 3:
		path = g.pick("/%00", "/..", "/%zz", "*", "/%", "/%2", "/\x7f", "/a%00b") + g.pick("", path)
	case 4, 5:
		path += g.pick("/location", "/s404", "/s503", "/s302", "/chunked", "/close", "/cookies", "/gzip", "/accel", "/empty", "/s500",
			"/s403", "/s204", "/cache", "/date", "/s304", "/ssi")
	case 6:
		path = strings.ToUpper(path)
	}
	if !g.one(3) {
		return path
	}
	return path + g.pick("?a", "?a=", "?a=a", "?a=x1&b=y", "?&", "?a=pages/gone.html&b=GET", "??", "?a=%20b", "?a=1&a=2", "?A=up",
		"?b=PUT&a=/", "?a=utf-8", "?a=10.0.0.1", "?a=epoch", "?=&a=é")
}

func (g *grammar) host() string {
	return g.pick("one", "one", "one", "two.example.com", "x.example.com", "www.foo", "three.org", "w.three.org", "bob.re", "four5", "ONE",
		"one:8080", "one.", "nobody", "ADDRESS",
		"[::1]", "x.com", "mail.a.b", "one.upper", "a.b.example.com", ".example.com", "127.0.0.1")
}

// refusing reports whether a field can get 412. Nginx says keep-alive there and closes the connection, because its header
// filter found the error: it does not read the next request.
func refusing(field string) bool {
	return strings.HasPrefix(field, "If-Match") || strings.HasPrefix(field, "If-Unmodified-Since")
}

func (g *grammar) header() string {
	const stamp, tag = "Fri, 02 Jan 2026 03:04:05 GMT", `"695735a5-a"`
	switch g.r.IntN(12) {
	case 0, 1:
		return "X-A: " + g.pick("a", "x1", "", "a b", "10.1.2.3", "é", `"q"`, "GET")
	case 2:
		return "Cookie: " + g.pick("c=1", "c=a; d=b", "d=2;c=x", "C=1", "c", "")
	case 3:
		return "Range: bytes=" + g.pick("0-0", "2-4", "-3", "5-", "0-", "99-", "1-2,4-5", "0-0,0-9", "-0", "x", "3-2", "-99")
	case 4:
		return "If-None-Match: " + g.pick(tag, `"x"`, "*", "W/"+tag, `"x", `+tag)
	case 5:
		return "If-Modified-Since: " + g.pick(stamp, "Fri, 02 Jan 2015 03:04:05 GMT", "Fri, 02 Jan 2027 03:04:05 GMT", "junk")
	case 6:
		return "If-Match: " + g.pick(tag, `"x"`, "*")
	case 7:
		return g.pick("If-Unmodified-Since: Fri, 02 Jan 2015 03:04:05 GMT", "If-Range: "+tag, "If-Range: "+stamp, `If-Range: "x"`)
	case 8, 9:
		return "Accept-Encoding: " + g.pick("gzip", "gzip;q=0", "deflate, gzip", "identity", "*", "gzip; q=0.5")
	case 10:
		return "Authorization: " + g.pick("Basic am9lOnNlY3JldA==", "Basic am9lOndyb25n", "Basic ", "Bearer x", "basic am9lOnNlY3JldA==", "Basic x")
	}
	return g.pick("User-Agent: agent/1", "User-Agent: Mozilla/4.0 (compatible; MSIE 8.0)", "Content-Type: text/plain", "X_Under: 1",
		"Via: 1.1 x", "X-Forwarded-For: 1.2.3.4", "X-B: b",
		"Referer: http://r/", "X-Forwarded-For: 10.0.0.1, 127.0.0.1", "TE: trailers", "X.Dot: 1", "Accept: */*")
}
