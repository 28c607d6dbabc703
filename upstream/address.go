package upstream

import "net/netip"

// Address is a server's address in the forms for dialling and for printing.
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

// WithPort returns the address with another port; 0, and unix sockets, keep theirs.
func (a Address) WithPort(port uint16) Address {
	if port == 0 || a.Network != "tcp" {
		return a
	}
	return TCP(netip.AddrPortFrom(a.IP.Addr(), port))
}
