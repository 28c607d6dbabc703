package accesslist

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func rules(t testing.TB, text string) []Rule {
	var list []Rule
	for _, line := range strings.Split(text, ";") {
		words := strings.Fields(line)
		r, _, err := ParseRule(words[0] == "allow", words[1])
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

func TestTheFirstMatchCounts(t *testing.T) {
	for _, c := range []struct {
		rules, addr string
		want        Verdict
	}{
		{"allow 127.0.0.1; deny all", "127.0.0.1", Allowed},
		{"allow 127.0.0.1; deny all", "127.0.0.2", Denied},
		{"allow 127.0.0.1; deny all", "::1", Denied},
		{"allow 127.0.0.1; deny all", "", Denied},
		{"allow 127.0.0.1", "127.0.0.2", NoMatch},
		{"deny 10.1.0.0/16; allow 10.0.0.0/8; deny all", "10.1.2.3", Denied},
		{"allow 10.0.0.0/8; deny 10.1.0.0/16", "10.1.2.3", Allowed},
		{"allow 127.0.0.1", "::ffff:127.0.0.1", Allowed},
		{"allow 2001:db8::/32; deny all", "2001:db8:1::1", Allowed},
		{"allow unix:; deny all", "", Allowed},
		{"deny all; allow unix:", "", Denied},
		{"allow 127.0.0.1", "", NoMatch},
	} {
		var addr netip.Addr
		if c.addr != "" {
			addr = netip.MustParseAddr(c.addr)
		}
		if got := New(rules(t, c.rules)).Check(addr); got != c.want {
			t.Errorf("%s: %q gives %v, want %v", c.rules, c.addr, got, c.want)
		}
	}
}

func TestParseRule(t *testing.T) {
	for _, bad := range []string{"", "localhost", "10.0.0.0/33", "fe80::1%eth0", "10.0.0", "::/129"} {
		if _, _, err := ParseRule(true, bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if r, low, err := ParseRule(true, "10.0.0.1/8"); err != nil || !low || r.Prefix.String() != "10.0.0.0/8" {
		t.Errorf("low bits: %v %v %v", r, low, err)
	}
}

// The table against a walk of the list.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []Rule
		for range rapid.IntRange(0, 12).Draw(t, "rules") {
			a := netip.AddrFrom4([4]byte{10, byte(rapid.IntRange(0, 3).Draw(t, "b")), byte(rapid.IntRange(0, 3).Draw(t, "c")), 0})
			p := netip.PrefixFrom(a, rapid.IntRange(0, 32).Draw(t, "bits")).Masked()
			list = append(list, Rule{Allow: rapid.Bool().Draw(t, "allow"), Prefix: p})
		}
		addr := netip.AddrFrom4([4]byte{10, byte(rapid.IntRange(0, 3).Draw(t, "b")), byte(rapid.IntRange(0, 3).Draw(t, "c")), 0})
		want := NoMatch
		for _, r := range list {
			if r.Prefix.Contains(addr) {
				want = verdict(r.Allow)
				break
			}
		}
		if got := New(list).Check(addr); got != want {
			t.Fatalf("%v of %v gives %v, want %v", addr, list, got, want)
		}
	})
}

func TestCheckDoesNotAllocate(t *testing.T) {
	l, addr := New(rules(t, "allow 10.0.0.0/8; deny all")), netip.MustParseAddr("10.1.2.3")
	if n := testing.AllocsPerRun(100, func() { l.Check(addr) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
