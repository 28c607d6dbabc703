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

// Cookies may have spaces around "="; $http_x_forwarded_for and $http_user_agent have only the headers of that very name.
func TestVariablesOfDuplicateHeaders(t *testing.T) {
	s := webtest.Start(t, modules, `underscores_in_headers on; server { say "$cookie_a|$http_cookie|$http_x_a|$http_x_forwarded_for|$http_user_agent"; }`)
	for headers, want := range map[string]string{
		"Cookie: a = 1 ; b=2":        "1 |a = 1 ; b=2|||",
		"Cookie: ab=0; a  =  2":      "2|ab=0; a  =  2|||",
		"Cookie: a; A=3":             "3|a; A=3|||",
		"Cookie: b=1\r\nCookie: a=2": "2|b=1; a=2|||",
		"X-A:\r\nX_a: 2\r\nx-A: 3":   "||, 2, 3||",
		"X-Forwarded-For: 1\r\nX_Forwarded_For: 2\r\nX-Forwarded-For: 3": "|||1, 3|",
		"User_Agent: x\r\nUser-Agent: y":                                 "||||y",
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
