package testkit

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
)

// Loopback is a loopback address that no other test process of this machine uses, if the system has more than one.
func Loopback() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	pid := os.Getpid()
	return fmt.Sprintf("127.200.%d.%d", pid>>8&0xff, pid&0xff)
}

// The ports of FreeAddress are below the kernel's ephemeral range: a port from that range may be assigned to another
// process as soon as it is free.
const firstPort, portCount = 10_000, 20_000

var portsTaken atomic.Uint32

// FreeAddress is an address without a listener that is assigned to no other caller. t is a test, or a script of one.
func FreeAddress(t interface {
	Fatalf(format string, args ...any)
}) string {
	var last error
	for range 100 { // a server that listens on all addresses may use any of them
		port := firstPort + (uint32(os.Getpid())*100+portsTaken.Add(1))%portCount
		l, err := net.Listen("tcp", net.JoinHostPort(Loopback(), fmt.Sprint(port)))
		if err == nil {
			l.Close()
			return l.Addr().String()
		}
		last = err
	}
	t.Fatalf("no free port: %v", last)
	return ""
}

// SocketDir is a folder for unix sockets, whose paths have at most a hundred bytes: a test's own folder may be deeper.
func SocketDir(t testing.TB) string {
	t.Helper()
	const room = 60 // for a name in it
	dir, err := os.MkdirTemp("", "sockets-")
	if err == nil && len(dir) > room {
		if err = os.Remove(dir); err == nil {
			dir, err = os.MkdirTemp("/tmp", "sockets-")
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
