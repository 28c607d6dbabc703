package proxyprotocol

import (
	"encoding/binary"
	"net/netip"
)

// unspecified is the family without addresses; portsBytes are those of both ends.
const (
	unspecified = 0x00
	portsBytes  = 4
)

// AppendBinary adds a header of version 2. Addresses of different families, or none (of unix sockets), are unspecified.
func AppendBinary(dst []byte, source, destination netip.AddrPort, datagrams bool) []byte {
	a, b := source.Addr().Unmap(), destination.Addr().Unmap()
	kind, bytes := byte(unspecified), 0
	switch {
	case a.Is4() && b.Is4():
		kind, bytes = streamIPv4, 2*4+portsBytes
	case a.Is6() && b.Is6():
		kind, bytes = streamIPv6, 2*16+portsBytes
	}
	if datagrams && kind != unspecified {
		kind++ // the transport is in the lower half
	}
	dst = append(dst, signature...)
	dst = append(dst, version2<<4|commandProxy, kind)
	dst = binary.BigEndian.AppendUint16(dst, uint16(bytes))
	if kind == unspecified {
		return dst
	}
	dst = append(dst, a.AsSlice()...)
	dst = append(dst, b.AsSlice()...)
	dst = binary.BigEndian.AppendUint16(dst, source.Port())
	return binary.BigEndian.AppendUint16(dst, destination.Port())
}
