package proxyprotocol

import (
	"bytes"
	"net/netip"
	"testing"
)

func TestBinaryHeadersAreReadBack(t *testing.T) {
	for _, c := range []struct{ source, destination string }{
		{"192.0.2.1:1234", "192.0.2.2:80"},
		{"[2001:db8::1]:1234", "[2001:db8::2]:443"},
	} {
		from, to := netip.MustParseAddrPort(c.source), netip.MustParseAddrPort(c.destination)
		r := bytes.NewReader(append(AppendBinary(nil, from, to, false), "rest"...))
		h, err := Read(r)
		if err != nil || h == nil || h.Source != from || h.Destination != to || r.Len() != len("rest") {
			t.Errorf("%v: %+v, %v, %d bytes left", c, h, err, r.Len())
		}
	}
	none := AppendBinary(nil, netip.AddrPort{}, netip.AddrPort{}, false)
	if h, err := Read(bytes.NewReader(none)); h != nil || err != nil || len(none) != fixedBytes {
		t.Errorf("of a unix socket: %q is %v, %v", none, h, err)
	}
}
