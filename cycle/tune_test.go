package cycle_test

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"starling/lib/testkit"
)

// TestSocketOptionsOfStream are obeyed as those of http are: probes on accepted connections, buffers of datagrams.
func TestSocketOptionsOfStream(t *testing.T) {
	h := newHost(t)
	t.Cleanup(h.Stop)
	probed, plain, udp := address(t), address(t), address(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	backend := "proxy_pass " + silent.Addr().String() + ";"
	text := "stream { server { listen " + probed + " so_keepalive=1h; " + backend + " } server { listen " + plain + " sndbuf=8k deferred; " + backend + " }" +
		"server { listen " + udp + " udp rcvbuf=RCV sndbuf=6k reuseport; " + backend + " } }"
	h.run(strings.Replace(text, "RCV", "9k", 1))
	for listened, want := range map[string]bool{probed: true, plain: false} {
		client := dial(t, listened)
		fmt.Fprint(client, "x") // deferred waits for it
		testkit.Eventually(t, patience, func() error {
			probes, found := keepAliveTimer(t, client.RemoteAddr(), client.LocalAddr())
			if !found || probes != want {
				return fmt.Errorf("%s: accepted %v, probes %v, want %v", listened, found, probes, want)
			}
			return nil
		})
	}
	for _, size := range []int{9 << 10, 12 << 10} { // the kernel doubles what it is asked for
		h.run(strings.Replace(text, "RCV", fmt.Sprint(size), 1))
		if receive, send := h.PacketBuffers(); receive != 2*size || send != 2*6<<10 {
			t.Errorf("buffers of datagrams: %d and %d bytes, want twice %d and %d", receive, send, size, 6<<10)
		}
	}
}

// keepAliveTimer says whether the system has the timer of probes set on a connection, by /proc/net/tcp.
func keepAliveTimer(t *testing.T, local, remote net.Addr) (set, found bool) {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Skip("no /proc on this system: ", err)
	}
	const timerOfProbes = "02"
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if fields[1] == inProc(local) && fields[2] == inProc(remote) {
			kind, _, _ := strings.Cut(fields[5], ":")
			return kind == timerOfProbes, true
		}
	}
	return false, false
}

// inProc writes an IPv4 address as the table does on a little-endian machine.
func inProc(addr net.Addr) string {
	a := addr.(*net.TCPAddr).AddrPort()
	b := a.Addr().Unmap().As4()
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", b[3], b[2], b[1], b[0], a.Port())
}
