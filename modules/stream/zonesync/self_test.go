package zonesync

import (
	"net/netip"
	"strings"
	"testing"

	"starling/carrier"
	"starling/nginx/sockaddr"
	"starling/side"
)

// TestAnAddressOfTheListLeadsHere: which addresses of zone_sync_server are those of a server.
func TestAnAddressOfTheListLeadsHere(t *testing.T) {
	for _, c := range []struct {
		listen, member string
		want           bool
	}{
		{"10.0.0.1:9000", "10.0.0.1:9000", true},
		{"10.0.0.7:9000", "10.0.0.7:9000", true}, // an address that comes later, with a VPN
		{"10.0.0.1:9000", "10.0.0.1:9001", false},
		{"10.0.0.1:9000", "10.0.0.2:9000", false},
		{"10.0.0.1:9000", "127.0.0.1:9000", false},
		{"9000", "10.0.0.1:9000", true},
		{"9000", "10.0.0.2:9000", false},
		{"9000", "127.0.1.1:9000", true}, // the host's name, as Debian has it in /etc/hosts
		{"9000", "10.0.0.1:9001", false},
		{"8990-9010", "10.0.0.1:9000", true},
		{"9000", "[fd00::1]:9000", false},
		{"[::]:9000", "[fd00::1]:9000", true},
		{"[::]:9000", "[fd00::2]:9000", false},
		{"[::]:9000", "[::1]:9000", true},
		{"[::]:9000", "10.0.0.1:9000", false},
		{"[::]:9000 ipv6only=off", "10.0.0.1:9000", true},
		{"[::]:9000 ipv6only=off", "10.0.0.2:9000", false},
		{"[fd00::1]:9000", "[fd00::1]:9000", true},
		{"[fe80::1]:9000", "[fe80::1%eth0]:9000", true},
		{"[::]:9000", "[fe80::1%eth0]:9000", true},
		{"unix:/run/sync.sock", "unix:/run/sync.sock", true},
		{"unix:/run/sync.sock", "unix:/run/other.sock", false},
		{"unix:/run/sync.sock", "10.0.0.1:9000", false},
		{"9000", "unix:/run/sync.sock", false},
	} {
		s := &self{own: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fe80::1")}}
		text, both := strings.CutSuffix(c.listen, " ipv6only=off")
		addrs, err := sockaddr.Parse(text, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, addr := range addrs {
			s.listens = append(s.listens, side.Listen{Addr: addr, Options: sockaddr.Options{IPv6Only: !both}})
		}
		var m carrier.Member
		var address netip.AddrPort
		if addrs, err = sockaddr.Parse(c.member, 0); err == nil && addrs[0].IsUnix() {
			m.Unix = addrs[0].Path
		} else {
			address = netip.MustParseAddrPort(c.member)
		}
		if got := s.reached(m, address); got != c.want {
			t.Errorf("listen %s, zone_sync_server %s: %v", c.listen, c.member, got)
		}
	}
}
