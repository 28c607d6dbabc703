package modules_test

import (
	"strings"
	"testing"

	"starling/modules/web/charset"
	"starling/modules/web/core"
	"starling/modules/web/proxy"
	"starling/modules/web/rewrite"
	"starling/modules/web/upstream"
	"starling/web"
	"starling/web/webtest"
)

var charsetFamilies = []*web.Module{&core.Module, &rewrite.Module, &upstream.Module, &proxy.Module, &charset.Module}

const charsetMaps = `
	charset_map koi8-r utf-8 { c0 d18e; c1 d0b0; a0 e28080; }
	charset_map A B { 80 81; ff 90; }
`

// charsetBackend answers with a Content-Type and a body in pieces of n bytes; more are further header lines.
func charsetBackend(t *testing.T, contentType, more, body string, n int) *webtest.Backend {
	return webtest.Serve(t, func(p *webtest.Peer) {
		p.Head()
		p.Say("HTTP/1.1 200 OK\r\nContent-Type: " + contentType + "\r\n" + more + "\r\n")
		for ; len(body) > n; body = body[n:] {
			p.Say(body[:n])
		}
		p.Say(body)
	})
}

func TestCharset(t *testing.T) {
	for name, c := range map[string]struct{ settings, contentType, more, body, wantType, want string }{
		"named":                      {"charset utf-8;", "text/html", "", "ab", "text/html; charset=utf-8", "ab"},
		"of a default type":          {"charset utf-8;", "application/javascript", "", "ab", "application/javascript; charset=utf-8", "ab"},
		"of another type":            {"charset utf-8;", "application/json", "", "ab", "application/json", "ab"},
		"of a listed type":           {"charset utf-8; charset_types application/json;", "application/json", "", "ab", "application/json; charset=utf-8", "ab"},
		"only listed types":          {"charset utf-8; charset_types application/json;", "text/plain", "", "ab", "text/plain", "ab"},
		"off":                        {"charset off;", "text/html", "", "ab", "text/html", "ab"},
		"has one":                    {"charset utf-8;", "text/html; charset=koi8-r", "", "ab", "text/html; charset=koi8-r", "ab"},
		"overridden":                 {"charset utf-8; override_charset on;", `text/html; x=y; Charset="KOI8-R"`, "", "\xc1b", "text/html; x=y; charset=utf-8", "аb"},
		"from source_charset":        {"charset utf-8; source_charset koi8-r;", "text/html", "", "<\xc1\xc0\xa0\xff>", "text/html; charset=utf-8", "<аю\u2000?>"},
		"back":                       {"charset koi8-r; source_charset utf-8;", "text/html", "", "<аю€\u2000𝄞>", "text/html; charset=koi8-r", "<\xc1\xc0&#8364;\xa0&#119070;>"},
		"not UTF-8":                  {"charset koi8-r; source_charset utf-8;", "text/html", "", "a\xff\xd0<b>\xe2\x82", "text/html; charset=koi8-r", "a??b>"},
		"byte by byte":               {"charset b; source_charset a;", "text/html", "", "x\x80\xff\x81y", "text/html; charset=b", "x\x81\x90?y"},
		"of a variable":              {"set $c koi8-r; charset $c; source_charset utf-8;", "text/html", "", "а", "text/html; charset=koi8-r", "\xc1"},
		"an empty variable":          {"set $c ''; charset $c;", "text/html", "", "а", "text/html", "а"},
		"no map at run time":         {"set $c b; charset $c; source_charset utf-8;", "text/html", "", "а", "text/html", "а"},
		"asked for by the server":    {"source_charset utf-8;", "text/html", "X-Accel-Charset: koi8-r\r\n", "а", "text/html; charset=koi8-r", "\xc1"},
		"unknown to override":        {"source_charset utf-8;", "text/html", "X-Accel-Charset: cp1251\r\n", "а", "text/html", "а"},
		"asked for but ignored":      {"source_charset utf-8; proxy_ignore_headers X-Accel-Charset;", "text/html", "X-Accel-Charset: koi8-r\r\n", "а", "text/html", "а"},
		"compressed is not changed":  {"charset utf-8; source_charset koi8-r;", "text/html", "Content-Encoding: gzip\r\n", "\xc1", "text/html", "\xc1"},
		"compressed of the same one": {"charset utf-8;", "text/html", "Content-Encoding: gzip\r\n", "\xc1", "text/html; charset=utf-8", "\xc1"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{1, 2, 1 << 20} {
				b := charsetBackend(t, c.contentType, c.more, c.body, n)
				s := webtest.Start(t, charsetFamilies, charsetMaps+
					"server { location / { proxy_buffering off; "+c.settings+" proxy_pass http://"+b.Addr+"; } }")
				got := s.Client().Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				if got.Header.Get("Content-Type") != c.wantType || got.Text != c.want {
					t.Errorf("pieces of %d: %q %q, want %q %q", n, got.Header.Get("Content-Type"), got.Text, c.wantType, c.want)
				}
			}
		})
	}
}

// TestCharsetOfPagesAndRedirects: a page of the program's own has the charset, a redirect has none.
func TestCharsetOfPagesAndRedirects(t *testing.T) {
	s := webtest.Start(t, charsetFamilies, "server { charset utf-8; location / { return 404; } location /moved { return 301 /x; } }")
	for path, want := range map[string]string{"/": "text/html; charset=utf-8", "/moved": "text/html"} {
		if got := s.Client().Do("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n"); got.Header.Get("Content-Type") != want {
			t.Errorf("%s: %q, want %q", path, got.Header.Get("Content-Type"), want)
		}
	}
}

func TestCharsetMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"charset_map a A { }":                              `"charset_map" between the same charsets "a" and "A" in /test.conf:2`,
		"charset_map UTF-8 a { }":                          `"charset_map" with "utf-8" charset should be given in the second column in /test.conf:2`,
		"charset_map a b { }\ncharset_map b A { }":         `duplicate "charset_map" between "b" and "A" in /test.conf:3`,
		"charset_map a b {\n 80; }":                        `invalid parameters number in /test.conf:3`,
		"charset_map a b {\n 100 80; }":                    `invalid value "100" in /test.conf:3`,
		"charset_map a b {\n 80 xy; }":                     `invalid value "xy" in /test.conf:3`,
		"charset_map a utf-8 {\n 80 d1; }":                 `invalid value "d1" in /test.conf:3`,
		"charset_map a utf-8 {\n 80 f09d849e; }":           `invalid value "f09d849e" in /test.conf:3`,
		"charset_map a utf-8 {\n 80 d18ed18e; }":           `invalid value "d18ed18e" in /test.conf:3`,
		"charset_map a b { } source_charset a; charset c;": `no "charset_map" between the charsets "a" and "c" in /test.conf:1`,
	} {
		_, err := webtest.Load(t, charsetFamilies, "\n"+text+"\n server { }")
		if err == nil || !strings.HasPrefix(err.Error(), want[:strings.LastIndex(want, ":")]) {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}
