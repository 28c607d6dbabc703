package access_test

import (
	"slices"
	"strings"
	"testing"

	"starling/modules/stream/access"
	"starling/modules/stream/core"
	"starling/stream/streamtest"
)

func TestRules(t *testing.T) {
	for _, c := range []struct{ rules, want string }{
		{"", "in"},
		{"deny all;", ""},
		{"allow 127.0.0.1; deny all;", "in"},
		{"deny 127.0.0.0/8; allow all;", ""},
		{"allow 10.0.0.0/8; allow unix:; deny 127.0.0.1;", ""},
		{"allow ::1; deny 2001:db8::/32;", "in"},
	} {
		s := streamtest.Start(t, "stream { server { listen 1; say in; "+c.rules+" } }", nil, &core.Module, &access.Module, streamtest.Say())
		if got := s.Ask(0); got != c.want {
			t.Errorf("%s: got %q, want %q", c.rules, got, c.want)
		}
		denied := slices.ContainsFunc(s.Log.Lines(), func(l string) bool {
			return strings.HasPrefix(l, "[error]") && strings.Contains(l, "access forbidden by rule, client: 127.0.0.1, server: 0.0.0.0:1")
		})
		if denied != (c.want == "") {
			t.Errorf("%s: logged as denied: %v", c.rules, denied)
		}
	}
}

func TestRulesOfTheServerReplaceThoseAround(t *testing.T) {
	s := streamtest.Start(t, "stream { deny all; server { listen 1; say in; allow all; } server { listen 2; say in; } }", nil,
		&core.Module, &access.Module, streamtest.Say())
	if own, inherited := s.Ask(0), s.Ask(1); own != "in" || inherited != "" {
		t.Errorf("own rules: %q, inherited: %q", own, inherited)
	}
}

func TestProblems(t *testing.T) {
	want := `invalid parameter "nobody" in /test.conf:1`
	if got := streamtest.Problem(t, "stream { server { listen 1; say in; allow nobody; } }", &core.Module, &access.Module, streamtest.Say()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
