package keyval_test

import (
	"slices"
	"testing"

	"starling/admin"
	"starling/modules/stream/core"
	"starling/modules/stream/keyval"
	"starling/stream/streamtest"
)

func TestLookup(t *testing.T) {
	s := streamtest.Start(t, `stream { keyval_zone zone=names:32k; keyval $remote_addr $name zone=names;
		server { listen 1; say "<$name>"; } }`, nil, &core.Module, &keyval.Module, streamtest.Say())
	if got := s.Ask(0); got != "<>" {
		t.Errorf("before: %s", got)
	}
	resources := s.Site.Resources()
	at := slices.IndexFunc(resources, func(r admin.Resource) bool { return r.Path == "stream/keyvals" })
	if at < 0 {
		t.Fatalf("%+v", resources)
	}
	answer := resources[at].Handle(&admin.Call{Method: "POST", Version: 9, Tail: []string{"names"}, Body: []byte(`{"127.0.0.1":"home"}`)})
	if answer.Err != nil {
		t.Fatal(answer.Err)
	}
	if got := s.Ask(0); got != "<home>" {
		t.Errorf("after: %s", got)
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`keyval $pid name zone=a;`, `invalid variable name "name" in /test.conf:1`},
		{`keyval $pid $name zone=a;`, `zero size shared memory zone "a" in /test.conf:1`},
		{`keyval_zone zone=a:32k; keyval $pid $name zone=a; keyval $pid $name zone=a;`, `the duplicate "name" variable in /test.conf:1`},
		{`keyval_zone zone=a:32k; keyval $nosuch $name zone=a;`, `unknown "nosuch" variable in /test.conf:1`},
	} {
		if got := streamtest.Problem(t, "stream { "+c.text+" server { listen 1; say x; } }", &core.Module, &keyval.Module, streamtest.Say()); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
}
