package upstream_test

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"starling/lib/clock"
	"starling/upstream"
)

// TestConnectionsShareLocalPorts: connections to different servers can have the same local port, so that their number
// is not that of the ports. The network of this test has two.
func TestConnectionsShareLocalPorts(t *testing.T) {
	for _, bind := range []netip.AddrPort{{}, netip.MustParseAddrPort("127.0.0.1:0")} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // and never unlock it: the thread ends with its network
			if enterNetwork(t, "40000 40001") {
				connectToMany(t, bind)
			}
		}()
		<-done
	}
}

// enterNetwork gives this thread a network of its own, with so many local ports.
func enterNetwork(t *testing.T, ports string) bool {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Logf("not tested: a network namespace needs root: %v", err)
		return false
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Error(err)
		return false
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Error(err)
		return false
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Error(err)
		return false
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte(ports), 0o644); err != nil {
		t.Logf("not tested: %v", err)
		return false
	}
	return true
}

func connectToMany(t *testing.T, bind netip.AddrPort) {
	d := upstream.Dialer{Timeout: time.Minute, Bind: bind, Clock: clock.Real()}
	for n := byte(1); n <= 8; n++ {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 1, n), Port: 30000})
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		to := upstream.Address{IP: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, n}), 30000)}
		c, err := d.DialAt(t.Context(), nil, to)
		if err != nil {
			t.Errorf("from %v, connection %d: %v", bind, n, err)
			return
		}
		defer c.Close()
	}
}
