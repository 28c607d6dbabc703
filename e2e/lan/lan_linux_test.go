package lan

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"starling/lib/testkit"
)

// patience bounds waits that a healthy run never reaches.
const patience = time.Minute

// pairOf makes two hosts and says in what network, or skips the test.
func pairOf(t *testing.T) (n *Network, a, b *Host) {
	t.Helper()
	n = New(netip.MustParsePrefix("10.99.0.0/24"))
	t.Cleanup(n.Close)
	var hosts []*Host
	for _, addr := range []string{"10.99.0.1", "10.99.0.2"} {
		h, err := n.Add(netip.MustParseAddr(addr))
		if err != nil {
			t.Skipf("no hosts here: %v", err)
		}
		hosts = append(hosts, h)
	}
	return n, hosts[0], hosts[1]
}

// echo answers on a host with what it is sent.
func echo(t *testing.T, h *Host) string {
	t.Helper()
	var l net.Listener
	err := h.Inside(func() (err error) {
		l, err = net.Listen("tcp", h.Addr.String()+":7")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn) // ends with the connection
			}()
		}
	}()
	return l.Addr().String()
}

func dial(h *Host, address string, timeout time.Duration) (conn net.Conn, err error) {
	err = h.Inside(func() (err error) {
		conn, err = net.DialTimeout("tcp", address, timeout)
		return err
	})
	return conn, err
}

// ask sends a word and wants it back within a time.
func ask(conn net.Conn, timeout time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("word")); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 4))
	return err
}

func TestHostsReachEachOtherAndNobodyElse(t *testing.T) {
	_, a, b := pairOf(t)
	address := echo(t, b)
	conn, err := dial(a, address, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := ask(conn, patience); err != nil {
		t.Error(err)
	}
	if outside, err := net.DialTimeout("tcp", address, 100*time.Millisecond); err == nil {
		defer outside.Close() // somebody else's host of that address, or a proxy for all addresses
		if ask(outside, 100*time.Millisecond) == nil {
			t.Error("the host is reached from outside its network")
		}
	}
}

func TestACutLinkIsSilentAndHeals(t *testing.T) {
	n, a, b := pairOf(t)
	conn, err := dial(a, echo(t, b), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	n.Partition([]*Host{a}, []*Host{b})
	var timeout net.Error
	if err := ask(conn, 50*time.Millisecond); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("over a cut link: %v, want silence", err)
	}
	n.Heal()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 4)); err != nil {
		t.Errorf("after healing, the kernel's repetition of what was lost: %v", err)
	}
}

func TestOneDirectionMayBeCut(t *testing.T) {
	n, a, b := pairOf(t)
	conn, err := dial(a, echo(t, b), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	n.SetOneWay(b, a, Trouble{Cut: true})
	if err := ask(conn, 50*time.Millisecond); err == nil {
		t.Error("an answer came over the cut direction")
	}
	testkit.Eventually(t, patience, func() error { // on a busy machine, the answer comes later
		if carried, dropped := n.Packets(); carried == 0 || dropped == 0 {
			return fmt.Errorf("%d packets carried, %d dropped; want some of both", carried, dropped)
		}
		return nil
	})
}

func TestDelayAndLossAreSurvived(t *testing.T) {
	n, a, b := pairOf(t)
	const delay = 20 * time.Millisecond
	n.Set(a, b, Trouble{Delay: delay, Loss: 0.05})
	conn, err := dial(a, echo(t, b), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	before := time.Now()
	if err := ask(conn, patience); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(before); took < 2*delay {
		t.Errorf("the way there and back took %v, less than the delay of both", took)
	}
	for range 50 {
		if err := ask(conn, patience); err != nil {
			t.Fatal(err)
		}
	}
}
