// Package proxyprotocol reads the header that a proxy sends at the start of a connection to name the client, in both
// versions of the PROXY protocol (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt), and writes both.
package proxyprotocol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
)

// Bounds of a header. That of version 1 is the protocol's own; that of version 2, which could be 64 KB, is nginx's.
const (
	maxTextBytes   = 107
	maxBinaryBytes = 4096
)

// shortestBytes is the length of "PROXY UNKNOWN\r\n", the shortest header of all. Reading starts with it, because no
// byte after the header may be consumed.
const shortestBytes = 15

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// fixedBytes are the signature, the command, the family and the length.
const fixedBytes = 16

// Header is a parsed PROXY protocol header.
type Header struct {
	// Source is the client, Destination the address that it called.
	Source, Destination netip.AddrPort
	tlvs                []byte
}

// Broken is the error for an invalid header.
type Broken struct {
	Read []byte // the bytes that were read
	Why  string // "" if there is no header at all
}

// Error is nginx's line: what was read to the end of its first line. A reason follows where the line does not tell it.
func (e *Broken) Error() string {
	line := e.Read
	if !bytes.HasPrefix(line, []byte(signature)) {
		if end := bytes.IndexAny(line, "\r\n"); end >= 0 {
			line = line[:end]
		}
	}
	if len(line) > maxLoggedBytes {
		line = line[:maxLoggedBytes]
	}
	if e.Why == "" {
		return fmt.Sprintf("broken header: %q while reading PROXY protocol", line)
	}
	return fmt.Sprintf("broken header: %q (%s) while reading PROXY protocol", line, e.Why)
}

// maxLoggedBytes bounds what the log gets of a header: more than the longest line of version 1.
const maxLoggedBytes = 256

// Read consumes a header from r and nothing after it. It returns nil if the proxy speaks for itself or for a client
// without an address. The error is a *Broken or that of r.
func Read(r io.Reader) (*Header, error) {
	start, err := readStart(r)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(start, []byte(signature)) {
		return readBinary(r, start)
	}
	return readText(r, start)
}

// starts are the beginnings of all headers.
var starts = []string{signature, "PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNOWN"}

// readStart reads the first bytes. It does not wait for more than it needs to see that they start no header.
func readStart(r io.Reader) ([]byte, error) {
	start := make([]byte, 0, maxTextBytes)
	for len(start) < shortestBytes {
		n, err := r.Read(start[len(start):shortestBytes])
		start = start[:len(start)+n]
		switch {
		case !slices.ContainsFunc(starts, func(s string) bool { return agree(start, s) }):
			why := ""
			if bytes.HasPrefix(start, []byte("PROXY ")) {
				why = expectedText
			}
			return nil, &Broken{start, why}
		case len(start) == shortestBytes || err == nil:
		case len(start) > 0 && errors.Is(err, io.EOF):
			return nil, &Broken{start, "truncated header"}
		default:
			return nil, err
		}
	}
	return start, nil
}

// agree reports whether text can be the beginning of what was read and what will follow.
func agree(read []byte, text string) bool {
	n := min(len(read), len(text))
	return string(read[:n]) == text[:n]
}

const expectedText = "expected \"PROXY TCP4|TCP6 source destination port port\""

// readText reads version 1. It reads only as many bytes as the line must still have.
func readText(r io.Reader, line []byte) (*Header, error) {
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		n := len(line)
		more := leastRest(line)
		if n+more > maxTextBytes {
			return nil, &Broken{line, "line too long"}
		}
		line = line[:n+more]
		if _, err := io.ReadFull(r, line[n:]); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
				return nil, &Broken{line[:n], "truncated header"}
			}
			return nil, err
		}
	}
	fields := bytes.Split(line[:len(line)-2], []byte(" "))
	if string(fields[1]) == "UNKNOWN" {
		return nil, nil
	}
	if len(fields) != 6 || string(fields[1]) != "TCP4" && string(fields[1]) != "TCP6" {
		return nil, &Broken{line, expectedText}
	}
	source, okSource := addrPort(fields[2], fields[4])
	destination, okDestination := addrPort(fields[3], fields[5])
	if !okSource || !okDestination {
		return nil, &Broken{line, "invalid address or port"}
	}
	return &Header{Source: source, Destination: destination}, nil
}

// textFields is the number of fields of a line with addresses.
const textFields = 6

// leastRest is how many bytes a line must still have: each remaining field takes a space and a byte, the end two.
func leastRest(line []byte) int {
	if line[len(line)-1] == '\r' {
		return 1
	}
	if bytes.HasPrefix(line, []byte("PROXY UNKNOWN")) {
		return 2 // anything may follow the word
	}
	return 2*max(textFields-1-bytes.Count(line, []byte(" ")), 0) + 2
}

func addrPort(addr, port []byte) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(string(addr))
	n, portErr := strconv.ParseUint(string(port), 10, 16)
	return netip.AddrPortFrom(a, uint16(n)), err == nil && portErr == nil && a.Zone() == ""
}

// Commands and families of version 2.
const (
	version2     = 2
	commandProxy = 1
	streamIPv4   = 0x11
	streamIPv6   = 0x21
)

// readBinary reads version 2.
func readBinary(r io.Reader, start []byte) (*Header, error) {
	head := append(make([]byte, 0, fixedBytes), start...)[:fixedBytes]
	if _, err := io.ReadFull(r, head[len(start):]); err != nil {
		return nil, ended(err, start)
	}
	if head[12]>>4 != version2 {
		return nil, &Broken{head, "unsupported version"}
	}
	length := int(binary.BigEndian.Uint16(head[14:]))
	if fixedBytes+length > maxBinaryBytes {
		return nil, &Broken{head, fmt.Sprintf("longer than %d bytes", maxBinaryBytes)}
	}
	rest := make([]byte, length)
	if _, err := io.ReadFull(r, rest); err != nil {
		return nil, ended(err, head)
	}
	if head[12]&0xf != commandProxy {
		return nil, nil
	}
	switch head[13] {
	case streamIPv4:
		return addresses[[4]byte](rest, head, netip.AddrFrom4)
	case streamIPv6:
		return addresses[[16]byte](rest, head, netip.AddrFrom16)
	}
	return nil, nil // a unix socket, a datagram, or unspecified
}

func ended(err error, read []byte) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return &Broken{read, "truncated header"}
	}
	return err
}

func addresses[A [4]byte | [16]byte](rest, head []byte, from func(A) netip.Addr) (*Header, error) {
	var a, b A
	size := len(a)
	if len(rest) < 2*size+4 {
		return nil, &Broken{head, "truncated addresses"}
	}
	for i := range size {
		a[i], b[i] = rest[i], rest[size+i]
	}
	ports := rest[2*size:]
	return &Header{
		Source:      netip.AddrPortFrom(from(a), binary.BigEndian.Uint16(ports)),
		Destination: netip.AddrPortFrom(from(b), binary.BigEndian.Uint16(ports[2:])),
		tlvs:        ports[4:],
	}, nil
}

// Append adds a header of version 1. Addresses of different families, or none (of unix sockets), are UNKNOWN.
func Append(dst []byte, source, destination netip.AddrPort) []byte {
	a, b := source.Addr().Unmap(), destination.Addr().Unmap()
	switch {
	case a.Is4() && b.Is4():
		dst = append(dst, "PROXY TCP4 "...)
	case a.Is6() && b.Is6():
		dst = append(dst, "PROXY TCP6 "...)
	default:
		return append(dst, "PROXY UNKNOWN\r\n"...)
	}
	dst = append(a.AppendTo(dst), ' ')
	dst = append(b.AppendTo(dst), ' ')
	dst = append(strconv.AppendUint(dst, uint64(source.Port()), 10), ' ')
	dst = strconv.AppendUint(dst, uint64(destination.Port()), 10)
	return append(dst, "\r\n"...)
}
