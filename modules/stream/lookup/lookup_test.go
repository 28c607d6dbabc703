package lookup_test

import (
	"testing"

	"starling/modules/stream/core"
	"starling/modules/stream/lookup"
	"starling/stream/streamtest"
)

func TestVariables(t *testing.T) {
	s := streamtest.Start(t, `stream {
		map $remote_addr $kind { default other; ~^(127)\.(?P<rest>.*)$ "$1 and $rest"; }
		geo $near { default no; 127.0.0.0/8 yes; }
		split_clients $remote_addr $part { * all; }
		server { listen 1; say "$kind|$near|$part|$kind"; } }`, nil, &core.Module, &lookup.Module, streamtest.Say())
	if got, want := s.Ask(0), "127 and 0.0.1|yes|all|127 and 0.0.1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`map $nosuch $v { a b; }`, `unknown "nosuch" variable in /test.conf:1`},
		{"map $pid $v {\n a $nosuch; }", `unknown "nosuch" variable in /test.conf:2`},
		{`geo $v { proxy 10.0.0.0/8; }`, `invalid network "proxy" in /test.conf:1`}, // a session has no headers
		{`map $pid $remote_addr { a b; }`, `the duplicate "remote_addr" variable in /test.conf:1`},
	} {
		if got := streamtest.Problem(t, "stream { "+c.text+" server { listen 1; say x; } }", &core.Module, &lookup.Module, streamtest.Say()); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
}
