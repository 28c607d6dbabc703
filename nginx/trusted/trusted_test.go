package trusted

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"starling/lib/testkit"
)

func trusted(list string) *Networks {
	n := new(Networks)
	for _, word := range strings.Fields(list) {
		if word == "unix:" {
			n.unix = true
			continue
		}
		n.Add(netip.MustParsePrefix(word))
	}
	return n
}

func TestAddressFollowsTrustedProxies(t *testing.T) {
	const local = "127.0.0.1:9"
	for _, c := range []struct {
		name      string
		from      string
		trust     string
		recursive bool
		headers   []string // in the order sent
		want      string
	}{
		{"nobody is trusted", local, "10.0.0.0/8", true, []string{"192.0.2.1"}, local},
		{"one step", local, "127.0.0.0/8", false, []string{"192.0.2.2, 192.0.2.1"}, "192.0.2.1:0"},
		{"one step ends at a trusted one too", local, "127.0.0.0/8 192.0.2.1/32", false, []string{"192.0.2.2, 192.0.2.1"}, "192.0.2.1:0"},
		{"recursive", local, "127.0.0.0/8 192.0.2.1/32", true, []string{"192.0.2.2, 192.0.2.1"}, "192.0.2.2:0"},
		{"recursive to the first", local, "127.0.0.0/8 192.0.2.0/24", true, []string{"192.0.2.2, 192.0.2.1"}, "192.0.2.2:0"},
		{"recursive over headers", local, "127.0.0.0/8 192.0.2.1/32", true, []string{"192.0.2.3", "192.0.2.1"}, "192.0.2.3:0"},
		{"one step over headers", local, "127.0.0.0/8 192.0.2.1/32", false, []string{"192.0.2.3", "192.0.2.1"}, "192.0.2.1:0"},
		{"nonsense ends it", local, "127.0.0.0/8 192.0.2.1/32", true, []string{"nonsense, 192.0.2.1"}, "192.0.2.1:0"},
		{"only nonsense", local, "127.0.0.0/8", true, []string{"nonsense"}, local},
		{"empty", local, "127.0.0.0/8", true, []string{""}, local},
		{"a header of commas", local, "127.0.0.0/8", true, []string{" , ,"}, local},
		{"with a port", local, "127.0.0.0/8", false, []string{"192.0.2.1:5000"}, "192.0.2.1:5000"},
		{"IPv6 with a port", local, "127.0.0.0/8", false, []string{"[2001:db8::1]:5000"}, "[2001:db8::1]:5000"},
		{"trailing commas", local, "127.0.0.0/8", false, []string{"192.0.2.1, ,"}, "192.0.2.1:0"},
		{"mapped peer", "[::ffff:127.0.0.1]:9", "127.0.0.0/8", false, []string{"192.0.2.1"}, "192.0.2.1:0"},
		{"unix socket", "", "unix:", false, []string{"192.0.2.1"}, "192.0.2.1:0"},
		{"unix socket not trusted", "", "127.0.0.0/8", false, []string{"192.0.2.1"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var from, want netip.AddrPort
			if c.from != "" {
				from = netip.MustParseAddrPort(c.from)
			}
			if c.want != "" {
				want = netip.MustParseAddrPort(c.want)
			}
			got, changed := Address(from, trusted(c.trust), c.recursive, func(yield func([]byte) bool) {
				for _, h := range slices.Backward(c.headers) {
					if !yield([]byte(h)) {
						return
					}
				}
			})
			if got != want || changed != (got != from) {
				t.Errorf("got %v (changed: %v), want %v", got, changed, want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1": "192.0.2.1:0", "192.0.2.1:80": "192.0.2.1:80", "2001:db8::1": "[2001:db8::1]:0", "[2001:db8::1]": "[2001:db8::1]:0",
		"[2001:db8::1]:80": "[2001:db8::1]:80",
		"":                 "", "localhost": "", "192.0.2.1:": "", "192.0.2.1:0": "", "192.0.2.1:70000": "", "[192.0.2.1]": "", "fe80::1%eth0": "", "unix:": "",
	} {
		got, ok := Parse([]byte(text))
		if ok != (want != "") || ok && got != netip.MustParseAddrPort(want) {
			t.Errorf("Parse(%q) = %v, %v; want %q", text, got, ok, want)
		}
	}
}

func TestAddressDoesNotAllocate(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	n, from, value := trusted("127.0.0.0/8 10.0.0.0/8"), netip.MustParseAddrPort("127.0.0.1:9"), []byte("192.0.2.1, 10.1.1.1")
	if count := testing.AllocsPerRun(100, func() {
		Address(from, n, true, func(yield func([]byte) bool) { yield(value) })
	}); count > 0 {
		t.Errorf("%v allocations", count)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("[2001:db8::1]:80"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if ap, ok := Parse(text); ok && !ap.Addr().IsValid() {
			t.Errorf("Parse(%q) = %v", text, ap)
		}
	})
}
