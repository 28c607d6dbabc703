package beside

import (
	"fmt"
	"strings"
)

// besideRequest is what is sent over a connection of its own.
type besideRequest struct{ name, raw string }

// knownDifferences are requests, by name, that nginx answers otherwise, and why.
var knownDifferences = map[string]string{
	"GET /proxy?status=204":       "a 204 has no Content-Length (RFC 9110, 8.6), whatever the backend says",
	"CONNECT /a.txt":              authorityForm,
	"CONNECT /say?m=a":            authorityForm,
	"CONNECT /proxy":              authorityForm,
	"CONNECT /only":               authorityForm,
	"CONNECT /if":                 authorityForm,
	`Host "one:99999999"`:         "a port ends at 65535, as in nginx since 1.29",
	"HTTP/2.0":                    methodKnown,
	"preface of HTTP/2":           methodKnown,
	"no path":                     methodKnown,
	"range beyond":                twiceIn416,
	"range forced, beyond":        twiceIn416,
	"sliced x":                    twiceIn416,
	"sliced 10-":                  twiceIn416,
	"sliced 99-":                  twiceIn416,
	"sliced -0":                   twiceIn416,
	"sliced 5-4":                  twiceIn416,
	"sliced 9999999999999999999-": twiceIn416,
	"several ranges, none":        twiceIn416,
	"several ranges, one bad":     twiceIn416,
	"space in a suffix range":     twiceIn416,
	"huge range":                  twiceIn416,
	"expects 100":                 "the body came already: nobody waits for 100 (RFC 9110, 10.1.1)",
	"expects 100, needs no body":  "the body came already, and is not needed",
	"hop by hop":                  "Proxy-Connection is a header of the connection that nginx passes on",
	"cookies":                     "several headers of one name make one value, as in nginx since 1.23",
	"no colon":                    "a line of a head without a colon is 400; nginx takes it for a name",
}

const (
	authorityForm = "CONNECT takes an authority (RFC 9112, 3.2.3), as in nginx since 1.29"
	twiceIn416    = "nginx 1.22 adds the headers of add_header twice to a 416"
	methodKnown   = "$request_method has what was understood of the line; nginx forgets it with the rest"
)

// get is a GET on a connection of its own.
func get(target string, headers ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: one\r\nConnection: close\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
}

// besideRequests are the requests of TestAnswersBesideNginx.
func besideRequests() (all []besideRequest) {
	add := func(name, raw string) { all = append(all, besideRequest{name, raw}) }
	for _, target := range strings.Fields(`/ /a.txt /empty.txt /unknown.xyz /missing /pages /pages/ /noindex /noindex/ /dir/sub /dir/sub?x=1 /sp%20ace.txt
		/./a.txt /x/../a.txt //a.txt /a.txt/ /%61.txt /a.txt#frag /a.txt?x#y /index.html?a=b&c=d
		/say /say?m=a /say?m=xyz /say?m=%61 /exact /exact/ /exact?q /images/a.gif /b.gif /b.GIF /c.jpg /c.JPG
		/redirect /redirect?x=1 /redirect/full /redirect/relative /code /code/403 /code/404 /code/410 /code/418 /code/444 /code/500 /code/503
		/rewrite/a/b /rewrite/a/b?c=d /rewrite/none /rewrite/loop /permanent/x?y=z /permanent/sp%20ace /if /if?x=1 /set?a=A /alias/ /alias/index.html /alias/../a.txt
		/alias /try/a.txt /try/pages/ /try/none /internal /only /denied /limited?key= /expires
		/proxy /proxy?a=b&c=%zz /proxy/x%20y /proxy/x%2Fy /proxy//x /proxy/to/x%20y?q=1 /proxy/to/ /proxy/to/a/../b /proxy/down /proxy/hide /proxy/chunked /proxy/close
		/proxy/location /proxy/intercept?status=503 /proxy?status=404 /proxy?status=204 /proxy?status=304 /slash /slash/ /slash?q=1`) {
		add("GET "+target, get(target))
	}
	for _, method := range []string{"HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "TRACE", "CONNECT", "FOO", "get", "G3T"} {
		for _, target := range []string{"/a.txt", "/say?m=a", "/proxy", "/only", "/if"} {
			add(method+" "+target, method+" "+target+" HTTP/1.1\r\nHost: one\r\nConnection: close\r\n\r\n")
		}
	}
	for _, host := range []string{
		"one", "ONE", "one.", "one:8080", "two", "a.two.com", "two.com", "www.three.org", "four5", "fourx", "nobody",
		"[::1]:80", "a..b", "a/b", "a b", "", "1.2.3.4", "one:99999999",
	} {
		add(fmt.Sprintf("Host %q", host), "GET /exact HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
	}
	for _, some := range []map[string]string{oddHeads(), bodies(), conditions(), sliced(), tagged(), browsers(), withheld(), charsets()} {
		for name, raw := range some {
			add(name, raw)
		}
	}
	return all
}

// withheld are bodies that servers do not get, or of which only the length matters.
func withheld() map[string]string {
	all := map[string]string{}
	for _, target := range strings.Fields("/withheld/x /withheld/empty/x /withheld/named/x /passed/named/x /authed/a.txt /authed/empty/a.txt") {
		all["body to "+target] = "POST " + target + " HTTP/1.1\r\nHost: one\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde"
		all["empty body to "+target] = "POST " + target + " HTTP/1.1\r\nHost: one\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
		all["chunks to "+target] = "POST " + target + " HTTP/1.1\r\nHost: one\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
		all["no body to "+target] = get(target)
	}
	return all
}

// charsets are redirects of a server whose response has a charset, to what has none.
func charsets() map[string]string {
	all := map[string]string{}
	for _, to := range strings.Fields("/a.txt /missing /accel/page/missing /exact /redirect /code/404 /code /proxy /length/") {
		all["charset of "+to] = get("/accel/?to=" + to)
	}
	return all
}

// browsers are requests of browsers that nginx treats otherwise.
func browsers() map[string]string {
	all := map[string]string{}
	for name, agent := range map[string]string{
		"MSIE": "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 5.1)", "Chrome": "Mozilla/5.0 (KHTML, like Gecko) Chrome/120 Safari/1",
		"Opera": "Mozilla/4.0 (compatible; MSIE 6.0; X11) Opera 8.0 Chrome/1", "Firefox": "Mozilla/5.0 (X11) Gecko/1 Chrome/1", "short MSIE": "MSIE 8.",
	} {
		for _, target := range strings.Fields("/refresh?a=%22x /refresh/page?a=y /refresh/other /missing /code/410 /code/503 /redirect /padding/off /%zz") {
			all[name+" "+target] = get(target, "User-Agent: "+agent)
		}
		all[name+" HTTP/0.9"] = "GET /missing\r\n"
		all[name+" HTTP/1.0"] = "GET /missing HTTP/1.0\r\nUser-Agent: " + agent + "\r\n\r\n"
	}
	return all
}

// oddHeads are heads of other versions, and good and bad ones.
func oddHeads() map[string]string {
	return map[string]string{
		"no Host":                  "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
		"two Hosts":                "GET / HTTP/1.1\r\nHost: one\r\nHost: two\r\nConnection: close\r\n\r\n",
		"absolute form":            "GET http://two/x HTTP/1.1\r\nHost: one\r\nConnection: close\r\n\r\n",
		"HTTP/1.0":                 "GET /exact HTTP/1.0\r\n\r\n",
		"HTTP/1.0 kept":            "GET /exact HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /exact HTTP/1.0\r\n\r\n",
		"HTTP/0.9":                 "GET /exact\r\n",
		"HTTP/2.0":                 "GET / HTTP/2.0\r\nHost: one\r\n\r\n",
		"HTTP/1.2":                 "GET /exact HTTP/1.2\r\nHost: one\r\nConnection: close\r\n\r\n",
		"preface of HTTP/2":        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"empty line first":         "\r\nGET /exact HTTP/1.1\r\nHost: one\r\nConnection: close\r\n\r\n",
		"bare LF":                  "GET /exact HTTP/1.1\nHost: one\nConnection: close\n\n",
		"pipelined":                "GET /exact HTTP/1.1\r\nHost: one\r\n\r\nGET /say?m=a HTTP/1.1\r\nHost: one\r\n\r\n" + get("/code"),
		"pipelined after an error": "GET /missing HTTP/1.1\r\nHost: one\r\n\r\n" + get("/exact"),
		"pipelined to the backend": "GET /proxy HTTP/1.1\r\nHost: one\r\n\r\n" + get("/proxy/2"),
		"folded header":            get("/exact", "X-A: b\r\n c"),
		"space before colon":       get("/exact", "X-A : b"),
		"no colon":                 get("/exact", "X-A"),
		"underscore in a name":     get("/proxy", "X_A: b", "X-B: c"),
		"odd names":                get("/proxy", "X.A: 1", "x-lower: 2", "X-EMPTY:", "X-A: three"),
		"NUL in a header":          get("/exact", "X-A: a\x00b"),
		"too long a line":          get("/" + strings.Repeat("a", 3000)),
		"too long a header":        get("/exact", "X-A: "+strings.Repeat("a", 3000)),
		"too many headers":         get("/exact", strings.TrimSuffix(strings.Repeat("X-A: "+strings.Repeat("a", 900)+"\r\n", 8), "\r\n")),
		"bad escape":               get("/%zz"),
		"NUL in the path":          get("/a%00b"),
		"above the root":           get("/../x"),
		"no path":                  get("exact"),
	}
}

// bodies are requests with bodies, well and badly framed.
func bodies() map[string]string {
	return map[string]string{
		"POST":                "POST /proxy HTTP/1.1\r\nHost: one\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
		"POST without length": "POST /proxy HTTP/1.1\r\nHost: one\r\nConnection: close\r\n\r\n",
		"POST chunked":        "POST /proxy HTTP/1.1\r\nHost: one\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5;x=y\r\nhello\r\n0\r\n\r\n",
		"POST too large":      "POST /proxy HTTP/1.1\r\nHost: one\r\nContent-Length: 2000\r\nConnection: close\r\n\r\n",
		"POST chunked too large": "POST /proxy HTTP/1.1\r\nHost: one\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n7d0\r\n" + strings.Repeat(
			"x",
			2000,
		) + "\r\n0\r\n\r\n",
		"POST ignored":               "POST /exact HTTP/1.1\r\nHost: one\r\nContent-Length: 5\r\n\r\nhello" + get("/say"),
		"bad chunk":                  "POST /proxy HTTP/1.1\r\nHost: one\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
		"length and chunks":          "POST /proxy HTTP/1.1\r\nHost: one\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"two lengths":                "POST /proxy HTTP/1.1\r\nHost: one\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		"length with a sign":         "POST /proxy HTTP/1.1\r\nHost: one\r\nContent-Length: +5\r\n\r\nhello",
		"unknown coding":             "POST /proxy HTTP/1.1\r\nHost: one\r\nTransfer-Encoding: gzip\r\n\r\n",
		"chunks in HTTP/1.0":         "POST /proxy HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"expects 100":                "POST /proxy HTTP/1.1\r\nHost: one\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
		"expects 100, needs no body": "POST /exact HTTP/1.1\r\nHost: one\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
	}
}

// conditions are ranges, conditions, and headers that proxies treat specially.
func conditions() map[string]string {
	return map[string]string{
		"range":                      get("/a.txt", "Range: bytes=2-4"),
		"range from the end":         get("/a.txt", "Range: bytes=-3"),
		"range beyond":               get("/a.txt", "Range: bytes=20-"),
		"several ranges refused":     get("/a.txt", "Range: lines=1-2"),
		"several ranges":             get("/a.txt", "Range: bytes=-2, 0-0,99-, 3 - 4"),
		"several ranges, HEAD":       strings.Replace(get("/a.txt", "Range: bytes=-2,0-0"), "GET", "HEAD", 1),
		"several ranges, one there":  get("/a.txt", "Range: bytes=99-,3-4"),
		"several ranges, none":       get("/a.txt", "Range: bytes=99-,-0"),
		"several ranges, one bad":    get("/a.txt", "Range: bytes=0-1,"),
		"several ranges, too long":   get("/a.txt", "Range: bytes=0-5,5-9"),
		"several ranges of nothing":  get("/empty.txt", "Range: bytes=0-5,5-9"),
		"several ranges, recoded":    get("/recoded/a.txt", "Range: bytes=0-1,3-4"),
		"range, forced":              get("/proxy/ranges", "Range: bytes=20-40"),
		"range from the end, forced": get("/proxy/ranges", "Range: bytes=-4"),
		"range forced, HEAD":         "HEAD /proxy/ranges HTTP/1.1\r\nHost: one\r\nConnection: close\r\nRange: bytes=2-3\r\n\r\n",
		"range forced, chunks":       get("/proxy/ranges/chunked", "Range: bytes=2-3"),
		"range forced, beyond":       get("/proxy/ranges", "Range: bytes=2000-"),
		"several ranges, forced":     get("/proxy/ranges", "Range: bytes=1-2,4-5"),
		"several ranges if":          get("/a.txt", "Range: bytes=0-1,3-4", `If-Range: "x"`),
		"space in a suffix range":    get("/a.txt", "Range: bytes=- 3"),
		"zeros before a range":       get("/a.txt", "Range: bytes=00000000000000000000000000001-2"),
		"huge range":                 get("/a.txt", "Range: bytes=9223372036854775808-"),
		"largest range":              get("/a.txt", "Range: bytes=1-9223372036854775807"),
		"modified since":             get("/a.txt", "If-Modified-Since: Fri, 02 Jan 2026 03:04:05 GMT"),
		"modified since, other day":  get("/a.txt", "If-Modified-Since: Fri, 02 Jan 2015 03:04:05 GMT"),
		"unmodified since":           get("/a.txt", "If-Unmodified-Since: Fri, 02 Jan 2015 03:04:05 GMT"),
		"none match":                 get("/a.txt", "If-None-Match: *"),
		"match":                      get("/a.txt", `If-Match: "x"`),
		"if range":                   get("/a.txt", "Range: bytes=0-1", "If-Range: Fri, 02 Jan 2026 03:04:05 GMT"),
		"cookies":                    get("/proxy", "Cookie: a=1", "Cookie: b=2", "X-A: 1", "X-A: 2"),
		"hop by hop":                 get("/proxy", "Keep-Alive: 5", "Proxy-Connection: x", "TE: trailers", "Upgrade: websocket"),
		"limited the second time":    "GET /limited?key=k HTTP/1.1\r\nHost: one\r\n\r\n" + get("/limited?key=k"),
		"close and keep":             "GET /exact HTTP/1.1\r\nHost: one\r\nConnection: keep-alive, close\r\n\r\n",
	}
}

// sliced are requests for a file that is fetched in slices of three bytes.
func sliced() map[string]string {
	all := map[string]string{
		"sliced, HEAD":           strings.Replace(get("/sliced/a.txt"), "GET", "HEAD", 1),
		"sliced, HEAD, range":    strings.Replace(get("/sliced/a.txt", "Range: bytes=4-5"), "GET", "HEAD", 1),
		"sliced, empty":          get("/sliced/empty.txt"),
		"sliced, missing":        get("/sliced/missing"),
		"sliced, directory":      get("/sliced/pages"),
		"sliced, captures":       get("/sliced-regex/a.txt"),
		"sliced, captures range": get("/sliced-regex/a.txt", "Range: bytes=5-"),
		"sliced, POST":           "POST /sliced/a.txt HTTP/1.1\r\nHost: one\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab",
		"not sliced":             get("/unsliced/a.txt", "Range: bytes=4-5"),
		"sliced, if range":       get("/sliced/a.txt", "Range: bytes=7-8", "If-Range: Fri, 02 Jan 2026 03:04:05 GMT"),
		"sliced, if tag":         get("/sliced/a.txt", "Range: bytes=7-8", `If-Range: "695735a5-a"`),
		"sliced, if other":       get("/sliced/a.txt", "Range: bytes=7-8", `If-Range: "x"`),
	}
	for _, ranges := range []string{"0-", "3-4", "2-3", "0-0", "9-9", "-1", "-10", "-11", "6-100", "10-", "99-",
		"1-2,5-6", "1-2,50-60", " 4-5", "x", "-0", "5-4", "9999999999999999999-"} {
		all["sliced "+ranges] = get("/sliced/a.txt", "Range: bytes="+ranges)
	}
	return all
}

// tagged are conditions on entity tags, and the forms of expires whose answer does not depend on the time.
func tagged() map[string]string {
	const tag = `"695735a5-a"`
	all := map[string]string{}
	for _, list := range []string{"*", " * ", "W/" + tag, tag, `"x", W/` + tag, `"x","y"`, `"x" , ` + tag, tag + ",", "x,*", "w/" + tag, "W/*",
		", " + tag, tag + "junk", `"a,b",` + tag, `"x"` + tag} {
		for _, header := range []string{"If-None-Match", "If-Match"} {
			all[header+": "+list] = get("/a.txt", header+": "+list)
			all[header+" without tag: "+list] = get("/expires/off/a.txt", header+": "+list)
		}
	}
	for _, path := range []string{"epoch/a.txt", "max/a.txt", "off/a.txt", "of/a.txt?e=epoch", "of/a.txt?e=max", "of/a.txt?e=off",
		"of/a.txt?e=", "of/a.txt?e=bad",
		"of/a.txt?e=@25h", "of/missing?e=max"} {
		all["expires "+path] = get("/expires/" + path)
	}
	all["expires epoch, 304"] = get("/expires/epoch/a.txt", "If-None-Match: "+tag)
	all["expires max, 206"] = get("/expires/max/a.txt", "Range: bytes=0-1")
	return all
}
