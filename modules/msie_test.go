package modules_test

import (
	"strings"
	"testing"

	"starling/modules/web/headers"
	"starling/web"
	"starling/web/webtest"
)

// With msie_refresh, MSIE gets a page instead of the redirects of return and rewrite with 301 and 302; also as a part of
// an SSI page.
func TestMSIERefresh(t *testing.T) {
	s := webtest.Start(t, append([]*web.Module{&headers.Module}, ssiFamilies...), `server {
		msie_refresh on;
		add_header X-Sent "$status $sent_http_location";
		location / { return 301 text; }
		location /space { return 302 "space \"'<"; }
		location /path { return 302 /elsewhere; }
		location /error_page { return 301; error_page 301 text; }
		location /rewritten { rewrite ^/rewritten/(.*) http://a/$1 permanent; }
		location /other { return 303 text; }
		location /off { msie_refresh off; return 301 text; }
		location /ssi { ssi on; ssi_types text/plain; set $page 'X<!--#include virtual="/" -->X'; return 200 $page; }
	}`)
	const head, tail = `<html><head><meta http-equiv="Refresh" content="0; URL=`, "\"></head><body></body></html>\r\n"
	for target, want := range map[string]string{
		"/":              "200||" + head + "text" + tail,
		"/space":         "200||" + head + "space%20%22%27%3C" + tail,
		"/path":          "200||" + head + "/elsewhere" + tail,
		"/error_page":    "200||" + head + "text" + tail,
		"/rewritten/a?b": "200||" + head + "http://a/a?b" + tail,
		"/other":         "303|text|303 See Other",
		"/off":           "301|text|301 Moved Permanently",
		"/ssi":           "200||X" + head + "text" + tail + "X",
	} {
		got := s.Client().Do("GET " + target + " HTTP/1.1\r\nHost: a\r\nUser-Agent: MSIE foo\r\n\r\n")
		code, location, _ := strings.Cut(got.Header.Get("X-Sent"), " ")
		text := got.Text
		if _, title, found := strings.Cut(text, "<title>"); found {
			text, _, _ = strings.Cut(title, "</title>")
		}
		if told := code + "|" + location + "|" + text; told != want || got.Header.Get("Location") != location {
			t.Errorf("%s: got %q, want %q (Location %q)", target, told, want, got.Header.Get("Location"))
		}
	}
	if got := s.Get("/"); !strings.Contains(got, "\r\nLocation: text\r\n") {
		t.Errorf("without a User-Agent: %q", got)
	}
}
