package set_test

import (
	"testing"

	"starling/conf"
	"starling/modules/stream/core"
	"starling/modules/stream/set"
	"starling/stream"
	"starling/stream/streamtest"
	"starling/vars"
)

// mapped is a family with a variable as `map` makes it.
func mapped() *stream.Module {
	return &stream.Module{
		Module: conf.Module{Name: "mapped", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}]},
		Variables: []vars.Variable[*stream.Session]{{Name: "mapped", Replaceable: true,
			Append: func(_ *stream.Session, _ string, dst []byte) ([]byte, bool) { return append(dst, "original"...), true }}},
	}
}

func TestSet(t *testing.T) {
	s := streamtest.Start(t, `stream {
		server { listen 1; say "$mapped:$own"; set $own "<$mapped>"; set $mapped new; }
		server { listen 2; say "[$mapped:$own]"; }
	}`, nil, &core.Module, &set.Module, mapped(), streamtest.Say())
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
		got := streamtest.Problem(t, "stream { server { listen 1; say x; set "+words+"; } }", &core.Module, &set.Module, streamtest.Say())
		if got != want {
			t.Errorf("%s: got %s, want %s", words, got, want)
		}
	}
}
