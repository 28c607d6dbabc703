package zonesync

import (
	"testing"

	"starling/carrier"
)

// Nodes with strict zones compare their lists as texts, so that one member must have one text.
func TestAMemberHasOneText(t *testing.T) {
	for _, c := range []struct{ host, want string }{
		{"10.0.0.1", "10.0.0.1:9000"},
		{"::ffff:10.0.0.1", "10.0.0.1:9000"},
		{"::1", "[::1]:9000"},
		{"0:0:0:0:0:0:0:1", "[::1]:9000"},
		{"2001:DB8:0::1", "[2001:db8::1]:9000"},
		{"fe80::1%Eth0", "[fe80::1%Eth0]:9000"},
		{"Node1.Example", "node1.example:9000"},
	} {
		if got := (carrier.Member{Host: canonicalHost(c.host), Port: 9000}).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.host, got, c.want)
		}
	}
}
