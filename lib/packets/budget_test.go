package packets

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// stranger sends a datagram from one of many addresses.
func stranger(l *Listener, n int) {
	from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(n))
	l.deliver(key{remote: from}, []byte("x"))
}

// sessions takes what can be accepted.
func sessions(t *testing.T, l *Listener) (all []net.Conn) {
	t.Helper()
	for len(l.accepted) > 0 {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

func TestASocketHasNoMoreSessionsThanItMay(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	l.Limit(3)
	told := make(chan string, 10)
	l.OnRefuse(func(why string) { told <- why })
	for n := range 10 {
		stranger(l, 1000+n)
	}
	all := sessions(t, l)
	if len(all) != 3 || l.Dropped() != 7 {
		t.Fatalf("%d sessions, %d datagrams dropped", len(all), l.Dropped())
	}
	if why := <-told; why != "reached the limit of 3 UDP sessions of this socket (udp_sessions)" {
		t.Error(why)
	}
	if len(told) != 0 {
		t.Error("told for each datagram")
	}
	stranger(l, 1000) // of a session that is there
	if n := l.Dropped(); n != 7 {
		t.Errorf("%d datagrams dropped", n)
	}
	if _, err := all[0].Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	all[0].(*Conn).Forget() // its server still has to answer, so it counts
	all[1].(*Conn).Forget()
	stranger(l, 2000)
	if n := len(sessions(t, l)); n != 0 {
		t.Errorf("%d sessions though forgotten ones live", n)
	}
	all[1].Close()
	all[1].Close()
	for n := range 3 {
		stranger(l, 3000+n)
	}
	if n := len(sessions(t, l)); n != 1 {
		t.Errorf("%d sessions after one ended", n)
	}
}

func TestSocketsShareABudget(t *testing.T) {
	most := int64(3)
	b := NewBudget(func() int64 { return most })
	one, two := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	one.Share(b)
	two.Share(b)
	told := make(chan string, 10)
	two.OnRefuse(func(why string) { told <- why })
	for n := range 5 {
		stranger(one, 1000+n)
		stranger(two, 1000+n)
	}
	ofOne, ofTwo := sessions(t, one), sessions(t, two)
	if len(ofOne) != 2 || len(ofTwo) != 1 || b.Sessions() != 3 {
		t.Fatalf("%d and %d sessions, %d in all", len(ofOne), len(ofTwo), b.Sessions())
	}
	if why := <-told; !strings.HasPrefix(why, "reached the limit of 3 UDP sessions of all sockets") {
		t.Error(why)
	}
	for _, c := range append(ofOne, ofTwo...) {
		c.Close()
	}
	// What waited in a session begins another one when it ends, here none: each had the datagram alone that began it.
	if n := b.Sessions(); n != 0 {
		t.Errorf("%d sessions after all ended", n)
	}
	stranger(one, 1)
	stranger(two, 1)
	one.Close()
	two.Close()
	if n := b.Sessions(); n != 0 {
		t.Errorf("%d sessions of closed sockets that nobody accepted", n)
	}
}

// TestDatagramsAreTakenInOrder looks at the queue of a session, which holds nothing when it is empty.
func TestDatagramsAreTakenInOrder(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	k := key{remote: netip.MustParseAddrPort("127.0.0.1:9")}
	for n := range 5 {
		l.deliver(k, fmt.Append(nil, n))
	}
	c := sessions(t, l)[0].(*Conn)
	for n := range 5 {
		if data, ok, err := c.Poll(); !ok || err != nil || string(data) != fmt.Sprint(n) {
			t.Errorf("datagram %d is %q, %v", n, data, err)
		}
	}
	if c.queue != nil || l.waiting.Load() != 0 {
		t.Errorf("%d places, %d bytes held for nothing", cap(c.queue), l.waiting.Load())
	}
}
