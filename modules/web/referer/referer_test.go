package referer_test

import (
	"strings"
	"testing"

	"starling/lib/testkit"
	"starling/modules/web/core"
	"starling/modules/web/referer"
	"starling/web"
	"starling/web/webtest"
)

var modules = []*web.Module{&core.Module, &referer.Module, webtest.Say()}

func TestReferers(t *testing.T) {
	s := webtest.Start(t, modules, `
		server {
			server_name own.example *.sub.example "~^site\d+$";
			valid_referers one.example;
			location / { say "<$invalid_referer>"; }
			location /listed { valid_referers none example.org *.example.com www.example.* path.example/a/ ~\.google\. ~^r/(?<x>\d); say "<$invalid_referer>"; }
			location /blocked { valid_referers blocked example.org; valid_referers two.example; say "<$invalid_referer>"; }
			location /own { valid_referers server_names; say "<$invalid_referer>"; location /own/in { say "<$invalid_referer>"; } }
		}
		server { server_name other; location / { say "<$invalid_referer>"; } }`)
	for _, c := range []struct {
		path, referer string
		valid         bool
	}{
		{"/", "http://one.example", true},
		{"/", "https://ONE.example:8443/x", true},
		{"/", "http://two.example/", false},
		{"/", "", false},
		{"/listed", "", true},
		{"/listed", "http://example.org", true},
		{"/listed", "HTTPS://Example.Org/", true},
		{"/listed", "http://www.example.org/", true}, // www.example.*
		{"/listed", "http://x.example.org/", false},
		{"/listed", "http://a.b.example.com/", true},
		{"/listed", "http://example.com/", false},
		{"/listed", "ftp://example.org/", false},
		{"/listed", "example.org/path", false},
		{"/listed", "http://path.example/a/b", true},
		{"/listed", "http://path.example:80/a/b", true},
		{"/listed", "http://path.example/b", false},
		{"/listed", "http://path.example", false},
		{"/listed", "http://www.google.com/x", true},
		{"/listed", "http://WWW.GOOGLE.COM/x", true},
		{"/listed", "http://r/1x23456", true}, // a regular expression sees all after the scheme
		{"/listed", "http://" + strings.Repeat("a", 257) + "/", false},
		{"/listed", "http://a.b", false},
		{"/blocked", "something", true},
		{"/blocked", "http://two.example", true},
		{"/blocked", "http://one.example", false}, // not inherited
		{"/blocked", "", false},
		{"/own", "http://own.example/", true},
		{"/own", "http://a.sub.example/", true},
		{"/own", "http://site12/", true},
		{"/own/in", "http://site12/", true},
		{"/own", "http://sitex/", false},
	} {
		var headers []string
		if c.referer != "" {
			headers = []string{"Referer: " + c.referer}
		}
		want := "<1>"
		if c.valid {
			want = "<>"
		}
		if got := s.Get(c.path, headers...); !strings.HasSuffix(got, "\r\n\r\n"+want) {
			t.Errorf("%s from %q: got %s, want %s", c.path, c.referer, got[max(0, len(got)-3):], want)
		}
	}
	if got := s.Send("GET / HTTP/1.0\r\nHost: other\r\nReferer: http://x.example/\r\n\r\n"); !strings.HasSuffix(got, "<>") {
		t.Errorf("without valid_referers: %s", got)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	s := webtest.Start(t, modules, `server { location / { valid_referers none *.example.com; say "$invalid_referer"; } }`)
	if n := s.Allocations("GET / HTTP/1.1\r\nHost: a\r\nReferer: http://www.Example.com/x\r\n\r\n"); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		`valid_referers ~;`:            `empty regex in "~" in /test.conf:2`,
		`valid_referers "";`:           `invalid referer "" in /test.conf:2`,
		`valid_referers a.*.b;`:        `invalid hostname or wildcard "a.*.b" in /test.conf:3`,
		`valid_referers a/x a/y;`:      `conflicting parameter "a" in /test.conf:3`,
		`valid_referers none;`:         `the "none" or "blocked" referers are specified in the "valid_referers" directive without any valid referer in /test.conf:3`,
		`valid_referers none blocked;`: `the "none" or "blocked" referers are specified in the "valid_referers" directive without any valid referer in /test.conf:3`,
	} {
		_, err := webtest.Load(t, modules, "server { location / {\n"+text+"\n} }")
		if err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}
