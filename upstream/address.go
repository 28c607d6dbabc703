package upstream

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"starling/nginx/units"
)

// Address is where a server listens, ready to be dialled and printed.
type Address struct {
	// Network is "tcp" or "unix".
	Network string
	// Text is the printable socket address: "10.0.0.1:80", "[::1]:80" or "unix:/run/app.sock".
	Text string
	// IP is the same for tcp; it is the zero value for unix.
	IP netip.AddrPort
	// Path is the file of a unix socket.
	Path string
}

// TCP returns the address of a socket address.
func TCP(ap netip.AddrPort) Address {
	ap = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	return Address{Network: "tcp", Text: ap.String(), IP: ap}
}

// Unix returns the address of a unix socket.
func Unix(path string) Address {
	return Address{Network: "unix", Text: "unix:" + path, Path: path}
}

// Place is the address of a server line or of proxy_pass as written: a unix socket, or a host (a name or an IP address) and a port.
type Place struct {
	Text string
	Path string // of a unix socket
	Host string // without brackets
	Port uint16
}

// ParsePlace reads "10.0.0.1:80", "[::1]", "backend.example" or "unix:/run/app.sock". A missing port is defaultPort; 0 makes it an
// error, as in stream. Errors are nginx's, without the place in the configuration.
func ParsePlace(text string, defaultPort uint16) (Place, error) {
	p := Place{Text: text, Port: defaultPort}
	failed := func(why string) (Place, error) { return Place{}, fmt.Errorf("%s in upstream %q", why, text) }
	if len(text) >= 5 && strings.EqualFold(text[:5], "unix:") {
		// nginx ends the path at a colon, for proxy_pass http://unix:/path:/uri.
		p.Path, _, _ = strings.Cut(text[5:], ":")
		if p.Path == "" {
			return failed("no path in the unix domain socket")
		}
		p.Port = 0
		return p, nil
	}
	port, hasPort := "", false
	if rest, ok := strings.CutPrefix(text, "["); ok {
		var after string
		if p.Host, after, ok = strings.Cut(rest, "]"); !ok {
			return failed("invalid host")
		}
		if ip, err := netip.ParseAddr(p.Host); err != nil || !ip.Is6() {
			return failed("invalid IPv6 address")
		}
		if port, hasPort = strings.CutPrefix(after, ":"); after != "" && !hasPort {
			return failed("invalid host")
		}
	} else {
		p.Host, port, hasPort = strings.Cut(text, ":")
	}
	if p.Host == "" {
		return failed("no host")
	}
	if hasPort {
		n, err := units.Number(port)
		if err != nil || n < 1 || n > 65535 {
			return failed("invalid port")
		}
		p.Port = uint16(n)
	}
	if p.Port == 0 {
		return failed("no port")
	}
	return p, nil
}

// Addresses returns the addresses of a place; a name is asked for once, as nginx does when it reads its configuration. IPv4
// addresses come first.
func (p Place) Addresses(ctx context.Context, lookup func(ctx context.Context, host string) ([]netip.Addr, error)) ([]Address, error) {
	if p.Path != "" {
		return []Address{Unix(p.Path)}, nil
	}
	if ip, err := netip.ParseAddr(p.Host); err == nil {
		return []Address{TCP(netip.AddrPortFrom(ip, p.Port))}, nil
	}
	ips, err := lookup(ctx, p.Host)
	if err != nil || len(ips) == 0 {
		return nil, fmt.Errorf("host not found in upstream %q", p.Text)
	}
	var four, six []Address
	for _, ip := range ips {
		if ip = ip.Unmap(); ip.Is4() {
			four = append(four, TCP(netip.AddrPortFrom(ip, p.Port)))
		} else {
			six = append(six, TCP(netip.AddrPortFrom(ip, p.Port)))
		}
	}
	return append(four, six...), nil
}
