// Package trusted finds the real client of a request from a header that trusted proxies set.
package trusted

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
	"unsafe"

	"github.com/gaissmai/bart"

	"starling/nginx/accesslist"
)

// Networks are the addresses of trusted proxies. They are filled once and then only read.
type Networks struct {
	table bart.Lite
	unix  bool
}

// Trust is the parameter of a set_real_ip_from.
type Trust struct {
	Prefixes []netip.Prefix
	Unix     bool // the clients of unix sockets
}

// lookupTimeout bounds how long a host name may delay the start.
const lookupTimeout = 10 * time.Second

// ParseTrust reads an address, a prefix, "unix:", or a host name, which the system looks up. lowBits reports that a
// prefix had bits set beyond its length.
func ParseTrust(text string) (t Trust, lowBits bool, err error) {
	if text == "unix:" {
		return Trust{Unix: true}, false, nil
	}
	prefix, lowBits, err := accesslist.ParsePrefix(text)
	if err == nil {
		return Trust{Prefixes: []netip.Prefix{prefix}}, lowBits, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", text)
	if err != nil || len(addrs) == 0 || strings.Contains(text, "/") {
		return Trust{}, false, fmt.Errorf("host not found in set_real_ip_from \"%s\"", text)
	}
	for _, a := range addrs {
		a = a.Unmap()
		t.Prefixes = append(t.Prefixes, netip.PrefixFrom(a, a.BitLen()))
	}
	return t, false, nil
}

// Of makes the networks of a list; nil for an empty one.
func Of(list []Trust) *Networks {
	if len(list) == 0 {
		return nil
	}
	n := new(Networks)
	for _, t := range list {
		for _, p := range t.Prefixes {
			n.Add(p)
		}
		n.unix = n.unix || t.Unix
	}
	return n
}

// Add trusts the proxies of a prefix.
func (n *Networks) Add(p netip.Prefix) { n.table.Insert(p.Masked()) }

// Trusts reports whether a client may name another address. IPv4 in IPv6 counts as IPv4; the zero Addr is a client of a
// unix socket.
func (n *Networks) Trusts(a netip.Addr) bool {
	if !a.IsValid() {
		return n.unix
	}
	return n.table.Contains(a.Unmap())
}

// Address is ngx_http_get_forwarded_addr: it reads the values from the last header to the first, and each from right to
// left, as long as the address found so far is trusted. Without recursive it takes one step only. It returns from if no
// value is trusted. backwards yields the values of the header, the last one first.
func Address(
	from netip.AddrPort,
	trusted *Networks,
	recursive bool,
	backwards func(yield func(value []byte) bool),
) (addr netip.AddrPort, changed bool) {
	addr = from
	backwards(func(value []byte) bool {
		next, moved, whole := step(addr, trusted, recursive, value)
		addr, changed = next, changed || moved
		return recursive && whole
	})
	return addr, changed
}

// step reads one value; whole reports that all of it was trusted, so that the header before it counts too.
func step(
	addr netip.AddrPort,
	trusted *Networks,
	recursive bool,
	value []byte,
) (next netip.AddrPort, moved, whole bool) {
	for {
		if !trusted.Trusts(addr.Addr()) {
			return addr, moved, false
		}
		value = bytes.TrimRight(value, " ,")
		start := bytes.LastIndexAny(value, " ,") + 1
		parsed, ok := Parse(value[start:])
		if !ok {
			return addr, moved, false
		}
		addr, moved = parsed, true
		if value = value[:start]; !recursive || start == 0 {
			return addr, moved, true
		}
	}
}

// maxTextBytes is more than any address with a port takes; a longer text is not parsed.
const maxTextBytes = 64

// ParseAddr reads an address without a port.
func ParseAddr(text []byte) (netip.Addr, bool) {
	if len(text) == 0 || len(text) > maxTextBytes || !plausible(text) {
		return netip.Addr{}, false // avoids allocating the error
	}
	// A copy would be an allocation per request. Only the error keeps the text, and it is dropped.
	a, err := netip.ParseAddr(unsafe.String(&text[0], len(text)))
	return a, err == nil
}

// plausible reports whether there are only bytes of addresses without a zone.
func plausible(text []byte) bool {
	for _, b := range text {
		if (b < '0' || b > ':') && b != '.' && (b|0x20 < 'a' || b|0x20 > 'f') {
			return false
		}
	}
	return true
}

// Parse reads an address with or without a port (then 0): 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1],
// [2001:db8::1]:80.
func Parse(text []byte) (netip.AddrPort, bool) {
	if a, ok := ParseAddr(text); ok {
		return netip.AddrPortFrom(a, 0), true
	}
	if len(text) == 0 || len(text) > maxTextBytes || bytes.IndexByte(text, '%') >= 0 {
		return netip.AddrPort{}, false
	}
	s := unsafe.String(&text[0], len(text)) // as above
	if s[0] == '[' && s[len(s)-1] == ']' {
		a, err := netip.ParseAddr(s[1 : len(s)-1])
		return netip.AddrPortFrom(a, 0), err == nil && a.Is6()
	}
	ap, err := netip.ParseAddrPort(s)
	return ap, err == nil && ap.Port() != 0
}
