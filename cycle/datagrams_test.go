package cycle_test

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"starling/lib/testkit"

	"golang.org/x/sys/unix"
)

// strangers send a datagram each, from ports of their own.
func strangers(t *testing.T, to string, count int) {
	t.Helper()
	for range count {
		conn, err := net.Dial("udp4", to)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "x")
		conn.Close()
	}
}

// TestDatagramsLeaveDescriptorsForConnections has more clients than the process has descriptors: half of these are
// left.
func TestDatagramsLeaveDescriptorsForConnections(t *testing.T) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	const descriptors = 256
	limit := before
	limit.Cur = descriptors
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Setrlimit(unix.RLIMIT_NOFILE, &before) })
	h := newHost(t)
	t.Cleanup(h.Stop)
	udp, web := address(t), address(t)
	silent, err := net.ListenPacket("udp", "127.0.0.1:0") // a port without a socket would end the sessions
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	h.run("stream { server { listen " + udp + " udp; proxy_pass " + silent.LocalAddr().String() + "; } server { listen " + web + "; return here; } }")
	for range 4 {
		strangers(t, udp, descriptors/2)
		if got := ask(t, web); got != "here" {
			t.Fatalf("a connection gets %q", got)
		}
	}
	testkit.Eventually(t, patience, func() error {
		strangers(t, udp, 10)
		if log := h.log(); !strings.Contains(log, "reached the limit of 128 UDP sessions of all sockets") {
			return fmt.Errorf("the log does not say that there were too many sessions")
		}
		return nil
	})
}

// TestUDPSessionsAreBoundedAndTheirMemoryIsGivenBack reloads with another bound, which holds for the socket that stays.
func TestUDPSessionsAreBoundedAndTheirMemoryIsGivenBack(t *testing.T) {
	h := newHost(t)
	var given atomic.Int64
	h.OnGiveBack(func() { given.Add(1) })
	h.CountSession(1 << 20) // as if each had the memory of many
	t.Cleanup(h.Stop)
	silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	udp := address(t)
	run := func(sessions string) {
		h.run("stream { server { listen " + udp + " udp; " + sessions + " proxy_pass " + silent.LocalAddr().String() + "; } }")
	}
	run("udp_sessions 2;")
	strangers(t, udp, 10)
	testkit.Eventually(t, patience, func() error {
		if !strings.Contains(h.log(), udp+": reached the limit of 2 UDP sessions of this socket") {
			return fmt.Errorf("the log does not say so")
		}
		return nil
	})
	if n := h.Datagrams(); n != 2 {
		t.Errorf("%d sessions", n)
	}
	run("udp_sessions 30;") // which ends those of before
	testkit.Eventually(t, patience, func() error {
		strangers(t, udp, 10)
		if n := h.Datagrams(); n != 30 {
			return fmt.Errorf("%d sessions", n)
		}
		return nil
	})
	h.LookAtMemory()
	h.run("")
	testkit.Eventually(t, patience, func() error {
		h.LookAtMemory()
		if h.Datagrams() != 0 || given.Load() == 0 {
			return fmt.Errorf("%d sessions, memory given back %d times", h.Datagrams(), given.Load())
		}
		return nil
	})
}
