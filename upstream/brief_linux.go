package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// brief is a TCP connection for one health check. net.Dialer makes half a dozen more system calls for a connection, and
// starts a goroutine and a timer that only a slow connect needs.
type brief struct {
	*os.File
	remote netip.AddrPort
}

// maxSelfConnects bounds the attempts that end at their own socket, as in net.
const maxSelfConnects = 3

// dialBrief connects without what only long connections need. ok is false if the connection needs net.Dialer.
func (d *Dialer) dialBrief(ctx context.Context, to Address) (conn net.Conn, ok bool, err error) {
	if !d.isBrief(to) {
		return nil, false, nil
	}
	for range maxSelfConnects {
		b, err := d.openBrief(ctx, to.IP)
		switch {
		case err != nil:
			return nil, true, err
		case !mayMeetItself(to.IP.Port()) || b.local() != b.remote:
			return b, true, nil
		}
		// Nobody listens at this address of the host, and the system chose the same port for our end.
		b.Close()
	}
	return nil, true, os.NewSyscallError("connect", unix.ECONNREFUSED)
}

// isBrief reports whether a connection to an address needs nothing that only net.Dialer does.
func (d *Dialer) isBrief(to Address) bool {
	return d.TLS == nil && !d.Probe && !d.Datagrams && !d.Bind.IsValid() && to.IP.IsValid() && to.IP.Addr().Zone() == ""
}

func (d *Dialer) openBrief(ctx context.Context, to netip.AddrPort) (*brief, error) {
	family, address := socketAddress(to)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if len(d.Preface) > 0 { // the check writes twice before it reads
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // only a matter of speed
	}
	connecting := unix.Connect(fd, address)
	if connecting != nil && connecting != unix.EINPROGRESS && connecting != unix.EINTR {
		unix.Close(fd)
		return nil, os.NewSyscallError("connect", connecting)
	}
	b := &brief{File: os.NewFile(uintptr(fd), "socket"), remote: to}
	if connecting != nil {
		if err := b.finish(ctx, address, d.Timeout); err != nil {
			b.Close()
			return nil, err
		}
	}
	return b, nil
}

// mayMeetItself reports whether the system can choose a port for our end: nobody may listen there, and a connect to an
// address of this host then meets itself.
func mayMeetItself(port uint16) bool {
	low, high := localPorts()
	return port >= low && port <= high
}

// localPorts is the range of ports that the system chooses from; without /proc, all.
var localPorts = sync.OnceValues(func() (low, high uint16) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err == nil {
		_, err = fmt.Sscan(string(text), &low, &high)
	}
	if err != nil {
		return 0, 1<<16 - 1
	}
	return low, high
})

// finish waits until the connection is established.
func (b *brief) finish(ctx context.Context, address unix.Sockaddr, timeout time.Duration) error {
	raw, err := b.SyscallConn()
	if err != nil {
		return err
	}
	if timeout > 0 {
		if err := b.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() { b.SetWriteDeadline(time.Unix(1, 0)) })
	var failed error
	err = raw.Write(func(fd uintptr) (done bool) {
		// It may be done already, and the poller does not tell again. A second connect() tells more than SO_ERROR,
		// which is 0 also while the first is in progress.
		switch err := unix.Connect(int(fd), address); err {
		case nil, unix.EISCONN:
		case unix.EALREADY, unix.EINPROGRESS, unix.EINTR:
			return false
		default:
			failed = os.NewSyscallError("connect", err)
		}
		return true
	})
	if !stop() {
		return context.Cause(ctx)
	}
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	return b.SetWriteDeadline(time.Time{})
}

// socketAddress is an address for system calls.
func socketAddress(to netip.AddrPort) (family int, address unix.Sockaddr) {
	if ip := to.Addr(); ip.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(to.Port()), Addr: ip.As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
}

// StreamSocket lets h1.Buffer wait without memory.
func (b *brief) StreamSocket() (syscall.RawConn, error) { return b.SyscallConn() }

// LocalAddr is that of our end.
func (b *brief) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(b.local()) }

// local asks the system; the zero value if the connection is closed.
func (b *brief) local() (at netip.AddrPort) {
	raw, err := b.SyscallConn()
	if err != nil {
		return at
	}
	raw.Control(func(fd uintptr) { // fails if it is closed
		at = localAddress(int(fd))
	})
	return at
}

// localAddress is the address of our end of a socket.
func localAddress(fd int) (at netip.AddrPort) {
	address, _ := unix.Getsockname(fd) // of an open socket
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		at = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		at = netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return at
}

// RemoteAddr is that of the server.
func (b *brief) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(b.remote) }
