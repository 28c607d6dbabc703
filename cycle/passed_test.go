package cycle

import (
	"net"
	"net/netip"
	"testing"

	"starling/nginx/sockaddr"
)

// A passed socket serves the listen directive of its address. One of [::] that takes IPv4 too serves "listen 80", for
// which a service manager makes it.
func TestPassedSocketsFindTheirDirectives(t *testing.T) {
	at := func(text string) sockaddr.Addr { return sockaddr.Addr{AddrPort: netip.MustParseAddrPort(text)} }
	for _, c := range []struct {
		name           string
		passed         passedSocket
		key            socketKey
		serves, covers bool
	}{
		{"the same", passedSocket{addr: at("127.0.0.1:80")}, socketKey{addr: at("127.0.0.1:80")}, true, false},
		{"another address", passedSocket{addr: at("127.0.0.2:80")}, socketKey{addr: at("127.0.0.1:80")}, false, false},
		{"another port", passedSocket{addr: at("127.0.0.1:81")}, socketKey{addr: at("127.0.0.1:80")}, false, false},
		{"UDP for TCP", passedSocket{addr: at("127.0.0.1:80"), udp: true}, socketKey{addr: at("127.0.0.1:80")}, false, false},
		{"UDP for UDP", passedSocket{addr: at("127.0.0.1:80"), udp: true}, socketKey{addr: at("127.0.0.1:80"), network: "udp"}, true, false},
		{"IPv6 only", passedSocket{addr: at("[::]:80"), ipv6Only: true}, socketKey{addr: at("[::]:80"), ipv6Only: true}, true, false},
		{"an IPv6 address", passedSocket{addr: at("[::1]:80")}, socketKey{addr: at("[::1]:80"), ipv6Only: true}, true, false},
		{"both families for IPv6 only", passedSocket{addr: at("[::]:80")}, socketKey{addr: at("[::]:80"), ipv6Only: true}, false, false},
		{"both families for IPv4", passedSocket{addr: at("[::]:80")}, socketKey{addr: at("0.0.0.0:80")}, false, true},
		{"IPv6 only for IPv4", passedSocket{addr: at("[::]:80"), ipv6Only: true}, socketKey{addr: at("0.0.0.0:80")}, false, false},
		{"a unix socket", passedSocket{addr: sockaddr.Addr{Path: "/x"}}, socketKey{addr: sockaddr.Addr{Path: "/x"}}, true, false},
		{"another unix socket", passedSocket{addr: sockaddr.Addr{Path: "/x"}}, socketKey{addr: sockaddr.Addr{Path: "/y"}}, false, false},
	} {
		if got := c.passed.serves(c.key); got != c.serves {
			t.Errorf("%s: serves: %t", c.name, got)
		}
		if got := c.passed.covers(c.key); got != c.covers {
			t.Errorf("%s: covers: %t", c.name, got)
		}
	}
}

// Clients that wait while the accept loop stands are a stall; those that come between two turns are none.
func TestStalled(t *testing.T) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	l := &listener{socket: socket, key: socketKey{addr: sockaddr.Addr{AddrPort: socket.Addr().(*net.TCPAddr).AddrPort()}}}
	h := &Host{}
	check := func(when, want string) {
		t.Helper()
		got := ""
		if err := h.Stalled(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", when, got, want)
		}
	}
	check("before the start", "")
	h.pulse.listeners.Store(&[]*listener{l})
	client, err := net.Dial("tcp", socket.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if l.waiting() == 0 {
		t.Skip("the system does not tell how many connections wait")
	}
	check("clients are held back", "")
	check("clients are still held back", "")
	l.turns.Add(1)
	check("the first turn", "")
	check("no turn since", "clients wait for "+socket.Addr().String()+", and none was accepted since the last check")
	l.turns.Add(1)
	check("another turn", "")
	conn, err := socket.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	check("nobody waits", "")
}
