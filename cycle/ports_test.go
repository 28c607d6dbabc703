package cycle

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"starling/nginx/sockaddr"
	"starling/side"
)

// named is a server that tells its name to a connection.
type named string

func (n named) Serve(conn net.Conn)         { conn.(*fakeConn).servedBy = string(n) }
func (n named) ServeExpected(conn net.Conn) { n.Serve(conn) }
func (n named) Expect()                     {}
func (n named) Unexpect()                   {}

func (n named) ServeWithin(_ *side.Fence, conn net.Conn) { n.Serve(conn) }

type fakeConn struct {
	net.Conn
	local    netip.AddrPort
	servedBy string
}

func (c *fakeConn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

func TestAddressesShareTheSocketOfTheirWildcard(t *testing.T) {
	for _, c := range []struct {
		listens string // separated by blanks; "!" asks for bind, "+" for ipv6only=off
		want    string
	}{
		{"127.0.0.1:80 10.0.0.1:80", "127.0.0.1:80 10.0.0.1:80"},
		{"127.0.0.1:80 0.0.0.0:80", "0.0.0.0:80"},
		{"127.0.0.1:81 0.0.0.0:80", "0.0.0.0:80 127.0.0.1:81"},
		{"127.0.0.1:80! 0.0.0.0:80", "0.0.0.0:80 127.0.0.1:80"},
		{"[::1]:80 [::]:80 0.0.0.0:80", "[::]:80only 0.0.0.0:80"},
		{"127.0.0.1:80 [::]:80+", "[::]:80 127.0.0.1:80"},
		{"unix:/x 0.0.0.0:80 unix:/y", "0.0.0.0:80 unix:/x unix:/y"},
	} {
		var ports []side.Port
		for _, word := range strings.Fields(c.listens) {
			text := strings.TrimRight(word, "!+")
			addrs, err := sockaddr.Parse(text, 0)
			if err != nil {
				t.Fatal(err)
			}
			ports = append(ports, side.Port{Addr: addrs[0], ConnHandler: named(text),
				Options: sockaddr.Options{Bind: strings.HasSuffix(word, "!"), IPv6Only: !strings.HasSuffix(word, "+")}})
		}
		var got []string
		for _, s := range sockets(ports) {
			text := s.key.addr.String()
			if s.key.ipv6Only && s.key.addr.Wildcard() {
				text += "only"
			}
			got = append(got, text)
		}
		if fmt.Sprint(got) != "["+c.want+"]" {
			t.Errorf("%s: got %v, want %s", c.listens, got, c.want)
		}
	}
}

func TestConnectionsGoToTheirAddress(t *testing.T) {
	var ports []side.Port
	for _, text := range []string{"127.0.0.1:80", "0.0.0.0:80"} {
		addrs, err := sockaddr.Parse(text, 0)
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, side.Port{Addr: addrs[0], ConnHandler: named(text)})
	}
	all := sockets(ports)
	if len(all) != 1 {
		t.Fatalf("%d sockets", len(all))
	}
	for local, want := range map[string]string{"127.0.0.1:80": "127.0.0.1:80", "127.0.0.2:80": "0.0.0.0:80", "[::ffff:127.0.0.1]:80": "127.0.0.1:80"} {
		conn := &fakeConn{local: netip.MustParseAddrPort(local)}
		all[0].handlers.of(conn.LocalAddr()).Serve(conn)
		if conn.servedBy != want {
			t.Errorf("a connection to %s was served by %s", local, conn.servedBy)
		}
	}
}

// replaced is a server whose listener gets another just before it hears of a connection.
type replaced struct {
	named
	by       *handlers
	listener *listener
	expected *int
}

func (r replaced) Expect() {
	*r.expected++
	r.listener.target.Store(r.by)
}

func (r replaced) Unexpect() { *r.expected-- }

// TestAReloadWhileAConnectionIsAccepted: the next configuration serves it where the one before may not have heard of it
// in time.
func TestAReloadWhileAConnectionIsAccepted(t *testing.T) {
	l, expected := &listener{}, 0
	l.target.Store(&handlers{bound: replaced{"old", &handlers{bound: named("new")}, l, &expected}})
	conn := &fakeConn{}
	l.expect(conn).ServeExpected(conn)
	if conn.servedBy != "new" || expected != 0 {
		t.Errorf("served by %q; the one before still expects %d", conn.servedBy, expected)
	}
}
