// Package sockaddr reads and writes the addresses that servers listen on, as nginx spells them.
package sockaddr

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxUnixPath is the room for a path in the kernel's sockaddr_un, less the closing zero.
const maxUnixPath = 107

// lookupTimeout bounds the only lookup in reading an address: that of a host name.
const lookupTimeout = 10 * time.Second

// Addr is the address of a listening socket: IP and port, or the path of a unix socket. It is comparable.
type Addr struct {
	netip.AddrPort
	Path string // of a unix socket
}

// IsUnix distinguishes a unix socket from TCP.
func (a Addr) IsUnix() bool { return a.Path != "" }

// Wildcard reports whether it stands for all addresses of the machine.
func (a Addr) Wildcard() bool { return !a.IsUnix() && a.Addr().IsUnspecified() }

// String is the form that nginx logs: 0.0.0.0:80, [::]:80, unix:/run/x.sock.
func (a Addr) String() string {
	if a.IsUnix() {
		return "unix:" + a.Path
	}
	return a.AddrPort.String()
}

// Parse reads the address of a listen directive: address:port, address, port, *:port, [v6]:port, name:port, unix:path,
// and any of these with a range of ports (8000-8010). defaultPort applies to an address without one; 0 makes the port
// mandatory. A range yields several addresses, and a name may. The error lacks nginx's ending ` of the "listen"
// directive`, which the caller adds with Problem.
func Parse(text string, defaultPort uint16) ([]Addr, error) {
	if path, isUnix := strings.CutPrefix(text, "unix:"); isUnix {
		return parseUnix(path, text)
	}
	host, first, last, err := split(text, defaultPort)
	if err != nil {
		return nil, err
	}
	ips, err := addresses(host, text)
	if err != nil {
		return nil, err
	}
	var out []Addr
	for _, ip := range ips {
		for port := int(first); port <= int(last); port++ {
			out = append(out, Addr{AddrPort: netip.AddrPortFrom(ip, uint16(port))})
		}
	}
	return out, nil
}

// addresses are the IP addresses of a host as written.
func addresses(host, text string) ([]netip.Addr, error) {
	if host == "" || host == "*" {
		return []netip.Addr{netip.IPv4Unspecified()}, nil
	}
	if bare, isV6 := strings.CutPrefix(host, "["); isV6 {
		ip, err := netip.ParseAddr(strings.TrimSuffix(bare, "]"))
		if err != nil || !ip.Is6() {
			return nil, fmt.Errorf("invalid IPv6 address in %q", text)
		}
		return []netip.Addr{ip}, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
		return []netip.Addr{ip}, nil
	}
	return lookUp(host, text)
}

func parseUnix(path, text string) ([]Addr, error) {
	switch {
	case path == "":
		return nil, fmt.Errorf("no path in the unix domain socket in %q", text)
	case len(path) > maxUnixPath:
		return nil, fmt.Errorf("too long path in the unix domain socket in %q", text)
	case !strings.HasPrefix(path, "/"):
		return nil, fmt.Errorf("the path of the unix domain socket must be absolute in %q", text)
	}
	return []Addr{{Path: path}}, nil
}

// split separates host and ports. A lone number or range is a port, anything else alone is a host.
func split(text string, defaultPort uint16) (host string, first, last uint16, err error) {
	host, word, found := text, "", false
	if strings.HasPrefix(text, "[") {
		end := strings.IndexByte(text, ']')
		if end < 0 {
			return "", 0, 0, fmt.Errorf("invalid host in %q", text)
		}
		host = text[:end+1]
		word, found = strings.CutPrefix(text[end+1:], ":")
		if !found && text[end+1:] != "" {
			return "", 0, 0, fmt.Errorf("invalid host in %q", text)
		}
	} else {
		host, word, found = strings.Cut(text, ":")
	}
	if !found {
		if low, high, _ := strings.Cut(host, "-"); isNumber(low) && (high == "" || isNumber(high)) {
			host, word = "", host
		} else if defaultPort == 0 {
			return "", 0, 0, fmt.Errorf("no port in %q", text)
		} else {
			return host, defaultPort, defaultPort, nil
		}
	} else if host == "" {
		return "", 0, 0, fmt.Errorf("no host in %q", text)
	}
	low, high, isRange := strings.Cut(word, "-")
	first, ok := port(low)
	last = first
	if isRange && ok {
		last, ok = port(high)
	}
	if !ok {
		return "", 0, 0, fmt.Errorf("invalid port in %q", text)
	}
	if last < first {
		return "", 0, 0, fmt.Errorf("invalid port range in %q", text)
	}
	return host, first, last, nil
}

func port(word string) (uint16, bool) {
	n, err := strconv.ParseUint(word, 10, 16)
	return uint16(n), err == nil && n > 0
}

func isNumber(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func lookUp(host, text string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(ips) == 0 {
		return nil, fmt.Errorf("host not found in %q", text)
	}
	var out []netip.Addr
	for _, ip := range ips {
		if ip = ip.Unmap(); !slices.Contains(out, ip) {
			out = append(out, ip)
		}
	}
	return out, nil
}

// Problem completes an error of Parse to nginx's text.
func Problem(err error) error { return fmt.Errorf("%w of the \"listen\" directive", err) }

// Options are the parameters of listen for the socket itself.
type Options struct {
	Backlog  int  // 0: DefaultBacklog
	IPv6Only bool // of [::]: IPv4 needs a socket of its own; nginx's default is on
	// Bind requests a socket of its own even if a wildcard address of the same port is listened on too.
	Bind bool
	// ReceiveBytes and SendBytes are the sizes of the kernel's buffers; 0: the system's.
	ReceiveBytes, SendBytes int
	// Deferred accepts a connection only when its first data has arrived (TCP_DEFER_ACCEPT).
	Deferred bool
	// FastOpen is the queue of TCP Fast Open; 0: off.
	FastOpen int
	// ReusePort lets other sockets that request it too listen on the same address.
	ReusePort bool
	// Multipath listens with MPTCP if the kernel supports it.
	Multipath bool
}

// DefaultBacklog is nginx's on Linux.
const DefaultBacklog = 511
