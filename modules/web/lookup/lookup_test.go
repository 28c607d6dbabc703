package lookup_test

import (
	"strings"
	"testing"

	"starling/lib/testkit"
	"starling/modules/web/core"
	"starling/modules/web/lookup"
	"starling/web"
	"starling/web/webtest"
)

var modules = []*web.Module{&core.Module, &lookup.Module, webtest.Say()}

func TestVariables(t *testing.T) {
	s := webtest.Start(t, modules, `
		map $arg_a $kind { default other; ~^x(\d+)$ "number $1"; ~^(?P<word>\w+)!$ "word $word"; a $near; }
		map $circle $circle2 { default $circle; } map $circle2 $circle { default $circle2; }
		geo $near { default no; proxy 0.0.0.0/0; 192.0.2.0/24 yes; 255.255.255.255 unknown; }
		geo $arg_ip $of { default no; proxy_recursive; proxy 10.0.0.0/8; 192.0.2.0/24 yes; }
		split_clients $arg_a $part { * all; }
		server { location / { say "$kind|$near|$of|$part"; } location /circle { say "<$circle>"; } }`)
	for target, want := range map[string]string{
		"/?a=x12": "number 12|unknown|no|all", "/?a=hi!": "word hi|unknown|no|all", "/?a=A": "unknown|unknown|no|all",
		"/?ip=192.0.2.1": "other|unknown|yes|all", "/?ip=10.0.0.1": "other|unknown|yes|all", "/circle": "<>",
	} {
		if got := s.Get(target, "X-Forwarded-For: 192.0.2.1, 10.1.1.1"); !strings.HasSuffix(got, "\r\n\r\n"+want) {
			t.Errorf("%s\ngot  %s\nwant %s", target, got, want)
		}
	}
	if log := strings.Join(s.Log.Lines(), "\n"); !strings.Contains(log, `cycle while evaluating variable "circle`) {
		t.Errorf("log %s", log)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	s := webtest.Start(t, modules, `
		map $host $kind { default other; hostnames; *.example.com example; } map $kind $more { default "kind $kind"; }
		geo $near { default no; proxy 127.0.0.1; 192.0.2.0/24 yes; } split_clients $remote_addr $part { 50% a; * b; }
		server { location / { say "$kind|$near|$part|$more"; } }`)
	if n := s.Allocations("GET / HTTP/1.1\r\nHost: www.example.com\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
