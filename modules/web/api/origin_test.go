package api

import (
	"crypto/tls"
	"strings"
	"testing"

	"starling/web"
	"starling/web/h1"
)

// writes are requests that would change something, and whether they may.
var writes = []struct {
	what    string
	url     string // how the request reaches the server: with https over TLS
	headers []string
	allowed bool
}{
	{"no browser", "http://a", nil, true},
	{"its own page", "http://a", []string{"Origin: http://a"}, true},
	{"its own page, a late browser", "http://a", []string{"Origin: http://a", same}, true},
	{"typed by the user", "http://a", []string{"Sec-Fetch-Site: none"}, true},
	{"another page", "http://a", []string{"Origin: http://b"}, false},
	{"another page says so itself", "http://a", []string{cross}, false},
	{"the two do not fit", "http://a", []string{"Origin: http://a", cross}, false},
	{"capitals do not hide it", "http://a", []string{"sec-fetch-site: Cross-Site"}, false},
	{"another page, header in capitals", "http://a", []string{"ORIGIN: http://b"}, false},
	{"a word nobody knows", "http://a", []string{"Sec-Fetch-Site: elsewhere"}, false},
	{"a second value", "http://a", []string{same, cross}, false},
	{"a second origin", "http://a", []string{"Origin: http://a", "Origin: http://b"}, false},
	{"a sibling", "http://a.example", []string{"Origin: http://b.example", "Sec-Fetch-Site: same-site"}, false},
	{"a sibling without origin", "http://a.example", []string{"Sec-Fetch-Site: same-site"}, false},
	{"a sandboxed page", "http://a", []string{"Origin: null"}, false},
	{"a sandboxed page, and a host of that name", "http://null", []string{"Origin: null"}, false},
	{"an empty origin", "http://a", []string{"Origin:"}, false},
	{"a list", "http://a", []string{"Origin: http://a http://b"}, false},
	{"a path", "http://a", []string{"Origin: http://a/"}, false},
	{"a user", "http://a", []string{"Origin: http://b@a"}, false},
	{"a host that begins alike", "http://a", []string{"Origin: http://a.b"}, false},
	{"a host that ends alike", "http://a", []string{"Origin: http://b.a"}, false},
	{"an extension", "http://a", []string{"Origin: moz-extension://a"}, false},
	{"a file", "http://a", []string{"Origin: file://"}, false},
	{"case of the host", "http://A.example", []string{"Origin: HTTP://a.EXAMPLE"}, true},
	{"final dot", "http://a.", []string{"Origin: http://a."}, true},
	{"port", "http://a:8080", []string{"Origin: http://a:8080"}, true},
	{"another port", "http://a:8080", []string{"Origin: http://a:8081"}, false},
	{"no port against one", "http://a:8080", []string{"Origin: http://a"}, false},
	{"a port against none", "http://a", []string{"Origin: http://a:8080"}, false},
	{"the default port", "http://a:80", []string{"Origin: http://a"}, true},
	{"the default port of the page", "http://a", []string{"Origin: http://a:80"}, true},
	{"no number", "http://a", []string{"Origin: http://a:"}, false},
	{"a number too large", "http://a:80", []string{"Origin: http://a:65616"}, false},
	{"secured", "https://a", []string{"Origin: https://a"}, true},
	{"secured, with port", "https://a:443", []string{"Origin: https://a"}, true},
	{"a page in clear", "https://a", []string{"Origin: http://a"}, false},
	{"a page in clear on the port of TLS", "https://a:443", []string{"Origin: http://a:443"}, false},
	{"TLS ends before this server", "http://a", []string{"Origin: https://a"}, true},
	{"TLS ends before this server, on a port", "http://a:8443", []string{"Origin: https://a:8443"}, true},
	{"another server of the host, secured", "http://a:80", []string{"Origin: https://a"}, false},
	{"IPv4", "http://10.0.0.1:8080", []string{"Origin: http://10.0.0.1:8080"}, true},
	{"another IPv4", "http://10.0.0.1", []string{"Origin: http://10.0.0.2"}, false},
	{"IPv6", "http://[::1]", []string{"Origin: http://[::1]"}, true},
	{"IPv6 with port", "http://[2001:db8::1]:8080", []string{"Origin: http://[2001:DB8::1]:8080"}, true},
	{"IPv6 written otherwise", "http://[2001:db8:0:0::1]", []string{"Origin: http://[2001:db8::1]"}, true},
	{"another IPv6", "http://[::1]", []string{"Origin: http://[::2]"}, false},
	{"IPv6, another port", "http://[::1]:80", []string{"Origin: http://[::1]:81"}, false},
	{"half a bracket", "http://[::1]", []string{"Origin: http://[::1"}, false},
	{"no host", "http://", []string{"Origin: http://a"}, false},
	{"no host at all", "http://", []string{"Origin: http://"}, false},
	{"named", "http://a", []string{"Origin: https://admin.example:8443", cross}, true},
	{"named, in other words", "http://a", []string{"Origin: https://ADMIN.example.:8443", cross}, true},
	{"named, on another port", "http://a", []string{"Origin: https://admin.example", cross}, false},
	{"named and another", "http://a", []string{"Origin: https://admin.example:8443", "Origin: http://b", cross}, false},
}

const (
	cross = "Sec-Fetch-Site: cross-site"
	same  = "Sec-Fetch-Site: same-origin"
)

// TestWhoMayWrite: a page of another site makes a browser send its writes here; the browser says so.
func TestWhoMayWrite(t *testing.T) {
	for _, c := range writes {
		v := &endpoint{settings: &Settings{origins: []origin{{secure: true, host: "admin.example", port: 8443}}}}
		if why := v.foreign(requested(c.url, c.headers)); (why == "") != c.allowed {
			t.Errorf("%s: %s %q: allowed is %v (%s)", c.what, c.url, c.headers, why == "", why)
		}
	}
}

// requested is a request as it reaches the handler.
func requested(url string, headers []string) *web.Request {
	r := &web.Request{Conn: &web.Conn{}}
	scheme, host, _ := strings.Cut(url, "://")
	if scheme == "https" {
		r.Conn.TLS = &tls.ConnectionState{}
	}
	if at, ok := parseOrigin("http://" + host); ok {
		r.Host = []byte(at.host)
		if strings.Contains(host[strings.LastIndexByte(host, ']')+1:], ":") {
			r.Port = at.port
		}
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ":")
		r.Headers = append(r.Headers, h1.Header{Name: []byte(name), Value: []byte(strings.TrimSpace(value))})
	}
	return r
}
