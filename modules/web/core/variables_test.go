package core_test

import (
	"regexp"
	"strings"
	"testing"

	"starling/modules/web/core"
	"starling/web"
	"starling/web/webtest"
)

var modules = []*web.Module{&core.Module, webtest.Say()}

func TestVariablesOfRequestHeaders(t *testing.T) {
	s := webtest.Start(t, modules, `server { say "$content_type|$http_content_type|$is_request_port$request_port"; }`)
	for headers, want := range map[string]string{
		"Host: a":      "||",
		"Host: a:8080": "||:8080",
		"Host: a\r\nContent-Type: text/x\r\nContent-Type: text/y": "text/x, text/y|text/x, text/y|",
	} {
		if _, got, _ := strings.Cut(s.Send("GET / HTTP/1.0\r\n"+headers+"\r\n\r\n"), "\r\n\r\n"); got != want {
			t.Errorf("%q: got %q, want %q", headers, got, want)
		}
	}
}

// Log formats for PHP name these.
func TestVariablesOfFastCGI(t *testing.T) {
	s := webtest.Start(t, modules, `server { say "$fastcgi_script_name|$fastcgi_path_info|"; }`)
	if got := s.Get("/a%20b/?c"); !strings.HasSuffix(got, "\r\n\r\n/a b/||") {
		t.Errorf("got %s", got)
	}
}

func TestTimes(t *testing.T) {
	s := webtest.Start(t, modules, `server { say "$time_iso8601|$time_iso8601_ms"; }`)
	want := regexp.MustCompile(`\r\n\r\n(\S{19})(\S{6})\|(\S{19})\.\d{3}(\S{6})$`)
	if got := s.Get("/"); !want.MatchString(got) {
		t.Errorf("got %s", got)
	}
}
