package cycle

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"starling/logs"
	"starling/nginx/errno"
	"starling/nginx/sockaddr"
)

// passedSocket is a listening socket that the parent process has opened: a service manager, which can bind ports below
// 1024 for an unprivileged process.
type passedSocket struct {
	file     *os.File
	addr     sockaddr.Addr
	ipv6Only bool // of [::]: it accepts no IPv4
	udp      bool
}

// Pass gives the host sockets to use instead of binding their addresses. Call it before the first Listen. A descriptor
// that is not a listening socket is an error that names it.
func (h *Host) Pass(files []*os.File) error {
	var errs []error
	for _, f := range files {
		p, err := inspect(f)
		if err != nil {
			errs = append(errs, fmt.Errorf("socket \"%s\" (descriptor %d) cannot be used: %w", f.Name(), f.Fd(), err))
			continue
		}
		h.passed = append(h.passed, p)
	}
	return errors.Join(errs...)
}

// inspect queries the kernel about a descriptor.
func inspect(f *os.File) (p passedSocket, err error) {
	p.file = f
	fd := int(f.Fd())
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return p, errors.New(errno.Reason(err))
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return p, errors.New(errno.Reason(err))
	}
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		p.addr.AddrPort = netip.AddrPortFrom(netip.AddrFrom4(name.Addr), uint16(name.Port))
	case *unix.SockaddrInet6:
		p.addr.AddrPort = netip.AddrPortFrom(netip.AddrFrom16(name.Addr), uint16(name.Port))
		only, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		if err != nil {
			return p, errors.New(errno.Reason(err))
		}
		p.ipv6Only = only != 0
	case *unix.SockaddrUnix:
		p.addr.Path = name.Name
	default:
		return p, errors.New("starling listens on IPv4, IPv6 and unix sockets only")
	}
	switch p.udp = kind == unix.SOCK_DGRAM; {
	case p.udp && !p.addr.IsUnix():
	case kind != unix.SOCK_STREAM:
		return p, errors.New("it is neither a stream nor a UDP socket")
	default:
		if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
			return p, errors.New("it does not listen: set Accept=no in the socket unit")
		}
	}
	return p, nil
}

// serves reports whether the socket fits a listen directive: the same address, and the same ipv6only if that matters.
func (p *passedSocket) serves(key socketKey) bool {
	return p.udp == (key.network != "") && p.addr == key.addr && (!p.addr.Wildcard() || p.ipv6Only == key.ipv6Only ||
		p.addr.Addr().Is4())
}

// covers reports whether the socket, of [::], accepts the IPv4 clients for which a listen directive names the port: a
// service manager told to listen on a port binds both families with one socket.
func (p *passedSocket) covers(key socketKey) bool {
	return p.udp == (key.network != "") && p.addr.Wildcard() && p.addr.Addr().Is6() && !p.ipv6Only &&
		key.addr.Wildcard() && key.addr.Addr().Is4() && p.addr.Port() == key.addr.Port()
}

// claim takes the passed socket that fits best, nil if none does.
func (h *Host) claim(key socketKey) *os.File {
	at := slices.IndexFunc(h.passed, func(p passedSocket) bool { return p.serves(key) })
	if at < 0 {
		at = slices.IndexFunc(h.passed, func(p passedSocket) bool { return p.covers(key) })
	}
	if at < 0 {
		return nil
	}
	file := h.passed[at].file
	h.passed = slices.Delete(h.passed, at, at+1)
	return file
}

// DropUnclaimed closes passed sockets that no listen directive uses: clients would wait in them in vain.
func (h *Host) DropUnclaimed(log logs.Logger) {
	for _, p := range h.passed {
		if h.predecessor != nil { // which serves it until it ends
			log.Logf(logs.Notice, "upgrade: no \"listen\" directive names %s any more", p.addr)
		} else {
			log.Logf(logs.Warn, "socket \"%s\" of %s was passed to starling, "+
				"but no \"listen\" directive names that address; closing it", p.file.Name(), p.addr)
		}
		if err := p.file.Close(); err != nil {
			log.Logf(logs.Alert, "close() of %s failed: %v", p.addr, err)
		}
	}
	h.passed = nil
}

// listenOn makes a listener from a passed socket. The descriptor itself is closed: the listener has another.
func (l *listener) listenOn(s socket, file *os.File) (err error) {
	defer file.Close()
	if s.transport != nil {
		packets, err := net.FilePacketConn(file)
		if err != nil {
			return err
		}
		return l.takeDatagrams(packets.(*net.UDPConn), s)
	}
	if l.socket, err = net.FileListener(file); err != nil {
		return err
	}
	if err := tune(l.socket, s.options); err != nil {
		return errors.Join(err, l.socket.Close())
	}
	return nil
}
