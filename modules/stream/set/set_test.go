package set_test

import (
	"testing"

	"starling/modules/stream/lookup"
	"starling/modules/stream/returns"
	"starling/modules/stream/set"
	"starling/stream/streamtest"
)

func TestSet(t *testing.T) {
	s := streamtest.Start(t, `stream {
		map 0 $mapped { default original; }
		server { listen 1; return "$mapped:$own"; set $own "<$mapped>"; set $mapped new; }
		server { listen 2; return "[$mapped:$own]"; }
	}`, nil, &set.Module, &lookup.Module, &returns.Module)
	for n, want := range []string{"new:<original>", "[original:]"} {
		if got := s.Ask(n); got != want {
			t.Errorf("server %d: got %q, want %q", n, got, want)
		}
	}
}

func TestProblems(t *testing.T) {
	for words, want := range map[string]string{
		"x y":                `invalid variable name "x" in /test.conf:1`,
		"$ y":                `invalid variable name "$" in /test.conf:1`,
		"$remote_addr y":     `the duplicate "remote_addr" variable in /test.conf:1`,
		"$x $unknown_to_all": `unknown "unknown_to_all" variable in /test.conf:1`,
	} {
		got := streamtest.Problem(t, "stream { server { listen 1; return x; set "+words+"; } }", &set.Module, &returns.Module)
		if got != want {
			t.Errorf("%s: got %s, want %s", words, got, want)
		}
	}
}
